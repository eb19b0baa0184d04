/**
 * What an editor offers at a place in a config: the keys that belong there, and values of a key. Both
 * are read from the JSON schema that `lint --schema` prints, so that every editor offers the same.
 */
import { getLocation, type JSONPath, type Node } from "jsonc-parser";
import { lookup } from "../base/json.ts";
import type { Edit } from "./range.ts";
import { type JsonSchema, jsonSchema } from "./json_schema.ts";
import type { Source } from "./source.ts";
import { entries, field, items, property } from "./tree.ts";

export interface Completion {
  /** A key or a value, without quotes: editors compare it with what stands in the place so far. */
  label: string;
  /** What a key is for, in a sentence. */
  description?: string;
  /** What to type at the place. */
  edit: Edit;
}

const SCHEMA = jsonSchema();

/** The completions at an offset; none where nothing is known of what belongs there. */
export function completions(source: Source, offset: number): Completion[] {
  const { path, previousNode, isAtPropertyKey } = getLocation(source.text, offset);
  const { node, schemas } = placeOf(source.root, isAtPropertyKey ? path.slice(0, -1) : path);
  const isInside = previousNode !== undefined && previousNode.type !== "null" &&
    previousNode.offset <= offset && offset <= previousNode.offset + previousNode.length;
  const start = isInside ? previousNode.offset : offset;
  const end = isInside ? endOf(previousNode, source.text, offset) : offset;
  // What is being typed is replaced, but for the quote in front: some editors compare no quotes.
  const quote = isInside && source.text[start] === '"' && start < offset ? 1 : 0;
  const offered = (value: string | boolean, behind = ""): Completion => ({
    label: String(value),
    edit: {
      offset: start + quote,
      length: end - start - quote,
      content: JSON.stringify(value).slice(typeof value === "string" ? quote : 0) + behind,
    },
  });
  if (!isAtPropertyKey) {
    return [...new Set(schemas.flatMap(valuesOf))]
      .filter((value) => quote === 0 || typeof value === "string").map((value) => offered(value));
  }
  const colon = /^\s*:/.test(source.text.slice(end)) ? "" : ": ";
  const keys = new Map(schemas.flatMap(({ properties = {} }) => Object.entries(properties)));
  for (const { key, name } of entries(node)) if (key.offset !== start) keys.delete(name);
  return [...keys].map(([name, { description }]) => ({ ...offered(name, colon), description }));
}

/** Where a value ends; of a string without its closing quote, where it was typed to. */
function endOf({ offset, length }: Node, text: string, typed: number): number {
  const end = offset + length;
  return text[offset] === '"' && (length < 2 || text[end - 1] !== '"') ? typed : end;
}

/** The value at a path, and the schemas that hold of it. */
function placeOf(root: Node | undefined, path: JSONPath) {
  let node = root;
  let schemas = holding(SCHEMA, node);
  for (const step of path) {
    node = typeof step === "number" ? items(node)[step] : field(node, step);
    schemas = schemas.flatMap(({ items, properties = {}, additionalProperties }) => {
      const inside = typeof step === "number"
        ? items
        : lookup(properties, step) ?? additionalProperties;
      return inside ? holding(inside, node) : [];
    });
  }
  return { node, schemas };
}

/** A schema with those it is made of, as far as their conditions are met. */
function holding(schema: JsonSchema, node: Node | undefined): JsonSchema[] {
  const { $ref, allOf = [], anyOf = [], if: condition } = schema;
  const named = $ref && SCHEMA.definitions![$ref.replace("#/definitions/", "")];
  const chosen = condition && (isMet(condition, node) ? schema.then : schema.else);
  const parts = [...allOf, ...anyOf, ...(named ? [named] : []), ...(chosen ? [chosen] : [])];
  return [schema, ...parts.flatMap((part) => holding(part, node))];
}

/** Conditions ask for keys, and for the value of "type". */
function isMet({ required = [], properties = {} }: JsonSchema, node: Node | undefined): boolean {
  return required.every((name) => property(node, name)) &&
    Object.entries(properties).every(([name, { const: value }]) =>
      property(node, name)?.value === value
    );
}

function valuesOf({ type, enum: values = [] }: JsonSchema): (string | boolean)[] {
  if ([type].flat().includes("boolean")) return [true, false];
  return values.filter((value): value is string => typeof value === "string" && value !== "");
}
