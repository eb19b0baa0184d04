/**
 * What stands in for `@std` in a closed network (tools/closed_network) does what `@std` does, over
 * generated input. Where the stand-ins are all there is, there is nothing to hold them against.
 */
import * as assert from "@std/assert";
import * as cli from "@std/cli";
import * as path from "@std/path";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import * as ownAssert from "../../tools/closed_network/assert.ts";
import * as ownCli from "../../tools/closed_network/cli.ts";
import * as ownPath from "../../tools/closed_network/path.ts";
import { anyText, forAll } from "../harness/generated.ts";

const IS_REAL = !import.meta.resolve("@std/assert").includes("/tools/closed_network/");

function test(what: string, hold: () => void | Promise<void>): void {
  const name = IS_REAL ? what : `${what} (not held against @std, which is not here: MESOS_CNI_STD)`;
  Deno.test(`stand-in for @std: ${name}`, { ignore: !IS_REAL }, hold);
}

/** What a call came to: its value, or that it threw, and whether as an assertion that fails. */
function outcome(call: () => unknown): unknown {
  try {
    return { value: call() };
  } catch (error) {
    return { failed: (error as Error).name };
  }
}

async function outcomeOf(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return { value: await call() };
  } catch (error) {
    return { failed: (error as Error).name };
  }
}

const segment = fc.oneof(
  fc.constantFrom("", ".", "..", "a", "b.c", ".d", "e.", "..f", " ", "\\", "%20", "%zz"),
  anyText(3),
);
const anyPath = fc.tuple(
  fc.constantFrom("", "/", "//"),
  fc.array(segment, { maxLength: 5 }),
  fc.constantFrom("", "/", "//"),
).map(([start, parts, end]) => start + parts.join("/") + end);

test("paths", () => {
  forAll(fc.tuple(anyPath, anyPath), ([one, other]) => {
    for (
      const name of ["dirname", "isAbsolute", "basename", "join", "resolve"] as const
    ) {
      const [real, own] = [outcome(() => path[name](one)), outcome(() => ownPath[name](one))];
      assertEquals(own, real, `${name}(${JSON.stringify(one)})`);
    }
    for (const name of ["join", "resolve", "relative"] as const) {
      const [real, own] = [
        outcome(() => path[name](one, other)),
        outcome(() => ownPath[name](one, other)),
      ];
      assertEquals(own, real, `${name}(${JSON.stringify(one)}, ${JSON.stringify(other)})`);
    }
  });
  const url = fc.oneof(
    // Files beside a module, which is all that is asked for.
    anyPath.map((text) => new URL(encodeURI(`./${text}`.toWellFormed()), import.meta.url)),
    fc.constantFrom("http://a/b", "a", import.meta.url),
  );
  forAll(url, (url) => {
    assertEquals(
      outcome(() => ownPath.fromFileUrl(url)),
      outcome(() => path.fromFileUrl(url)),
      `${url}`,
    );
  });
});

class Value {
  constructor(readonly value: unknown) {}
}
const SYMBOL = Symbol();

/** What tests compare: JSON and what it has no place for, some of it equal and some of it nearly so. */
const compared = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom<unknown>(0, -0, NaN, 1, 1n, "", "0", "NaN", true, null, undefined),
    fc.constantFrom(0, 1, 2).map((number) => new Date(number)),
    fc.constantFrom(/a/, /a/g, /b/),
    fc.constantFrom("file:///a", "file:///b").map((text) => new URL(text)),
    fc.uint8Array({ maxLength: 2, max: 1 }),
    fc.uint8Array({ maxLength: 2, max: 1 }).map((bytes) => new Uint16Array(bytes)),
    fc.array(tie("any"), { maxLength: 2 }),
    fc.array(tie("key"), { maxLength: 2 }).map((keys) => new Set(keys)),
    fc.array(fc.tuple(tie("key"), tie("any")), { maxLength: 2 }).map((list) => new Map(list)),
    fc.dictionary(fc.constantFrom("a", "b", "__proto__x"), tie("any"), { maxKeys: 2 }),
    tie("any").map((a) => ({ a, b: undefined })),
    fc.constantFrom("a", "0", 1, null).map((value) => new Value(value)),
    tie("any").map((a) => ({ a, [SYMBOL]: a })),
  ),
  key: fc.constantFrom<unknown>(0, -0, NaN, "0", "a", null, undefined, 1n),
})).any;
const pair = fc.oneof(
  fc.constantFrom([0, -0], [[0], [-0]], [{ a: 0 }, { a: -0 }], [
    new Map([[1, 0]]),
    new Map([[1, -0]]),
  ]),
  fc.tuple(compared, compared),
  compared.map((one) => [one, one]),
  compared.map((one) => [one, structuredCloneOf(one)]),
);

