/** `diagnose --from --to`: one packet hop by hop, and the hop where it is lost. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { BRIDGE, Clinic, end, PORT, serve } from "../harness/clinic.ts";
import { partOf } from "../harness/part.ts";
import { AGENT_ADDRESS } from "../harness/sandbox.ts";
import { bridgeNetwork } from "../harness/stock_agent.ts";

interface Followed {
  connection: string;
  arrived: boolean;
  hops: { name: string; outcome: string; evidence: string[] }[];
  findings: { code: string; text: string; mechanism: string; place: string; remedy?: string }[];
}

async function follow(
  clinic: Clinic,
  to: string,
): Promise<Followed & { stops?: string; code: number }> {
  const output = await clinic.netns("diagnose", "--from=patient", `--to=${to}`, "--json");
  assertEquals(output.stderr, "");
  const followed: Followed = JSON.parse(output.stdout);
  const stops = followed.hops.find(({ outcome }) => outcome === "stopped")?.name;
  return { ...followed, stops, code: output.code };
}

Deno.test("a packet is followed to a container, another bridge, an address and a name, over TCP, UDP and ICMP", async () => {
  await using clinic = await Clinic.open();
  const far = await clinic.admit("far", [bridgeNetwork("net-a", "10.11.0.0/16")]);
  for (const host of [clinic.neighbour, far, clinic.outside]) {
    await host.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  }
  const { address } = clinic.outside;
  const places = [
    "neighbour",
    "far:80",
    `${address}:80`,
    "outside.test:80",
    `${address}/icmp`,
    address,
    "far/icmp",
  ];
  for (const to of partOf(places, 2)) {
    const { connection, hops, code } = await follow(clinic, to);
    assertEquals(code, 0, `${to}: ${connection}`);
    assert(
      hops.length >= 4 && hops.every(({ outcome }) => outcome === "passed"),
      `${to}: ${JSON.stringify(hops)}`,
    );
  }
  const routed = await follow(clinic, `${address}:80`);
  assertEquals(routed.hops.map(({ name }) => name.replace(/veth\w+/, "VETH")), [
    "leaving by eth0 of patient",
    "arriving on VETH",
    `arriving on ${BRIDGE}`,
    "leaving by wan0",
    "the answer arriving on wan0",
    `the answer leaving by ${BRIDGE}`,
    "the answer leaving by VETH",
    "the answer arriving on eth0 of patient",
  ]);
  assertMatch(routed.hops[3]!.evidence[0]!, /^203\.0\.113\.1 → 203\.0\.113\.2, \d+ bytes to /);
  const udp = await follow(clinic, `${address}:53/udp`);
  assertEquals(
    udp.hops.filter(({ name }) => !name.startsWith("the answer")).map(({ outcome }) => outcome),
    ["passed", "passed", "passed", "passed"],
  );
});

Deno.test("a container's address is that container, whether its id, its address or a name says so", async () => {
  await using clinic = await Clinic.open();
  const [address] = clinic.neighbour.addresses;
  await clinic.patient.ok(["sh", "-c", `echo ${address} db.test >>/etc/hosts`]);
  // Nothing listens: the refusal is of the container, and of no host outside.
  const by = async (to: string) => {
    const { hops, findings } = await follow(clinic, to);
    return { hops: hops.map(({ name, outcome }) => `${outcome} ${name}`), finding: findings[0] };
  };
  const byId = await by("neighbour:81");
  assertMatch(byId.finding!.text, /^neighbour refuses: nothing there listens on 81\/tcp/);
  assertEquals(byId.hops.length, 8);
  assertEquals(await by(`${address}:81`), byId);
  const { hops: [resolved, ...hops], finding } = await by("db.test:81");
  assertEquals(resolved, "passed the name db.test");
  assertEquals(hops, byId.hops);
  assertEquals(finding!.text, byId.finding!.text);
});

Deno.test("the hop where a packet is lost is named, with the reason", async () => {
  type Stop = [
    what: string,
    to: string,
    stop: RegExp,
    cause: RegExp,
    inject: (c: Clinic) => Promise<unknown>,
  ];
  const nothing = () => Promise.resolve();
  const stops: Stop[] = [
    ["no name", "nowhere.test:80", /the name nowhere\.test/, /no such name/, nothing],
    ["nothing listens outside", "203.0.113.2:81", /^$/, /203\.0\.113\.2 refuses/, nothing],
    ["nothing listens in the container", "neighbour:81", /^$/, /neighbour refuses/, nothing],
    [
      "no route",
      "203.0.113.2:80",
      /^leaving by eth0/,
      /no default route/,
      (clinic) => clinic.patient.ok(["ip", "route", "del", "default"]),
    ],
    [
      "off the bridge",
      "203.0.113.2:80",
      /eth0|veth/,
      /is not on mesos-cni0/,
      async (clinic) => clinic.agent.ok(["ip", "link", "set", await clinic.veth(), "nomaster"]),
    ],
    [
      "forwarding off",
      "203.0.113.2:80",
      /^leaving by wan0$/,
      /does not forward IPv4/,
      (clinic) => clinic.agent.ok(["sysctl", "-w", "net.ipv4.ip_forward=0"]),
    ],
    [
      "a rule for one port",
      "203.0.113.2:80",
      /^leaving by wan0$/,
      /FORWARD -p tcp .*--dport 80 -j DROP/,
      (clinic) => clinic.agent.ok("iptables -A FORWARD -p tcp --dport 80 -j DROP".split(" ")),
    ],
    [
      "a wrong entry in the table of neighbours",
      "203.0.113.2:80",
      /^arriving on mesos-cni0$/,
      /sends what is for 10\.1\.0\.1 on eth0 to 02:00:00:00:00:99/,
      (clinic) =>
        clinic.patient.ok(
          "ip neigh replace 10.1.0.1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent".split(" "),
        ),
    ],
    [
      "a rule of the bridge between containers",
      "neighbour:80",
      /^leaving by veth/,
      /nft bridge fw f/,
      (clinic) =>
        clinic.agent.ok([
          "nft",
          "add table bridge fw; add chain bridge fw f { type filter hook forward priority 0; }; add rule bridge fw f tcp dport 80 drop",
        ]),
    ],
    [
      "a rule for UDP",
      "203.0.113.2:53/udp",
      /^leaving by wan0$/,
      /nft inet fw f/,
      (clinic) =>
        clinic.agent.ok([
          "nft",
          "add table inet fw; add chain inet fw f { type filter hook forward priority 0; }; add rule inet fw f udp dport 53 drop",
        ]),
    ],
    [
      "a rule for the agent's own port",
      `${AGENT_ADDRESS}:5051`,
      /^the answer leaving by mesos-cni0$/,
      /INPUT .*--dport 5051/,
      (clinic) => clinic.agent.ok("iptables -A INPUT -p tcp --dport 5051 -j DROP".split(" ")),
    ],
    [
      "answers that do not come back",
      "203.0.113.2/icmp",
      /^the answer arriving on wan0$/,
      /nothing masquerades/,
      (clinic) => clinic.agent.ok(["iptables", "-t", "nat", "-F", "POSTROUTING"]),
    ],
  ];
  const chosen = partOf(stops, 6);
  await Promise.all(Array.from({ length: 3 }, async (_, worker) => {
    for (const [what, to, stop, cause, inject] of chosen.filter((_, i) => i % 3 === worker)) {
      await using clinic = await Clinic.open();
      await inject(clinic);
      const followed = await follow(clinic, to);
      assertEquals(followed.code, 1, what);
      assertMatch(followed.stops ?? "", stop, `${what}: ${JSON.stringify(followed, null, 1)}`);
      assertMatch(
        followed.findings[0]?.text ?? "",
        cause,
        `${what}: ${JSON.stringify(followed, null, 1)}`,
      );
    }
  }));
});

Deno.test("a port of the agent is followed to the container that it leads to", async () => {
  await using clinic = await Clinic.open();
  await clinic.admit("far", [bridgeNetwork("net-a", "10.11.0.0/16")]);
  await clinic.neighbour.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  const output = await clinic.netns(
    "diagnose",
    "--from=far",
    `--to=${AGENT_ADDRESS}:8081`,
    "--json",
  );
  const { connection, hops } = JSON.parse(output.stdout);
  assertEquals(connection, "it takes the connection, and answers");
  const last = hops.find(({ name }: { name: string }) => name === "arriving on eth0 of neighbour");
  assertMatch(last.evidence[0], /→ 10\.1\.0\.3,/);
});

Deno.test("a port of UDP is followed to the container, and over IPv6", async () => {
  await using udp = await Clinic.open("udp");
  await udp.admit("far", [bridgeNetwork("net-a", "10.11.0.0/16")]);
  await using stack = new AsyncDisposableStack();
  const echo = await serve(udp.neighbour, "udp", ["0.0.0.0"]);
  stack.defer(() => end(echo));
  const mapped = await udp.netns("diagnose", "--from=far", `--to=${AGENT_ADDRESS}:8081/udp`);
  assertMatch(mapped.stdout, /^far → 203\.0\.113\.1:8081\/udp: an answer came\n/);
  assertMatch(mapped.stdout, /✓ arriving on eth0 of neighbour\n {4}\S+ → 10\.1\.0\.3, /);
  const refused = await udp.netns("diagnose", "--from=far", `--to=${AGENT_ADDRESS}:8080/udp`);
  assertMatch(refused.stdout, /cause: patient refuses: nothing there listens on 53\/udp\n/);
  await using dual = await Clinic.open("dualStack");
  await dual.outside.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  const places = [
    ...["[2001:db8:113::2]:80", "2001:db8:113::2/icmp", "2001:DB8:1:0::3/icmp"],
    "six.outside.test:80", // which has no address of IPv4
  ];
  for (const to of partOf(places, 2)) {
    const { code, stdout } = await dual.netns("diagnose", "--from=patient", `--to=${to}`);
    assertEquals(code, 0, stdout);
    assertEquals(/[✗?]/.test(stdout), false, stdout);
  }
  // However an address is spelt, it is the container's.
  const spelt = await dual.netns("diagnose", "--from=2001:DB8:1:0::2", "--to=2001:DB8:1:0::3/icmp");
  assertMatch(spelt.stdout, /^patient → 2001:db8:1::3\/icmp: /);
});

Deno.test("a destination that can't be understood, and half of a pair, are errors", async () => {
  await using clinic = await Clinic.open();
  const bad = await clinic.netns("diagnose", "--from=patient", "--to=nonsense");
  assertEquals(bad.code, 2);
  assertMatch(bad.stderr, /is no container, and not like/);
  assertMatch(
    (await clinic.netns("diagnose", "--from=patient", "--to=neighbour")).stderr,
    /say which port/,
  );
  assertEquals((await clinic.netns("diagnose", "--from=patient")).code, 2);
  assertEquals((await clinic.netns("diagnose", "patient", "--from=patient", "--to=x:1")).code, 2);
});

Deno.test("a client outside is named: its packet enters as its own would, and the set that bans it is told", async () => {
  await using clinic = await Clinic.open();
  const { agent, outside, patient } = clinic;
  await patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  await agent.ok(["ip", "route", "add", "198.51.100.0/24", "via", outside.address]);
  const comesFrom = async (client: string, to: string) => {
    const output = await clinic.netns("diagnose", `--from=${client}`, `--to=${to}`, "--json");
    const { hops, arrived, findings, connection } = JSON.parse(output.stdout) as Followed;
    const passed = hops.filter(({ outcome }) => outcome === "passed").map(({ name }) =>
      name.replace(/veth\w+/, "VETH")
    );
    return { passed, arrived, finding: findings[0]?.text ?? "", connection, code: output.code };
  };
  const client = "198.51.100.20";
  const there = ["arriving on wan0", `leaving by ${BRIDGE}`, "leaving by VETH"];
  // By its id the mapped port, by the address what it has itself.
  const places = ["patient:80", `${AGENT_ADDRESS}:8080`, `${clinic.address}:80`, "patient/icmp"];
  for (const to of partOf(places, 2)) {
    const healthy = await comesFrom(client, to);
    assert(healthy.arrived, `${to}: ${JSON.stringify(healthy)}`);
    assertEquals(healthy.passed.slice(0, 4), [...there, "arriving on eth0 of patient"], to);
  }
  await agent.ok([
    "nft",
    "add table inet ban; add set inet ban clients { type ipv4_addr; }; " +
    "add element inet ban clients { 198.51.100.20 }; " +
    "add chain inet ban in { type filter hook prerouting priority -200; }; " +
    "add rule inet ban in ip saddr @clients drop",
  ]);
  const banned = await comesFrom(client, "patient:80");
  assertEquals([banned.arrived, banned.code, banned.passed], [false, 1, ["arriving on wan0"]]);
  assertMatch(banned.finding, /198\.51\.100\.20 .*clients/);
  assertEquals((await comesFrom("198.51.100.21", "patient:80")).arrived, true);
  await agent.ok(["ip", "route", "del", "198.51.100.0/24"]);
  const unknown = await comesFrom("198.51.100.21", "patient:80");
  assertMatch(unknown.finding, /no default route/);
});

Deno.test("who is no client from outside is said not to be one", async () => {
  await using clinic = await Clinic.open();
  const wrong: [from: string, to: string, why: RegExp][] = [
    [AGENT_ADDRESS, "patient:80", /is the agent itself/],
    ["10.1.0.99", "patient:80", /is behind mesos-cni0, where containers are/],
    ["2001:db8::9", "patient:80", /patient has no address of its own for IPv6/],
    ["198.51.100.20", `${AGENT_ADDRESS}:81`, /no container of this agent has/],
    ["2001:db8::9", `${clinic.address}:80`, /is of IPv4, and a client of IPv6 can't ask for it/],
    ["198.51.100.20", `${clinic.address}/tcp`, /is no container, and not like/],
  ];
  for (const [from, to, why] of wrong) {
    const { code, stderr } = await clinic.netns("diagnose", `--from=${from}`, `--to=${to}`);
    assertMatch(stderr, why);
    assertEquals(code, 2, stderr);
  }
  // An address that the agent has not, or not any more, is a finding.
  const absent = await clinic.netns("diagnose", "--from=198.51.100.20", "--to=203.0.113.9:80");
  assertEquals(absent.code, 1);
  assertMatch(absent.stdout, /203\.0\.113\.9 is no address of this agent/);
  // An address of a container's is that container.
  const { stdout } = await clinic.netns(
    "diagnose",
    `--from=${clinic.address}`,
    "--to=neighbour:81",
  );
  assertMatch(stdout, /^patient → /);
});

Deno.test("a container that asks for its own port by the agent's address is led back, or its bridge sends nothing back", async () => {
  await using clinic = await Clinic.open("hairpin");
  await clinic.agent.ok(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"]);
  await clinic.patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  const own = `${AGENT_ADDRESS}:${PORT}`;
  const whole = await follow(clinic, own);
  assertEquals([whole.code, whole.findings], [0, []], whole.connection);
  const port = await clinic.veth();
  await clinic.agent.ok(["bridge", "link", "set", "dev", port, "hairpin", "off"]);
  const { code, findings } = await follow(clinic, own);
  assertEquals([code, findings.map((one) => [one.code, one.remedy])], [1, [
    ["port_hairpin", `bridge link set dev ${port} hairpin on`],
  ]]);
});
