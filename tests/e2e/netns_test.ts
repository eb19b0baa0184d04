/** The compiled program's list, inspect, link and capture, on the checkpoints of a stock agent. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { until } from "../harness/agent.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { bridgeNetwork, CONTAINERS, StockContainer } from "../harness/stock_agent.ts";
import { pathWithout } from "../harness/path_without.ts";

const netA = bridgeNetwork("net-a", "10.1.0.0/16");
const netB = bridgeNetwork("net-b", "10.2.0.0/16", { cniVersion: "1.0.0" });

/** Without iproute2, ss, and every tool of iptables but itself. */
async function netns(agent: Sandbox, ...args: string[]) {
  const env = { PATH: pathWithout(agent.dir) };
  return await agent.run([MESOS_CNI, "netns", ...args], { env });
}

Deno.test("list shows networks, addresses, process, age and health of each container", async () => {
  await using agent = await Sandbox.create();
  await using one = await StockContainer.launch(agent, "one", [netA, netB], {
    portMappings: [{ host_port: 8080, container_port: 80 }],
  });
  await using two = await StockContainer.launch(agent, "two", [netA]);
  const output = await netns(agent, "list", "--json");
  assertEquals(output.code, 0, output.stderr);
  const [first, second] = JSON.parse(output.stdout);
  assertEquals(
    [first.id, first.pid, first.health, first.keeper, first.ports],
    ["one", one.pid, "no port mapper: eth0 net-a", "agent", ["8080:80/tcp", "8080:80/tcp"]],
  );
  assertEquals(first.networks, [
    { network: "net-a", ifName: "eth0", state: "attached", addresses: ["10.1.0.2/16"] },
    { network: "net-b", ifName: "eth1", state: "attached", addresses: ["10.2.0.2/16"] },
  ]);
  assertEquals([second.id, second.pid, second.health], ["two", two.pid, "ok"]);
  const text = (await netns(agent, "list")).stdout;
  assertMatch(text, /^ID +NETWORKS +ADDRESSES +PORTS +PID +AGE +HEALTH\n/);
  assertMatch(text, /two +eth0=net-a +10\.1\.0\.3\/16 +- +\d+ +\d+s +ok\n/);
});

Deno.test("half-written checkpoints and dead containers are shown as what they are", async () => {
  await using agent = await Sandbox.create();
  const names = ["attaching", "dead", "down", "empty-info", "half-conf", "half-info", "lost"];
  const containers: Record<string, StockContainer> = {};
  for (const name of names) containers[name] = await StockContainer.launch(agent, name, [netA]);
  await using _disposable = {
    async [Symbol.asyncDispose]() {
      for (const container of Object.values(containers)) await container[Symbol.asyncDispose]();
    },
  };
  const file = (name: string, ifName?: string) => containers[name]!.checkpoint("net-a", ifName);
  await agent.ok(["rm", file("attaching", "eth0")]);
  await agent.ok(["truncate", "-s0", file("empty-info", "eth0")]);
  await agent.ok(["truncate", "-s40", file("half-info", "eth0")]);
  await agent.ok(["truncate", "-s40", file("half-conf")]);
  await containers.down!.ok(["ip", "link", "set", "eth0", "down"]);
  await containers.lost!.ok(["ip", "address", "flush", "dev", "eth0"]);
  await containers.dead![Symbol.asyncDispose]();
  await agent.ok([
    "sh",
    "-ec",
    `cd ${CONTAINERS}
    mkdir empty rebooted rebooted/net-a rebooted/net-a/eth0
    touch rebooted/ns stray 'not a container'`,
  ]);
  const output = await netns(agent, "list", "--json");
  assertEquals(output.code, 0, output.stderr);
  const health = JSON.parse(output.stdout).map((
    { id, health }: { id: string; health: string },
  ) => [id, health]);
  assertEquals(Object.fromEntries(health), {
    attaching: "attach unfinished: eth0 net-a",
    dead: "process gone",
    down: "interface down: eth0",
    empty: "checkpoint empty",
    "empty-info": "checkpoint torn: eth0 net-a",
    "half-conf": "checkpoint torn: eth0 net-a",
    "half-info": "checkpoint torn: eth0 net-a",
    lost: "address lost: eth0 10.1.0.8/16",
    rebooted: "namespace gone",
  });
  assertStringIncludes(
    (await netns(agent, "list")).stdout,
    `not a container's: ${CONTAINERS}/stray`,
  );
  const torn = await netns(agent, "inspect", "half-info");
  assertEquals(torn.code, 0, torn.stderr);
  assertMatch(torn.stdout, /torn: .*network\.info is cut off or no JSON/);
});

