import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { makeVariant } from "../harness/variant.ts";

/** What install is told, for a machine that is a directory. */
function places(agent: Sandbox) {
  return {
    bin: `${agent.dir}/bin`,
    plugins: [`${agent.dir}/plugins-a`, `${agent.dir}/plugins-b`],
    units: `${agent.dir}/units`,
  };
}

function installCall(agent: Sandbox, program = MESOS_CNI): string[] {
  const { bin, plugins, units } = places(agent);
  return [
    program,
    "install",
    "--json",
    `--bin_dir=${bin}`,
    `--network_cni_plugins_dir=${plugins.join(":")}`,
    `--unit_dir=${units}`,
    `--network_cni_config_dir=${agent.dir}/networks`,
  ];
}

const listing = (agent: Sandbox) =>
  agent.ok(["find", agent.dir, "/var/lib", "-not", "-type", "d", "-printf", "%p %l %s %T@\\n"]);

Deno.test("install puts everything in its place, and again changes nothing", async () => {
  await using agent = await Sandbox.create();
  const { bin, plugins, units } = places(agent);
  const first = JSON.parse(await agent.ok(installCall(agent)));
  assert(first.placed.every((one: { change: string }) => one.change === "made"));

  const version = await agent.ok([`${bin}/mesos-cni`, "version"]);
  assertStringIncludes(version, "mesos-cni ");
  for (const dir of plugins) {
    const answer = await agent.run([`${dir}/mesos-cni-port-mapper`], {
      clearEnv: true,
      env: { CNI_COMMAND: "VERSION" },
      stdin: '{"cniVersion":"1.0.0"}',
    });
    assertStringIncludes(answer.stdout, "supportedVersions");
  }
  const before = await listing(agent);
  const second = JSON.parse(await agent.ok(installCall(agent)));
  assert(second.placed.every((one: { change: string }) => one.change === "unchanged"));
  const withoutManifest = (text: string) =>
    text.split("\n").filter((line) => !line.includes("install.json")).sort().join("\n");
  assertEquals(withoutManifest(await listing(agent)), withoutManifest(before));
  assertEquals([...Deno.readDirSync(units)].length, 2);

  await agent.ok([`${bin}/mesos-cni`, "uninstall"]);
  assertEquals((await listing(agent)).trim(), "");
});

Deno.test("install says what the machine lacks, and leaves a foreign plugin alone", async () => {
  await using agent = await Sandbox.create();
  const { plugins } = places(agent);
  const report = JSON.parse(await agent.ok(installCall(agent)));
  assertEquals(report.missing, []); // bridge and host-local are built in
  const bare = `${agent.dir}/empty`;
  await Deno.mkdir(bare);
  for (const dir of ["/usr/sbin", "/sbin"]) await agent.run(["mount", "--bind", bare, dir]);
  const [program, ...args] = installCall(agent);
  const without = JSON.parse(await agent.ok([program!, ...args], { env: { PATH: bare } }));
  assertEquals(without.missing.map((one: { what: string }) => one.what), ["iptables or nft"]);

  await Deno.remove(`${plugins[0]}/mesos-cni-port-mapper`);
  await Deno.writeTextFile(`${plugins[0]}/mesos-cni-port-mapper`, "the original");
  const refused = await agent.run(installCall(agent));
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "move it away first");
  assertEquals(await Deno.readTextFile(`${plugins[0]}/mesos-cni-port-mapper`), "the original");
});

Deno.test("the units are ones that systemd accepts, and those of the examples", async () => {
  await using agent = await Sandbox.create();
  await agent.ok(installCall(agent));
  const { units } = places(agent);
  const verify = await agent.run([
    "systemd-analyze",
    "verify",
    "--man=no",
    `${units}/mesos-cni.service`,
    `${units}/mesos-cni.socket`,
  ]);
  // It also complains of units of the machine; only ours are ours.
  const ours = (verify.stderr + verify.stdout).split("\n")
    .filter((line) => line.includes("mesos-cni"));
  assertEquals(ours, []);
});

