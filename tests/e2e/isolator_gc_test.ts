import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CNI_PLUGINS, MESOS_CNI, PYTHON } from "../harness/binary.ts";
import { Agent, bridgeNetwork, isRunning, REQUESTS, until } from "../harness/agent.ts";
import { partOf } from "../harness/part.ts";
import { Sandbox } from "../harness/sandbox.ts";

const CHAIN = "GC-TEST";
/** No other test's: an address that any network namespace of the machine has is no garbage. */
const SUBNET = "10.213.0.0/16";

/** An agent with a port-mapper network and the flags that lead to it. */
async function agentWithNetwork() {
  const agent = await Sandbox.create();
  await Deno.mkdir(`${agent.dir}/networks`);
  await Deno.writeTextFile(
    `${agent.dir}/networks/gc.conf`,
    JSON.stringify({
      name: "gc-test",
      type: "mesos-cni-port-mapper",
      chain: CHAIN,
      delegate: {
        type: "bridge",
        bridge: "gc0",
        isGateway: true,
        ipam: { type: "host-local", subnet: SUBNET },
      },
    }),
  );
  const flags = [
    `--network_cni_config_dir=${agent.dir}/networks`,
    `--network_cni_plugins_dir=${CNI_PLUGINS}`,
  ];
  return { agent, flags };
}

type Found = { kind: string; what: string; why: string; outcome: string };

async function gc(agent: Sandbox, flags: string[], ...more: string[]): Promise<Found[]> {
  return JSON.parse(await agent.ok([MESOS_CNI, "isolator", "gc", "--json", ...flags, ...more]));
}

/** A program, and the process that it has started. */
interface Started {
  child: Deno.ChildProcess;
  task?: number;
}

/** Starts a container that sleeps, and waits until it has its address. */
async function start(
  agent: Sandbox,
  flags: string[],
  id: string,
  port: number,
): Promise<Started> {
  const child = agent.spawn([
    MESOS_CNI,
    "run",
    ...flags,
    "--networks=gc-test",
    `--name=${id}`,
    `--port_mappings=${port}:80`,
    "--",
    "sh",
    "-c",
    "echo $$ && exec sleep 1000",
  ]);
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  const task = Number(new TextDecoder().decode(value));
  assert(task > 0, id);
  return { child, task };
}

async function end({ child, task }: Started, signal: Deno.Signal): Promise<void> {
  child.kill(signal);
  await child.status;
  // The kernel kills the task of a killed run, and does so a moment later: till then it lives.
  if (task !== undefined) await until(() => !isRunning(task), `the end of process ${task}`);
  await Promise.all([child.stdin.close(), child.stdout.cancel(), child.stderr.cancel()])
    .catch(() => {}); // the pipes may have gone with the process
}

Deno.test("gc finds what a killed container left, says why, and removes only that", async () => {
  const { agent, flags } = await agentWithNetwork();
  await using _ = agent;
  const live = await start(agent, flags, "live", 8080);
  const dead = await start(agent, flags, "dead", 8081);
  assertEquals(await gc(agent, flags), []);
  await end(dead, "SIGKILL");

  const found = await gc(agent, flags);
  assertEquals(found.map(({ kind, outcome }) => [kind, outcome]), [["container", "found"]]);
  assertStringIncludes(found[0]!.what, "dead");
  // A record that can't be read keeps it from the mappings alone, and it says so.
  const record = "/run/mesos-cni/port-mapper/attachments/x.json";
  await agent.ok(["mkdir", record]);
  const { code, stdout } = await agent.run([MESOS_CNI, "isolator", "gc", "--json", ...flags]);
  assertEquals(code, 1);
  assertEquals(
    JSON.parse(stdout).map(({ kind, outcome }: Found) => [kind, outcome]),
    [["container", "found"], ["mapping", "failed"], ["rule", "failed"]],
  );
  await agent.ok(["rmdir", record]);
  const before = await agent.ok(["iptables-save", "-t", "nat"]);
  assertStringIncludes(before, "container_id: dead");

  const removed = await gc(agent, flags, "--apply");
  assertEquals(removed.map(({ outcome }) => outcome), ["removed"]);
  const after = await agent.ok(["iptables-save", "-t", "nat"]);
  assert(!after.includes("container_id: dead"));
  assertStringIncludes(after, "container_id: live");
  assertEquals(await gc(agent, flags), []);
  await end(live, "SIGTERM");
});

