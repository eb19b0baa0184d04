/** What was made is what is undone, whatever a container, a caller or a crash has done meanwhile. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI, PYTHON } from "../harness/binary.ts";
import {
  Agent,
  bridgeNetwork,
  CONTAINERS,
  REQUESTS,
  RUNTIME_DIR,
  until,
} from "../harness/agent.ts";

const STORE = "/var/lib/cni/networks/cni-test";

/** The links on the bridge of the tests' network. */
async function wires(agent: Agent): Promise<string[]> {
  const links = JSON.parse(
    await agent.sandbox.ok(["ip", "-j", "link", "show", "master", "mesos-cni0"]),
  );
  return links.map(({ ifname }: { ifname: string }) => ifname);
}

async function leases(agent: Agent, store = STORE): Promise<string[]> {
  return (await agent.list(store)).map((path) => path.slice(path.lastIndexOf("/") + 1))
    .filter((name) => /^\d+\./.test(name));
}

Deno.test("owned: a wire goes though the container renamed its end and went elsewhere", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("hider", ["cni-test"]);
  // One process keeps the network by a descriptor, out of which it has moved itself.
  const hider = agent.spawn([
    ...["nsenter", `--target=${process.pid}`, "--net", "--", PYTHON, "-c"],
    `
import ctypes, os, subprocess, sys
kept = os.open("/proc/self/ns/net", os.O_RDONLY)
subprocess.run("ip link set eth0 down; ip link set eth0 name gone0; ip link set gone0 up", shell=True)
ctypes.CDLL(None).unshare(0x40000000)
print("hidden", flush=True)
sys.stdin.read()
`,
  ]);
  await hider.printed(/hidden/);
  assertEquals((await wires(agent)).length, 1);
  await process.end();
  await agent.json("cleanup", ["hider"]);
  assertEquals(await wires(agent), []);
  assertEquals(await leases(agent), []);
  await hider.end();
});

Deno.test("owned: a wire goes though its end is in a network that the container has made, where it lives on", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  for (const operation of [["cleanup", "nester"], ["recover"], ["gc", "--json", "--apply"]]) {
    const process = await agent.attach("nester", ["cni-test"]);
    const nested = agent.spawn([
      ...["nsenter", `--target=${process.pid}`, "--net", "--", PYTHON, "-c"],
      `
import ctypes, os, subprocess, sys
kept = os.open("/proc/self/ns/net", os.O_RDONLY)
ctypes.CDLL(None).unshare(0x40000000)
move = ["ip", "link", "set", "eth0", "netns", str(os.getpid())]
subprocess.run(["nsenter", f"--net=/proc/{os.getpid()}/fd/{kept}"] + move, check=True)
print("moved", flush=True)
sys.stdin.read()
`,
    ]);
    await nested.printed(/moved/);
    assertEquals((await wires(agent)).length, 1);
    await process.end();
    await agent.json(operation[0]!, operation.slice(1));
    assertEquals([await wires(agent), await leases(agent)], [[], []], operation[0]);
    await nested.end();
  }
});

Deno.test("owned: a wire whose other end is not on the agent is no neighbour's of the same numbers", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const neighbour = await agent.attach("neighbour", ["cni-test"]);
  const [host] = JSON.parse(
    await agent.sandbox.ok(["ip", "-j", "link", "show", "master", "mesos-cni0"]),
  );
  await agent.sandbox.ok(["sh", "-c", "touch /run/router; unshare --net=/run/router true"]);
  agent.plugin(
    "routed",
    `case $CNI_COMMAND in
      VERSION) echo '{"supportedVersions":["1.0.0"]}' ;;
      ADD) ip link add $CNI_IFNAME index ${host.link_index} netns $CNI_NETNS type veth \\
          peer name router0 index ${host.ifindex} netns /run/router
        echo '{"cniVersion":"1.0.0"}' ;;
    esac`,
  );
  agent.define({ cniVersion: "1.0.0", name: "routed", type: "routed" });
  const process = await agent.attach("routed", ["routed"]);
  await process.end();
  await agent.json("cleanup", ["routed"]);
  assertEquals(await wires(agent), [host.ifname]);
  await neighbour.ok(["ping", "-c", "1", "-W", "5", "192.168.0.1"]);
  await neighbour.end();
});

