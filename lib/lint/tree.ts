/** Looking into a JSON tree the way its readers do: an absent key and a null are the same. */
import type { Node } from "jsonc-parser";
import { onceEach } from "../base/once_each.ts";

/** The value of a key, exactly spelled; of a repeated key the last, as every JSON reader takes it. */
export function property(object: Node | undefined, key: string): Node | undefined {
  return isObject(object) ? indexOf(object).exact.get(key)?.children?.[1] : undefined;
}

/** The key itself, exactly spelled: a place to point at. */
export function keyNode(object: Node | undefined, key: string): Node | undefined {
  return property(object, key)?.parent?.children?.[0];
}

/**
 * The value of a plugin's own field. Plugins are written in Go, whose JSON decoder ignores case
 * in keys (https://pkg.go.dev/encoding/json#Unmarshal); an exact match is preferred.
 */
export function field(object: Node | undefined, key: string): Node | undefined {
  if (!isObject(object)) return undefined;
  const { exact, folded } = indexOf(object);
  return (exact.get(key) ?? folded.get(key.toLowerCase()))?.children?.[1];
}

/** The properties of an object that are not null, by key, and by key in lower case. */
const indexOf = onceEach((object: Node) => {
  const [exact, folded] = [new Map<string, Node>(), new Map<string, Node>()];
  for (const child of object.children!) {
    const [key, value] = child.children!;
    if (!value || value.type === "null") continue;
    exact.set(key!.value, child);
    folded.set(key!.value.toLowerCase(), child);
  }
  return { exact, folded };
});

/** The keys and values of an object, in order. */
export function* entries(
  object: Node | undefined,
): Generator<{ key: Node; name: string; value: Node | undefined }> {
  if (object?.type !== "object") return;
  for (const child of object.children!) {
    const [key, value] = child.children!;
    yield { key: key!, name: key!.value, value };
  }
}

/** Every value in a tree, the outer before the inner, down to a depth. */
export function* everyIn(node: Node | undefined, depth = Infinity): Generator<Node> {
  if (!node) return;
  yield node;
  if (depth === 0) return;
  for (const child of node.children ?? []) {
    yield* everyIn(child.type === "property" ? child.children![1] : child, depth - 1);
  }
}

/** A key, exactly spelled, whose value is null. */
export function nullKey(object: Node | undefined, key: string): Node | undefined {
  for (const { key: node, name, value } of entries(object)) {
    if (name === key && value?.type === "null") return node;
  }
}

/** The items of an array; none of anything else. */
export function items(array: Node | undefined): readonly Node[] {
  return array?.type === "array" ? array.children! : [];
}

export function text(node: Node | undefined): string | undefined {
  return node?.type === "string" ? node.value : undefined;
}

export function isTrue(node: Node | undefined): boolean {
  return node?.type === "boolean" && node.value === true;
}

export function isObject(node: Node | undefined): node is Node {
  return node?.type === "object";
}

/** How a value is called in a message: `a string`. */
export function kindOf(node: Node): string {
  return {
    string: "a string",
    number: "a number",
    boolean: "a boolean",
    array: "a list",
    object: "an object",
    null: "null",
    property: "a property",
  }[node.type];
}

/** What a rule finds in a value of another kind than `what` must be. */
export function ofWrongKind(at: Node, what: string, wanted: string, help: string) {
  return { at, message: `${what} must be ${wanted}, and this is ${kindOf(at)}`, help };
}

/** A string of a file in a message: short, quoted, nothing in it that moves a terminal's cursor. */
export function quote(value: string): string {
  return JSON.stringify(value.length > 60 ? value.slice(0, 59) + "…" : value)
    .replaceAll(/[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g, "�");
}
