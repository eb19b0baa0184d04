/** Verdicts over values: what is healthy, where a followed packet stopped, which answers of DNS are wrong, what a fix does. */
import { assert, assertEquals } from "@std/assert";
import { isHealthy } from "../../lib/diagnose/all.ts";
import { hopsOf } from "../../lib/diagnose/follow.ts";
import { endsOf } from "../../lib/diagnose/journey.ts";
import { Session } from "../../lib/diagnose/observe/session.ts";
import type { Sighting } from "../../lib/diagnose/observe/tap.ts";
import { trailAt } from "../../lib/diagnose/place.ts";
import { agentQuestions } from "../../lib/diagnose/questions/agent.ts";
import { type Answers, oldAddress, wrongIn } from "../../lib/diagnose/questions/dns.ts";
import { withoutEcho } from "../../lib/diagnose/questions/gateway.ts";
import type { Answer, Question } from "../../lib/diagnose/questions/question.ts";
import { explain } from "../../lib/diagnose/readers/table.ts";
import { mergeCauses, ofEchoAlone } from "../../lib/diagnose/verdict.ts";
import { type Cause, cause } from "../../lib/facts/cause.ts";
import { textOf } from "../../lib/facts/sentences.ts";
import { link, met, packet, TOKEN, World } from "../harness/world.ts";

Deno.test("a container that could not be asked is not healthy; one that has nothing to ask is", () => {
  const diagnosis = { name: "a", healthy: true, asked: [], causes: [] };
  assertEquals(isHealthy({ id: "a", diagnosis }), true);
  assertEquals(isHealthy({ id: "a", diagnosis: { ...diagnosis, healthy: false } }), false);
  assertEquals(isHealthy({ id: "a", error: "it ended" }), false);
  assertEquals(isHealthy({ id: "a" }), false);
  assertEquals(isHealthy({ id: "a", skipped: "it uses the agent's own network" }), true);
});

Deno.test("a gateway without an echo: the agent takes what is seen coming in, and others may answer late", () => {
  const seen = (at: string, direction: "in" | "out", type: 0 | 8): Sighting => ({
    ...{ at, direction, length: 60 },
    packet: packet(type, type === 8),
  });
  const said = (kind: string, gateway: string, answers: string[], ...all: Sighting[]) => {
    const world = new World();
    world.inside.links[1] = link(5, "eth0", { kind, peerIndex: kind === "veth" ? 3 : 4 });
    const scene = world.scene();
    const ends = endsOf(scene, scene.interfaces[0]!)!;
    const of = { failure: { kind: "silence" }, answers } as const;
    const session = { of: () => all, at: Session.prototype.at } as never;
    const answer = withoutEcho(scene, ends, gateway, of, TOKEN, session);
    return answer.failure?.kind ?? answer.outcome;
  };
  const [agents, others] = ["203.0.113.1", "203.0.113.9"];
  const [inside, below] = [seen("eth0 of web", "out", 8), seen("wan0", "out", 8)];
  assertEquals(said("veth", agents, [], inside, seen("veth1", "in", 8)), "silence");
  assertEquals(said("veth", agents, [], inside, seen("br0", "in", 8)), "answered");
  assertEquals(said("vlan", agents, [], inside), "silence");
  assertEquals(said("macvlan", agents, ["02:00:00:00:00:66"], inside, below), "silence");
  // By a macvlan of the agent's on the same device.
  assertEquals(said("macvlan", agents, [], inside, seen("wan0", "in", 8)), "answered");
  const late = seen("wan0", "in", 0);
  assertEquals(said("macvlan", others, ["02:00:00:00:00:09"], inside, below, late), "answered");
  assertEquals(said("macvlan", others, [], inside, below, late), "answer_lost");
});

Deno.test("a hop stopped a packet only where no later one saw it", () => {
  const { trail } = new World().evidence(8);
  let outcome: Answer["outcome"] = "failed";
  const outcomes = (...seen: number[]) =>
    hopsOf(
      trailAt(trail.journey, trail.seen.map((one, i) => seen.includes(i) ? one : undefined)),
      { outcome, detail: "" },
    ).slice(0, 5).map(({ outcome }) => outcome);
  const [passed, stopped, unknown] = ["passed", "stopped", "unknown"];
  assertEquals(outcomes(0, 1), [passed, passed, stopped, unknown, unknown]);
  assertEquals(outcomes(0, 2), [passed, unknown, passed, stopped, unknown]);
  assertEquals(outcomes(), [stopped, unknown, unknown, unknown, unknown]);
  // What was not sent was stopped nowhere.
  outcome = "unasked";
  assertEquals(outcomes(), Array(5).fill(unknown));
});

