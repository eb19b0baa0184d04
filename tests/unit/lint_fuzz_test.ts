/** The linter against anything: it neither crashes nor hangs, and its judgement of JSON is right. */
import { lookup } from "../../lib/base/json.ts";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { BASES, mutate } from "../fixtures/lint/mutations.ts";
import { randomFrom } from "../harness/random.ts";
import { EMULATED, FULL, PARTS } from "../harness/scale.ts";
import { repairs } from "../../lib/lint/fix.ts";
import { lint } from "../../lib/lint/lint.ts";
import { reportGithub } from "../../lib/lint/reporters/github.ts";
import { reportJson } from "../../lib/lint/reporters/json.ts";
import { reportSarif } from "../../lib/lint/reporters/sarif.ts";
import { reportText } from "../../lib/lint/reporters/text.ts";
import type { Diagnostic } from "../../lib/lint/rule.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { SIZE_LIMIT, Source } from "../../lib/lint/source.ts";

const MEBIBYTE = SIZE_LIMIT;
const SETTINGS = new Settings();

function check(bytes: Uint8Array, path = "net.conf"): Diagnostic[] {
  const source = new Source({ path, content: bytes });
  const found = lint([source], SETTINGS);
  for (const { range } of found) {
    assert(range.offset >= 0 && range.offset + range.length <= source.text.length);
  }
  reportText(found, { files: 1, color: true });
  reportGithub(found);
  JSON.stringify(reportJson(found, 1));
  JSON.stringify(reportSarif(found));
  return found;
}

function checkText(text: string): Diagnostic[] {
  return check(new TextEncoder().encode(text));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Rules that say "this is not JSON". */
const NO_JSON = ["CNI001", "CNI003", "CNI004", "CNI005", "CNI006", "CNI009"];

/** What looks like JSON from afar. */
const soup = fc.array(
  fc.constantFrom(
    ..."{ } [ ] , : \" ' / // /* */ \\ \\u12 \\x \n \t \0 1 -0 01 1.5e3 true null tru NaN \ufeff é"
      .split(" "),
    '"name"',
    '"type"',
    '"bridge"',
    '"ipam"',
    '"plugins"',
    '"delegate"',
    '"10.1.0.0/16"',
    '"__proto__"',
  ),
  { maxLength: 60 },
).map((parts) => parts.join(""));

/** A config with some characters changed. */
const damaged = fc.tuple(
  fc.constantFrom(...BASES),
  fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'{}[]",:\\/ x0\n\u0001\ud800')), { maxLength: 4 }),
).map(([base, changes]) => {
  let text = JSON.stringify(base, null, 1);
  for (const [at, character] of changes) {
    const i = at % text.length;
    text = text.slice(0, i) + character + text.slice(i + 1);
  }
  return text;
});

/** A config of the right keys with any values. */
const misshapen = fc.tuple(fc.nat(), fc.jsonValue({ maxDepth: 3 })).map(([seed, value]) => {
  const random = randomFrom(seed);
  const { config } = mutate(BASES[seed % BASES.length]!, random);
  const places = Object.keys(config ?? {});
  return JSON.stringify({ ...config as object, [places[seed % places.length]!]: value });
});

const RUNS = FULL ? 5000 : EMULATED ? 20 : PARTS === "all" ? 1000 : 250;

for (
  const [what, text] of [
    ["token soup", soup],
    ["damaged configs", damaged],
    ["configs of any shape", misshapen],
  ] as const
) {
  Deno.test(`${RUNS} times ${what}: no crash, and it is JSON to the linter if it is to the runtime`, () => {
    fc.assert(
      fc.property(text, (text) => {
        // An encoder replaces what is no text.
        const read = new TextDecoder().decode(new TextEncoder().encode(text));
        const isText = isJson(read) && !text.startsWith("\ufeff");
        // Where braces look like a template's, it is that which is said of what is no JSON.
        const codes = isText ? NO_JSON : [...NO_JSON, "CNI012"];
        const refused = checkText(text).some((found) => codes.includes(found.code));
        assertEquals(refused, !isText, JSON.stringify(text));
      }),
      { numRuns: RUNS },
    );
  });
}

Deno.test(`${RUNS} times random bytes: no crash`, () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void check(bytes)),
    { numRuns: RUNS },
  );
});

