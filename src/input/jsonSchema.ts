/** The subschemas of a JSON Schema (2020-12), and its references. */
import { isDeepStrictEqual } from "node:util";
import { isObject } from "./coercion";
import type { JsonSchema } from "./types";

/** Keywords whose value is an object of schemas by names of the project. */
const NAMED = new Set([
  "properties",
  "patternProperties",
  "dependentSchemas",
  "$defs",
  "definitions",
]);

/** Keywords whose value is a schema or a list of schemas. */
const DIRECT = new Set([
  "allOf",
  "anyOf",
  "oneOf",
  "not",
  "if",
  "then",
  "else",
  "items",
  "prefixItems",
  "contains",
  "unevaluatedItems",
  "additionalProperties",
  "propertyNames",
  "unevaluatedProperties",
  "contentSchema",
]);

type MapSchema = (subschema: unknown) => unknown;

/** A copy of the schema with mapped subschemas; values such as `default` and `const` are not schemas. */
export function mapSubschemas(schema: JsonSchema, map: MapSchema): JsonSchema {
  return Object.fromEntries(
    Object.entries(schema).map(([keyword, value]: [string, unknown]) => [
      keyword,
      mapKeyword(keyword, value, map),
    ]),
  );
}

function mapKeyword(keyword: string, value: unknown, map: MapSchema): unknown {
  if (DIRECT.has(keyword))
    return Array.isArray(value) ? value.map(map) : map(value);
  if (!NAMED.has(keyword) || !isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, subschema]) => [name, map(subschema)]),
  );
}

/** The schema, moved to another place of a document: its local references begin with `pointer`, such as `#/$defs/a`. */
export function relocated(schema: unknown, pointer: string): unknown {
  if (!isObject(schema)) return schema;
  const moved = mapSubschemas(schema, (part) => relocated(part, pointer));
  const { $ref } = schema;
  if (typeof $ref === "string" && $ref.startsWith("#"))
    moved.$ref = pointer + $ref.slice(1);
  return moved;
}

/** The schema without defaults that change from one description to the next. @param later the second description */
export function withLastingDefaults(schema: unknown, later: unknown): unknown {
  if (!isObject(schema) || !isObject(later)) return schema;
  const others: unknown[] = [];
  mapSubschemas(later, (part) => others.push(part));
  const { default: value, ...rest } = mapSubschemas(schema, (part) =>
    withLastingDefaults(part, others.shift()),
  ) as Record<string, unknown>;
  const isKept = value !== undefined && isDeepStrictEqual(value, later.default);
  return isKept ? { ...rest, default: value } : rest;
}