Deno.test("gc removes the masquerading of a container that nobody remembers, and of no other", async () => {
  await using agent = await Agent.create(bridgeNetwork("masked", "10.214.0.0/16"));
  const live = await agent.attach("live", ["masked"]);
  const lost = await agent.attach("lost", ["masked"]);
  await lost.end();
  const rules = async () => (await agent.sandbox.ok(["iptables-save", "-t", "nat"])).split("\n");
  const named = async (id: string) =>
    (await rules()).filter((line) => line.includes(`id: \\"${id}\\"`)).length;
  const chains = async () => (await rules()).filter((line) => line.startsWith(":CNI-")).length;
  assertEquals([await named("lost") > 1, await chains()], [true, 2]);
  // All that is known of it goes; a lease that is left would be told of as well.
  await agent.sandbox.ok([
    ...["sh", "-ec"],
    `umount ${agent.checkpoint("lost", "ns")}; umount ${REQUESTS}/handles/lost
     rm -r ${agent.checkpoint("lost")} ${REQUESTS}/handles/lost ${agent.request("lost")}
     grep -l lost /var/lib/cni/networks/masked/10.* | xargs rm`,
  ]);
  await agent.wires("mesos-cni0", 1);
  const found = await agent.json("gc", ["--json", "--apply"]);
  const kinds = found.map(({ kind, outcome }: Found) => [kind, outcome]);
  assertEquals(kinds, [["rule", "removed"]]);
  assertEquals([await named("lost"), await chains()], [0, 1]);
  assert(await named("live") > 1);
  await live.ok(["busybox", "ping", "-c1", "-W30", "10.214.0.1"]);
  assertEquals(await agent.json("gc", ["--json"]), []);
  await live.end();
});

const PLUGINS = [["ours", undefined], ["the reference's", CNI_PLUGINS]] as const;
for (const [whose, search] of partOf(PLUGINS, 2)) {
  Deno.test(`gc removes macspoofchk and portmap's table of dead owners, and never of living ones: ${whose}`, async () => {
    const network = {
      ...bridgeNetwork("spoof", "10.211.0.0/16"),
      ipMasq: false,
      macspoofchk: true,
    };
    await using agent = await Agent.create(network);
    agent.search = search;
    const [live, lost] = [
      await agent.attach("live", ["spoof"]),
      await agent.attach("lost", ["spoof"]),
    ];
    const elements = await Promise.all([live, lost].map(async (container, i) => {
      const text = await container.ok(["ip", "-o", "-4", "addr", "show", "eth0"]);
      const [, address] = /inet ([0-9.]+)/.exec(text)!;
      const [id, port] = [["live", "lost"][i], 8080 + i];
      return `tcp dport ${port} dnat to ${address}:80 comment "${id}";`;
    }));
    const stdin = `table ip cni_hostport {
      chain hostports { ${elements.join(" ")} }
      chain hostip_hostports { }
      chain masquerading { ip saddr 10.0.0.1 masquerade comment "lost"; }
    }`;
    await agent.sandbox.ok(["nft", "-f", "-"], { stdin });
    const named = async (id: string) => {
      const text = await agent.sandbox.ok(["nft", "list", "ruleset"]);
      return text.split("\n").filter((line) => /hostport|macspoof|cni-br|dnat|masq/.test(line))
        .filter((line) => new RegExp(`\\b${id}\\b`).test(line)).length;
    };
    const before = [await named("live"), await named("lost")];
    assert(before[0]! >= 6 && before[1]! >= 7, before.join());
    assertEquals(await agent.json("gc", ["--json"]), []);

    await lost.end();
    // All that is known of it goes, but its rules.
    await agent.sandbox.ok([
      ...["sh", "-ec"],
      `umount ${agent.checkpoint("lost", "ns")}; umount ${REQUESTS}/handles/lost
       rm -r ${agent.checkpoint("lost")} ${REQUESTS}/handles/lost ${agent.request("lost")}
       grep -l lost /var/lib/cni/networks/spoof/10.* | xargs rm`,
    ]);
    await agent.wires("mesos-cni0", 1);
    const found: Found[] = await agent.json("gc", ["--json", "--apply"]);
    assertEquals(
      found.map(({ kind, outcome, what }) => [kind, outcome, what]).sort(),
      [
        [
          "rule",
          "removed",
          "host ports of container lost by the portmap of containernetworking/plugins",
        ],
        ["rule", "removed", "the rules macspoofchk-lost-eth0 in the table bridge nat"],
      ],
    );
    assertEquals([await named("live"), await named("lost")], [before[0], 0]);
    assertEquals(await agent.json("gc", ["--json"]), []);
    await live.ok(["busybox", "ping", "-c1", "-W30", "10.211.0.1"]);
    await live.end();
  });
}

