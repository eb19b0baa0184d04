/** The judge of the catalogue: it is strict, or a wrong diagnosis would pass. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  alarmsOf,
  type Diagnosis,
  type Fault,
  faultComplaints,
  filledIn,
  holdsWord,
  type NamedFinding,
  type Outcome,
  type Setup,
} from "../harness/diagnosis_judge.ts";
import { choiceOf, chosenOf, type List, LISTS } from "../harness/rotation.ts";

const FAULT: Fault = {
  name: "a rule drops the port",
  code: "rule_drop",
  mechanism: "iptables",
  place: "agent",
  names: "8080",
  steps: [],
};
const FOUND: NamedFinding = {
  code: "rule_drop",
  mechanism: "iptables",
  place: "agent",
  text: "iptables filter FORWARD drops port 8080/tcp",
  remedy: "delete the rule",
  evidence: [],
  level: "problem",
  fix: { commands: [["iptables", "-D"]] },
};
const HEALTHY: Diagnosis = { code: 0, findings: [], asked: [], stderr: "" };
const ill = (...findings: NamedFinding[]): Diagnosis => ({ ...HEALTHY, code: 1, findings });
const other: NamedFinding = { ...FOUND, code: "dns_refused", mechanism: "dns", place: "outside" };

function outcome(change: Partial<Outcome<Fault>> = {}): Outcome<Fault> {
  return {
    setup: FAULT,
    variables: { VETH: "veth1", ADDR: "10.1.0.2" },
    diagnosis: ill(FOUND),
    mendings: [{
      finding: FOUND,
      commands: [{ argv: ["iptables", "-D"], code: 0, stderr: "" }],
      after: HEALTHY,
    }],
    ms: 0,
    ...change,
  };
}
const mended = (change: Partial<Outcome["mendings"][number]>) =>
  outcome({ mendings: [{ ...outcome().mendings[0]!, ...change }] });

Deno.test("a fault that is named in each of its fields, and mended, is right", () => {
  assertEquals(faultComplaints(outcome()), []);
  assertEquals(faultComplaints(outcome({ mendings: [] })), []);
});

const WRONG: Record<string, [Outcome<Fault>, string]> = {
  "another code": [outcome({ diagnosis: ill({ ...FOUND, code: "policy_drop" }) }), "code is"],
  "another mechanism": [
    outcome({ diagnosis: ill({ ...FOUND, mechanism: "nftables" }) }),
    "mechanism is nftables, not iptables",
  ],
  "another place of the same machine": [
    outcome({ diagnosis: ill({ ...FOUND, place: "uplink" }) }),
    "place is uplink, not agent",
  ],
  "a hint": [outcome({ diagnosis: ill({ ...FOUND, level: "hint" }) }), "level is hint"],
  "the cause second": [outcome({ diagnosis: ill(other, FOUND) }), "code is dns_refused"],
  "nothing, with exit code 1": [outcome({ diagnosis: ill() }), "nothing was found"],
  "the cause, with exit code 0": [
    outcome({ diagnosis: { ...ill(FOUND), code: 0 } }),
    "diagnose ended with 0",
  ],
  "the cause, after a crash": [
    outcome({ diagnosis: { ...ill(FOUND), code: 2 } }),
    "diagnose ended with 2",
  ],
  "a text that names something else": [
    outcome({ diagnosis: ill({ ...FOUND, text: "port 18080/tcp is dropped" }) }),
    "does not name 8080",
  ],
  "the name in evidence and remedy alone": [
    outcome({
      diagnosis: ill({ ...FOUND, text: "dropped", evidence: ["8080"], remedy: "8080" }),
    }),
    "does not name 8080",
  ],
  "a set-up that was not made": [outcome({ unmade: "no such device" }), "could not be made"],
  "a remedy that fails": [
    mended({ commands: [{ argv: ["iptables", "-D"], code: 1, stderr: "no such rule\n" }] }),
    "iptables -D ended with 1: no such rule",
  ],
  "a remedy that changes nothing": [mended({ after: ill(FOUND) }), "its remedy mended nothing"],
  "a remedy that breaks something else": [mended({ after: ill(other) }), "it is not healthy"],
  "a remedy that leaves the same behind another text": [
    mended({ after: ill({ ...FOUND, text: "port 8080/tcp is lost" }) }),
    "it is not healthy",
  ],
  "a remedy after which diagnosis crashes": [
    mended({ after: { ...HEALTHY, code: 2 } }),
    "it is not healthy",
  ],
};

for (const [what, [wrong, complaint]] of Object.entries(WRONG)) {
  Deno.test(`of a fault, wrong is: ${what}`, () => {
    const complaints = faultComplaints(wrong);
    assert(complaints.some((one) => one.includes(complaint)), complaints.join("\n"));
  });
}

Deno.test("of a pair either comes first, the other after it, and nothing else", () => {
  const setup = {
    ...FAULT,
    second: { code: "dns_refused", mechanism: "dns", place: "outside", names: "8080" },
  };
  const judge = (change: Partial<Outcome<Fault>>) =>
    faultComplaints({ ...outcome(), setup, ...change }).length === 0;
  const [mending] = outcome().mendings;
  // The second cause has no remedy that a program could run.
  assert(judge({ mendings: [{ ...mending!, after: ill({ ...other, fix: undefined }) }] }));
  assert(judge({
    mendings: [{ ...mending!, after: ill(other) }, {
      finding: other,
      commands: [],
      after: HEALTHY,
    }],
  }));
  assert(judge({ diagnosis: ill(other, FOUND), mendings: [] }));
  const third = { ...FOUND, code: "policy_drop" };
  assert(!judge({ diagnosis: ill(third, FOUND) }));
  assert(!judge({ mendings: [{ ...mending!, after: ill(third) }] }));
});

Deno.test("a word is no part of another one", () => {
  for (
    const [text, word] of [
      ["port 80 is", "80"],
      ["10.1.0.2/16", "10.1.0.2"],
      ["dnat to 192.0.2.9:80", "192.0.2.9"],
      ["net.ipv4.conf.br0.arp_ignore is 8", "arp_ignore"],
      ["one address, 02:00:00:00:0a:01: the", "02:00:00:00:0a:01"],
      ["a Blackhole", "blackhole"],
      ["-A FORWARD -j DROP", "-j DROP"],
    ] as const
  ) assert(holdsWord(text, word), `${word} in ${text}`);
  for (
    const [text, word] of [
      ["port 8080", "80"],
      ["10.1.0.20", "10.1.0.2"],
      ["110.1.0.2", "10.1.0.2"],
      ["10.1.0.2.3", "10.1.0.2"],
      ["wan0-1 is down", "wan0"],
      ["2001:db8::1:2", "2001:db8::1"],
      ["2001:db8:1::2", "db8:1::2"],
      ["masquerades", "masquerade"],
      ["", "80"],
    ] as const
  ) assert(!holdsWord(text, word), `${word} in ${text}`);
  assertEquals(
    filledIn("via VETH from $ADDR", { VETH: "v1", ADDR: "10.1.0.2" }),
    "via v1 from 10.1.0.2",
  );
  assertThrows(() => filledIn("$NOTHING", {}), Error, "no variable NOTHING");
});

Deno.test("health is exit code 0, no problem, and an answer to each question", () => {
  const asked = Array.from({ length: 9 }, (_, i) => ({
    topic: "t",
    text: `question ${i}`,
    outcome: "answered",
    detail: "",
  }));
  const judge = (change: Partial<Diagnosis>, setup: Partial<Setup> = {}) =>
    alarmsOf({
      ...outcome(),
      setup: { name: "healthy", steps: [], ...setup },
      diagnosis: { ...HEALTHY, asked, ...change },
    }).length === 0;
  assert(judge({}));
  assert(judge({ findings: [{ ...FOUND, level: "hint" }] }));
  assert(!judge({ code: 1 }));
  assert(!judge({ findings: [FOUND] }));
  assert(!judge({ asked: asked.slice(1) }));
  const with_ = (outcome: string) => ({ asked: [{ ...asked[0]!, outcome }, ...asked.slice(1)] });
  assert(!judge(with_("failed")));
  assert(!judge(with_("unasked")));
  assert(judge(with_("unasked"), { unasked: ["question 0"] }));
  assert(!judge({}, { unasked: ["question 0"] }));
  assert(!judge({}, { unasked: ["question 10"] }));
});

const read = <S extends Setup>(list: List): S[] =>
  JSON.parse(Deno.readTextFileSync(new URL(`../fixtures/diagnosis/${list}.json`, import.meta.url)));

Deno.test("each fault of the catalogue says what it is, by words that can be missed", () => {
  const causes = (["faults", "outside"] as const).flatMap((list) => read<Fault>(list))
    .flatMap((
      fault,
    ) => [{ ...fault }, ...fault.second ? [{ ...fault.second, name: fault.name }] : []]);
  for (const { name, code, mechanism, place, names } of causes) {
    for (const value of [code, mechanism, place].flat()) {
      assert(/^[a-z][a-z0-9_-]+$/.test(value), `${name}: ${value}`);
    }
    assert(names !== undefined && names.length > 1, `${name} names nothing`);
  }
});

Deno.test("where more than one answer is right, the set-up says why", () => {
  for (
    const { name, code, mechanism, place, why } of [
      ...read<Fault>("faults"),
      ...read<Fault>("outside"),
    ]
  ) {
    if ([code, mechanism, place].some(Array.isArray)) assert(why, name);
  }
});

Deno.test("no two set-ups have one name", () => {
  const names = LISTS.flatMap((list) => read(list).map(({ name }) => `${list} ${name}`));
  assertEquals(names.length, new Set(names).size);
});

Deno.test("a commit always makes the same set-ups, and the commits together make all", () => {
  const setups = Array.from({ length: 107 }, (_, i) => ({ name: `${i}` }));
  const of = (commit: number) =>
    chosenOf("faults", setups, choiceOf(commit.toString(16).padStart(12, "0").padEnd(40, "f")));
  assertEquals(of(7), of(7));
  const parts = Array.from({ length: 18 }, (_, i) => of(i));
  assert(parts.every(({ length }) => length === 5 || length === 6));
  assertEquals(parts.flat().map(({ name }) => Number(name)).sort((a, b) => a - b).length, 107);
  assertEquals(new Set(parts.flat()).size, 107);
  assertEquals(of(18), of(0));
});

Deno.test("all, a part, and what has a word in its name are chosen by hand", () => {
  const setups = [{ name: "a route" }, { name: "a rule" }, { name: "a veth" }];
  const of = (text: string) => chosenOf("faults", setups, choiceOf(text)).map(({ name }) => name);
  assertEquals(of("all").length, 3);
  assertEquals([...of("1/2"), ...of("2/2")], ["a route", "a veth", "a rule"]);
  assertEquals(of("route,veth"), ["a route", "a veth"]);
  assertEquals(of("faults:").length, 3);
  assertEquals(of("outside:"), []);
  assertThrows(() => of("3/2"), Error, "no part");
  assertThrows(() => of("0/2"), Error, "no part");
  assertThrows(() => of(","), Error, "names no set-up");
});
