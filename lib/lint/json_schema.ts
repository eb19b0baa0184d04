/**
 * The shape of network configs as a JSON Schema (draft 7), for editors: what they complete, show
 * beside the cursor and underline while somebody types. Made of the same data as the rules are.
 */
import { SPEC_VERSIONS } from "../cni/version.ts";
import { IGNORE_KEY } from "./ignore.ts";
import { PORT_MAPPER } from "./document.ts";
import type { Fields, Schema, Type } from "./schema.ts";
import { COMMON } from "./schemas/common.ts";
import { DESCRIPTIONS } from "./schemas/descriptions.ts";
import { IPAM } from "./schemas/ipam.ts";
import { MAIN } from "./schemas/main.ts";
import { META } from "./schemas/meta.ts";
import { THIRD_PARTY } from "./schemas/third_party.ts";

type JsonSchema = Record<string, unknown>;

/** A schema for `.conf` and `.conflist` files. */
export function jsonSchema(): JsonSchema {
  const types = { ...MAIN, ...META, ...THIRD_PARTY };
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "CNI network config",
    description: "A network config for Mesos agents and other CNI runtimes: one plugin, or a list.",
    if: { required: ["plugins"] },
    then: { $ref: "#/definitions/list" },
    else: { allOf: [{ $ref: "#/definitions/network" }, { $ref: "#/definitions/plugin" }] },
    definitions: {
      network: {
        type: "object",
        required: ["name"],
        properties: {
          cniVersion: described("cniVersion", { enum: SPEC_VERSIONS }),
          cniVersions: described("cniVersions", { type: "array", items: { enum: SPEC_VERSIONS } }),
          name: described("name", { type: "string", pattern: "^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$" }),
        },
      },
      list: {
        allOf: [{ $ref: "#/definitions/network" }],
        properties: {
          disableCheck: described("disableCheck", { type: ["boolean", "string"] }),
          disableGC: described("disableGC", { type: "boolean" }),
          plugins: described("plugins", {
            type: "array",
            minItems: 1,
            items: { $ref: "#/definitions/plugin" },
          }),
        },
      },
      plugin: {
        type: "object",
        required: ["type"],
        properties: {
          type: described("type", {
            type: "string",
            pattern: "^[^/]+$",
            // What editors complete; any other file name may be one too.
            anyOf: [{ enum: Object.keys(types) }, {}],
          }),
          ...properties(without(COMMON, "type", "name", "cniVersion", "cniVersions", "ipam")),
          ipam: { $ref: "#/definitions/ipam" },
          [IGNORE_KEY]: described(IGNORE_KEY, { type: ["string", "array"] }),
        },
        allOf: Object.entries(types).map(([type, schema]) => onlyFor(type, schema)),
      },
      ipam: {
        type: "object",
        description: DESCRIPTIONS.ipam,
        properties: {
          type: described("ipam.type", {
            type: "string",
            anyOf: [{ enum: Object.keys(IPAM) }, {}],
          }),
        },
        allOf: Object.entries(IPAM).map(([type, schema]) => onlyFor(type, schema)),
      },
    },
  };
}

/** What holds of an object whose "type" is this one. */
function onlyFor(type: string, { kind, fields, required, source }: Schema): JsonSchema {
  return {
    if: { properties: { type: { const: type } }, required: ["type"] },
    then: {
      $comment: source ?? `https://www.cni.dev/plugins/current/${kind}/${type}/`,
      properties: {
        ...properties(without(fields, "type"), true),
        // The plugin that another one calls gets its name and version from it.
        ...(type === PORT_MAPPER &&
          { delegate: { description: DESCRIPTIONS.delegate, $ref: "#/definitions/plugin" } }),
      },
      ...(required && { required }),
    },
  };
}

function without(fields: Fields, ...names: string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

/** @param orNull whether null is as good as absent, as it is to plugins in Go */
function properties(fields: Fields, orNull = false): JsonSchema {
  return Object.fromEntries(
    Object.entries(fields).map(([name, type]) => {
      const { type: kind, enum: values, ...rest } = schemaOf(type);
      return [
        name,
        described(name, {
          ...(kind !== undefined && { type: orNull ? [kind, "null"] : kind }),
          ...(values !== undefined && { enum: orNull ? [...values as string[], null] : values }),
          ...rest,
        }),
      ];
    }),
  );
}

function described(name: string, schema: JsonSchema): JsonSchema {
  const description = DESCRIPTIONS[name];
  return description ? { description, ...schema } : schema;
}

function schemaOf(type: Type): JsonSchema {
  switch (type.kind) {
    case "any":
      return {};
    case "boolean":
      return { type: "boolean" };
    case "string":
      return { type: "string" };
    case "choice":
      return type.strict
        ? { enum: [...type.values, ""] }
        : { type: "string", anyOf: [{ enum: type.values }, {}] };
    case "integer": {
      const range = {
        ...(!type.ignoresNegative && { minimum: type.zero ? 0 : type.min }),
        ...(type.max < Number.MAX_SAFE_INTEGER && { maximum: type.max }),
      };
      return { type: "integer", ...range };
    }
    case "list":
      return { type: "array", items: schemaOf(type.of) };
    case "map":
      return { type: "object", additionalProperties: schemaOf(type.of) };
    case "object":
      return { type: "object", properties: properties(type.fields, true) };
  }
}
