/**
 * The isolator's operations as a containerizer calls them, one after the other. Many of these
 * carry over what Mesos checks of its own isolator: see docs/mesos-tests.md.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  Agent,
  bridgeNetwork,
  containerConfig,
  REQUESTS,
  RUNTIME_DIR,
  STANDING,
  WORK_DIR,
} from "../harness/agent.ts";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";

const NEWNS = 0x20000;
const NEWUTS = 0x4000000;
const NEWNET = 0x40000000;

/** A network whose plugin answers with an address in the old form, and notes its calls. */
function mockNetwork(agent: Agent, name = "__MESOS_TEST__"): string {
  const calls = `${agent.sandbox.dir}/calls`;
  agent.plugin(
    "mock",
    `echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >>${calls}
     env | sort >${agent.sandbox.dir}/env-$CNI_COMMAND
     cat >${agent.sandbox.dir}/config-$CNI_COMMAND
     [ $CNI_COMMAND != ADD ] || echo '{"ip4": {"ip": "198.51.100.7/24"}, "dns": {}}'`,
  );
  agent.define({ name, type: "mock", operator: { own: [1, "two"] } });
  return calls;
}

Deno.test("isolator: checkpoints lie where a stock agent has them, and go at cleanup", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const labels = { labels: [{ key: "app", value: "web" }] };
  const launchInfo = await agent.json("prepare", ["c1"], {
    container_info: { type: "MESOS", network_infos: [{ name: "cni-test", labels }] },
  });
  assertEquals(launchInfo, {
    environment: { variables: [{ name: "LIBPROCESS_IP", type: "VALUE", value: "0.0.0.0" }] },
    clone_namespaces: [NEWNS, NEWNET, NEWUTS],
  });
  const process = await agent.process();
  const status = await agent.json("isolate", ["c1", `${process.pid}`]);
  assertEquals(status.network_infos, [{
    name: "cni-test",
    labels,
    ip_addresses: [{ protocol: "IPv4", ip_address: "192.168.0.2" }],
  }]);
  assertEquals(
    await agent.list(agent.checkpoint("c1")),
    [
      "cni-test",
      "cni-test/eth0",
      "cni-test/eth0/network.info",
      "cni-test/network.conf",
      "hostname",
      "hosts",
      "ns",
    ].map((name) => agent.checkpoint("c1", name)),
  );
  const config = JSON.parse(await agent.read(agent.checkpoint("c1", "cni-test/network.conf")));
  assertEquals(config, {
    ...bridgeNetwork(),
    args: { "org.apache.mesos": { network_info: { name: "cni-test", labels } } },
  });
  const info = JSON.parse(await agent.read(agent.checkpoint("c1", "cni-test/eth0/network.info")));
  assertStringIncludes(JSON.stringify(info), "192.168.0.2/16");
  assertEquals(
    (await agent.sandbox.ok(["stat", "-f", "-c", "%T", agent.checkpoint("c1", "ns")])).trim(),
    "nsfs",
  );
  assertEquals((await process.ok(["hostname"])).trim(), "c1");
  assertMatch(await process.ok(["ip", "-o", "link", "show", "lo"]), /LOWER_UP/);

  await process.end();
  await agent.json("cleanup", ["c1"]);
  assertEquals(await agent.list(agent.checkpoint("")), []);
  assertEquals(await agent.list(REQUESTS), STANDING);
});

