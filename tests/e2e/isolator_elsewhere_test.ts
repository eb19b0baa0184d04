/** What lives where this program can't look is neither taken nor removed. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { Agent, bridgeNetwork, portMapperNetwork, RUNTIME_DIR } from "../harness/agent.ts";
import { StockContainer } from "../harness/stock_agent.ts";
import { Sandbox } from "../harness/sandbox.ts";

/** Mounts of one's own, as a unit with PrivateTmp has them. */
const OWN_MOUNTS = ["unshare", "--mount"];
/** A tool's container: mounts and processes of its own, nothing of the agent's /run, its network. */
const IN_A_TOOL = [
  ...["unshare", "--mount", "--pid", "--fork", "--mount-proc"],
  ...["sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"],
];

async function natRules(agent: Agent): Promise<string> {
  const rules = await agent.sandbox.ok(["iptables-save", "-t", "nat"]);
  return rules.replaceAll(/^#.*\n| \[\d+:\d+\]$/gm, "");
}

Deno.test("elsewhere: a live container's port is not taken from other mounts", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  const flags = (name: string) => [
    "--networks=port-mapper-test",
    "--port_mappings=8080:80",
    `--name=${name}`,
  ];
  const command = ["sh", "-c", "echo started; exec sleep 1000"];
  for (const [first, second] of [[OWN_MOUNTS, []], [[], OWN_MOUNTS]] as const) {
    const one = agent.spawn([...first, ...agent.runArgv(flags("first"), command)]);
    await one.printed(/started/);
    const rules = await natRules(agent);
    assertStringIncludes(rules, "container_id: first");
    const other = await agent.sandbox.run([
      ...second,
      ...agent.runArgv(flags("second"), ["true"]),
    ]);
    assertEquals(other.code, 1, other.stderr);
    assertStringIncludes(other.stderr, "8080/tcp is taken by container first");
    // Nor is it garbage.
    const gc = [...second, ...agent.isolatorArgv("gc", "--apply", "--json")];
    assertEquals(JSON.parse(await agent.sandbox.ok(gc)), []);
    assertEquals(await natRules(agent), rules);
    await one.end();
  }
});

Deno.test("elsewhere: what a local user mounts where only he sees it keeps nobody alive", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const left = agent.checkpoint("dead");
  await agent.sandbox.ok(["mkdir", "-p", left]); // a stock agent's container, after its end
  const lie = `mount -t tmpfs none /run && mkdir -p ${left} && touch ${left}/ns &&
    unshare --net=${left}/ns true && echo mounted && exec sleep 1000`;
  const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const own = ["unshare", "--user", "--map-root-user", "--mount"];
  const liar = agent.spawn([...nobody, ...own, "sh", "-c", lie]);
  await liar.printed(/mounted/);
  await agent.sandbox.ok(agent.isolatorArgv("cleanup", "dead"));
  assertEquals(await agent.list(agent.checkpoint("")), []);
  await liar.end();
});

/** Where processes have other start times, and where another boot's id is seen (as LXC and nspawn have it). */
const OTHER_TIMES = ["864000", "-1"].map((offset) => ["unshare", "--time", `--boottime=${offset}`]);
const OTHER_BOOT = [
  ...["unshare", "--mount", "sh", "-c"],
  `cat /proc/sys/kernel/random/uuid >/run/boot_id
  mount --bind /run/boot_id /proc/sys/kernel/random/boot_id; exec "$@"`,
  "sh",
];

Deno.test("elsewhere: where times or the boot are told otherwise, no command cuts what lives off", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  for (const there of [...OTHER_TIMES, OTHER_BOOT]) {
    for (const [first, second] of [[[], there], [there, []]] as const) {
      const flags = ["--networks=cni-test", "--name=lives"];
      const one = agent.spawn([
        ...first,
        ...agent.runArgv(flags, ["sh", "-c", "echo started; exec sleep 1000"]),
      ]);
      await one.printed(/started/);
      for (const command of [["cleanup", "lives"], ["recover"], ["gc", "--apply"]]) {
        const { code, stderr } = await agent.sandbox.run([
          ...second,
          ...agent.isolatorArgv(...command),
        ]);
        assertEquals(code, command[0] === "cleanup" ? 1 : 0, stderr);
        const ends = await agent.sandbox.ok(["ip", "-brief", "link", "show", "type", "veth"]);
        assertEquals(ends.trim().split("\n").length, 1, `${command}: ${ends}`);
      }
      await one.end();
    }
  }
});