Deno.test("an agent's port is asked of an executor; of others where somebody listens there", async () => {
  const world = new World();
  const scene = world.scene();
  Object.assign(scene.container!, { keeper: "mesos-cni" });
  const [question] = agentQuestions(scene, { listeners: () => [] });
  assertEquals(question!.destination, "203.0.113.1");
  const nothing = { of: () => [], at: () => [], deep: false } as never;
  assertEquals((await question!.ask(TOKEN, nothing, 0)).outcome, "unasked");
});

const RESOLVER = {
  servers: [],
  search: [],
  ndots: 1,
  timeout: 5,
  attempts: 2,
  file: "",
  hosts: [],
  useTcp: false,
};

function answers(root: string, known: string, host: string, more: Partial<Answers> = {}): Answers {
  const one = (outcome: string) => ({
    outcome,
    addresses: outcome === "NOERROR" ? ["192.0.2.1"] : [],
    ms: 1,
    isAlias: false,
    truncated: false,
    strange: 0,
  });
  return {
    root: one(root),
    known: one(known),
    own: [one(root), one(host)],
    aaaa: one(root),
    searched: [],
    ...more,
  };
}

Deno.test("which answers of a DNS server are wrong: a closed site's, which knows its own names, are not", () => {
  const code = (all: Answers) => {
    const wrong = wrongIn(all, RESOLVER);
    return wrong?.kind === "dns" ? wrong.code : wrong?.kind;
  };
  assertEquals(code(answers("NOERROR", "NOERROR", "NXDOMAIN")), undefined);
  assertEquals(code(answers("REFUSED", "REFUSED", "NOERROR")), undefined);
  assertEquals(code(answers("REFUSED", "REFUSED", "NXDOMAIN")), undefined);
  assertEquals(code(answers("REFUSED", "REFUSED", "REFUSED")), "REFUSED");
  assertEquals(code(answers("SERVFAIL", "SERVFAIL", "NOERROR")), "SERVFAIL");
  assertEquals(code(answers("timed out", "timed out", "NOERROR")), "silence");
  const { known: aaaa } = answers("NOERROR", "NOERROR", "NOERROR");
  assertEquals(code(answers("timed out", "NOERROR", "NOERROR", { aaaa })), "silence");
  assertEquals(code(answers("NXDOMAIN", "NXDOMAIN", "NXDOMAIN")), "NXDOMAIN");
  assertEquals(code(answers("ECONNREFUSED", "timed out", "timed out")), "errno");
});

Deno.test("a fix deletes what it names, and no more than it says", async () => {
  const grown = { kind: "qdisc", device: "wan0", type: "ingress", name: "ingress ffff:", count: 1 };
  const [ingress] = await explain(new World().evidence(3, { grown: [grown as never] }));
  assertEquals(ingress!.fix, {
    removes: "the queue ingress ffff: of wan0",
    commands: [["tc", "qdisc", "del", "dev", "wan0", "ingress"]],
  });
  // Of queues within queues each has counted it.
  const inner = { ...grown, type: "blackhole", name: "blackhole 8001:" };
  const outer = { ...grown, type: "htb", name: "htb 1:" };
  const [queue] = await explain(new World().evidence(3, { grown: [outer, inner] as never }));
  assertEquals([queue!.value, queue!.fix!.commands[0]!.at(-1)], ["queue blackhole 8001:", "root"]);
  const filter = { kind: "filter", device: "wan0", direction: "egress", name: "u32", count: 1 };
  const [egress] = await explain(new World().evidence(3, { grown: [filter as never] }));
  assertEquals(egress!.fix, {
    removes: "all filters at the egress of wan0",
    commands: [["tc", "filter", "del", "dev", "wan0", "egress"]],
  });
});

Deno.test("where a policy drops, what containers send may pass, its answers, and what is for their ports", async () => {
  const policy = met("drop", {
    kind: "policy",
    handle: undefined,
    family: "inet",
    table: "t",
    chain: "fwd",
    input: 2,
    output: 4,
  });
  const world = new World();
  const evidence = world.evidence(3, { rules: [policy] });
  const [first] = await explain({
    ...evidence,
    ruleOf: (one) =>
      evidence.ruleOf(one).then(({ ref, ...known }) => ({
        ...known,
        ref: { ...ref, program: "nft", family: "inet", table: "t", chain: "fwd" },
      })),
  });
  const insert = (words: string) => `nft insert rule inet t fwd ${words} accept`.split(" ");
  assertEquals(first!.fix!.commands, [
    insert("iifname br0"),
    insert("oifname br0 ct state established,related"),
    insert("oifname br0 ct status dnat"),
  ]);
});

Deno.test("of a silence outside it is said whether the agent itself is answered", async () => {
  for (
    const [ofAgent, begins] of [
      ["timed out", "203.0.113.2 does not answer: "],
      ["answered", "203.0.113.2 answers the agent and not web: "],
    ]
  ) {
    const world = Object.assign(new World(), { ofAgent });
    world.checkpoint.plugins[0]!.ipMasq = false;
    const [first] = await explain(world.evidence(4));
    assertEquals(first!.code, "outside_silent");
    assertEquals(textOf(first!).slice(0, begins!.length), begins);
    assert(first!.seen.includes(`the agent itself asked 203.0.113.2: ${ofAgent}`));
  }
});

