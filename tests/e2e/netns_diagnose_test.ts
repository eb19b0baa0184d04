/** The compiled program's diagnosis beside the catalogue: networks, handles, findings, --fix. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI, PYTHON } from "../harness/binary.ts";
import { Agent, bridgeNetwork as agentNetwork, until } from "../harness/agent.ts";
import { BRIDGE, CHAIN, Clinic } from "../harness/clinic.ts";
import { kernelTest } from "../harness/kernel.ts";
import { partOf } from "../harness/part.ts";
import { Pty } from "../harness/pty.ts";
import { bridgeNetwork, type NetworkConfig } from "../harness/stock_agent.ts";

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
};

Deno.test("a healthy container is healthy on several networks, and so is its neighbour", async () => {
  await using clinic = await Clinic.open();
  let number = 0;
  for (const [kind, networks] of partOf(Object.entries(KINDS), 2)) {
    const id = `kind-${++number}`;
    await clinic.admit(id, networks);
    const { code, stdout, stderr } = await clinic.netns("diagnose", id);
    assertEquals([code, stderr], [0, ""], `${kind}: ${stdout}`);
  }
  await clinic.neighbour.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  const { code, stdout } = await clinic.netns("diagnose", "neighbour");
  assertEquals(code, 0, stdout);
  assertMatch(stdout, /^neighbour is healthy\n[^]*✓ reaches its gateway 10\.1\.0\.1 by eth0: .*\n/);
  assertMatch(stdout, /✓ port 8081\/tcp is reached from 203\.0\.113\.2 by wan0: .*\n/);
});

Deno.test("any namespace is diagnosed by its handle, without a checkpoint", async () => {
  await using clinic = await Clinic.open();
  const flag = `--netns=/proc/${clinic.patient.pid}/ns/net`;
  const healthy = await clinic.netns("diagnose", flag);
  assertEquals(healthy.code, 0, healthy.stdout);
  await clinic.agent.ok(["ip", "link", "set", BRIDGE, "down"]);
  const { code, stdout } = await clinic.netns("diagnose", flag);
  assertEquals(code, 1);
  assertStringIncludes(stdout, `cause: the bridge ${BRIDGE} is down`);
});

Deno.test("of a container that ends while it is asked, neither health nor a cause is said", async () => {
  await using agent = await Agent.create(agentNetwork("net", "10.216.0.0/16"));
  const diagnose = ["netns", "diagnose", "--runtime_dir=/run/mesos"];
  for (
    const [flag, code, said] of [["web", 1, /error: .*web has ended while/], [
      "--all",
      0,
      /web.*ended/,
    ]] as const
  ) {
    const web = await agent.start("web", ["--networks=net"]);
    const child = agent.sandbox.spawn([MESOS_CNI, ...diagnose, flag]);
    // The first question is on its way.
    await until(
      async () => (await agent.sandbox.ok(["cat", "/proc/net/packet"])).split("\n").length > 2,
      "a tap",
    );
    await web.end();
    await child.stdin.close();
    const { code: ended, stdout, stderr } = await child.output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertMatch(`${out}${err}exit ${ended}`, said);
    assertEquals(ended, code);
  }
});

Deno.test("a finding names the rule, and has evidence and a remedy that follows", async () => {
  await using clinic = await Clinic.open();
  await clinic.agent.ok(["iptables", "-A", "FORWARD", "-s", clinic.address, "-j", "DROP"]);
  const { findings } = JSON.parse((await clinic.netns("diagnose", "patient", "--json")).stdout);
  const [first] = findings;
  assertEquals([first.code, first.mechanism, first.place], ["rule_drop", "iptables", "agent"]);
  assertStringIncludes(first.text, `-A FORWARD -s ${clinic.address}/32 -j DROP`);
  assertStringIncludes(first.evidence.join(), "the kernel's trace: ip filter FORWARD");
  assertStringIncludes(first.evidence.join(), `arriving on ${BRIDGE}; never seen leaving by wan0`);
  // One line to paste, and nothing behind it.
  assertEquals(
    first.remedy,
    `iptables -w -t filter -D FORWARD -s ${clinic.address}/32 -j DROP`,
  );
});

Deno.test("what keeps an executor from its agent is told apart", async () => {
  await using clinic = await Clinic.open();
  await clinic.admit("routeless", [
    { ...bridgeNetwork("net-r", ""), ipam: { type: "host-local", subnet: "10.15.0.0/16" } },
  ]);
  await clinic.patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  const place = "203.0.113.1:5051";
  const nowhere = "203.0.113.1:5050";
  const find = async (id: string, ...flags: string[]) => {
    const { code, stdout } = await clinic.netns("diagnose", id, "--json", ...flags);
    return { code, findings: JSON.parse(stdout).findings as Record<string, unknown>[] };
  };
  const routeless = await find("routeless");
  assertEquals(routeless.code, 1);
  assertMatch(`${routeless.findings[0]!.text}`, /routeless has no route to 203\.0\.113\.1/);
  assertMatch(`${routeless.findings[0]!.remedy}`, /"routes"[^]* net-r [^]*CNI414/);

  const refused = await find("patient", `--agent=${nowhere}`);
  assertEquals([refused.code, refused.findings[0]!.code], [1, "agent_unreachable"]);
  assertMatch(`${refused.findings[0]!.text}`, /listens on another address, or is not running/);
  assertEquals((await find("patient")).code, 0);

  await clinic.agent.ok(["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "5051", "-j", "DROP"]);
  const dropped = await find("patient", `--agent=${place}`);
  assertMatch(
    `${dropped.findings[0]!.text}`,
    /iptables filter INPUT drops the packet: .*--dport 5051/,
  );
});

kernelTest("--fix asks before each change, and asks the question again after them", async () => {
  await using clinic = await Clinic.open();
  const { agent, patient } = clinic;
  await patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  await agent.ok(["sysctl", "-w", "net.ipv4.ip_forward=0"]);
  await agent.ok(["iptables", "-t", "nat", "-F", CHAIN]);
  const noTerminal = await clinic.netns("diagnose", "patient", "--fix");
  assertEquals([noTerminal.code, noTerminal.stdout], [2, ""]);
  assertMatch(noTerminal.stderr, /needs a terminal/);

  const command = [MESOS_CNI, "netns", "diagnose", "patient", "--fix"];
  {
    await using pty = new Pty(agent.enter(command), { TERM: "xterm" });
    // deno-lint-ignore no-control-regex
    await pty.expect(/^\x1b\[1mcause: the agent does not forward IPv4[^\r]*\x1b\[22m\r\n/);
    await pty.expect(/ {2}sysctl -w net\.ipv4\.ip_forward=1\r\nrun this\? \[y\/N\]/);
    pty.type("y\n");
    await pty.expect(/done[^]* {2}mesos-cni isolator recover\r\nrun this\? \[y\/N\]/);
    pty.type("n\n");
    await pty.expect(
      /and now:[^]*cause: what the ports of patient need is missing|and now:[^]*cause: no rule leads port 8080\/tcp to patient/,
    );
    assertEquals(await pty.ended(), 1);
  }
  {
    await using pty = new Pty(agent.enter(command), { TERM: "xterm" });
    await pty.expect(/ {2}mesos-cni isolator recover\r\nrun this\? \[y\/N\]/);
    pty.type("y\n");
    await pty.expect(/and now:[^]*patient is healthy/);
    assertEquals(await pty.ended(), 0);
  }
});

/** A program with two threads, of which the first is in a network for so many seconds. */
const VISIT = `
import ctypes, os, sys, threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
libc, own, there = ctypes.CDLL(None), os.open("/proc/self/ns/net", 0), os.open(sys.argv[1], 0)
assert libc.setns(there, 0) == 0
print("inside", flush=True)
time.sleep(float(sys.argv[2]))
assert libc.setns(own, 0) == 0
print("back", flush=True)`;

Deno.test("the end of a container is not the end of who looks into it from outside", async () => {
  await using agent = await Agent.create(agentNetwork("net", "10.216.0.0/16"));
  const web = await agent.start("web", ["--networks=net"]);
  const handle = "/run/mesos/isolators/network/cni/web/ns";
  const visitor = agent.spawn([PYTHON, "-c", VISIT, handle, "0.2"]);
  const lodger = agent.spawn([PYTHON, "-c", VISIT, handle, "50"]);
  for (const one of [visitor, lodger]) await one.printed(/inside/);
  await web.end();
  const ends = [await visitor.output(), await lodger.output()];
  assertEquals(ends.map(({ code, stdout }) => [code, stdout]), [
    [0, "inside\nback\n"],
    // Who stays is one of the container's, wherever its other threads are.
    [137, "inside\n"],
  ]);
});