Deno.test("isolator: a plugin gets exactly its variables, and the config it was attached with", async () => {
  await using agent = await Agent.create();
  mockNetwork(agent, "mock");
  const process = await agent.attach("c1", ["mock"]);
  const { dir } = agent.sandbox;
  const variables = (command: string) =>
    Deno.readTextFileSync(`${dir}/env-${command}`).split("\n")
      .filter((line) => !/^(PWD|_|SHLVL|OLDPWD|)(=|$)/.test(line)); // the shell's own
  const expected = (command: string) => [
    `CNI_COMMAND=${command}`,
    "CNI_CONTAINERID=c1",
    "CNI_IFNAME=eth0",
    `CNI_NETNS=${agent.checkpoint("c1", "ns")}`,
    `CNI_PATH=${agent.pluginDir}:${CNI_PLUGINS}`,
    `PATH=${Deno.env.get("PATH")}`,
  ];
  assertEquals(variables("ADD"), expected("ADD"));
  await Deno.remove(`${agent.configDir}/mock.conf`);
  await process.end();
  await agent.json("cleanup", ["c1"]);
  assertEquals(variables("DEL"), expected("DEL"));
  const [add, del] = ["ADD", "DEL"].map((command) =>
    JSON.parse(Deno.readTextFileSync(`${dir}/config-${command}`))
  );
  assertEquals(add.operator, { own: [1, "two"] });
  assertEquals(add.args, { "org.apache.mesos": { network_info: { name: "mock" } } });
  assertEquals({ ...del, prevResult: undefined }, { ...add, prevResult: undefined });
});

Deno.test("isolator: a test network has no network namespace of its own", async () => {
  await using agent = await Agent.create();
  const calls = mockNetwork(agent);
  const launchInfo = await agent.json("prepare", ["c1"], containerConfig("__MESOS_TEST__"));
  assertEquals(launchInfo.clone_namespaces, [NEWNS, NEWUTS]);
  const process = await agent.process(["--mount", "--uts"]);
  const status = await agent.json("isolate", ["c1", `${process.pid}`]);
  assertEquals(status.network_infos[0].ip_addresses[0].ip_address, "198.51.100.7");
  assertEquals(
    await process.ok(["cat", "/etc/hosts"]),
    "127.0.0.1 localhost\n::1 localhost\n198.51.100.7 c1\n",
  );
  await process.end();
  await agent.json("cleanup", ["c1"]);
  assertEquals(Deno.readTextFileSync(calls), "ADD c1 eth0\nDEL c1 eth0\n");
  // `run` keeps to it as well.
  const own = await agent.sandbox.ok(["readlink", "/proc/self/ns/net"]);
  const inside = await agent.ok(["--networks=__MESOS_TEST__"], ["readlink", "/proc/self/ns/net"]);
  assertEquals(inside, own);
});

Deno.test("isolator: a container is not made when a plugin fails, nor one of several", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  agent.plugin("failing", `[ $CNI_COMMAND != ADD ] || { echo Plugin failed; exit 1; }`);
  agent.define({ name: "__MESOS_TEST__", type: "failing" });
  await agent.ok(["--networks=cni-test"], ["true"]);
  const before = await agent.traces();
  await agent.json("prepare", ["c1"], containerConfig("cni-test", "__MESOS_TEST__"));
  const process = await agent.process();
  const { code, stdout, stderr } = await agent.isolator("isolate", ["c1", `${process.pid}`]);
  assertEquals([code, stdout], [1, ""]);
  for (const words of ["__MESOS_TEST__", "ADD by failing for eth1", "exit code 1"]) {
    assertStringIncludes(stderr, words);
  }
  // The other network's ADD was waited for: its address is there to be given back.
  assertEquals((await agent.json("status", ["c1"])).network_infos.length, 1);
  await process.end();
  await agent.json("cleanup", ["c1"]);
  assertEquals(await agent.traces(before), before);
});

Deno.test("isolator: a container destroyed before it was isolated calls no plugin", async () => {
  await using agent = await Agent.create();
  mockNetwork(agent);
  await agent.json("prepare", ["c1"], containerConfig("__MESOS_TEST__"));
  await agent.json("cleanup", ["c1"]);
  assertEquals(await agent.list(REQUESTS), [`${REQUESTS}/handles`]);
  assertEquals(
    [...Deno.readDirSync(agent.sandbox.dir)].some(({ name }) => name === "calls"),
    false,
  );
  await agent.json("prepare", ["c1"], containerConfig("__MESOS_TEST__")); // the name is free
  const twice = await agent.isolator("prepare", ["c1"], containerConfig("__MESOS_TEST__"));
  assertEquals(twice.code, 1);
  assertStringIncludes(twice.stderr, "container c1 exists and is alive");
});

