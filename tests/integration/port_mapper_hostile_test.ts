/**
 * Hostile values through the compiled program, with real iptables: a sample of fields and values,
 * and all of them with MESOS_CNI_TEST_SCALE=full.
 */
import { assertEquals } from "@std/assert";
import { config, CORPUS, FIELDS } from "../harness/hostile.ts";
import { PortMapperAgent } from "../harness/port_mapper.ts";

const STEP = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full" ? 1 : 83;

Deno.test("hostile values in any field are errors, or mappings that DEL removes whole", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.container("c1");
  const calls = Object.values(FIELDS).flatMap((place) => CORPUS.map((value) => place(value)));
  await agent.script("addresses", `cat >/dev/null; echo '{"ips":[{"address":"10.0.0.2/24"}]}'`);
  const usual = config({ delegate: { type: "addresses" } });
  await agent.ok("ADD", "c1", usual);
  await agent.ok("DEL", "c1", usual);
  const before = await state(agent);
  for (let i = 0; i < calls.length; i += STEP) {
    const hostile = calls[i]!;
    // The delegate gives an address and makes nothing.
    const delegate = hostile.delegate ?? {};
    const isOurs = JSON.stringify(delegate) === '{"type":"bridge"}';
    const own = isOurs ? { ...hostile, delegate: { type: "addresses" } } : hostile;
    const { stdout } = await agent.call("ADD", "c1", own);
    assertEquals(stdout.includes("\\n    at "), false, `a defect: ${stdout}`);
    await agent.call("DEL", "c1", own);
    assertEquals(await agent.leftovers(), [], JSON.stringify(hostile).slice(0, 500));
  }
  // A chain's name that every object of JavaScript has something behind.
  const inherited = { ...usual, chain: "toString" };
  await agent.ok("ADD", "c1", inherited);
  await agent.ok("DEL", "c1", inherited);
  await agent.sandbox.ok(["iptables", "-t", "nat", "-F"]);
  await agent.sandbox.ok(["iptables", "-t", "nat", "-X"]);
  assertEquals(await state(agent), before);
});

/** What a value that got out would change: chains other than the network's, and files. */
async function state(agent: PortMapperAgent): Promise<string> {
  const rules = await agent.sandbox.ok(["sh", "-c", "iptables-save; ip6tables-save"]);
  const chains = rules.split("\n").filter((line) => /^(\*|:[A-Z]+ (ACCEPT|DROP))/.test(line))
    .map((line) => line.replace(/ \[.*/, ""));
  const known = [
    "*nat",
    ":PREROUTING ACCEPT",
    ":INPUT ACCEPT",
    ":OUTPUT ACCEPT",
    ":POSTROUTING ACCEPT",
  ];
  const files = await agent.sandbox.ok(["find", "/run", agent.sandbox.dir, "-maxdepth", "1"]);
  return [...chains.filter((line) => !known.includes(line)), files].join("\n");
}
