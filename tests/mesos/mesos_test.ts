/** Our port mapper and debug shell under a real, stock Mesos agent. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { Framework, type NetworkInfo, task } from "./framework.ts";
import { ADDRESS, MESOS_DIR, MesosLab, type NetworkConfig, until } from "./lab.ts";

const bridge = (bridge: string, subnet: string, more: Record<string, unknown> = {}) => ({
  type: "bridge",
  bridge,
  isGateway: true,
  ipMasq: true,
  ipam: leased(subnet),
  ...more,
});

const leased = (subnet: string) => ({
  type: "host-local",
  subnet,
  routes: [{ dst: "0.0.0.0/0" }],
});

const mapper = (name: string, delegate: Record<string, unknown>, more = {}): NetworkConfig => ({
  name,
  type: "mesos-cni-port-mapper",
  excludeDevices: [String(delegate.bridge)],
  chain: `CHAIN-${name.toUpperCase()}`,
  delegate,
  ...more,
});

const NETWORKS: NetworkConfig[] = [
  { name: "cni-bridge", ...bridge("mcbr0", "10.77.0.0/24") },
  {
    name: "cni-dns",
    ...bridge("mcbr1", "10.79.0.0/24", {
      dns: {
        nameservers: [ADDRESS],
        domain: "lab.example",
        search: ["lab.example"],
        options: ["ndots:2"],
      },
    }),
  },
  mapper("cni-pm", bridge("mcbr2", "10.78.0.0/24")),
  mapper("cni-nft", bridge("mcbr3", "10.80.0.0/24"), { backend: "nftables" }),
  mapper("cni-new", bridge("mcbr4", "10.81.0.0/24"), { cniVersion: "1.0.0" }),
];

const HTTPD = (text: string) => `echo ${text} >index.html; exec busybox httpd -f -p 8080 -h .`;

/** Sends back what comes to UDP port 53. */
const ECHO = `python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 53))
while True: s.sendto(*s.recvfrom(99))' & `;

/** Asks an echo, and prints what comes back within two seconds. */
const ASK = `import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
print(s.recv(9).decode())`;

const mapped = (
  name: string,
  host_port: number,
  ...more: NetworkInfo["port_mappings"] & object
) => [
  { name, port_mappings: [{ host_port, container_port: 8080 }, ...more] },
];

function mesosTest(name: string, body: (lab: MesosLab, framework: Framework) => Promise<void>) {
  Deno.test({
    name: `mesos: ${name}${MESOS_DIR ? "" : " (skipped: MESOS_DIR names no unpacked Mesos)"}`,
    ignore: MESOS_DIR === undefined,
    fn: async () => {
      await using lab = await MesosLab.open(NETWORKS);
      await using framework = new Framework(lab);
      try {
        await body(lab, framework);
      } catch (error) {
        console.error(lab.log("agent").slice(-6000));
        throw error;
      }
    },
  });
}

/** What a server behind a port of the agent says. */
const get = (lab: MesosLab, port: number) =>
  lab.run(["curl", "-fsm3", `http://${ADDRESS}:${port}/`]);

async function untilServed(lab: MesosLab, port: number, text: string): Promise<void> {
  await until(`port ${port} to answer`, async () => (await get(lab, port)).stdout.trim() === text);
}

mesosTest(
  "tasks on a bridge, with ports on both backends, and a config of a newer version",
  async (lab, mesos) => {
    await lab.startAgent("ours");
    for (const [index, network] of ["cni-pm", "cni-nft", "cni-new"].entries()) {
      const port = 31500 + index;
      await mesos.order({ launch: [task(network, HTTPD(network), mapped(network, port))] });
      await mesos.running(network);
      await untilServed(lab, port, network);
    }
    const udp = { host_port: 31600, container_port: 53, protocol: "udp" };
    await mesos.order({ launch: [task("udp", ECHO + HTTPD("udp"), mapped("cni-pm", 31601, udp))] });
    await mesos.running("udp");
    await untilServed(lab, 31601, "udp");
    await until("udp to answer", async () => {
      const { stdout } = await lab.run(["python3", "-c", ASK, ADDRESS, "31600"]);
      return stdout.trim() === "hello";
    });
    await mesos.order({
      launch: [task("plain", "ip -br address; sleep 300", [{ name: "cni-bridge" }])],
    });
    await mesos.running("plain");
    for (const name of ["cni-pm", "cni-nft", "cni-new", "udp", "plain"]) await mesos.kill(name);
    await lab.untilNothingIsLeft();
  },
);

