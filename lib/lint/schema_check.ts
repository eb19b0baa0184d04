/** Holds a plugin's config against its schema. */
import type { Node } from "jsonc-parser";
import { closest, nearest } from "../base/nearest.ts";
import { onceEach } from "../base/once_each.ts";
import type { PluginNode } from "./document.ts";
import { replacing } from "./edits.ts";
import type { Found } from "./rule.ts";
import type { Fields, Schema, Type } from "./schema.ts";
import { COMMON } from "./schemas/common.ts";
import { meant } from "./schemas/elsewhere.ts";
import { ipamSchemaOf, schemaOf } from "./schemas/mod.ts";
import { entries, field, isObject, items, kindOf, property, quote } from "./tree.ts";

/** Who reads an object: messages name it, and how sure a misspelling is depends on it. */
export interface Owner {
  /** Who reads the keys. */
  name: string;
  /** Whether the keys it is known to read are all there are. */
  complete: boolean;
  /** Keys of which one must be there, and none is. */
  lacks?: () => readonly string[];
  /** Where a key of another place belongs. */
  home?: (name: string) => string | undefined;
}

/** Keys of an object that are none of `known`. */
export function* unknownKeys(node: Node, known: Fields, owner: Owner): Generator<Found> {
  let lower: Map<string, string> | undefined;
  let guesses = 0;
  for (const { key, name } of entries(node)) {
    // Guessing what was meant takes time, and nobody has that many wrong keys by mistake.
    if (guesses > 100) return;
    if (Object.hasOwn(known, name) || /^[_$]/.test(name) || name === "") continue;
    if (/[./]/.test(name) && !SYSCTL.test(name)) continue;
    lower ??= new Map(Object.keys(known).map((name) => [name.toLowerCase(), name]));
    const exact = lower.get(name.toLowerCase());
    if (exact && !owner.complete) continue;
    if (exact) {
      yield property(node, exact)
        ? {
          at: key,
          message: `${quote(name)} is ${
            quote(exact)
          } to ${owner.name}, and that stands there as well`,
          help:
            "keep one: plugins in Go take the last of the two, those of mesos-cni the exact one",
        }
        : { ...renamed(node, key, exact, owner), severity: "info" };
      continue;
    }
    guesses++;
    if (!owner.complete) {
      const near = closest(name, Object.keys(known));
      if (near && !property(node, near)) yield renamed(node, key, near, owner);
      continue;
    }
    const home = owner.home?.(name);
    const guess = meant(name, known);
    const lacks = owner.lacks?.();
    if (guess && (!home || lacks?.includes(guess) || !property(node, guess))) {
      const isFatal = lacks?.includes(guess);
      yield { ...renamed(node, key, guess, owner), severity: isFatal ? "error" : "warning" };
    } else if (home) {
      yield {
        at: key,
        severity: lacks?.includes(name) ? "error" : "warning",
        message: `${owner.name} knows no key ${quote(name)} here`,
        help: `${home.startsWith("to ") ? `it belongs ${home}` : `move it ${home}`}`,
      };
    } else {
      yield {
        at: key,
        severity: "info",
        message: `${owner.name} knows no key ${quote(name)}`,
        help: "check the spelling, or whether your version of the plugin has it",
      };
    }
  }
}

/** A key that is a sysctl's, and no extension with a name of its owner's domain. */
const SYSCTL = /^net[./](core|ipv4|ipv6|netfilter)[./]/;

/** Spaces of any width and marks of none, as web pages and word processors put them in. */
const INVISIBLE = /[\s\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u2069\ufeff]/g;

/**
 * A key that is a misspelling of another one. To rename it is safe where a slip of the fingers made
 * it and its owner has no other keys; what was meant by another word is a guess.
 */
export function renamed(
  node: Node,
  key: Node,
  right: string,
  owner: { name: string; complete?: boolean },
): Found {
  const isCase = key.value.toLowerCase() === right.toLowerCase();
  const isInvisible = key.value !== right && key.value.replaceAll(INVISIBLE, "") === right;
  return {
    at: key,
    message: isInvisible
      ? `the key ${quote(key.value)} has a character in it that editors don't show`
      : isCase
      ? `${quote(key.value)} is ${quote(right)} to ${owner.name}`
      : `${owner.name} knows no key ${quote(key.value)}`,
    help: isCase || isInvisible ? `write ${quote(right)}` : `did you mean ${quote(right)}?`,
    fix: property(node, right) ? undefined : replacing(
      key,
      right,
      `rename the key ${quote(key.value)} to ${quote(right)}`,
      owner.complete && right !== "type" && (isCase || isInvisible || closest(key.value, [right]))
        ? "safe"
        : "unsafe",
    ),
  };
}

/** The same for the objects inside a field. */
export function* unknownInside(node: Node | undefined, type: Type, owner: Owner): Generator<Found> {
  if (!node) return;
  if (type.kind === "object" && isObject(node)) {
    const lacks = () => type.required?.filter((name) => !field(node, name)) ?? [];
    yield* unknownKeys(node, type.fields, { ...owner, lacks });
    for (const [name, inner] of Object.entries(type.fields)) {
      yield* unknownInside(field(node, name), inner, owner);
    }
  } else if (type.kind === "list") {
    for (const item of items(node)) yield* unknownInside(item, type.of, owner);
  }
}

