/** The fields in docs/json.md, from the JSON Schemas beside it. */
import { capital } from "../../lib/cli/man.ts";
import { withSections } from "./sections.ts";

const SCHEMAS = new URL("../../docs/schemas/", import.meta.url);

/** A JSON Schema, as far as those of docs/schemas go. */
export interface Schema {
  $id?: string;
  $ref?: string;
  title?: string;
  description?: string;
  type?: string | string[];
  enum?: string[];
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  definitions?: Record<string, Schema>;
}

/** All schemas: those of outputs by title, and their common parts last. */
export function readSchemas(): Schema[] {
  const schemas = [...Deno.readDirSync(SCHEMAS)].map(({ name }): Schema =>
    JSON.parse(Deno.readTextFileSync(new URL(name, SCHEMAS)))
  );
  const rank = ({ definitions, title }: Schema) => `${definitions ? 1 : 0}${title}`;
  return schemas.toSorted((a, b) => rank(a) < rank(b) ? -1 : 1);
}

/** The document with its fields as the schemas have them. */
export function withFields(document: string): string {
  const sections = readSchemas().flatMap((schema) =>
    schema.definitions
      ? Object.entries(schema.definitions).map(([name, part]) => section(name, part, schema))
      : [section(`\`${schema.title}\``, schema, schema)]
  );
  return withSections(document, "fields", sections);
}

function section(title: string, schema: Schema, { $id }: Schema): string {
  const rows = rowsOf(schema, "");
  const text = schema.description ? `${capital(schema.description.replace(/\.$/, ""))}. ` : "";
  return [
    `### ${title}`,
    `${text}Schema: [${$id}](schemas/${$id}).`,
    ...rows.length > 0
      ? [["| field | type | |", "| --- | --- | --- |", ...rows].join("\n")]
      : alternatives(schema),
  ].join("\n\n") + "\n";
}

/** Where there are no fields of its own, there are parts that it consists of. */
function alternatives({ anyOf, items }: Schema): string[] {
  const parts = [...anyOf ?? [], ...items ? [items] : []];
  return parts.flatMap(({ $ref }) => $ref ? [`See [${partOf($ref)}](#${anchor($ref)}).`] : []);
}

function rowsOf(schema: Schema, path: string): string[] {
  const plain = schema.oneOf?.find(({ properties }) => properties) ?? schema;
  const inner = plain.items ? rowsOf(plain.items, `${path}[]`) : [];
  const own = Object.entries(plain.properties ?? {}).flatMap(([name, field]) => {
    const place = path === "" ? name : `${path}.${name}`;
    const mark = plain.required?.includes(name) ? "" : "?";
    return [
      `| \`${place}\`${mark} | ${typeOf(field)} | ${textOf(field)} |`,
      ...rowsOf(field, place),
    ];
  });
  return [...own, ...inner];
}

function typeOf({ $ref, type, enum: words, oneOf, items }: Schema): string {
  if ($ref) return `[${partOf($ref)}](#${anchor($ref)})`;
  if (words) return words.map((word) => `\`${word}\``).join(", ");
  if (oneOf) return "object or null";
  if (type === "array") return items ? `array of ${typeOf(items)}` : "array";
  return [type ?? "any"].flat().join(" or ");
}

function textOf({ description }: Schema): string {
  return (description ?? "").replaceAll("|", "\\|");
}

function partOf(ref: string): string {
  return ref.slice(ref.lastIndexOf("/") + 1);
}

function anchor(ref: string): string {
  return partOf(ref).toLowerCase();
}