mesosTest(
  "two networks, DNS, hostname and labels, and what the debug shell says of them",
  async (lab, mesos) => {
    await lab.startAgent("ours");
    const networks = [
      { name: "cni-dns", labels: { labels: [{ key: "app", value: "web" }] } },
      ...mapped("cni-pm", 31500),
    ];
    const command = `hostname >seen; cat /etc/hosts /etc/resolv.conf >>seen; ${HTTPD("two")}`;
    await mesos.order({ launch: [task("two", command, networks, { hostname: "my-host" })] });
    await mesos.running("two");
    await untilServed(lab, 31500, "two");
    const inside = await lab.ok(["curl", "-fsm3", `http://${ADDRESS}:31500/seen`]);
    assertMatch(inside, /^my-host\n[^]*10\.7[89]\.0\.\d+\s+my-host/);

    const [id] = lab.containers() as [string];
    const list = JSON.parse((await lab.mesosCni("netns", "list", "--json")).stdout);
    assertEquals(list.map((one: { id: string; health: string }) => [one.id, one.health]), [[
      id,
      "ok",
    ]]);
    const exec = await lab.mesosCni("netns", "exec", id, "--", "ip", "-br", "address");
    // The agent attaches both at once, and either may come first.
    assertMatch(exec.stdout, /^eth0@.* 10\.79\.0\.\d+\/24/m);
    assertMatch(exec.stdout, /^eth1@.* 10\.78\.0\.\d+\/24/m);
    const inspect = await lab.mesosCni("netns", "inspect", id);
    assertStringIncludes(inspect.stdout, "31500");
    const seen = await lab.mesosCni(
      "netns",
      "exec",
      id,
      "--mount",
      "--",
      "cat",
      "/etc/resolv.conf",
    );
    assertStringIncludes(seen.stdout, `nameserver ${ADDRESS}`);
    assertStringIncludes(seen.stdout, "search lab.example");

    // The agent's directories are found by its command line.
    const bare = await lab.ok([MESOS_CNI, "netns", "list", "--json"]);
    assertEquals(JSON.parse(bare).map((one: { id: string }) => one.id), [id]);
    await mesos.kill("two");
    await lab.untilNothingIsLeft();
  },
);

mesosTest("beside a stock agent, the daily commands need no flag", async (lab, mesos) => {
  await lab.startAgent("ours");
  await mesos.order({ launch: [task("day", HTTPD("day"), mapped("cni-pm", 31500))] });
  await mesos.running("day");
  await untilServed(lab, 31500, "day");
  const [id] = lab.containers() as [string];
  const bare = (...args: string[]) => lab.run([MESOS_CNI, ...args]);

  const [listed] = JSON.parse((await bare("list", "--json")).stdout);
  assertEquals([listed.id, listed.health, listed.ports], [id, "ok", ["31500:8080/tcp"]]);
  const status = await bare("status");
  assertEquals([status.code, status.stderr], [0, ""], status.stdout);
  assertMatch(status.stdout, new RegExp(`agent +process \\d+, at ${ADDRESS}:\\d+`));
  assertStringIncludes((await bare("networks")).stdout, "cni-pm");
  assertStringIncludes((await bare("network", "show", "cni-pm")).stdout, id);
  assertStringIncludes((await bare("identify", String(listed.pid))).stdout, id);
  const check = await bare("check", id.slice(0, 8));
  assertEquals([check.code, check.stderr], [0, ""], check.stdout);
  assertEquals((await bare("gc")).stdout, "nothing: everything belongs to a live container\n");

  // The agent's own address and port are found too, and it answers there.
  const diagnosis = JSON.parse((await bare("diagnose", id, "--json")).stdout);
  const asked = diagnosis.asked.filter(({ topic }: { topic: string }) => topic === "agent");
  assertEquals(asked.map(({ outcome }: { outcome: string }) => outcome), ["answered"]);
  assertStringIncludes(asked[0].text, ADDRESS);
  // There is no name server in the lab; all else is well.
  const codes = diagnosis.findings.map(({ code }: { code: string }) => code);
  assertEquals(codes.filter((code: string) => !/dns|nameserver/.test(code)), []);

  const alive = await bare("cleanup", id);
  assertEquals(alive.code, 1);
  assertStringIncludes(alive.stderr, `container ${id} lives, as process `);
  const cleanup = await bare("cleanup", id, "--force");
  assertEquals([cleanup.code, cleanup.stderr], [0, ""], cleanup.stdout);
  // Nobody can tell the executor to end, either: it had the same network.
  assertEquals((await get(lab, 31500)).code === 0, false);
  await lab.untilNothingIsLeft();
});

