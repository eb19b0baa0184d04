/** The shape of a plugin's config, as data: which fields, of which type, in which range. */
import type { SpecVersion } from "../cni/version.ts";

export type Type =
  | { kind: "any" }
  | { kind: "boolean" }
  /** `is` tells what is wrong with a text, or nothing. */
  | { kind: "string"; is?: (text: string) => string | undefined; severity?: "warning" }
  | { kind: "choice"; values: readonly string[]; strict: boolean }
  /** A whole number; outside its range the plugin or the kernel refuses it. */
  | Integer
  | { kind: "list"; of: Type }
  | { kind: "map"; of: Type }
  /** `required`: keys that it means nothing without. */
  | { kind: "object"; fields: Fields; required?: readonly string[] };

export interface Integer {
  kind: "integer";
  min: number;
  max: number;
  /** Whether 0 stands for "unset", besides the range. */
  zero: boolean;
  /** Whether the plugin works with a negative number as if it were unset. */
  ignoresNegative?: boolean;
}

export type Fields = Readonly<Record<string, Type>>;

export const any: Type = { kind: "any" };
export const boolean: Type = { kind: "boolean" };
export const string: Type = { kind: "string" };
export const integer = (min: number, max: number, zero = false): Integer => ({
  kind: "integer",
  min,
  max,
  zero,
});
export const choice = (...values: string[]): Type => ({ kind: "choice", values, strict: true });
export const list = (of: Type): Type => ({ kind: "list", of });
export const map = (of: Type): Type => ({ kind: "map", of });
export const object = (fields: Fields, required?: readonly string[]): Type => ({
  kind: "object",
  fields,
  required,
});
export const checked = (is: (text: string) => string | undefined): Type => ({ kind: "string", is });

/** What is known of a plugin. */
export interface Schema {
  /** Where the facts are from; the reference's documents, if it is not said. */
  source?: string;
  kind: "main" | "meta" | "ipam";
  fields: Fields;
  /** Fields that it refuses to go without. */
  required?: readonly string[];
  /** Whether `fields` are all there are, so that another one may be a typing error. */
  complete: boolean;
  /** The first version of the specification that it accepts, if not all. */
  since?: SpecVersion;
  /** What becomes of `ipam`: refused without, used if there, its own affair. */
  ipam: "required" | "optional" | "own";
  /** The first release of the plugin that does without `ipam`, where that is new. */
  ipamOptionalSince?: string;
  /** Whether it must stand behind another plugin: it fails without, or does nothing. */
  chained?: "or fails" | "or idles";
}

export type Schemas = Readonly<Record<string, Schema>>;

/** A plugin all of whose keys are known. */
export const standard = (
  kind: Schema["kind"],
  ipam: Schema["ipam"],
  fields: Fields,
  more: Partial<Schema> = {},
): Schema => ({ kind, complete: true, ipam, fields, ...more });

/** The same type for keys in a row. */
export const each = (type: Type, keys: string): Fields =>
  Object.fromEntries(keys.split(" ").map((key) => [key, type]));