Deno.test("gc removes rules that a restored firewall brought back", async () => {
  const { agent, flags } = await agentWithNetwork();
  await using _ = agent;
  const live = await start(agent, flags, "live", 8080);
  const gone = await start(agent, flags, "gone", 8081);
  const saved = await agent.ok(["iptables-save", "-t", "nat"]);
  await end(gone, "SIGTERM");
  assertEquals(await gc(agent, flags), []);
  await agent.ok(["iptables-restore"], { stdin: saved });

  const found = await gc(agent, flags, "--apply");
  assertEquals(found.map(({ kind, outcome }) => [kind, outcome]), [["rule", "removed"]]);
  const after = await agent.ok(["iptables", "-t", "nat", "-S", CHAIN]);
  assert(!after.includes("container_id: gone"));
  assertStringIncludes(after, "container_id: live");
  await end(live, "SIGTERM");
});

Deno.test("gc: a record of the firewall plugin that can't be read stops nothing else, and no rule that it may name is taken", async () => {
  const { agent, flags } = await agentWithNetwork();
  await using _ = agent;
  await end(await start(agent, flags, "dead", 8081), "SIGKILL");
  const record = "/run/mesos-cni/firewall/passages/x.json";
  await agent.ok(["mkdir", "-p", record]);
  const passage = ["CNI-FORWARD", "-s", "10.213.99.7/32", "-j", "ACCEPT"];
  await agent.ok(["iptables", "-N", "CNI-FORWARD"]);
  await agent.ok(["iptables", "-A", ...passage]);
  const call = [MESOS_CNI, "isolator", "gc", "--json", "--apply", ...flags];
  const { code, stdout } = await agent.run(call);
  assertEquals(code, 1);
  const outcomes = (found: Found[]) => found.map(({ kind, outcome }) => [kind, outcome]);
  assertEquals(outcomes(JSON.parse(stdout)), [["container", "removed"], ["rule", "failed"]]);
  assertStringIncludes(stdout, record);
  await agent.ok(["iptables", "-C", ...passage]);
  await agent.ok(["rmdir", record]);
  assertEquals(outcomes(await gc(agent, flags, "--apply")), [["rule", "removed"]]);
});

Deno.test("gc gives back addresses that no interface has, once no ADD can be under way", async () => {
  const { agent, flags } = await agentWithNetwork();
  await using _ = agent;
  const live = await start(agent, flags, "live", 8080);
  const store = "/var/lib/cni/networks/gc-test";
  for (const address of ["10.213.9.8", "10.213.9.9"]) {
    await agent.ok(["tee", `${store}/${address}`], { stdin: "ghost\r\neth0" });
  }
  await agent.ok(["touch", "--date=1 hour ago", `${store}/10.213.9.9`]);
  // Of a plugin that is at work, since the clock was set ahead.
  await agent.ok(["tee", `${store}/10.213.9.6`], { stdin: "slow\r\neth0" });
  await agent.ok(["touch", "--date=1 hour ago", `${store}/10.213.9.6`]);
  const plugin = agent.spawn(["sh", "-c", "echo up; exec cat"], {
    env: { CNI_COMMAND: "ADD", CNI_CONTAINERID: "slow" },
  });
  const reader = plugin.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  // As a power cut leaves it: made, and never written.
  await agent.ok(["touch", `${store}/10.213.9.7`]);

  // A record that can't be read may be of who has them.
  const record = "/run/mesos-cni/port-mapper/attachments/x.json";
  await agent.ok(["mkdir", record]);
  const { stdout } = await agent.run([MESOS_CNI, "isolator", "gc", "--json", ...flags]);
  assertEquals(JSON.parse(stdout).map(({ kind }: Found) => kind), ["mapping", "rule"]);
  await agent.ok(["rmdir", record]);

  const found = await gc(agent, flags, "--apply");
  assertEquals(found.map(({ kind }) => kind), ["address", "address"]);
  assertStringIncludes(found[0]!.what, "10.213.9.7 of container (none named)");
  assertStringIncludes(found[1]!.what, "10.213.9.9 of container ghost");
  const left = (await agent.ok(["ls", store])).trim().split("\n");
  assertEquals(left, ["10.213.0.2", "10.213.9.6", "10.213.9.8", "last_reserved_ip.0", "lock"]);
  await end({ child: plugin }, "SIGKILL");
  const [rest] = await gc(agent, flags, "--apply");
  assertStringIncludes(rest!.what, "10.213.9.6 of container slow");
  await end(live, "SIGTERM");
});