Deno.test("isolator: a container goes on over a restart, and is cleaned up after it", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("c1", ["cni-test"]);
  await agent.attach("c2", ["cni-test"]).then((other) => other.end());
  assertEquals(
    await agent.json("recover", [], { states: [{ container_id: { value: "c1" } }], orphans: [] }),
    [{ container: "c1", outcome: "kept" }, { container: "c2", outcome: "removed" }],
  );
  assertEquals(await agent.list(agent.checkpoint("c2")), []);
  await process.ok(["busybox", "ping", "-c1", "-W30", "192.168.0.1"]);
  // Without a list from the containerizer, what has a process goes on.
  assertEquals(await agent.json("recover"), [{ container: "c1", outcome: "kept" }]);
  await process.end();
  assertEquals(await agent.json("recover"), [{ container: "c1", outcome: "removed" }]);
  assertEquals(await agent.list(agent.checkpoint("")), []);
});

Deno.test("isolator: known orphans are left to the containerizer", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.attach("orphan", ["cni-test"]).then((process) => process.end());
  const recovered = await agent.json("recover", [], { orphans: [{ value: "orphan" }] });
  assertEquals(recovered, [{ container: "orphan", outcome: "left" }]);
  await agent.json("cleanup", ["orphan"]);
  assertEquals(await agent.list(agent.checkpoint("")), []);
});

Deno.test("isolator: a container of the host network has nothing on disk but its request", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const nameless = { container_info: { type: "MESOS", network_infos: [{ labels: {} }] } };
  for (const config of [{}, nameless]) {
    assertEquals(await agent.json("prepare", ["c1"], config), {});
    const process = await agent.process(["--mount"]);
    assertEquals(await agent.json("isolate", ["c1", `${process.pid}`]), { network_infos: [] });
    await process.end();
    assertEquals(await agent.list(agent.checkpoint("")), []);
    await agent.json("cleanup", ["c1"]);
  }
});

Deno.test("isolator: a nested container has its parent's network, files and status", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const parent = await agent.attach("p", ["cni-test"], { hostname: "parent.example" });
  const launchInfo = await agent.json("prepare", ["p.child"], {});
  assertEquals(launchInfo.clone_namespaces, [NEWNS]);
  assertEquals(launchInfo.enter_namespaces, [NEWNET, NEWUTS]);
  const enter = ["nsenter", `--target=${parent.pid}`, "--net", "--uts"];
  const child = await agent.process(["--mount"], enter);
  const status = await agent.json("isolate", ["p.child", `${child.pid}`]);
  assertEquals(status, await agent.json("status", ["p"]));
  assertEquals((await child.ok(["hostname"])).trim(), "parent.example");
  assertEquals(await child.ok(["cat", "/etc/hosts"]), await parent.ok(["cat", "/etc/hosts"]));
  assertMatch(await child.ok(["cat", "/etc/hosts"]), /192\.168\.0\.2 parent\.example/);

  // A restart later it is the same.
  await agent.json("recover");
  assertEquals(await agent.json("status", ["p.child"]), await agent.json("status", ["p"]));
  await child.end();
  await agent.json("cleanup", ["p.child"]);
  await parent.ok(["busybox", "ping", "-c1", "-W30", "192.168.0.1"]);
});

Deno.test("isolator: a nested container with a network of its own has its own name", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.attach("p", ["cni-test"], { hostname: "parent.example" });
  const child = await agent.attach("p.child", ["cni-test"]);
  assertEquals((await child.ok(["hostname"])).trim(), "child");
  assertMatch(await child.ok(["cat", "/etc/hosts"]), /192\.168\.0\.3 child\n/);
  assertEquals(
    (await agent.json("status", ["p.child"])).network_infos[0].ip_addresses[0].ip_address,
    "192.168.0.3",
  );
  await child.end();
  await agent.json("cleanup", ["p.child"]);
  assertEquals((await agent.json("status", ["p"])).network_infos.length, 1);
});