mesosTest(
  "a pod shares its executor's network, and its containers are known",
  async (lab, mesos) => {
    await lab.startAgent("ours");
    const member = (name: string) => task(name, "ip -br address show eth0 >address; sleep 300");
    await mesos.order({ group: [member("a"), member("b")] });
    await mesos.running("a");
    await mesos.running("b");
    const list = JSON.parse((await lab.mesosCni("netns", "list", "--json")).stdout);
    assertEquals(list.length, 1);
    await mesos.kill("a");
    await mesos.kill("b");
    await lab.untilNothingIsLeft();
  },
);

mesosTest(
  "a host port is used again at once, ten times, and by fourteen at a time",
  async (lab, mesos) => {
    await lab.startAgent("ours");
    const ends: string[] = [];
    for (let i = 0; i < 10; i++) {
      await mesos.order({ launch: [task(`seq-${i}`, "sleep 0.2", mapped("cni-pm", 31500))] });
      const { state, message } = await mesos.ended(`seq-${i}`);
      ends.push(state === "TASK_FINISHED" ? "ok" : message);
    }
    assertEquals(ends, Array(10).fill("ok"));
    for (const round of [1, 2]) {
      const names = Array.from({ length: 14 }, (_, i) => `par-${round}-${i}`);
      const tasks = names.map((name, i) => task(name, "sleep 0.5", mapped("cni-pm", 31510 + i)));
      await mesos.order({ launch: tasks });
      for (const name of names) {
        const { state, message } = await mesos.ended(name);
        assertEquals(state, "TASK_FINISHED", message);
      }
    }
    await lab.untilNothingIsLeft();
  },
);

mesosTest(
  "the agent is killed and comes back: its tasks go on, and their ports",
  async (lab, mesos) => {
    await lab.startAgent("ours");
    await mesos.order({ launch: [task("on", HTTPD("on"), mapped("cni-pm", 31500))] });
    await mesos.running("on");
    await untilServed(lab, 31500, "on");
    await lab.startAgent("ours");
    await untilServed(lab, 31500, "on");
    await mesos.kill("on");
    await lab.untilNothingIsLeft();
  },
);

mesosTest(
  "the agent is killed in the middle of ADD and of DEL: nothing is left",
  async (lab, mesos) => {
    // Debian's bridge, delayed, so that the moment can be met.
    const slow = `${lab.dir}/ours/slow-bridge`;
    Deno.writeTextFileSync(slow, "#!/bin/sh\nsleep 1\nexec /usr/lib/cni/bridge\n", { mode: 0o755 });
    const delegate = { ...bridge("mcbr5", "10.82.0.0/24"), type: "slow-bridge" };
    Deno.writeTextFileSync(
      `${lab.dir}/conf/cni-slow.conf`,
      JSON.stringify(mapper("cni-slow", delegate)),
    );
    await lab.startAgent("ours");
    await mesos.order({ launch: [task("add", HTTPD("add"), mapped("cni-slow", 31500))] });
    await until("ADD to be under way", async () => (await lab.left()).records === 1);
    await lab.startAgent("ours");
    await mesos.ended("add");
    await lab.untilNothingIsLeft();

    await mesos.order({ launch: [task("del", HTTPD("del"), mapped("cni-slow", 31500))] });
    await mesos.running("del");
    await untilServed(lab, 31500, "del");
    await mesos.order({ kill: "del" });
    await until("DEL to be under way", async () => (await lab.left()).rules === 0);
    await lab.startAgent("ours");
    await lab.untilNothingIsLeft();
  },
);