Deno.test("uninstall refuses while a container is attached", async () => {
  await using agent = await Sandbox.create();
  await agent.ok(installCall(agent));
  await agent.ok(["mkdir", "-p", "/run/mesos/isolators/network/cni/web-1"]);
  const refused = await agent.run([
    `${places(agent).bin}/mesos-cni`,
    "uninstall",
    "--runtime_dir=/run/mesos",
  ]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "web-1");
  await agent.ok([`${places(agent).bin}/mesos-cni`, "version"]);
});

Deno.test("an upgrade disturbs no plugin: ADDs while the program is replaced all succeed", async () => {
  await using agent = await Sandbox.create();
  await agent.ok(installCall(agent));
  const other = `${agent.dir}/mesos-cni-other`;
  await makeVariant(other, { 'VERSION = "0.1.0"': 'VERSION = "0.1.9"' });
  assertStringIncludes(await agent.ok([other, "version"]), "0.1.9");
  const plugin = `${places(agent).plugins[0]}/mesos-cni-port-mapper`;
  const replacements = 20;

  let replaced = 0;
  const replacing = (async () => {
    for (; replaced < replacements; replaced++) {
      await agent.ok(installCall(agent, replaced % 2 ? MESOS_CNI : other));
    }
  })();
  const adds: Promise<unknown>[] = [];
  let running = 0;
  while (replaced < replacements) {
    // Every 50 ms, unless the machine is so slow that they would pile up.
    while (running >= 6) await new Promise((resolve) => setTimeout(resolve, 5));
    running++;
    const added = add(agent, plugin, adds.length);
    added.catch(() => {}).finally(() => running--); // looked at when all have ended
    adds.push(added);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await replacing;
  assert(adds.length >= replacements);
  await Promise.all(adds);
});

async function add(agent: Sandbox, plugin: string, n: number): Promise<void> {
  const netns = `/run/netns/c${n}`;
  await agent.ok(["ip", "netns", "add", `c${n}`]);
  const config = {
    cniVersion: "1.0.0",
    name: "upgrade",
    type: "mesos-cni-port-mapper",
    chain: "UPGRADE",
    delegate: {
      type: "bridge",
      bridge: "up0",
      ipam: {
        type: "host-local",
        dataDir: `${agent.dir}/ipam`,
        ranges: [[{ subnet: "10.77.0.0/16" }]],
      },
    },
    args: {
      "org.apache.mesos": {
        network_info: { port_mappings: [{ host_port: 20000 + n, container_port: 80 }] },
      },
    },
  };
  await agent.ok([plugin], {
    stdin: JSON.stringify(config),
    clearEnv: true,
    env: {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: `upgrade-${n}`,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: CNI_PLUGINS,
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    },
  });
}

Deno.test("an older and a newer program clean up after each other", async () => {
  await using agent = await Sandbox.create();
  const newer = `${agent.dir}/mesos-cni-newer`;
  await makeVariant(newer, { "format: 1": "format: 2" });
  await Deno.mkdir(`${agent.dir}/networks`);
  await Deno.copyFile(
    "examples/networks/port-mapper-test.conf",
    `${agent.dir}/networks/port-mapper-test.conf`,
  );
  const flags = [
    `--network_cni_config_dir=${agent.dir}/networks`,
    `--network_cni_plugins_dir=${CNI_PLUGINS}`,
  ];
  const traces = () =>
    agent.ok([
      "sh",
      "-c",
      "iptables-save -t nat | grep '^-A'; find /run/mesos* /var/lib/cni -type f",
    ]);
  let clean: string | undefined;
  for (const [maker, cleaner] of [[MESOS_CNI, MESOS_CNI], [newer, MESOS_CNI], [MESOS_CNI, newer]]) {
    // The exit by SIGKILL leaves everything to the cleanup.
    const run = [maker!, "run", "--name=web", "--networks=port-mapper-test", ...flags];
    const command = ["--port_mappings=8080:80", "--", "sh", "-c", "kill -9 $PPID"];
    await agent.run([...run, ...command]);
    const request = "/run/mesos/isolators/network/mesos-cni/web.json";
    const { format } = JSON.parse(await agent.ok(["cat", request]));
    assertEquals(format, maker === newer ? 2 : 1);
    assertStringIncludes(await traces(), "container_id: web");
    await agent.ok([cleaner!, "isolator", "cleanup", "web", ...flags]);
    const left = await traces();
    assertEquals(left, clean ?? left);
    clean = left;
    assert(!left.includes("web"), left);
  }
});
