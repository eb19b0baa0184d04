/**
 * Input that somebody sends who keeps to no protocol, by fast-check. What fails prints its seed and
 * path, and is repeated with `MESOS_CNI_TEST_SEED=SEED MESOS_CNI_TEST_PATH=PATH ./dev unit FILE`.
 */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { OperatorError } from "../../lib/base/error.ts";
import { attribute, eachAttribute, nested } from "../../lib/netlink/message.ts";
import { concat } from "../../lib/base/bytes.ts";
import { EMULATED, FULL } from "./scale.ts";

const seed = Deno.env.get("MESOS_CNI_TEST_SEED");
const path = Deno.env.get("MESOS_CNI_TEST_PATH");
const RUNS = FULL ? 20_000 : EMULATED ? 20 : 300;

/** Holds a property against generated values. */
export function forAll<T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => void): void {
  const repeated = seed === undefined ? {} : { seed: Number(seed), ...path ? { path } : {} };
  fc.assert(fc.property(arbitrary, holds), { numRuns: RUNS, ...repeated });
}

/** What `decode` reads, or undefined where it refuses as an operator is told; all else is a defect. */
export function readOrRefused<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof OperatorError) return undefined;
    throw error;
  }
}

/** Lengths that lie, the ends of number ranges, and any other byte. */
const byte = fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 5, 0x7f, 0x80, 0xff), fc.nat(0xff));

/** Bytes with some of them changed, cut off or repeated. */
export function mutated(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const changes = fc.array(fc.tuple(fc.nat(), byte), { maxLength: 4 });
  const cut = fc.option(fc.nat(), { freq: 3 });
  return fc.tuple(valid, changes, cut, fc.boolean()).map(([bytes, changes, cut, twice]) => {
    const changed = concat(twice ? [bytes, bytes] : [bytes]);
    for (const [at, value] of changes) changed[at % changed.length] = value;
    return cut === null ? changed : changed.slice(0, cut % (changed.length + 1));
  });
}

/** Any text, lone halves of surrogate pairs too; fast-check's own takes a second to set up. */
export function anyText(maxLength: number): fc.Arbitrary<string> {
  const point = fc.oneof(fc.nat(0x7f), fc.nat(0x10ffff));
  return fc.array(point, { maxLength }).map((points) => String.fromCodePoint(...points));
}

/** Text with some characters changed, cut off or repeated; `words` are those that mean something. */
export function damaged(
  valid: fc.Arbitrary<string>,
  words: readonly string[] = [],
): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.constantFrom(
      "",
      " ",
      "\n",
      "\0",
      '"',
      "\\",
      "{",
      "[",
      "]",
      ":",
      ",",
      "-",
      "1e999",
      ...words,
    ),
    anyText(3),
  );
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(4), piece), { maxLength: 4 });
  return fc.tuple(valid, changes).map(([text, changes]) =>
    changes.reduce((text, [place, length, piece]) => {
      const at = place % (text.length + 1);
      return text.slice(0, at) + piece + text.slice(at + length);
    }, text)
  );
}

/** Of the lengths that decoders look for, and of others. */
const value = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 4, 8, 16, 36).chain((length) =>
    fc.uint8Array({ minLength: length, maxLength: length })
  ),
  fc.uint8Array({ maxLength: 80 }),
  fc.constantFrom("tbf", "bridge", "match", "comment", "immediate", "counter").map((text) =>
    new TextEncoder().encode(`${text}\0`)
  ),
);

/** Attributes within attributes. */
const attributes = fc.letrec<{ one: Uint8Array; list: Uint8Array[] }>((tie) => ({
  list: fc.array(tie("one"), { maxLength: 6, depthIdentifier: "attributes" }),
  one: fc.tuple(
    fc.oneof({ weight: 9, arbitrary: fc.nat(40) }, fc.nat(0x3fff)),
    fc.oneof(
      { depthSize: "small", withCrossShrink: true, depthIdentifier: "attributes" },
      value,
      tie("list"),
    ),
  ).map(([type, held]) => Array.isArray(held) ? nested(type, held) : attribute(type, held)),
})).list;

/** Attributes of which one, at any depth, is shorter than it was; its length says so. */
function shortened(list: Uint8Array, [place, ...deeper]: readonly number[]): Uint8Array {
  if (place === undefined) return list;
  const all = deeper.length === 0 ? [] : attributesIn(list);
  if (all.length === 0) return list.subarray(0, place % (list.length + 1));
  return concat(
    all.map(([type, value], i) =>
      padded(attribute(type, i === place % all.length ? shortened(value, deeper) : value))
    ),
  );
}

function attributesIn(bytes: Uint8Array): [type: number, value: Uint8Array][] {
  try {
    return [...eachAttribute(bytes)];
  } catch {
    return [];
  }
}

/**
 * The body of a netlink message, mutated: a fixed part of so many bytes, which begins with an address
 * family, and any attributes, or those of a valid body.
 */
export function hostileBody(
  fixed: number,
  valid: readonly Uint8Array[] = [],
): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const family = fc.constantFrom(2, 10, 7, 0, 45, 255);
  const header = fc.uint8Array({ minLength: fixed, maxLength: fixed });
  const soup = fc.tuple(family, header, attributes).map(([family, header, list]) =>
    concat([new Uint8Array([family]), header.subarray(1), ...list.map(padded)])
  );
  if (valid.length === 0) return mutated(soup);
  const place = fc.array(fc.nat(), { maxLength: 5 });
  const one = fc.tuple(fc.constantFrom(...valid), place).map(([body, place]) =>
    concat([body.subarray(0, fixed), shortened(body.subarray(fixed), place)])
  );
  return fc.oneof(mutated(soup), one, mutated(one));
}

/** As a message has it: with what fills it up to four bytes. */
export function padded(part: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((part.length + 3) & ~3);
  bytes.set(part);
  return bytes;
}

/** What a change says, as the body of the message that says it. */
export function bodyOf({ parts }: { parts: readonly Uint8Array[] }): Uint8Array<ArrayBuffer> {
  return concat(parts.map(padded));
}

/** An object without the members that are undefined, as JSON has it. */
export function assertSame(actual: unknown, expected: unknown): void {
  assertEquals(JSON.parse(JSON.stringify(actual)), JSON.parse(JSON.stringify(expected)));
}