Deno.test("whatever --fix does leaves JSON, and after a few rounds there is nothing left to do", () => {
  fc.assert(
    fc.property(fc.oneof(damaged, misshapen), (text) => {
      if (!isJson(text)) return;
      // Of fixes that touch, only one is made at a time.
      for (let round = 0; round < 5; round++) {
        const [repair] = repairs(checkText(text));
        if (!repair) return;
        assert(isJson(repair.text), `${text}\n${repair.text}`);
        assert(repair.text !== text, `a fix that changes nothing: ${text}`);
        text = repair.text;
      }
      throw new Error(`still something to fix: ${text}`);
    }),
    { numRuns: 2 * RUNS },
  );
});

const fill = (unit: string) => unit.repeat(Math.floor(MEBIBYTE / unit.length));
const many = (count: number, item: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => item(i)).join(",");

const LARGE: Record<string, string> = {
  "500,000 opening brackets": "[".repeat(500_000),
  "objects in objects": fill('{"a":'),
  "nothing but spaces": fill(" "),
  "one string": `"${"a".repeat(MEBIBYTE - 2)}"`,
  "one long name": `{"name":"n","type":"bridge","bridge":"${"x".repeat(MEBIBYTE - 60)}"}`,
  "comments": `{${fill("/*x*/").slice(0, -40)}"name":"n"}`,
  "trailing commas": `[${many(170_000, () => "[1,]")}]`,
  "one key, many times": `{"name":"n","type":"bridge",${many(170_000, () => '"a":1')}}`,
  "misspelled keys": `{"name":"n","type":"bridge",${many(55_000, (i) => `"isGatwy${i}":1`)}}`,
  "subnets": JSON.stringify({
    name: "n",
    type: "ptp",
    ipam: {
      type: "host-local",
      ranges: Array.from(
        { length: 20_000 },
        (_, i) => [{ subnet: `10.${i >> 8}.${i & 255}.0/24` }],
      ),
      routes: Array(8_000).fill({ dst: "0.0.0.0/0", gw: "192.0.2.1" }),
    },
  }),
  "plugins": JSON.stringify({
    name: "n",
    plugins: Array(25_000).fill({ type: "sbr", bridge: "a" }),
  }),
  "port mappers": JSON.stringify({
    name: "n",
    plugins: [
      { type: "mesos-cni-port-mapper", chain: "C", excludeDevices: Array(40_000).fill("docker0") },
      ...Array(12_000).fill({ type: "mesos-cni-port-mapper", chain: "C" }),
    ],
  }),
  "devices": JSON.stringify({
    name: "n",
    type: "mesos-cni-port-mapper",
    chain: "C",
    excludeDevices: Array(40_000).fill("a-device-too-long-by-far"),
    delegate: { type: "bridge" },
  }),
  "delegates": JSON.stringify({
    name: "n",
    type: "multus",
    delegates: Array(12_000).fill({
      type: "bridge",
      ipam: { type: "host-local", subnet: "10.0.0.0/8" },
    }),
  }),
};

Deno.test(
  "a file of 1 MiB is read to its end, whatever is in it: what takes the square of its length is not",
  { ignore: EMULATED },
  () => {
    for (const [what, text] of Object.entries(LARGE)) {
      assert(text.length > 400_000, what);
      checkText(text.slice(0, MEBIBYTE));
    }
  },
);

Deno.test("a word that every object of JavaScript has something behind is a word like others", () => {
  for (const word of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
    const own = `"${word}": "${word}"`;
    const texts = [
      `{"name": "a", "type": "${word}", "cniVersion": "${word}", ${own}, "ipam": {"type": "${word}", ${own}}}`,
      `{"cniVersion": "1.0.0", "name": "a", "plugins": [
        {"type": "bridge", ${own}, "ipam": {"type": "host-local", ${own}, "routes": [{${own}}]}},
        {"type": "tuning", "capabilities": {"${word}": true}, "sysctl": {${own}, "net.${word}": "1"}},
        {"type": "portmap", "backend": "${word}", "conditionsV4": ["${word}"]}]}`,
      `{"name": "a", "type": "mesos-cni-port-mapper", "chain": "${word}", "delegate": {"type": "${word}", ${own}}}`,
      `{"name": ${word}, "type": "bridge"}`,
    ];
    for (const text of texts) {
      const found = checkText(text);
      assert(found.length > 0, text);
      assert(!/native code|\[object/.test(JSON.stringify(found)), text);
    }
    assertEquals(lookup({ word: 1 }, word), undefined);
  }
});