Deno.test("of more causes than can be read the first are told, and proofs are told once", () => {
  const many = Array.from(
    { length: 60 },
    (_, i) => cause("link_down", ["link", "uplink"], { device: `eth${i}` }, ["it is down"]),
  );
  const merged = mergeCauses([...many, ...many], []);
  assertEquals([merged.length, merged[0]!.device, merged[0]!.seen], [20, "eth0", ["it is down"]]);
});

Deno.test("an address that DNS has for the agent's name is old where it is not the agent's and nobody is there", async () => {
  const { known } = answers("NOERROR", "NOERROR", "NOERROR");
  const old = (address: string, all = "", isTaken = false) =>
    oldAddress(
      new World().scene(),
      { own: [{ ...known, addresses: [address] }], known: { ...known, addresses: [all] } },
      () => Promise.resolve(isTaken),
    );
  assertEquals(await old("203.0.113.66"), "203.0.113.66");
  // A router's, which leads to it; the agent's; and that of a server that has one for all names.
  assertEquals(await old("203.0.113.66", "", true), undefined);
  assertEquals(await old("203.0.113.1"), undefined);
  assertEquals(await old("203.0.113.66", "203.0.113.66"), undefined);
});

Deno.test("what is lost for no reason that was found comes after what was read, and follows from it at its place", () => {
  const lost = cause("packets_lost", ["link", "container"], { value: "2 of 5 are lost" });
  const elsewhere = cause("lost", ["route", "agent"], {});
  const shared = cause("duplicate_address", ["duplicate", "container"], { address: "10.1.0.3" });
  assertEquals(
    mergeCauses([lost, elsewhere], [shared]).map((
      { code, consequenceOf },
    ) => [code, consequenceOf]),
    [
      ["duplicate_address", undefined],
      ["packets_lost", "duplicate_address"],
      ["lost", undefined],
    ],
  );
});

Deno.test("what a firewall drops of echoes alone is a hint, and opens nothing", async () => {
  const policy = { kind: "policy", handle: undefined } as const;
  const e = new World().evidence(3, { rules: [met("drop", policy)] });
  const lost = await explain(e);
  assertEquals([lost[0]!.code, lost[0]!.fix?.removes !== undefined], ["policy_drop", true]);
  const of = (more: Partial<Question>): Question => ({ ...e.question, ...more });
  const dns = of({ topic: "dns", protocol: "udp" });
  const tcp = of({ topic: "dns", protocol: "tcp" });
  const levels = (causes: Cause[], question: Question, ...answered: Question[]) =>
    ofEchoAlone(causes, question, answered)?.map(({ level, fix }) => [level, fix]);
  assertEquals(levels(lost, e.question, tcp), [["hint", undefined]]);
  assertEquals(levels(lost, of({ sizes: true }), tcp), [["hint", undefined]]);
  // A policy may let names alone pass, and TCP by another link.
  assertEquals(levels(lost, e.question, dns), undefined);
  const { journey } = e.question;
  const wg0 = { ...journey.legs[2]!, stop: { ...journey.legs[2]!.stop, link: link(9, "wg0") } };
  const byWg0 = { ...journey, legs: journey.legs.with(3, wg0) };
  assertEquals(levels(lost, e.question, of({ protocol: "tcp", journey: byWg0 })), undefined);
  // What passes goes another way, or is an echo too; or the lost one is none.
  const elsewhere = { ...e.trail.journey, to: "agent" as const };
  assertEquals(levels(lost, e.question, of({ protocol: "tcp", journey: elsewhere })), undefined);
  assertEquals(levels(lost, e.question, of({})), undefined);
  assertEquals(levels(lost, of({ protocol: "tcp" }), tcp), undefined);
  // A small echo passes, or the rule is against one destination.
  assertEquals(levels(lost, of({ sizes: true }), tcp, of({})), undefined);
  const ofRule = (text: string) =>
    levels(
      [{ ...lost[0]!, code: "rule_drop", rule: { ...lost[0]!.rule!, text } }],
      e.question,
      dns,
    );
  for (const text of ["-A FORWARD -p icmp -j DROP", "icmp type 8 drop", "meta l4proto 1 drop"]) {
    assertEquals(ofRule(text), [["hint", undefined]]);
  }
  for (
    const text of [
      "-A FORWARD -d 203.0.113.2 -p icmp -j DROP",
      "-A FORWARD -i br0 -o wan0 -j DROP",
      "-A FORWARD -p all -j REJECT --reject-with icmp-admin-prohibited",
      'oifname "wan0" reject with icmp type 13',
      "-A FORWARD ! -p icmp -j DROP",
    ]
  ) assertEquals(ofRule(text), undefined, text);
});
