/** The compiled program's diagnosis: the right cause first, and health where there is health. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { runCatalogue } from "../harness/catalogue.ts";
import { BRIDGE, CHAIN, Clinic } from "../harness/clinic.ts";
import { kernelTest } from "../harness/kernel.ts";
import { Pty } from "../harness/pty.ts";
import { bridgeNetwork, type NetworkConfig } from "../harness/stock_agent.ts";

/** The whole catalogue must be right in so many parts. */
const GOAL = 0.95;
const HEALTHY_RUNS = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full" ? 102 : 9;

Deno.test("of the faults in the catalogue, the right cause is named first in 95 of 100", async () => {
  const outcomes = await runCatalogue();
  assert(outcomes.length >= 25);
  for (const { fault, named, right } of outcomes) {
    console.log(`${right ? "right" : "WRONG"}  ${named.padEnd(22)} ${fault.name}`);
  }
  const wrong = outcomes.filter(({ right }) => !right);
  console.log(`${outcomes.length - wrong.length} of ${outcomes.length} causes right`);
  assert(
    wrong.length <= outcomes.length * (1 - GOAL),
    wrong.map(({ fault, named }) => `${fault.name}: ${named}, not ${fault.cause}`).join("\n"),
  );
});

Deno.test(`a healthy container is called healthy, ${HEALTHY_RUNS} times of ${HEALTHY_RUNS}`, async () => {
  for (const network of ["iptables", "nftables", "dualStack"] as const) {
    await using clinic = await Clinic.open(network);
    for (let run = 0; run < HEALTHY_RUNS / 3; run++) {
      const output = await clinic.netns("diagnose", "patient");
      assertEquals([output.code, output.stderr], [0, ""], output.stdout);
      assert(output.stdout.startsWith("patient is healthy"), output.stdout);
    }
  }
});

/** Networks of other kinds than the clinic's own. */
const KINDS: Readonly<Record<string, NetworkConfig[]>> = {
  "on two bridges": [
    bridgeNetwork("net-a", "10.11.0.0/16"),
    bridgeNetwork("net-b", "10.12.0.0/16"),
  ],
  "of specification 1.0.0, dual stack": [{
    cniVersion: "1.0.0",
    ...bridgeNetwork("net-c", ""),
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "10.13.0.0/16" }], [{ subnet: "2001:db8:13::/64" }]],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    },
  }],
  "point to point": [{
    name: "net-d",
    type: "ptp",
    ipMasq: true,
    ipam: { type: "host-local", subnet: "10.14.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
  }],
  "on a macvlan": [{
    name: "net-e",
    type: "macvlan",
    master: "wan0",
    ipam: {
      type: "host-local",
      subnet: "203.0.113.0/24",
      rangeStart: "203.0.113.100",
      gateway: "203.0.113.2",
    },
  }],
};

Deno.test("a healthy container is healthy on every kind of network, and so are its neighbours", async () => {
  await using clinic = await Clinic.open();
  let number = 0;
  for (const [kind, networks] of Object.entries(KINDS)) {
    const id = `kind-${++number}`;
    await clinic.admit(id, networks);
    const { code, stdout, stderr } = await clinic.netns("diagnose", id);
    assertEquals([code, stderr], [0, ""], `${kind}: ${stdout}`);
  }
  const { code, stdout } = await clinic.netns("diagnose", "neighbour");
  assertEquals(code, 0, stdout);
});

Deno.test("any namespace is diagnosed by a process, without a checkpoint", async () => {
  await using clinic = await Clinic.open();
  const flag = `--pid=${clinic.patient.pid}`;
  assertEquals((await clinic.netns("diagnose", flag)).code, 0);
  await clinic.agent.ok(["ip", "link", "set", BRIDGE, "down"]);
  const { code, stdout } = await clinic.netns("diagnose", flag);
  assertEquals(code, 1);
  assertStringIncludes(stdout, `cause: the bridge ${BRIDGE} is down`);
});

Deno.test("a finding has evidence that was measured, and a remedy", async () => {
  await using clinic = await Clinic.open();
  await clinic.agent.ok(["iptables", "-t", "nat", "-F", CHAIN]);
  const { findings } = JSON.parse((await clinic.netns("diagnose", "patient", "--json")).stdout);
  assertEquals(findings[0].cause, "dnat_missing");
  assertStringIncludes(findings[0].evidence.join(), "nat PREROUTING has no rule for it");
  assertStringIncludes(findings[0].remedy, "mesos-cni isolator recover");
});

