/** TypeScript for the values that a JSON Schema describes. */
import { isObject, listOf } from "../input/coercion";
import type { JsonSchema } from "../input/standardSchema";

/** How a type refers to another schema of the document. */
export type Reference = (ref: string) => string;

const PRIMITIVES: Record<string, string> = {
  string: "string",
  number: "number",
  integer: "number",
  boolean: "boolean",
  null: "null",
};

/** What a client hands over as a file. */
const FILE_TYPE = "Blob | StreamedFile";

/**
 * @param reference asked for each `$ref`
 * @returns the text of a type; `any` where the schema says nothing
 */
export function typeOfSchema(schema: unknown, reference: Reference): string {
  if (schema === false) return "never";
  if (!isObject(schema)) return "any";
  const { $ref } = schema as JsonSchema;
  if (typeof $ref === "string") return reference($ref);
  const parts = [
    literalsOf(schema),
    unionOf(listOf(schema.anyOf ?? schema.oneOf), reference),
    ...listOf(schema.allOf).map((part) => typeOfSchema(part, reference)),
    structureOf(schema, reference),
  ].filter((part) => part !== undefined && part !== "any");
  return parts.length === 0
    ? "any"
    : parts.length === 1
      ? parts[0]!
      : parts.map((part) => `(${part})`).join(" & ");
}

/** The type of an object with these properties. */
export function objectType(
  properties: Iterable<[string, unknown]>,
  required: ReadonlySet<string>,
  reference: Reference,
): string {
  const members = [...properties].map(([name, schema]) => {
    const mark = required.has(name) ? "" : "?";
    const type = typeOfSchema(schema, reference);
    return `${comment(schema)}${JSON.stringify(name)}${mark}: ${type};`;
  });
  return members.length === 0 ? "{}" : `{ ${members.join(" ")} }`;
}

function literalsOf({ const: only, enum: values }: JsonSchema) {
  if (only !== undefined) return literal(only);
  return Array.isArray(values) && values.length > 0
    ? values.map(literal).join(" | ")
    : undefined;
}

/** Objects and lists as values are rare, and have no literal types. */
function literal(value: unknown): string {
  return typeof value === "object" && value !== null
    ? "any"
    : JSON.stringify(value);
}

function unionOf(options: unknown[], reference: Reference): string | undefined {
  if (options.length === 0) return undefined;
  const types = options.map((option) => typeOfSchema(option, reference));
  return [...new Set(types)].join(" | ");
}

function structureOf(
  schema: JsonSchema,
  reference: Reference,
): string | undefined {
  if (schema.contentMediaType === "application/octet-stream") return FILE_TYPE;
  if (schema.const !== undefined || schema.enum !== undefined) return undefined;
  const several = listOf(schema.type);
  if (several.length > 0)
    return several
      .map((type) => typeOfSchema({ ...only(schema), type }, reference))
      .join(" | ");
  const type = (schema.type ?? guessed(schema)) as string | undefined;
  if (type === "object") return objectOf(schema, reference);
  if (type === "array") return arrayOf(schema, reference);
  return type === undefined ? undefined : PRIMITIVES[type];
}

/** Without what is a part of its own. */
function only({ anyOf: _1, oneOf: _2, allOf: _3, ...rest }: JsonSchema) {
  return rest;
}

function guessed({ properties, items, prefixItems }: JsonSchema) {
  if (isObject(properties)) return "object";
  return items !== undefined || prefixItems !== undefined ? "array" : undefined;
}

function objectOf(schema: JsonSchema, reference: Reference): string {
  const { properties, additionalProperties, required } = schema;
  const named = Object.entries((properties ?? {}) as object);
  const others = isObject(additionalProperties)
    ? typeOfSchema(additionalProperties, reference)
    : "any";
  if (named.length === 0)
    return additionalProperties === false ? "{}" : `Record<string, ${others}>`;
  return objectType(named, new Set(listOf(required) as string[]), reference);
}

function arrayOf({ items, prefixItems }: JsonSchema, reference: Reference) {
  const first = listOf(prefixItems).map((item) =>
    typeOfSchema(item, reference),
  );
  const rest = items === false ? undefined : typeOfSchema(items, reference);
  if (first.length === 0) return `(${rest ?? "never"})[]`;
  const open = isObject(items) ? [`...(${rest})[]`] : [];
  return `[${[...first, ...open].join(", ")}]`;
}

function comment(schema: unknown): string {
  const { description } = (isObject(schema) ? schema : {}) as JsonSchema;
  return typeof description === "string"
    ? `/** ${description.replaceAll("*/", "* /").replace(/\s+/g, " ")} */ `
    : "";
}