/** The same again, with objects that have a prototype. */
function structuredCloneOf(value: unknown): unknown {
  if (value instanceof URL) return new URL(value);
  if (value instanceof Value) return new Value(value.value);
  if (Array.isArray(value)) return value.map(structuredCloneOf);
  if (value instanceof Map) {
    return new Map([...value].map(([key, one]) => [key, structuredCloneOf(one)]));
  }
  const isPlain = typeof value === "object" && value !== null &&
    [null, Object.prototype].includes(Object.getPrototypeOf(value));
  if (!isPlain) return structuredClone(value);
  return Object.fromEntries(
    Reflect.ownKeys(value).map((key) => [key, structuredCloneOf(Reflect.get(value, key))]),
  );
}

test("what is equal", () => {
  forAll(pair, ([one, other]) => {
    for (const name of ["assertEquals", "assertNotEquals"] as const) {
      const [real, own] = [
        outcome(() => assert[name](one, other)),
        outcome(() => ownAssert[name](one, other)),
      ];
      assertEquals(own, real, name);
    }
  });
});

test("assertions of texts", () => {
  const text = fc.string({ unit: fc.constantFrom(..."ab\n."), maxLength: 4 });
  const pattern = fc.constantFrom("a", "^a", "a$", "b.", "", "a\\n");
  forAll(
    fc.tuple(text, text, pattern, fc.constantFrom("", "m", "s", "g")),
    ([one, other, source, flags]) => {
      const pattern = () => new RegExp(source, flags);
      const calls = [
        ({ assert }: typeof ownAssert) => assert(one),
        ({ assertMatch }: typeof ownAssert) => assertMatch(one, pattern()),
        ({ assertStringIncludes }: typeof ownAssert) => assertStringIncludes(one, other),
      ];
      for (const call of calls) {
        assertEquals(
          outcome(() => call(ownAssert)),
          outcome(() => call(assert as unknown as typeof ownAssert)),
        );
      }
    },
  );
});

class Own extends TypeError {}
const THROWN = [
  new Error("a"),
  new Own("ab"),
  new TypeError("b"),
  new RangeError(""),
  "a",
  undefined,
  null,
  { message: "a" },
];

test("assertions of errors", async () => {
  for (const thrown of THROWN) {
    for (const errorClass of [Error, TypeError, Own]) {
      for (const includes of [undefined, "", "a", "b"]) {
        const fails: (() => unknown)[] = [() => {
          throw thrown;
        }, () => thrown];
        for (const fail of fails) {
          assertEquals(
            outcome(() => ownAssert.assertThrows(fail, errorClass, includes)),
            outcome(() => assert.assertThrows(fail, errorClass, includes)),
          );
          for (const call of [fail as () => Promise<unknown>, async () => await fail()]) {
            assertEquals(
              await outcomeOf(() => ownAssert.assertRejects(call, errorClass, includes)),
              await outcomeOf(() => assert.assertRejects(call, errorClass, includes)),
            );
          }
        }
      }
    }
  }
});

test("command lines", () => {
  const options = {
    "--": true as const,
    boolean: ["json", "dry_run"],
    string: ["_", "name", "n"],
    collect: ["name", "n"],
  };
  const word = fc.oneof(
    fc.constantFrom(
      "",
      "-",
      "0x1f",
      "7e12",
      " 1",
      "true",
      "false",
      "json",
      "a=b",
      "a\nb",
      "_",
      ".",
    ),
    anyText(3).filter((text) => !text.startsWith("-")),
  );
  const flag = fc.oneof(
    fc.constantFrom("--json=true", "--json=false", "--dry_run=", "--json=x", "--name", "--n"),
    fc.tuple(
      fc.constantFrom("name", "n"),
      fc.oneof(word, fc.constantFrom("-1", "--", "--json", "=", "a\nb")),
    )
      .map(([name, value]) => `--${name}=${value}`),
  );
  const args = fc.array(fc.oneof(word, flag), { maxLength: 6 });
  const rest = fc.option(
    fc.array(fc.oneof(word, flag, fc.constantFrom("--", "-x", "--no-json")), { maxLength: 3 }),
  );
  forAll(fc.tuple(args, rest), ([args, rest]) => {
    const line = rest === null ? args : [...args, "--", ...rest];
    assertEquals(ownCli.parseArgs(line, options), cli.parseArgs(line, options));
  });
});