Deno.test("what keeps an executor from its agent is told apart, and comes before DNS", async () => {
  await using clinic = await Clinic.open();
  await clinic.admit("routeless", [
    { ...bridgeNetwork("net-r", ""), ipam: { type: "host-local", subnet: "10.15.0.0/16" } },
  ]);
  const place = "203.0.113.1:5051";
  const find = async (id: string, ...flags: string[]) => {
    const { code, stdout } = await clinic.netns("diagnose", id, "--json", ...flags);
    return { code, findings: JSON.parse(stdout).findings as Record<string, unknown>[] };
  };
  const routeless = await find("routeless");
  assertEquals(routeless.code, 1);
  assertEquals(routeless.findings[0]!.cause, "agent_unreachable");
  assertMatch(`${routeless.findings[0]!.summary}`, /has no route to the agent/);
  assertMatch(`${routeless.findings[0]!.remedy}`, /"routes"[^]* net-r [^]*CNI414/);
  assertMatch(`${routeless.findings[0]!.evidence}`, /ENETUNREACH: network is unreachable/);

  const refused = await find("patient", `--agent=${place}`);
  assertEquals(refused.code, 1);
  assertEquals(refused.findings[0]!.cause, "agent_unreachable");
  assertMatch(`${refused.findings[0]!.summary}`, /listens on another address, or is not running/);
  const guessed = await find("patient");
  assertEquals(guessed.code, 0);
  assertEquals(guessed.findings.map(({ level, cause }) => `${level} ${cause}`), [
    "hint nobody_listens",
    "hint agent_not_found",
  ]);

  await clinic.agent.ok(["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "5051", "-j", "DROP"]);
  const dropped = await find("patient", `--agent=${place}`);
  assertMatch(`${dropped.findings[0]!.remedy}`, /firewall \(INPUT\)/);
});

Deno.test("what follows from a cut is said to follow, and leads nobody astray", async () => {
  await using clinic = await Clinic.open();
  await clinic.agent.ok(["ip", "link", "set", BRIDGE, "down"]);
  const { stdout } = await clinic.netns("diagnose", "patient");
  assertStringIncludes(stdout, "also: the agent leads answers to patient elsewhere");
  assertStringIncludes(stdout, "most likely a consequence of the above");
  assert(!stdout.includes("a VPN"), stdout);
});

kernelTest("--fix asks before each change, and the container is healthy after them", async () => {
  await using clinic = await Clinic.open();
  const { agent, patient } = clinic;
  await patient.ok(["ip", "link", "set", "lo", "down"]);
  await patient.ok(["ip", "route", "del", "default"]);
  await agent.ok(["ip", "link", "set", await clinic.veth(), "nomaster"]);
  await agent.ok(["sysctl", "-w", "net.ipv4.ip_forward=0"]);
  await agent.ok(["iptables", "-t", "nat", "-F", CHAIN]);
  const noTerminal = await clinic.netns("diagnose", "patient", "--fix");
  assertEquals([noTerminal.code, noTerminal.stdout], [2, ""]);
  assertMatch(noTerminal.stderr, /needs a terminal/);

  const command = [MESOS_CNI, "netns", "diagnose", "patient", "--fix"];
  {
    await using pty = new Pty(agent.enter(command), { TERM: "xterm" });
    // deno-lint-ignore no-control-regex
    await pty.expect(/^\x1b\[1mcause: lo is down in patient\x1b\[22m\r\n/);
    await pty.expect(/bring lo up in the container\? \[y\/N\]/);
    pty.type("n\n");
    await pty.expect(/put veth\w+ on mesos-cni0\? \[y\/N\]/);
    pty.type("y\n");
    await pty.expect(/done[^]*add a default route via 10\.1\.0\.1 on eth0\? \[y\/N\]/);
    pty.type("y\n");
    await pty.expect(/done[^]*set net\.ipv4\.ip_forward to 1\? \[y\/N\]/);
    pty.type("y\n");
    await pty.expect(/done[^]*put the container's port rules back\? \[y\/N\]/);
    pty.type("y\n");
    await pty.expect(/done[^]*and now:[^]*cause: lo is down in patient/);
    assertEquals(await pty.ended(), 1);
  }
  const after = await clinic.netns("diagnose", "patient", "--json");
  const problems = JSON.parse(after.stdout).findings
    .filter(({ level }: { level: string }) => level === "problem");
  assertEquals(problems.map(({ cause }: { cause: string }) => cause), ["lo_down"]);
});
