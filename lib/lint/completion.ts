/** What an editor offers at a place in a config: the keys that belong there, and values of a key. */
import { lookup } from "../base/json.ts";
import { getLocation, type JSONPath, type Node } from "jsonc-parser";
import { SPEC_VERSIONS } from "../cni/version.ts";
import { CAPABILITIES } from "./capabilities.ts";
import { PORT_MAPPER } from "./document.ts";
import type { Edit } from "./range.ts";
import { boolean, type Fields, list, object, string, type Type } from "./schema.ts";
import { COMMON } from "./schemas/common.ts";
import { DESCRIPTIONS } from "./schemas/descriptions.ts";
import { PLUGIN_TYPES, schemaNamed } from "./schemas/mod.ts";
import type { Source } from "./source.ts";
import { entries, field, items, text } from "./tree.ts";

export interface Completion {
  /** A key or a value, without quotes: editors compare it with what stands in the place so far. */
  label: string;
  /** What it is for, in a sentence. */
  description?: string;
  /** What to type at the place. */
  edit: Edit;
}

/** The completions at an offset; none where nothing is known of what belongs there. */
export function completions(source: Source, offset: number): Completion[] {
  const { path, previousNode, isAtPropertyKey } = getLocation(source.text, offset);
  const place = placeOf(source.root, isAtPropertyKey ? path.slice(0, -1) : path);
  const isInside = previousNode !== undefined && previousNode.type !== "null" &&
    previousNode.offset <= offset && offset <= previousNode.offset + previousNode.length;
  const { offset: start } = isInside ? previousNode : { offset };
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
    return place.values.filter((value) => quote === 0 || typeof value === "string")
      .map((value) => offered(value));
  }
  const colon = /^\s*:/.test(source.text.slice(end)) ? "" : ": ";
  const there = new Set(
    [...entries(place.node)].map(({ key, name }) => key.offset === start ? undefined : name),
  );
  return Object.keys(place.fields).filter((name) => !there.has(name)).map((name) => ({
    ...offered(name, colon),
    description: DESCRIPTIONS[name],
  }));
}

/** Where a value ends; of a string without its closing quote, where it was typed to. */
function endOf({ offset, length }: Node, text: string, typed: number): number {
  const end = offset + length;
  return text[offset] === '"' && (length < 2 || text[end - 1] !== '"') ? typed : end;
}

/** What belongs at a place. */
interface Place {
  node: Node | undefined;
  /** Of an object. */
  fields: Fields;
  /** Of anything else. */
  values: readonly (string | boolean)[];
}

/** Follows the path from the network, by what is known of each step. */
function placeOf(root: Node | undefined, path: JSONPath): Place {
  let node = root;
  let type: Type = object(networkFields(root));
  for (const step of path) {
    const parent: Node | undefined = node;
    if (typeof step === "number") {
      node = items(parent)[step];
      type = type.kind === "list" ? type.of : { kind: "any" };
    } else {
      node = field(parent, step);
      type = type.kind === "object"
        ? lookup(type.fields, step) ?? { kind: "any" }
        : type.kind === "map"
        ? type.of
        : { kind: "any" };
    }
    type = known(type, node);
  }
  return {
    node,
    fields: type.kind === "object" ? type.fields : {},
    values: type.kind === "boolean" ? [true, false] : type.kind === "choice" ? type.values : [],
  };
}

const PLUGIN: Type = object({});
const IPAM: Type = object({});
const NETWORK: Type = object({});

/** A type that depends on what the object says it is. */
function known(type: Type, node: Node | undefined): Type {
  if (type === PLUGIN) return object(pluginFields(node));
  if (type === NETWORK) return object(networkFields(node));
  if (type !== IPAM) return type;
  const schema = schemaNamed(text(field(node, "type")));
  return object({ ...(schema?.kind === "ipam" && schema.fields), type: named(["ipam"]) });
}

function networkFields(node: Node | undefined): Fields {
  const network: Fields = {
    cniVersion: { kind: "choice", values: SPEC_VERSIONS, strict: true },
    cniVersions: list({ kind: "choice", values: SPEC_VERSIONS, strict: true }),
    name: string,
  };
  const isList = field(node, "plugins") !== undefined;
  const plugins = list(PLUGIN);
  if (isList) return { ...network, disableCheck: boolean, disableGC: boolean, plugins };
  // Of a network that is neither yet.
  return { ...network, ...pluginFields(node), ...(!field(node, "type") && { plugins }) };
}

function pluginFields(node: Node | undefined): Fields {
  const type = text(field(node, "type"));
  const schema = schemaNamed(type);
  return {
    type: named(["main", "meta"]),
    ...schema?.fields,
    // What works on another plugin's interface has no addresses of its own.
    ...(schema?.kind !== "meta" && { ipam: IPAM }),
    dns: COMMON.dns!,
    args: COMMON.args!,
    capabilities: object(Object.fromEntries(CAPABILITIES.map((name) => [name, boolean]))),
    ...((type === PORT_MAPPER || type === "flannel") && { delegate: PLUGIN }),
    ...(type === "multus" && { delegates: list(NETWORK) }),
  };
}

function named(kinds: readonly string[]): Type {
  const values = PLUGIN_TYPES.filter((type) => kinds.includes(schemaNamed(type)!.kind));
  return { kind: "choice", values, strict: false };
}