/** Every field of known type that is there, with the words a message calls it by. */
export function* typedFields(plugin: PluginNode): Generator<[Node, Type, string]> {
  const schema = schemaOf(plugin);
  if (schema) {
    for (const [name, type] of typesOf(schema)) {
      const value = plugin.field(name);
      if (value) yield* typedValue(value, type, name);
    }
  }
  const ipam = ipamSchemaOf(plugin);
  if (ipam && plugin.ipam) {
    const { type: _, ...fields } = ipam.fields;
    yield* typed(plugin.ipam, fields, "ipam.");
  }
}

/** The fields that are checked; what the specification's own rules check is left to them. */
const typesOf = onceEach((schema: Schema): [string, Type][] => {
  const { cniVersion: _1, cniVersions: _2, name: _3, type: _4, args: _5, ...common } = COMMON;
  return Object.entries({ ...common, ...schema.fields });
});

function* typed(node: Node, fields: Fields, path: string): Generator<[Node, Type, string]> {
  for (const [name, type] of Object.entries(fields)) {
    const value = field(node, name);
    if (value) yield* typedValue(value, type, path + name);
  }
}

function* typedValue(node: Node, type: Type, path: string): Generator<[Node, Type, string]> {
  // To all readers an absent key, and in a list the empty text.
  const isEmptyText = node.parent?.type === "array" && type.kind === "string";
  if (node.type === "null" && !isEmptyText) return;
  yield [node, type, path];
  if (type.kind === "list") {
    for (const [i, item] of items(node).entries()) {
      yield* typedValue(item, type.of, `${path}[${i}]`);
    }
  } else if (type.kind === "map") {
    for (const { name, value } of entries(node)) {
      if (value) yield* typedValue(value, type.of, `${path}.${name.slice(0, 60)}`);
    }
  } else if (type.kind === "object" && isObject(node)) {
    yield* typed(node, type.fields, path + ".");
  }
}

/** The brackets of a value, where they are more than one pair. */
function example(type: Type): string | undefined {
  if (type.kind !== "list") return undefined;
  const inside = type.of.kind === "list"
    ? example(type.of)
    : type.of.kind === "object"
    ? `{ "${Object.keys(type.of.fields)[0]}": … }`
    : undefined;
  return inside && `[${inside}]`;
}

const WANTED = {
  boolean: ["boolean", "true or false, without quotes"],
  string: ["string", "a string in double quotes"],
  choice: ["string", "a string in double quotes"],
  integer: ["number", "a whole number, without quotes"],
  list: ["array", "a list: [ … ]"],
  map: ["object", "an object: { … }"],
  object: ["object", "an object: { … }"],
} as const;

/**
 * What is wrong with the type of a value, and what to write instead.
 *
 * @param source the file's text: Go cares how a number is written
 */
export function typeProblem(
  node: Node,
  type: Type,
  source: string,
): { what: string; help: string } | undefined {
  if (type.kind === "any" || node.type === "null") return undefined;
  const [wanted, words] = WANTED[type.kind];
  if (node.type !== wanted) {
    // An item of a list of lists: what is wrong is the brackets of the whole.
    const isItem = node.parent?.type === "array" && type.kind === "list";
    const shape = isItem ? `[${example(type)}]` : example(type);
    return { what: `must not be ${kindOf(node)}`, help: `write ${shape ?? words}` };
  }
  // Go takes neither 1.0 nor 1e3 for an integer.
  if (type.kind !== "integer") return undefined;
  const literal = source.slice(node.offset, node.offset + node.length);
  if (/^-?[0-9]+$/.test(literal)) return undefined;
  return { what: `must be a whole number, not ${quote(literal)}`, help: "write digits only" };
}

/** What is wrong with a value of the right type. */
export function valueProblem(
  node: Node,
  type: Type,
): Pick<Found, "message" | "help" | "severity"> | undefined {
  switch (type.kind) {
    case "string": {
      const problem = type.is?.(node.value ?? "");
      return problem
        ? { message: problem, help: "correct the value", severity: type.severity }
        : undefined;
    }
    case "choice": {
      if (node.value === "" || type.values.includes(node.value)) return undefined;
      const guess = nearest(node.value, type.values);
      return {
        severity: type.strict ? undefined : "warning",
        message: `${quote(node.value)} is none of ${type.values.join(", ")}${
          type.strict ? "" : ", and stands for the default"
        }`,
        help: guess ? `did you mean "${guess}"?` : `write one of ${type.values.join(", ")}`,
      };
    }
    case "integer": {
      const { min, max, zero } = type;
      if ((node.value >= min && node.value <= max) || (zero && node.value === 0)) return undefined;
      return {
        severity: type.ignoresNegative && node.value < 0 ? "warning" : undefined,
        message: `${node.value} is out of range`,
        help: `write a number from ${min} to ${max}${zero ? ", or 0 for the default" : ""}`,
      };
    }
  }
}