Deno.test("owned: network rm asks all before the first change, and leaves an operator's bridge", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const remove = async () => {
    const flags = agent.flags.filter((flag) => /_cni_|runtime_dir/.test(flag));
    return await agent.sandbox.run([MESOS_CNI, "network", "rm", "cni-test", "--json", ...flags]);
  };
  const process = await agent.attach("last", ["cni-test"]);
  await process.end();
  await agent.json("cleanup", ["last"]);
  await agent.sandbox.ok(["touch", `${STORE}/important.txt`]);
  assertStringIncludes((await remove()).stderr, "still has important.txt");
  assertEquals(await wires(agent), []); // the bridge is there
  await agent.sandbox.ok(["rm", `${STORE}/important.txt`]);
  const outcomes = JSON.parse((await remove()).stdout).map(({ what }: { what: string }) => what);
  assertEquals(outcomes.slice(0, 2), ["bridge mesos-cni0", `leases in ${STORE}`]);
  await agent.sandbox.ok(["ip", "link", "add", "mesos-cni0", "type", "bridge"]);
  await agent.sandbox.ok(["ip", "addr", "add", "192.0.2.1/24", "dev", "mesos-cni0"]);
  assertEquals(JSON.parse((await remove()).stdout), []);
  assertEquals(await wires(agent), []);
});

Deno.test("owned: a process that got the number of the first one is not the first one", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("reborn", ["cni-test"]);
  // The number is given again to a child, as ns_last_pid lets a container see to: said by the
  // record here, whose process started at another time.
  const request = JSON.parse(await agent.read(agent.request("reborn")));
  assertEquals(request.pid, process.pid);
  await agent.sandbox.ok(["tee", agent.request("reborn")], {
    stdin: JSON.stringify({ ...request, startTime: request.startTime - 2 }),
  });
  await agent.json("cleanup", ["reborn"]);
  assertEquals(
    (await process.running.output()).code,
    137,
    "what was left in its network is killed",
  );
  assertEquals(await wires(agent), []);
  // Of another boot, nothing lives, and nothing is mounted.
  const second = await agent.attach("rebooted", ["cni-test"]);
  const old = JSON.parse(await agent.read(agent.request("rebooted")));
  await agent.sandbox.ok(["tee", agent.request("rebooted")], {
    stdin: JSON.stringify({ ...old, bootId: "another boot's" }),
  });
  assertEquals((await agent.json("recover"))[0].outcome, "kept");
  await second.end();
  await agent.sandbox.ok(["umount", `${agent.checkpoint("rebooted")}/ns`]);
  assertEquals(await agent.json("recover"), [{ container: "rebooted", outcome: "removed" }]);
});

Deno.test("owned: a cleanup that was cut off once the handle was gone is repeated to its end", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const first = await agent.attach("half", ["cni-test"]);
  const script = "echo inside; exec sleep 1000";
  const left = agent.spawn(["nsenter", `--target=${first.pid}`, "--net", "sh", "-c", script]);
  await left.printed(/inside/);
  await first.end();
  await agent.sandbox.ok(["umount", `${agent.checkpoint("half")}/ns`]);
  await agent.json("cleanup", ["half"]);
  assertEquals((await left.output()).code, 137);
  assertEquals(await agent.list(agent.checkpoint("")), []);
  assertEquals(await wires(agent), []);
});

Deno.test("owned: gc keeps the address of a container that took it off its interface", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("flusher", ["cni-test"]);
  const before = await leases(agent);
  assertEquals(before.length, 1);
  await process.ok(["ip", "address", "flush", "dev", "eth0"]);
  const longAgo = "2001-01-01";
  for (const name of before) await agent.sandbox.ok(["touch", "-d", longAgo, `${STORE}/${name}`]);
  // So is that of a container which nobody knows of, while a stranger's network hangs on the bridge.
  assertEquals(await agent.json("gc", ["--json", "--apply"]), []);
  assertEquals(await leases(agent), before);
  await process.end();
});

