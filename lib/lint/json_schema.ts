/**
 * The shape of network configs as a JSON Schema (draft 7), for editors: what they complete, show
 * beside the cursor and underline while somebody types. Made of the same data as the rules are.
 */
import { SPEC_VERSIONS } from "../cni/version.ts";
import { IGNORE_KEY } from "./ignore.ts";
import { PORT_MAPPER } from "./document.ts";
import { boolean, each, type Fields, type Type } from "./schema.ts";
import { CAPABILITIES } from "./capabilities.ts";
import { COMMON } from "./schemas/common.ts";
import { DESCRIPTIONS } from "./schemas/descriptions.ts";
import { PLUGIN_TYPES, schemaNamed } from "./schemas/mod.ts";

/** A schema, with the keywords that are used here. */
export interface JsonSchema {
  [annotation: string]: unknown;
  $ref?: string;
  description?: string;
  definitions?: Record<string, JsonSchema>;
  allOf?: JsonSchema[];
  anyOf?: JsonSchema[];
  if?: JsonSchema;
  then?: JsonSchema;
  else?: JsonSchema;
  type?: string | string[];
  const?: string;
  enum?: readonly (string | null)[];
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema;
  required?: readonly string[];
}

/** A schema for `.conf` and `.conflist` files. */
export function jsonSchema(): JsonSchema {
  const isIpam = (type: string) => schemaNamed(type)!.kind === "ipam";
  const plugins = PLUGIN_TYPES.filter((type) => !isIpam(type));
  const ipams = PLUGIN_TYPES.filter(isIpam);
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "CNI network config",
    description: "A network config for Mesos agents and other CNI runtimes: one plugin, or a list.",
    if: { required: ["plugins"] },
    then: { $ref: "#/definitions/list" },
    else: {
      allOf: [
        { $ref: "#/definitions/network" },
        { $ref: "#/definitions/plugin" },
        // What is neither yet may become a list.
        { if: { required: ["type"] }, else: { properties: { plugins: described("plugins", {}) } } },
      ],
    },
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
      plugin: { required: ["type"], allOf: [{ $ref: "#/definitions/options" }] },
      options: {
        type: "object",
        properties: {
          type: described("type", {
            type: "string",
            pattern: "^[^/]+$",
            // What editors complete; any other file name may be one too.
            anyOf: [{ enum: plugins }, {}],
          }),
          ...properties(without(COMMON, "type", "name", "cniVersion", "cniVersions", "ipam")),
          capabilities: described("capabilities", {
            type: "object",
            properties: properties(each(boolean, CAPABILITIES.join(" "))),
            additionalProperties: { type: "boolean" },
          }),
          ipam: { $ref: "#/definitions/ipam" },
          [IGNORE_KEY]: described(IGNORE_KEY, { type: ["string", "array"] }),
        },
        allOf: plugins.map(onlyFor),
      },
      ipam: {
        type: "object",
        description: DESCRIPTIONS.ipam,
        properties: {
          type: described("ipam.type", {
            type: "string",
            anyOf: [{ enum: ipams }, {}],
          }),
        },
        allOf: ipams.map(onlyFor),
      },
    },
  };
}

/** What holds of an object whose "type" is this one. */
function onlyFor(type: string): JsonSchema {
  const { kind, fields, required, source } = schemaNamed(type)!;
  return {
    if: { properties: { type: { const: type } }, required: ["type"] },
    then: {
      $comment: source ?? `https://www.cni.dev/plugins/current/${kind}/${type}/`,
      properties: {
        ...properties(without(fields, "type"), true),
        ...inner(type),
      },
      ...(required && { required }),
    },
  };
}

/** The plugins that another one calls, which get the name and the version from it. */
function inner(type: string): Record<string, JsonSchema> {
  switch (type) {
    case PORT_MAPPER:
      return { delegate: { $ref: "#/definitions/plugin" } };
    case "flannel": // only what is to be otherwise than flannel has it
      return { delegate: { $ref: "#/definitions/options" } };
    case "multus": // networks, or lists
      return { delegates: { type: "array", items: { $ref: "#/definitions/options" } } };
    default:
      return {};
  }
}

function without(fields: Fields, ...names: string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

/** @param orNull whether null is as good as absent, as it is to plugins in Go */
function properties(fields: Fields, orNull = false): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, type]) => {
      const { type: kind, enum: values, ...rest } = schemaOf(type);
      return [
        name,
        described(name, {
          ...(kind !== undefined && { type: orNull ? [kind, "null"].flat() : kind }),
          ...(values !== undefined && { enum: orNull ? [...values, null] : values }),
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