Deno.test("list sees what is down on the agent's side", async () => {
  await using agent = await Sandbox.create();
  await using below = await StockContainer.launch(agent, "bridge-down", [netB]);
  await using down = await StockContainer.launch(agent, "veth-down", [netA]);
  await using off = await StockContainer.launch(agent, "veth-off", [netA]);
  await using lo = await StockContainer.launch(agent, "lo-down", [netA]);
  const outer = async (container: StockContainer) => {
    const [{ link_index }] = JSON.parse(await container.ok(["ip", "-j", "link", "show", "eth0"]));
    const links = JSON.parse(await agent.ok(["ip", "-j", "link"]));
    return links.find(({ ifindex }: { ifindex: number }) => ifindex === link_index).ifname;
  };
  const [vethDown, vethOff] = [await outer(down), await outer(off)];
  await agent.ok(["ip", "link", "set", "netb", "down"]);
  await agent.ok(["ip", "link", "set", vethDown, "down"]);
  await agent.ok(["ip", "link", "set", vethOff, "nomaster"]);
  await lo.ok(["ip", "link", "set", "lo", "down"]);
  const { stdout } = await netns(agent, "list", "--json");
  const listed = JSON.parse(stdout) as { id: string; health: string }[];
  assertEquals(Object.fromEntries(listed.map(({ id, health }) => [id, health])), {
    [below.id]: "bridge down: netb",
    "lo-down": "lo down",
    "veth-down": `no carrier: ${vethDown}`,
    "veth-off": `veth off bridge: ${vethOff}`,
  });
  const tree = await netns(agent, "topology");
  assertMatch(tree.stdout, new RegExp(`─ veth-down +${vethDown} \\(down\\) – eth0 `));
});