Deno.test("owned: usage goes by the link, whatever it is called", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("renamer", ["cni-test"]);
  await process.ok(["ping", "-c", "2", "-i", "0.2", "192.168.0.1"]);
  await process.ok(["ip", "link", "set", "eth0", "down"]);
  await process.ok(["ip", "link", "set", "eth0", "name", "other0"]);
  const { net_tx_packets } = await agent.json("usage", ["renamer"]);
  assertEquals(net_tx_packets >= 2, true, `${net_tx_packets} packets`);
  await process.end();
});

Deno.test("owned: hundreds of other names of a link hide neither it nor what it carries", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("named", ["cni-test"]);
  const names = Array.from({ length: 480 }, (_, i) => `altname n${i}-${"x".repeat(110)}`);
  for (let i = 0; i < names.length; i += 60) {
    const some = names.slice(i, i + 60).flatMap((name) => name.split(" "));
    await process.ok(["ip", "link", "property", "add", "dev", "eth0", ...some]);
  }
  await process.ok(["ping", "-c", "2", "-i", "0.2", "192.168.0.1"]);
  const { net_tx_packets } = await agent.json("usage", ["named"]);
  assertEquals(net_tx_packets >= 2, true, `${net_tx_packets} packets`);
  await process.end();
  await agent.json("cleanup", ["named"]);
  assertEquals([await wires(agent), await leases(agent)], [[], []]);
});

Deno.test("owned: a macvlan goes though the container renamed it and keeps its network", async () => {
  const { name: _, ...bridge } = bridgeNetwork();
  await using agent = await Agent.create({
    name: "lan",
    type: "macvlan",
    master: "lan0",
    ipam: bridge.ipam,
  });
  const wire = ["ip", "link", "add", "lan0", "type", "veth", "peer", "lan1"];
  await agent.sandbox.ok([
    "sh",
    "-ec",
    `${wire.join(" ")}; ip link set lan0 up; ip link set lan1 up`,
  ]);
  const process = await agent.attach("keeper", ["lan"]);
  const holder = agent.spawn([
    ...["nsenter", `--target=${process.pid}`, "--net", "--", PYTHON, "-c"],
    `
import ctypes, os, subprocess, sys
kept = os.open("/proc/self/ns/net", os.O_RDONLY)
subprocess.run("ip link set eth0 down; ip link set eth0 name other0; ip link set other0 up", shell=True)
ctypes.CDLL(None).unshare(0x40000000)
print(os.getpid(), kept, flush=True)
sys.stdin.read()
`,
  ]);
  const [, pid, kept] = await holder.printed(/(\d+) (\d+)\n/);
  const inside = ["nsenter", `--net=/proc/${pid}/fd/${kept}`, "ip", "-brief", "link"];
  assertStringIncludes(await agent.sandbox.ok(inside), "other0");
  await process.end();
  await agent.json("cleanup", ["keeper"]);
  assertEquals((await agent.sandbox.ok(inside)).includes("other0"), false);
  assertEquals(await leases(agent, "/var/lib/cni/networks/lan"), []);
  await holder.end();
});