Deno.test("isolator: a debug container sees its parent's files as they are", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const parent = await agent.attach("p", ["cni-test"]);
  const launchInfo = await agent.json("prepare", ["p.debug"], { container_class: "DEBUG" });
  assertEquals(launchInfo.clone_namespaces, undefined);
  assertEquals(launchInfo.enter_namespaces, [NEWNET, NEWUTS]);
  const mounts = await parent.ok(["cat", "/proc/self/mountinfo"]);
  const debug = agent.spawn([
    "nsenter",
    `--target=${parent.pid}`,
    "--net",
    "--uts",
    "--mount",
    ...["sh", "-c", "echo inside; exec cat"],
  ]);
  await debug.printed(/inside/);
  await agent.json("isolate", ["p.debug", `${debug.pid}`]);
  assertEquals(await parent.ok(["cat", "/proc/self/mountinfo"]), mounts);
  debug.kill("SIGKILL");
  await debug.output();
  await agent.json("cleanup", ["p.debug"]);
});

Deno.test("isolator: a nested container of the host network is in the host network", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.json("prepare", ["p"], {});
  assertEquals(await agent.json("prepare", ["p.child"], {}), {});
});

Deno.test("isolator: resource statistics are those of the container's interfaces", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("c1", ["cni-test"]);
  await process.ok(["busybox", "ping", "-c3", "-i0.1", "-s1000", "-W30", "192.168.0.1"]);
  await process.ok(["busybox", "ping", "-c3", "-i0.1", "-s1000", "-W30", "127.0.0.1"]);
  // Read between two looks of `ip`, as neighbours and routers may still speak.
  const counters = async () => {
    const [link] = JSON.parse(await process.ok(["ip", "-j", "-s", "link", "show", "eth0"]));
    return link.stats64;
  };
  const before = await counters();
  const usage = await agent.json("usage", ["c1"]);
  const after = await counters();
  for (const direction of ["rx", "tx"]) {
    for (const what of ["packets", "bytes", "errors", "dropped"]) {
      const value = usage[`net_${direction}_${what}`];
      const [low, high] = [before, after].map((stats) => stats[direction][what]);
      assertEquals(value >= low && value <= high, true, `${direction} ${what}: ${value}`);
    }
  }
  assertEquals(usage.net_tx_bytes > 3000, true);
  const { stdout } = await agent.sandbox.run([
    ...[MESOS_CNI, "isolator", "usage", "c1", ...agent.flags],
    "--network_cni_metrics=false",
  ]);
  assertEquals(JSON.parse(stdout), {});
});

Deno.test("isolator: with --network_cni_root_dir_persist, checkpoints are below --work_dir", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const flags = [`--work_dir=${WORK_DIR}`, "--network_cni_root_dir_persist"];
  const list = await agent.ok([...flags, "--networks=cni-test", "--name=c1"], [
    "find",
    `${WORK_DIR}/isolators/network/cni`,
    RUNTIME_DIR,
  ]).catch((error) => error.message);
  assertStringIncludes(list, `${WORK_DIR}/isolators/network/cni/c1/cni-test/network.conf`);
  assertEquals(list.includes(`${RUNTIME_DIR}/isolators`), false);
});

Deno.test("isolator: after a reboot a container is detached without a namespace", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  mockNetwork(agent, "mock");
  const before = await agent.list("/var/lib/cni/networks");
  const process = await agent.attach("c1", ["mock", "cni-test"]);
  await process.end();
  // What a reboot leaves: files, and no mount; interfaces and rules are gone too.
  await agent.sandbox.ok(["umount", agent.checkpoint("c1", "ns")]);
  await agent.sandbox.ok(["umount", agent.checkpoint("")]);
  assertEquals((await agent.json("status", ["c1"])).network_infos.length, 2);
  assertEquals(await agent.json("usage", ["c1"]), {});
  assertEquals(await agent.json("recover"), [{ container: "c1", outcome: "removed" }]);
  const variables = Deno.readTextFileSync(`${agent.sandbox.dir}/env-DEL`);
  assertEquals(variables.includes("CNI_NETNS"), false, variables);
  assertEquals(await agent.list(agent.checkpoint("")), []);
  const addresses = (files: string[]) => files.filter((file) => /\/192\.168\.\d+\.\d+$/.test(file));
  assertEquals(addresses(await agent.list("/var/lib/cni/networks")), addresses(before));
});

