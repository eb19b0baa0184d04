/**
 * Hostile values through the compiled program, with real iptables: a sample of fields and values,
 * and all of them with MESOS_CNI_TEST_SCALE=full.
 */
import { assertEquals } from "@std/assert";
import { config, CORPUS, FIELDS } from "../harness/hostile.ts";
import { partOf } from "../harness/part.ts";
import { type Json, network, PortMapperAgent } from "../harness/port_mapper.ts";

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
  for (const hostile of partOf(calls.filter((_, i) => i % STEP === 0), 5)) {
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

Deno.test("a container with a pair of veths that has the indices of another's wire is not taken for it", async () => {
  await using agent = await PortMapperAgent.create();
  const config = (port: number) => {
    const { delegate, ...own } = network([port], { snat: true, cniVersion: "1.1.0" });
    return { ...own, delegate: { ...delegate as Json, cniVersion: "1.0.0" } };
  };
  await agent.add("victim", config(8080));
  await agent.add("liar", config(8081));
  const inside = (id: string, ...argv: string[]) =>
    agent.sandbox.ok(["ip", "-n", id, "-o", "link", ...argv]);
  const [, index, peer] = /^(\d+): eth0@if(\d+)/.exec(await inside("victim", "show", "eth0"))!;
  await inside("liar", "delete", "eth0");
  const pair = ["eth0", "index", index!, "type", "veth", "peer", "name", "x", "index", peer!];
  await inside("liar", "add", ...pair);
  // What is restored is looked at again.
  await agent.sandbox.ok(["iptables", "-t", "nat", "-F"]);
  const valid = ["victim", "liar"].map((containerID) => ({ containerID, ifname: "eth0" }));
  await agent.ok("GC", "", { ...config(8080), "cni.dev/valid-attachments": valid }, {
    netns: null,
  });
  // The liar is gone, and never detached: its port goes to who asks for it.
  await agent.kill("liar");
  await agent.sandbox.ok(["ip", "netns", "delete", "liar"]);
  await agent.add("next", config(8081));
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