Deno.test("owned: cleanup finds the plugins where they were, and changes nothing without them", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  // A type that is no part of this program, so that its file is needed.
  await agent.sandbox.ok(["cp", "/usr/lib/cni/bridge", `${agent.pluginDir}/own-bridge`]);
  agent.define({ ...bridgeNetwork(), type: "own-bridge" });
  const bare = (...args: string[]) =>
    agent.sandbox.run([MESOS_CNI, "isolator", "cleanup", ...args, `--runtime_dir=${RUNTIME_DIR}`]);

  const first = await agent.attach("first", ["cni-test"]);
  await first.end();
  const found = await bare("first");
  assertEquals([found.code, found.stderr], [0, ""]);
  assertEquals([await wires(agent), await leases(agent)], [[], []]);

  const second = await agent.attach("second", ["cni-test"]);
  await Deno.rename(`${agent.pluginDir}/own-bridge`, `${agent.sandbox.dir}/away`);
  const before = await agent.traces();
  const alive = await bare("second");
  assertEquals(alive.code, 1);
  assertStringIncludes(alive.stderr, `container second lives, as process ${second.pid}, `);
  await second.end();
  const refused = await bare("second");
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "nothing of it was changed");
  assertStringIncludes(refused.stderr, "own-bridge");
  assertEquals(await agent.traces(before), before);

  // Gone for good: what is known to be left is removed, and told.
  const { code, stdout, stderr } = await bare("second", "--force");
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /removed the lease of 192\.168\.0\.\d+/);
  assertMatch(stdout, /removed the link veth/);
  assertMatch(stdout, /removed iptables -t nat -A POSTROUTING/);
  assertEquals([await wires(agent), await leases(agent)], [[], []]);
  assertEquals(await agent.list(CONTAINERS), []);
  assertEquals((await agent.sandbox.ok(["iptables-save", "-t", "nat"])).includes("second"), false);
});

Deno.test("owned: a version that a plugin does not speak is refused at prepare", async () => {
  await using agent = await Agent.create();
  agent.plugin(
    "old",
    `[ $CNI_COMMAND = VERSION ] && echo '{"supportedVersions":["0.3.1","0.4.0"]}'`,
  );
  agent.define({ cniVersion: "1.0.0", name: "new", plugins: [{ type: "old" }] }, "new.conflist");
  const { code, stderr } = await agent.isolator("prepare", ["c1"], {
    container_info: { network_infos: [{ name: "new" }] },
  });
  assertEquals(code, 1);
  assertStringIncludes(stderr, "does not speak version 1.0.0 of CNI, but 0.3.1, 0.4.0");
  const requests = `${RUNTIME_DIR}/isolators/network/mesos-cni`;
  assertEquals(await agent.list(requests), [`${requests}/handles`]);
});

Deno.test("owned: every plugin of a list gets its DEL, and what it prints is no answer", async () => {
  await using agent = await Agent.create();
  const log = `${agent.sandbox.dir}/log`;
  for (const name of ["one", "two", "three"]) {
    agent.plugin(
      name,
      `[ $CNI_COMMAND != VERSION ] || exit 0
      echo "$CNI_COMMAND ${name}" >>${log}
      [ $CNI_COMMAND != ADD ] || { echo '{"cniVersion":"1.0.0"}'; exit 0; }
      [ ! -e ${agent.sandbox.dir}/broken-${name} ] || { echo '{"code":7,"msg":"${name} fails"}'; exit 1; }
      echo OK`,
    );
  }
  agent.define({
    cniVersion: "1.0.0",
    name: "list",
    plugins: [{ type: "one" }, { type: "two" }, { type: "three" }],
  }, "list.conflist");
  const process = await agent.attach("c1", ["list"]);
  // The plugins say so; that they made no interface is seen.
  const check = await agent.isolator("check", ["c1"]);
  const [{ outcome, causes }] = JSON.parse(check.stdout);
  assertEquals([check.code, outcome, causes[0].code], [1, "intact", "interface_gone"]);
  for (const name of ["three", "one"]) agent.write(`${agent.sandbox.dir}/broken-${name}`, "");
  await process.end();
  Deno.writeTextFileSync(log, "");
  const { code, stderr } = await agent.isolator("cleanup", ["c1"]);
  assertEquals(code, 1);
  for (const words of ["three fails", "one fails"]) assertStringIncludes(stderr, words);
  assertEquals(Deno.readTextFileSync(log), "DEL three\nDEL two\nDEL one\n");
  for (const name of ["three", "one"]) Deno.removeSync(`${agent.sandbox.dir}/broken-${name}`);
  await agent.json("cleanup", ["c1"]);
  assertEquals(await agent.list(CONTAINERS), []);
});