Deno.test("isolator: status and usage of one, of all, and by the beginning of an id", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.attach("web-1", ["cni-test"]);
  await agent.attach("web-2", ["cni-test"]);
  const all = await agent.json("status");
  assertEquals(Object.keys(all), ["web-1", "web-2"]);
  const ambiguous = await agent.isolator("status", ["web"]);
  assertEquals(ambiguous.code, 1);
  assertStringIncludes(ambiguous.stderr, "  web-1\n  web-2");
  const unknown = await agent.isolator("usage", ["db"]);
  assertEquals(unknown.code, 1);
  assertStringIncludes(unknown.stderr, 'no container "db"');
  // A cleanup takes no beginnings: it would be the wrong one some day.
  const nobody = await agent.isolator("cleanup", ["web-"]);
  assertEquals(nobody.code, 1);
  assertStringIncludes(nobody.stderr, "cleanup takes the whole id, such as web-1");
  assertEquals(Object.keys(await agent.json("status")), ["web-1", "web-2"]);
});

Deno.test("isolator: a process in the agent's own namespaces is refused", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const etc = await agent.sandbox.ok(["cat", "/etc/hosts", "/proc/thread-self/mountinfo"]);
  const links = await agent.sandbox.ok(["ip", "-o", "link"]);
  await agent.json("prepare", ["c1"], containerConfig("cni-test"));
  for (const namespaces of [["--mount", "--uts"], ["--net", "--uts"], ["--net", "--mount"]]) {
    const process = await agent.process(namespaces);
    const { code, stderr } = await agent.isolator("isolate", ["c1", `${process.pid}`]);
    assertEquals(code, 1);
    assertMatch(stderr, /is in the agent's own (net|mnt|uts) namespace/);
  }
  const gone = await agent.isolator("isolate", ["c1", "4194303"]);
  assertStringIncludes(gone.stderr, "there is no process 4194303");
  assertEquals(await agent.sandbox.ok(["ip", "-o", "link"]), links);
  assertEquals(await agent.sandbox.ok(["cat", "/etc/hosts", "/proc/thread-self/mountinfo"]), etc);
  const process = await agent.process(); // none of it has used the container up
  await agent.json("isolate", ["c1", `${process.pid}`]);
});

Deno.test("isolator: a cleanup needs no networks to be configured any more", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  agent.search = undefined; // ours
  await agent.ok(["--networks=cni-test"], ["true"]);
  const before = await agent.traces();
  const process = await agent.attach("c1", ["cni-test"]);
  // While somebody holds its network, the kernel takes none of its wires away by itself.
  using _held = Deno.openSync(`/proc/${process.pid}/ns/net`);
  await process.end();
  await Deno.remove(agent.configDir, { recursive: true });
  assertEquals((await agent.json("status", ["c1"])).network_infos.length, 1);
  const { stdout } = await agent.isolator("cleanup", ["c1"]);
  // DEL has left no link to be removed after it.
  assertEquals(stdout, "removed eth0 on cni-test\nremoved the checkpoint of c1\n");
  assertEquals(await agent.traces(), before);
});

Deno.test("isolator: input that is no message says where it is wrong", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const cases: [unknown, number, string][] = [
    [{ container_info: { type: "DOCKER", network_infos: [{ name: "cni-test" }] } }, 1, "DOCKER"],
    [{ container_info: { network_infos: "none" } }, 1, "container_info.network_infos"],
    [
      { container_info: { network_infos: [{ name: "cni-test", port_mappings: [{}] }] } },
      1,
      "host_port",
    ],
    [{ container_class: "DEBUG" }, 1, "c1 is DEBUG, but has no parent"],
  ];
  for (const [message, exitCode, words] of cases) {
    const { code, stderr } = await agent.isolator("prepare", ["c1"], message);
    assertEquals(code, exitCode, stderr);
    assertStringIncludes(stderr, words);
  }
  assertEquals((await agent.isolator("prepare", ["c1"])).code, 2);
  assertEquals((await agent.isolator("isolate", ["c1", "1"])).code, 1); // not prepared
  assertEquals((await agent.isolator("isolate", ["c1", "x"])).code, 2);
  assertEquals(await agent.list(agent.checkpoint("")), []);
});
