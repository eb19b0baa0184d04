/** Next hops of the agent's: one that answers who it is and passes nothing on, and one that a rule makes silent. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Clinic } from "../harness/clinic.ts";
import { Sandbox } from "../harness/sandbox.ts";

interface Finding {
  code: string;
  text: string;
  level: string;
}

const BEYOND = "198.51.100.7";

Deno.test("of two next hops the one that passes nothing on is named, whichever the kernel has chosen", async () => {
  await using clinic = await Clinic.open();
  await using idle = await Sandbox.create();
  const { agent, outside } = clinic;
  await outside.ok(["ip", "address", "add", `${BEYOND}/32`, "dev", "lo"]);
  await outside.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  const wire = ["ip", "link", "add", "wan0-b", "type", "veth", "peer", "name", "wan0"];
  await agent.ok([...wire, "netns", String(idle.pid)]);
  await agent.ok(["ip", "link", "set", "wan0-b", "master", "wan0", "up"]);
  await idle.ok(["ip", "address", "add", "203.0.113.5/24", "dev", "wan0"]);
  await idle.ok(["ip", "link", "set", "wan0", "up"]);
  await agent.ok(["sysctl", "-w", "net.ipv4.fib_multipath_hash_policy=1"]);
  const hops = (...all: string[]) =>
    agent.ok([
      ...["ip", "route", "replace", "default"],
      ...all.flatMap((one) => ["nexthop", "via", one, "dev", "wan0"]),
    ]);
  const follow = async () => {
    const args = ["diagnose", "--from=patient", `--to=${BEYOND}:80`, "--json"];
    const { stdout, code } = await clinic.netns(...args);
    const findings: Finding[] = JSON.parse(stdout).findings;
    return { code, problems: findings.filter(({ level }) => level === "problem") };
  };
  await hops(outside.address, "203.0.113.5");
  const { code, problems } = await follow();
  assertEquals(code, 1);
  assertEquals(problems[0]?.code, "next_hop_swallows", JSON.stringify(problems));
  assertMatch(problems[0]!.text, /^203\.0\.113\.5 on wan0.* passes nothing on to 198\.51\.100\.7/);
  // By a route of its own it takes the one that does.
  await agent.ok(["ip", "route", "add", "198.51.100.0/24", "via", outside.address]);
  assertEquals(await follow(), { code: 0, problems: [] });
  await agent.ok(["ip", "route", "del", "198.51.100.0/24"]);
  // Two that pass it on.
  await idle.ok(["ip", "address", "del", "203.0.113.5/24", "dev", "wan0"]);
  await outside.ok(["ip", "address", "add", "203.0.113.5/24", "dev", "eth0"]);
  await agent.ok(["ip", "neigh", "flush", "dev", "wan0"]);
  assertEquals(await follow(), { code: 0, problems: [] });
});

Deno.test("a router whose advertisements a rule of the agent drops is not called silent: it is the rule", async () => {
  await using clinic = await Clinic.open("servicesDual");
  const { agent } = clinic;
  const healthy = await clinic.netns("diagnose", "patient", "--json");
  const { asked }: { asked: { text: string; detail: string }[] } = JSON.parse(healthy.stdout);
  const hops = asked.find(({ text }) => text === "the next hops of its routes answer");
  assertMatch(hops!.detail, /2001:db8:113::2 on wan0: [0-9a-f]{2}:/);
  await agent.ok([
    ...["ip6tables", "-t", "mangle", "-I", "PREROUTING", "-i", "wan0", "-p", "icmpv6"],
    ...["--icmpv6-type", "neighbour-advertisement", "-j", "DROP"],
  ]);
  await agent.ok(["ip", "-6", "neigh", "flush", "dev", "wan0"]);
  const { stdout } = await clinic.netns("diagnose", "patient", "--json");
  const findings: Finding[] = JSON.parse(stdout).findings;
  assertEquals(findings[0]?.code, "rule_drop", JSON.stringify(findings));
  assertMatch(findings[0]!.text, /mangle PREROUTING.*neighbour/);
  assert(
    findings.every(({ code }) => code !== "next_hop_silent" && code !== "neighbour_silent"),
    JSON.stringify(findings),
  );
});