mesosTest(
  "what the original attached ours detaches, and the other way round",
  async (lab, mesos) => {
    await lab.startAgent("original");
    await mesos.order({ launch: [task("by-original", HTTPD("one"), mapped("cni-pm", 31500))] });
    await mesos.running("by-original");
    await untilServed(lab, 31500, "one");
    await lab.startAgent("ours");
    await untilServed(lab, 31500, "one");
    await mesos.kill("by-original");
    await lab.untilNothingIsLeft();

    await mesos.order({ launch: [task("by-ours", HTTPD("two"), mapped("cni-pm", 31500))] });
    await mesos.running("by-ours");
    await untilServed(lab, 31500, "two");
    await lab.startAgent("original");
    await mesos.kill("by-ours");
    await until("the original to detach", async () => (await lab.left()).checkpoints === 0);
    const left = await lab.left();
    assertEquals([left.veths, left.leases, left.rules], [0, 0, 0]);

    // The original knows nothing of records: the next ADD takes the port over.
    await lab.startAgent("ours");
    await mesos.order({ launch: [task("again", HTTPD("three"), mapped("cni-pm", 31500))] });
    await mesos.running("again");
    await untilServed(lab, 31500, "three");
    await mesos.kill("again");
    await until("detach", async () => (await lab.left()).rules === 0);
  },
);

mesosTest(
  "two tasks that live can't have one port: the second says who has it",
  async (lab, mesos) => {
    await lab.startAgent("ours");
    await mesos.order({ launch: [task("first", HTTPD("first"), mapped("cni-pm", 31500))] });
    await mesos.running("first");
    // Mesos gives a port out once; a task that doesn't say which it takes shows the plugin's own care.
    const second = task("second", HTTPD("second"), mapped("cni-pm", 31500));
    second.resources = (second.resources as { name: string }[]).filter(({ name }) =>
      name !== "ports"
    );
    await mesos.order({ launch: [second] });
    const { state, message } = await mesos.ended("second");
    assert(state !== "TASK_FINISHED", state);
    assertMatch(message + lab.log("agent"), /host port 31500\/tcp is taken by container/);
    await untilServed(lab, 31500, "first");
    await mesos.kill("first");
    await lab.untilNothingIsLeft();
  },
);

const SIBLINGS = `link add lower0 type veth peer name lower1
link set lower0 up
link set lower1 up
link add mac0 link lower0 type macvlan mode bridge
link add dev0 link lower0 type macvlan mode bridge
address add 10.93.0.1/24 dev mac0
address add 10.94.0.1/24 dev mac0
link set mac0 up
`;

mesosTest("links to our file are all the plugins that an agent needs", async (lab, mesos) => {
  const configs: NetworkConfig[] = [
    { name: "own", ...bridge("own0", "10.90.0.0/24") },
    { name: "own-new", cniVersion: "1.0.0", ...bridge("own1", "10.91.0.0/24") },
    { name: "own-ptp", type: "ptp", ipMasq: true, ipam: leased("10.92.0.0/24") },
    {
      name: "own-macvlan",
      type: "macvlan",
      master: "lower0",
      ipam: {
        type: "static",
        addresses: [{ address: "10.93.0.2/24", gateway: "10.93.0.1" }],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    },
    {
      name: "own-device",
      type: "host-device",
      device: "dev0",
      ipam: leased("10.94.0.0/24"),
    },
    // As DC/OS ships its bridge: a default gateway beside a default route.
    mapper("ucr-default-bridge", {
      ...bridge("ucr-br0", "172.31.254.0/24"),
      isDefaultGateway: true,
      forceAddress: false,
      hairpinMode: true,
    }, { excludeDevices: ["cali+", "ucr-br0"] }),
  ];
  for (const config of configs) {
    Deno.writeTextFileSync(`${lab.dir}/conf/${config.name}.conf`, JSON.stringify(config));
  }
  Deno.writeTextFileSync(`${lab.dir}/siblings`, SIBLINGS);
  await lab.startAgent("links");
  // An executor registers with the agent, which a macvlan reaches by a sibling only.
  await lab.ok(["ip", "-batch", `${lab.dir}/siblings`]);
  const own = configs.map(({ name }) => name).filter((name) => name.startsWith("own"));
  for (const name of own) {
    await mesos.order({ launch: [task(name, "sleep 300", [{ name }])] });
    await mesos.running(name);
  }
  const network = mapped("ucr-default-bridge", 31500);
  await mesos.order({ launch: [task("ucr", HTTPD("ucr"), network)] });
  await mesos.running("ucr");
  await untilServed(lab, 31500, "ucr");
  for (const name of [...own, "ucr"]) await mesos.kill(name);
  await until(
    "the device to be back",
    async () => (await lab.run(["ip", "link", "show", "dev0"])).code === 0,
  );
  await lab.ok(["ip", "link", "del", "lower0"]);
  await lab.untilNothingIsLeft();
});