Deno.test("inspect shows the container's links, routes, sockets, files and port rules", async () => {
  await using agent = await Sandbox.create();
  await using container = await StockContainer.launch(agent, "web", [netA], {
    resolvConf: "nameserver 192.0.2.53\n",
  });
  const server = container.spawn(["busybox", "httpd", "-f", "-p", "8081"]);
  const listening = async () => (await container.ok(["ss", "-Hltn"])).includes(":8081 ");
  await until(listening, "httpd to listen");
  for (
    const line of [
      "route add 10.77.0.0/16 via 10.1.0.1 mtu 1300",
      "route add 10.78.0.0/16 nexthop via 10.1.0.1 weight 2 nexthop via 10.1.0.9",
      "rule add to 10.9.0.0/16 ipproto udp dport 53 table 77 priority 70",
    ]
  ) await container.ok(["ip", ...line.split(" ")]);
  await agent.ok([
    ..."iptables -t nat -A PREROUTING -p tcp --dport 8080 -m comment --comment".split(" "),
    "container_id: web",
    ..."-j DNAT --to-destination 10.1.0.2:80".split(" "),
  ]);
  await agent.ok([
    ..."iptables -t nat -A PREROUTING -p tcp --dport 8082 -m comment --comment".split(" "),
    "container_id: web2",
    ..."-j DNAT --to-destination 10.1.0.3:80".split(" "),
  ]);
  await agent.ok(["nft", "-f", "-"], {
    stdin: `table inet mesos-cni {
      map ports4 {
        type inet_proto . inet_service : ipv4_addr . inet_service
        elements = { udp . 53 comment "container_id: web" : 10.1.0.2 . 53,
          udp . 54 comment "container_id: web2" : 10.1.0.3 . 53 }
      }
    }`,
  });
  const output = await netns(agent, "inspect", "we", "--json");
  assertEquals(output.code, 0, output.stderr);
  const seen = JSON.parse(output.stdout);
  assertEquals(seen.links.map(({ name }: { name: string }) => name), ["lo", "eth0"]);
  assert(
    seen.routes.some((route: { destination: string; gateway: string }) =>
      route.destination === "default" && route.gateway === "10.1.0.1"
    ),
  );
  assertEquals(seen.files.resolvConf, "nameserver 192.0.2.53\n");
  assertEquals(
    seen.sockets.map(({ localPort, state }: Record<string, unknown>) => [localPort, state]),
    [[8081, "LISTEN"]],
  );
  assertEquals(seen.portRules.slice(1), [
    'map inet mesos-cni ports4: udp . 53 comment "container_id: web" : 10.1.0.2 . 53',
  ]);
  assertStringIncludes(seen.portRules[0], "--to-destination 10.1.0.2:80");
  const text = (await netns(agent, "inspect", "web")).stdout;
  assertMatch(text, /default +10\.1\.0\.1 +eth0/);
  assertMatch(text, /10\.77\.0\.0\/16 +10\.1\.0\.1 +eth0 +- +0 +1300 +main\n/);
  assertMatch(text, /10\.78\.0\.0\/16 +10\.1\.0\.1 weight 2 +eth0[^]*10\.1\.0\.9 weight 1 +eth0/);
  assertMatch(text, /\b70 +from all to 10\.9\.0\.0\/16 ipproto 17 dport 53 +lookup 77\n/);
  assertMatch(text, /tcp +\S*:8081 +- +LISTEN +0 +0 +\d+ busybox\n/);
  assertMatch(
    text,
    /rules on the agent for what it sends\n {2}-A POSTROUTING -s 10\.1\.0\.2\/32 .*\n[^]*MASQUERADE\n/,
  );
  assertStringIncludes(text, "nameserver 192.0.2.53");
  server.kill();
  await server.status;
  for (const stream of [server.stdin, server.stdout, server.stderr]) {
    await (stream instanceof ReadableStream ? stream.cancel() : stream.close());
  }
});

Deno.test("any namespace is inspected by a process or a path, without a checkpoint", async () => {
  await using agent = await Sandbox.create();
  await using container = await StockContainer.launch(agent, "web", [netA]);
  for (const flag of [`--pid=${container.pid}`, `--netns=${container.dir}/ns`]) {
    const output = await netns(agent, "inspect", flag, "--json");
    assertEquals(output.code, 0, output.stderr);
    const { addresses } = JSON.parse(output.stdout);
    assert(addresses.some(({ address }: { address: string }) => address === "10.1.0.2"));
  }
  const gone = await netns(agent, "inspect", "--netns=/etc/passwd");
  assertEquals([gone.code, gone.stderr.includes("no handle of a namespace")], [1, true]);
  assertEquals((await netns(agent, "inspect", "--pid=0")).code, 2);
  assertEquals((await netns(agent, "inspect")).code, 2);
  for (const command of [["list"], ["topology"], ["inspect", "web"]]) {
    const { code, stderr } = await netns(agent, ...command, "extra");
    assertEquals([code, stderr.includes("unexpected extra")], [2, true], stderr);
    const call = [MESOS_CNI, "netns", ...command];
    const unprivileged = await agent.run(["setpriv", "--reuid=65534", "--clear-groups", ...call]);
    assertEquals(unprivileged.code, 1);
    assertMatch(unprivileged.stderr, /need root: use sudo/);
  }
  // Whether one may look at it depends on whose machine it is.
  const { code, stderr } = await netns(agent, "inspect", "--pid=1");
  assert(code === 0 || /^error: .*\n$/.test(stderr), stderr);
});

Deno.test("what users without root are told to do works as it is printed", async () => {
  await using agent = await Sandbox.create();
  const nobody = ["setpriv", "--reuid=65534", "--clear-groups"];
  const { stderr } = await agent.run([...nobody, MESOS_CNI, "list"]);
  const hint = /: (unshare -r .*)\n$/.exec(stderr)![1]!;
  const { stdout } = await agent.run([...nobody, "sh", "-c", hint], {
    stdin: `${MESOS_CNI} run --name=tried -- ${MESOS_CNI} list -q`,
  });
  assertEquals(stdout, "tried\n");
});