Deno.test("owned: check tells of each interface, though the first one is damaged", async () => {
  const more = { ...bridgeNetwork("other", "10.99.0.0/16"), bridge: "other0", cniVersion: "0.4.0" };
  await using agent = await Agent.create({ ...bridgeNetwork(), cniVersion: "0.4.0" }, more);
  const process = await agent.attach("c1", ["cni-test", "other"]);
  await process.ok(["ip", "address", "flush", "dev", "eth0"]);
  const { code, stdout, stderr } = await agent.isolator("check", ["c1"]);
  assertEquals(code, 1, stderr);
  assertEquals(
    JSON.parse(stdout).map(({ ifName, outcome }: Record<string, string>) => [ifName, outcome]),
    [["eth0", "damaged"], ["eth1", "intact"]],
  );
  await process.end();
});

Deno.test("owned: GC and STATUS of 1.1.0 are called, with what is valid", async () => {
  await using agent = await Agent.create();
  const log = `${agent.sandbox.dir}/log`;
  agent.plugin(
    "new",
    `input=$(cat)
    case $CNI_COMMAND in
      VERSION) echo '{"supportedVersions":["1.0.0","1.1.0"]}' ;;
      ADD) echo '{"cniVersion":"1.1.0"}' ;;
      GC) echo "$input" >>${log} ;;
      STATUS) [ ! -e ${agent.sandbox.dir}/unready ] || { echo '{"code":50,"msg":"no addresses"}'; exit 1; } ;;
    esac`,
  );
  agent.define({ cniVersion: "1.1.0", name: "new", plugins: [{ type: "new" }] }, "new.conflist");
  const process = await agent.attach("c1", ["new"]);
  await agent.json("recover", [], { states: [{ container_id: { value: "c1" } }] });
  await agent.isolator("gc", ["--apply"]);
  const told = Deno.readTextFileSync(log).trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(
    told.map((config) => config["cni.dev/valid-attachments"]),
    [1, 2].map(() => [{ containerID: "c1", ifname: "eth0" }]),
  );
  assertEquals((await agent.json("networks", ["--json"])).networks[0].ready, true);
  agent.write(`${agent.sandbox.dir}/unready`, "");
  const { code, stdout } = await agent.isolator("networks", []);
  assertEquals(code, 1);
  assertStringIncludes(stdout, "network new, STATUS by new: no addresses");
  await process.end();
});

Deno.test("owned: from another pid namespace nothing is judged, and nothing removed", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("alive", ["cni-test"]);
  for (const operation of [["recover"], ["gc", "--json", "--apply"]]) {
    const argv = ["unshare", "--pid", "--fork", "--mount-proc"];
    const { code, stderr } = await agent.sandbox.run([
      ...argv,
      ...[MESOS_CNI, "isolator", ...operation, ...agent.flags],
    ]);
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, "can't be seen here");
  }
  // Nor where /proc is still that of another pid namespace, or nothing else would keep a cleanup from it.
  const keeps = async (...command: string[]) => {
    const { code, stderr } = await agent.sandbox.run([
      ...command,
      ...agent.isolatorArgv("cleanup", "alive"),
    ]);
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, "can't be seen here");
  };
  await keeps("unshare", "--pid", "--fork", "--mount-proc");
  await keeps("unshare", "--mount", "--pid", "--fork");
  const show = `mount --bind /proc/${process.pid}/ns/net ${REQUESTS}/handles/alive; exec "$@"`;
  await keeps("unshare", "--mount", "--pid", "--fork", "sh", "-ec", show, "sh");
  // Nor from mounts that don't show the handle.
  const { code, stderr } = await agent.sandbox.run([
    ...["unshare", "--mount", "sh", "-c", `umount -R ${CONTAINERS}; exec "$@"`, "sh"],
    ...[MESOS_CNI, "isolator", "cleanup", "alive", ...agent.flags],
  ]);
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, "container alive lives, as process");
  assertEquals((await process.run(["ping", "-c", "1", "192.168.0.1"])).code, 0);
  await process.end();
});