Deno.test("elsewhere: gc from a tool's container cuts nothing off", async () => {
  await using agent = await Agent.create(
    portMapperNetwork(),
    { ...bridgeNetwork("new", "10.215.0.0/16"), bridge: "new0", cniVersion: "1.1.0" },
  );
  agent.search = undefined; // what is inside of the program knows GC
  const mapping = { network_infos: [{ name: "port-mapper-test", port_mappings: [MAPPING] }] };
  const mapped = await agent.attach("mapped", [], mapping);
  const plain = await agent.attach("plain", ["new"]);
  await agent.sandbox.ok(["sh", "-c", "touch -d '1 hour ago' /var/lib/cni/networks/*/1*"]);
  const left = async () =>
    [
      await natRules(agent),
      await agent.list("/var/lib/cni/networks"),
      (await agent.sandbox.ok(["ip", "-brief", "link"])).replaceAll(/^lo.*/gm, ""),
    ].join("\n");
  const before = await left();
  const { stdout, stderr, code } = await agent.sandbox.run([
    ...IN_A_TOOL,
    ...agent.isolatorArgv("gc", "--apply", "--json"),
  ]);
  assertEquals([stdout.trim(), code], ["[]", 1], stderr);
  assertStringIncludes(stderr, "containers live that can't be seen from here");
  assertEquals(await left(), before);
  await mapped.ok(["busybox", "ping", "-c1", "-W30", "192.168.0.1"]);
  await plain.ok(["busybox", "ping", "-c1", "-W30", "10.215.0.1"]);
});

const MAPPING = { host_port: 8081, container_port: 80 };

Deno.test("elsewhere: a stock agent's tasks are its own, though its mounts are not ours", async () => {
  await using agent = await Sandbox.create();
  const network = bridgeNetwork("stock", "10.216.0.0/16") as { name: string; type: string };
  await using task = await StockContainer.launch(agent, "task-1", [network]);
  Deno.mkdirSync(`${agent.dir}/networks`);
  Deno.writeTextFileSync(`${agent.dir}/networks/stock.conf`, JSON.stringify(network));
  const from = (...command: string[]) =>
    agent.run([
      ...OWN_MOUNTS,
      ...["sh", "-ec", `umount ${task.dir}/ns; exec "$@"`, "sh", MESOS_CNI, ...command],
    ]);
  const flags = [
    `--network_cni_config_dir=${agent.dir}/networks`,
    "--network_cni_plugins_dir=/usr/lib/cni",
  ];
  const gc = await from("isolator", "gc", "--apply", "--json", ...flags);
  assertEquals([gc.stdout.trim(), gc.stderr, gc.code], ["[]", "", 0]);
  const recovered = await from("isolator", "recover", ...flags);
  assertEquals(JSON.parse(recovered.stdout), [{ container: "task-1", outcome: "kept" }]);
  const list = await from("list", "--json");
  assertEquals(JSON.parse(list.stdout).map(({ health }: { health: string }) => health), [
    "namespace elsewhere",
  ]);
  const cleanup = await from("isolator", "cleanup", "task-1", ...flags);
  assertEquals(cleanup.code, 1);
  assertStringIncludes(cleanup.stderr, "can't be seen here");
  assertEquals(await agent.run(["ls", `${task.dir}/stock`]).then(({ code }) => code), 0);
  // The agent's own look.
  const own = await agent.ok([MESOS_CNI, "isolator", "gc", "--json", ...flags]);
  assertEquals(JSON.parse(own), []);
});