Deno.test("a prefix names a container; one that several have is an error that lists them", async () => {
  await using agent = await Sandbox.create();
  await using _one = await StockContainer.launch(agent, "abc-1", []);
  await using _two = await StockContainer.launch(agent, "abc-2", []);
  await using _three = await StockContainer.launch(agent, "abc", []);
  assertEquals((await netns(agent, "exec", "abc-2", "--", "true")).code, 0);
  assertEquals((await netns(agent, "exec", "abc", "--", "true")).code, 0);
  const ambiguous = await netns(agent, "exec", "ab", "--", "true");
  assertEquals(ambiguous.code, 1);
  assertMatch(ambiguous.stderr, /begins 3 ids[^]*abc\n[^]*abc-1\n[^]*abc-2/);
  assertMatch((await netns(agent, "exec", "x", "--", "true")).stderr, /no container "x"/);
});

Deno.test("a link for ip netns is made, taken away, and never left dangling", async () => {
  await using agent = await Sandbox.create();
  await using one = await StockContainer.launch(agent, "one", [netA]);
  await using _two = await StockContainer.launch(agent, "two", [netA]);
  for (const id of ["one", "two"]) assertEquals((await netns(agent, "link", id)).code, 0);
  assertEquals((await netns(agent, "link", "two")).code, 0);
  assertStringIncludes(await agent.ok(["ip", "netns", "exec", "one", "ip", "address"]), "10.1.0.2");
  await one[Symbol.asyncDispose]();
  await agent.ok(["sh", "-ec", `umount ${one.dir}/ns; rm -r ${one.dir}`]);
  await agent.ok(["sh", "-ec", "ip netns add other; ln -s /nowhere /var/run/netns/foreign"]);
  assertEquals((await netns(agent, "unlink", "two")).code, 0);
  assertEquals(
    (await agent.ok(["ls", "/var/run/netns"])).trim().split("\n"),
    ["foreign", "other"],
  );
  await agent.ok(["ip", "netns", "add", "two"]);
  const taken = await netns(agent, "link", "two");
  assertEquals([taken.code, taken.stderr.includes("is there already")], [1, true]);
});

Deno.test("capture is tcpdump on the container's interface, with the filter passed on", async () => {
  await using agent = await Sandbox.create();
  const outside = await agent.outside();
  await using container = await StockContainer.launch(agent, "web", [netA]);
  const capture = agent.spawn([MESOS_CNI, "netns", "capture", "web", "--count=1", "--", "icmp"]);
  const file = `${agent.dir}/web.pcap`;
  const args = ["netns", "capture", "web", `--write=${file}`, "--count=1", "--", "icmp"];
  const toFile = agent.spawn([MESOS_CNI, ...args]);
  for (const child of [capture, toFile]) await untilListening(child);
  await container.ok(["busybox", "ping", "-c2", outside.address]);
  assertMatch(await restOf(capture), /IP 10\.1\.0\.2 > 203\.0\.113\.2: ICMP echo request/);
  await restOf(toFile);
  assertMatch(await agent.ok(["tcpdump", "-nr", file]), /10\.1\.0\.2 > 203\.0\.113\.2/);
  const wrong = await netns(agent, "capture", "web", "--interface=eth9");
  assertMatch(wrong.stderr, /has no interface "eth9", but: lo, eth0/);
});

/** tcpdump says on standard error when it has begun. */
async function untilListening(child: Deno.ChildProcess): Promise<void> {
  const reader = child.stderr.getReader();
  let text = "";
  while (!text.includes("listening on")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`tcpdump ended: ${text}`);
    text += new TextDecoder().decode(value);
  }
  reader.releaseLock();
}

async function restOf(child: Deno.ChildProcess): Promise<string> {
  await child.stdin.close();
  const [stdout] = await Promise.all([new Response(child.stdout).text(), child.stderr.cancel()]);
  await child.status;
  return stdout;
}