Deno.test("owned: what is lost of a checkpoint makes no cleanup take the living for dead", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("whole", ["cni-test"]);
  for (const lost of [agent.checkpoint("whole"), agent.checkpoint("whole", "cni-test")]) {
    await agent.sandbox.ok(["cp", "-a", lost, "/run/lost"]);
    await agent.sandbox.ok(["rm", "-r", lost]);
    const { code, stderr } = await agent.isolator("cleanup", ["whole"]);
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, `container whole lives, as process ${process.pid}`);
    await agent.sandbox.ok(["mv", "/run/lost", lost]);
  }
  await agent.sandbox.ok(["mv", agent.request("whole"), agent.request("other")]);
  for (const id of ["other", "whole"]) {
    assertStringIncludes((await agent.isolator("cleanup", [id])).stderr, `container ${id} lives`);
  }
  await process.ok(["ping", "-c", "1", "-W", "5", "192.168.0.1"]);
  await process.end();
});

Deno.test("owned: a request that is a list, a network called hosts.new, and a full hosts file", async () => {
  await using agent = await Agent.create({ ...bridgeNetwork("hosts.new"), cniVersion: "0.4.0" });
  const refused = await agent.isolator("prepare", ["c1"], []);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "must be an object");
  const labels = { labels: [{ key: "k", value: "x".repeat(5 << 20) }] };
  const long = await agent.isolator("prepare", ["c1"], {
    container_info: { network_infos: [{ name: "hosts.new", labels }] },
  });
  assertEquals(long.code, 2);
  assertStringIncludes(long.stderr, "more than 4194304 bytes");
  const process = await agent.attach("c2", ["hosts.new"]);
  const used = async () =>
    Number((await agent.sandbox.ok(["df", "--output=used", "/run"])).split("\n")[1]);
  const before = await used();
  const filled = await process.run(["sh", "-c", "head -c 50M /dev/zero >>/etc/hosts"]);
  assertStringIncludes(filled.stderr, "No space left on device");
  assertEquals(await used() - before < 100, true);
  await process.end();
  await agent.json("cleanup", ["c2"]);
  assertEquals(await agent.list(CONTAINERS), []);
});

Deno.test("owned: a cleanup needs no space, no inode, and no lock that can't be made", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.sandbox.ok([
    "sh",
    "-ec",
    `mkdir -p ${RUNTIME_DIR} && mount -t tmpfs -o size=2m,nr_inodes=80 tmpfs ${RUNTIME_DIR}`,
  ]);
  const process = await agent.attach("c1", ["cni-test"]);
  const traces = await agent.attach("c2", ["cni-test"]);
  await agent.sandbox.run(["sh", "-c", `head -c 10M /dev/zero >${RUNTIME_DIR}/full`]);
  await agent.sandbox.run([
    "sh",
    "-c",
    `i=0; while : >${RUNTIME_DIR}/f$i; do i=$((i+1)); done 2>/dev/null; true`,
  ]);
  await agent.sandbox.ok(["rm", "-f", `${RUNTIME_DIR}/isolators/network/mesos-cni/c2.lock`]);
  await agent.sandbox.run(["sh", "-c", `: >${RUNTIME_DIR}/last; true`]);
  await process.end();
  await traces.end();
  for (const id of ["c1", "c2"]) await agent.json("cleanup", [id]);
  assertEquals(await wires(agent), []);
  assertEquals(await agent.list(CONTAINERS), []);
});

Deno.test("owned: a signal ends run while a plugin hangs, and undoes what was begun", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const { dir } = agent.sandbox;
  agent.plugin(
    "hang",
    `[ $CNI_COMMAND != ADD ] || { /usr/lib/cni/bridge; touch ${dir}/adding; sleep 1000; }
    exec /usr/lib/cni/bridge`,
  );
  agent.define({ ...bridgeNetwork(), type: "hang" });
  const run = agent.spawn(agent.runArgv(["--networks=cni-test"], ["echo", "was run"]));
  await until(() => {
    try {
      return Deno.statSync(`${dir}/adding`).isFile;
    } catch {
      return false;
    }
  }, "the plugin's ADD");
  run.kill("SIGTERM");
  const output = await run.output();
  assertEquals(output.code, 143, output.stderr);
  assertEquals(output.stdout.includes("was run"), false);
  assertEquals([await wires(agent), await leases(agent)], [[], []]);
});
