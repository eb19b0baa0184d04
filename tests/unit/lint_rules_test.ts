/** Every rule against its own examples, which are what `--explain` prints. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { exampleFiles, explain, ruleTable } from "../../lib/lint/explain.ts";
import { lint } from "../../lib/lint/lint.ts";
import type { Context, Diagnostic, Example, Rule } from "../../lib/lint/rule.ts";
import { bridge } from "../../lib/lint/rules/example.ts";
import { RULES } from "../../lib/lint/rules/mod.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source, type SourceOptions } from "../../lib/lint/source.ts";
import { fakeMachine, fakePlugins } from "../fixtures/lint/machine.ts";

/** What an example can't say in its text: `needs` of the rule. */
interface Setting {
  source?: (options: SourceOptions, isBad: boolean) => SourceOptions;
  context?: (isBad: boolean) => Context;
}

const withMode = (bad: number): Setting => ({
  source: (options, isBad) => ({ ...options, facts: { mode: isBad ? bad : 0o600, uid: 0 } }),
});
const withPlugins = (bad: Record<string, number>): Setting => ({
  context: (isBad) => ({
    plugins: fakePlugins(isBad ? bad : { bridge: 0o755, "host-local": 0o755 }),
  }),
});
const onMachine = (bad: Parameters<typeof fakeMachine>[0] = {}): Setting => ({
  context: (isBad) => ({ machine: fakeMachine(isBad ? bad : {}) }),
});

const SETTINGS: Record<string, Setting> = {
  CNI006: {
    source: (options, isBad) =>
      isBad ? { ...options, content: latin1(options.content as Uint8Array) } : options,
  },
  CNI009: {
    source: (options, isBad) => isBad ? { ...options, content: new Uint8Array(1 << 21) } : options,
  },
  CNI201: {
    source: (options, isBad) =>
      isBad ? { ...options, content: { kind: "dangling link", detail: "/gone" } } : options,
  },
  CNI204: withMode(0o666),
  CNI205: withMode(0o644),
  CNI206: withPlugins({ bridge: 0o755 }),
  CNI207: withPlugins({ bridge: 0o644, "host-local": 0o755 }),
  CNI801: onMachine(),
  CNI802: onMachine(),
  CNI803: onMachine(),
  CNI804: onMachine(),
  CNI805: onMachine({ iptablesVersion: () => undefined }),
  CNI807: onMachine({ canMake: (kind) => kind !== "ipvlan" }),
  CNI808: onMachine(),
  CNI809: onMachine(),
  CNI116: { context: () => ({ reader: "stock-agent" }) },
};

function latin1(utf8: Uint8Array): Uint8Array {
  return Uint8Array.from(new TextDecoder().decode(utf8), (character) => character.charCodeAt(0));
}

function run(rule: Rule, example: Example, isBad: boolean): Diagnostic[] {
  const setting = SETTINGS[rule.code] ?? {};
  const sources = Object.entries(exampleFiles(example)).map(([name, text]) => {
    const options = {
      path: `net.d/${name}`,
      content: new TextEncoder().encode(text),
      listed: true,
    };
    return new Source(setting.source?.(options, isBad) ?? options);
  });
  return lint(sources, new Settings(), setting.context?.(isBad) ?? {});
}

for (const rule of RULES) {
  Deno.test(`${rule.code} ${rule.name}: finds the bad example and not the good one`, () => {
    const bad = run(rule, rule.bad, true).filter((found) => found.code === rule.code);
    assert(bad.length > 0, `nothing found in:\n${JSON.stringify(rule.bad)}`);
    assertEquals(bad[0]!.severity, rule.severity);
    for (const { message, help } of bad) {
      assertMatch(message, /^[^\n]{10,250}[^.\n]$/);
      assertMatch(help, /^[^\n]{3,250}[^.\n]$/);
    }
    const good = run(rule, rule.good ?? bridge(), false);
    assertEquals(good.filter((found) => found.code === rule.code), []);
    assertEquals(
      good.filter((found) => found.severity === "error").map((found) => found.message),
      [],
    );
  });

  Deno.test(`${rule.code} ${rule.name}: --explain has the background and both examples`, () => {
    const text = explain(rule, (text) => text);
    assertMatch(text, new RegExp(`^${rule.code} ${rule.name} \\(${rule.severity}\\): `));
    for (const part of ["\nbad", "\ngood:", rule.why.split(" ")[0]!]) assert(text.includes(part));
    assert(rule.why.length > 25, "too short to explain anything");
  });
}

Deno.test("codes and names are unique, and codes in order", () => {
  const codes = RULES.map((rule) => rule.code);
  assertEquals(codes, [...new Set(codes)].sort());
  assertEquals(new Set(RULES.map((rule) => rule.name)).size, RULES.length);
  for (const { code, name } of RULES) {
    assertMatch(code, /^CNI[0-9]{3}$/);
    assertMatch(name, /^[a-z0-9-]+$/);
  }
});

Deno.test("a rule offers a fix of the safety that it says, and none otherwise", () => {
  for (const rule of RULES) {
    const found = run(rule, rule.bad, true).filter((found) => found.code === rule.code);
    assertEquals(found.find((found) => found.fix)?.fix?.safety, rule.fix, rule.code);
  }
});

Deno.test("docs/lint-rules.md holds the table that the code makes", () => {
  const file = new URL("../../docs/lint-rules.md", import.meta.url);
  const table = ruleTable();
  const text = Deno.readTextFileSync(file);
  assert(text.includes(`\n${table}\n`), `put this into ${file.pathname}:\n\n${table}`);
});