Deno.test("elsewhere: containers under a directory that nobody has named are told of, and where", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  const flags = ["--networks=port-mapper-test", "--port_mappings=8080:80", "--name=web"];
  const web = agent.spawn(agent.runArgv(flags, ["sh", "-c", "echo started; exec sleep 1000"]));
  await web.printed(/started/);
  const status = async (dir: string) =>
    (await agent.sandbox.run([MESOS_CNI, "status", `--runtime_dir=${dir}`])).stdout;
  const unseen = "containers live whose checkpoints are in another directory";
  const from = await status("/run/nowhere");
  assertStringIncludes(from, `${unseen}: web (--runtime_dir=${RUNTIME_DIR})`);
  assertEquals(from.includes("all is well"), false, from);
  assertEquals((await status(RUNTIME_DIR)).includes(unseen), false);
  await web.end();
});

Deno.test("elsewhere: a container of the same name under another directory takes nothing from the first", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  const flags = ["--networks=port-mapper-test", "--port_mappings=8080:80"];
  const web = await agent.start("web", flags);
  const had = async () => [await natRules(agent), await agent.list("/var/lib/cni/networks")];
  const before = await had();
  const other = agent.runArgv([...flags, "--name=web"], ["true"])
    .map((word) => word === `--runtime_dir=${RUNTIME_DIR}` ? "--runtime_dir=/run/other" : word);
  const { code, stderr } = await agent.sandbox.run(other);
  assertEquals(code, 1, stderr);
  assertStringIncludes(
    stderr,
    `a container web is attached to port-mapper-test (eth0) already, in ${RUNTIME_DIR}`,
  );
  assertEquals(await had(), before);
  assertEquals(await agent.list("/run/other/isolators/network/cni"), []);
  await web.end();
});

Deno.test("elsewhere: recover in another network than the rules are in says so, and changes nothing", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  const web = await agent.start("web", ["--networks=port-mapper-test", "--port_mappings=8080:80"]);
  const before = await natRules(agent);
  await agent.sandbox.ok(["iptables", "-t", "nat", "-F"]);
  const { code, stdout, stderr } = await agent.sandbox.run([
    ...["unshare", "--net"],
    ...agent.isolatorArgv("recover"),
  ]);
  const [one, ...others] = JSON.parse(stdout);
  assertEquals([code, one.container, one.outcome, others], [1, "web", "kept", []], stdout);
  assertEquals(one.repaired, undefined);
  assertStringIncludes(stderr, "from another mount, pid or network namespace");
  const { repaired, outcome } = (await agent.json("recover"))[0];
  assertEquals([outcome, repaired], ["kept", ["port-mapper-test"]]);
  assertEquals((await natRules(agent)).split("\n").sort(), before.split("\n").sort());
  await web.end();
});

Deno.test("elsewhere: cleanup and gc in another network than a dead container's remove nothing of it", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  const dead = await agent.attach("dead", [], {
    network_infos: [{ name: "port-mapper-test", port_mappings: [MAPPING] }],
  });
  await dead.end();
  const had =
    async () => [await natRules(agent), await agent.list("/run"), await agent.list("/var/lib/cni")];
  const before = await had();
  const from = (...command: string[]) =>
    agent.sandbox.run(["unshare", "--net", ...agent.isolatorArgv(...command)]);
  for (
    const command of [["cleanup", "dead"], ["cleanup", "dead", "--force"], ["gc", "--apply"], [
      "recover",
    ]]
  ) {
    const { code, stdout, stderr } = await from(...command);
    assertEquals(code, 1, `${command.join(" ")}: ${stdout}${stderr}`);
    assertStringIncludes(stdout + stderr, "from another mount, pid or network namespace");
    assertEquals(await had(), before, command.join(" "));
  }
  await agent.sandbox.ok(agent.isolatorArgv("gc", "--apply"));
  const left = [
    await natRules(agent),
    ...await agent.list("/run"),
    ...await agent.list("/var/lib/cni"),
  ];
  assertEquals(left.filter((text) => text.includes("dead") || text.includes("192.168.0.2")), []);
});