Deno.test("gc leaves a wire alone whose other end lives by an open file", async () => {
  const { agent, flags } = await agentWithNetwork();
  await using _ = agent;
  const live = await start(agent, flags, "live", 8080);
  // A network that only an open file holds, as a runtime that forgot it would.
  const holder = agent.spawn([PYTHON, "-c", HOLDER]);
  const reader = holder.stdout.getReader();
  await reader.read();
  reader.releaseLock();

  assertEquals(await gc(agent, flags, "--apply"), []);
  const links = await agent.ok(["ip", "-brief", "link", "show", "master", "gc0"]);
  assertStringIncludes(links, "ghost0");
  await end({ child: holder }, "SIGKILL");
  await end(live, "SIGTERM");
});

/** Makes a wire from the bridge into a network namespace that it keeps open by a file alone. */
const HOLDER = `
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None)
home = os.open("/proc/self/ns/net", os.O_RDONLY)
libc.unshare(0x40000000)
ghost = os.open("/proc/self/ns/net", os.O_RDONLY)
libc.setns(home, 0x40000000)
def ip(*args): subprocess.run(["ip", *args], check=True)
ip("link", "add", "ghost0", "type", "veth", "peer", "name", "ghost1")
ip("link", "set", "ghost0", "master", "gc0")
there, arrived = os.pipe()
child = os.fork()
if child == 0:
    libc.setns(ghost, 0x40000000)
    os.write(arrived, b"1")
    sys.stdin.read()
    os._exit(0)
os.read(there, 1)
ip("link", "set", "ghost1", "netns", str(child))
os.kill(child, 9)
os.waitpid(child, 0)
print("ready", flush=True)
sys.stdin.read()
`;

Deno.test("gc from other mounts than the agent's takes no runtime's network for garbage", async () => {
  const { agent, flags } = await agentWithNetwork();
  await using _ = agent;
  const store = "/var/lib/cni/networks/gc-test";
  // Process 1, which has the handle mounted, and a gc whose mounts are a copy from before.
  const script = `mkdir -p ${store} && printf 'ghost\\r\\neth0' >${store}/10.213.9.9
    touch --date='1 hour ago' ${store}/10.213.9.9
    ip link add gc0 type bridge && ip link set gc0 up
    mkdir -p /run/netns && mount --make-private --bind /run/netns /run/netns
    ip netns add stranger && ip link add wire0 type veth peer name wire1
    ip link set wire0 master gc0 && ip link set wire1 netns stranger
    ip -n stranger address add 10.213.9.9/16 dev wire1
    unshare --mount sh -c 'umount -l /run/netns/stranger && exec "$@"' sh "$@"`;
  const init = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-ec", script, "sh"];
  const found = await agent.ok([...init, MESOS_CNI, "isolator", "gc", "--json", ...flags]);
  assertEquals(JSON.parse(found), []);
});

Deno.test("gc leaves containers alone that the agent knows", async () => {
  const { agent, flags } = await agentWithNetwork();
  await using _ = agent;
  const dead = await start(agent, flags, "known", 8080);
  await end(dead, "SIGKILL");
  const server = agent.spawn([PYTHON, "-c", AGENT]);
  const reader = server.stdout.getReader();
  const port = new TextDecoder().decode((await reader.read()).value).trim();
  reader.releaseLock();

  assertEquals(await gc(agent, flags, `--agent=http://127.0.0.1:${port}`, "--apply"), []);
  const refused = await agent.run([
    MESOS_CNI,
    "isolator",
    "gc",
    ...flags,
    "--apply",
    "--agent=http://127.0.0.1:9",
  ]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "ECONNREFUSED");
  assertEquals((await gc(agent, flags, "--apply")).map(({ outcome }) => outcome), ["removed"]);
  await end({ child: server }, "SIGKILL");
});

/** Stands for an agent's operator API: a real agent is not to be had here. */
const AGENT = `
import http.server, json
class Agent(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/api/v1" and call["type"] == "GET_CONTAINERS"
        answer = json.dumps({"type": "GET_CONTAINERS", "get_containers": {"containers": [
            {"container_id": {"value": "known"}}]}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Agent)
print(server.server_port, flush=True)
server.serve_forever()
`;
