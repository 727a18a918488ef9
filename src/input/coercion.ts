/**
 * Converts strings of queries, paths, forms and command lines to the types of a JSON Schema. Compiled once per
 * schema. A string that cannot be converted is unchanged, so that the client gets the schema's own error.
 */
import type { JsonSchema } from "./types";

/** @returns the converted value; the given objects and lists are not modified */
export type Coercion = (value: unknown) => unknown;

/** The identity. */
const KEEP: Coercion = (value) => value;

const NUMBER = /^-?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d{1,3})?$/i;
const WHOLE = /^-?\d+$/;

/** The keys of lists from which a parser removed gaps: `a[3]` and `a[7]` are a list of two. */
const indexes = new WeakMap<unknown[], string[]>();

export function rememberIndexes(list: unknown[], keys: string[]): void {
  indexes.set(list, keys);
}

/** A parser cannot know whether `a[3]` is an item of a list or a member of an object: it makes a list. */
function objectOf(list: unknown[]): Record<string, unknown> {
  const keys = indexes.get(list) ?? Object.keys(list);
  return Object.fromEntries(keys.map((key, index) => [key, list[index]]));
}

/** The maximum depth of recursive types; deeper values are unchanged. */
const MAX_DEPTH = 64;

/** The coercion of one schema, and its referenced parts. */
interface Document {
  root: JsonSchema;
  /** Coercions by schema, for recursive ones. */
  known: Map<JsonSchema, Coercion>;
}

/**
 * @param root the schema to which a `$ref` is relative
 * @returns undefined if all types of the schema are strings
 */
export function compileCoercion(
  schema: unknown,
  root: JsonSchema,
): Coercion | undefined {
  const coercion = compile(schema, { root, known: new Map() }, 0);
  return coercion === KEEP ? undefined : coercion;
}

/** The schema at the end of a chain of local `$ref`s; undefined for an unresolvable one. */
export function resolveRef(
  schema: unknown,
  root: JsonSchema,
): JsonSchema | undefined {
  let current = schema;
  for (let hops = 0; hops < MAX_DEPTH; hops++) {
    if (!isObject(current)) return undefined;
    const { $ref } = current;
    if (typeof $ref !== "string") return current;
    current = pointed($ref, root);
  }
  return undefined;
}

function pointed(ref: string, root: JsonSchema): unknown {
  if (!ref.startsWith("#")) return undefined;
  let current: unknown = root;
  for (const part of ref.slice(1).split("/").filter(Boolean)) {
    const key = decodePart(part);
    current =
      isObject(current) && Object.hasOwn(current, key)
        ? current[key]
        : undefined;
  }
  return current;
}

function decodePart(part: string): string {
  const plain = part.replaceAll("~1", "/").replaceAll("~0", "~");
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}

function compile(schema: unknown, of: Document, depth: number): Coercion {
  const resolved = resolveRef(schema, of.root);
  if (!resolved || depth > MAX_DEPTH) return KEEP;
  const known = of.known.get(resolved);
  if (known) return known;
  let compiled: Coercion = KEEP;
  // a recursive schema finds this entry, which is complete by the time it is used
  of.known.set(resolved, (value) => compiled(value));
  compiled = compileResolved(resolved, of, depth);
  of.known.set(resolved, compiled);
  return compiled;
}

function compileResolved(
  schema: JsonSchema,
  of: Document,
  depth: number,
): Coercion {
  const steps: Coercion[] = [];
  for (const part of listOf(schema.allOf))
    steps.push(compile(part, of, depth + 1));
  const options = listOf(schema.anyOf ?? schema.oneOf);
  if (options.length > 0) steps.push(oneOf(options, of, depth));
  if ("const" in schema || Array.isArray(schema.enum))
    steps.push(memberOf(schema));
  else {
    const types = typesOf(schema);
    if (!types.includes("string"))
      for (const type of types) steps.push(ofType(type, schema, of, depth));
  }
  const needed = steps.filter((step) => step !== KEEP);
  if (needed.length < 2) return needed[0] ?? KEEP;
  return (value) => needed.reduce((result, step) => step(result), value);
}

function typesOf({ type, properties, items }: JsonSchema): string[] {
  if (typeof type === "string") return [type];
  if (Array.isArray(type)) return type as string[];
  if (properties !== undefined) return ["object"];
  return items === undefined ? [] : ["array"];
}

/** The JSON types that schemas accept, through references and unions; empty: any. */
export function acceptedTypes(
  schemas: readonly unknown[],
  root: JsonSchema,
  depth = 0,
): Set<string> {
  const found = new Set<string>();
  for (const schema of schemas) {
    const resolved = resolveRef(schema, root);
    const types =
      resolved && depth < MAX_OPTION_DEPTH
        ? typesOfOne(resolved, root, depth)
        : [];
    if (types.length === 0) return new Set();
    for (const type of types) found.add(type);
  }
  return found;
}

function typesOfOne(
  schema: JsonSchema,
  root: JsonSchema,
  depth: number,
): string[] {
  const own = typesOf(schema);
  if (own.length > 0) return own;
  const fixed = fixedValues(schema);
  if (fixed.length > 0) return fixed.map(jsonTypeOf);
  const parts = listOf(schema.anyOf ?? schema.oneOf ?? schema.allOf);
  return parts.length > 0 ? [...acceptedTypes(parts, root, depth + 1)] : [];
}

function jsonTypeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function ofType(
  type: string,
  schema: JsonSchema,
  of: Document,
  depth: number,
): Coercion {
  switch (type) {
    case "integer":
    case "number":
      return toNumber;
    case "boolean":
      return toBoolean;
    case "null":
      return (value) => (value === "null" ? null : value);
    case "array":
      return toList(schema, of, depth);
    case "object":
      return toObject(schema, of, depth);
    default:
      return KEEP;
  }
}

function toNumber(value: unknown): unknown {
  if (typeof value !== "string" || !NUMBER.test(value)) return value;
  const number = Number(value);
  if (!Number.isFinite(number)) return value;
  // 9007199254740993 would lose precision
  return WHOLE.test(value) && !Number.isSafeInteger(number) ? value : number;
}

function toBoolean(value: unknown): unknown {
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  return value;
}

/** Of `const` and `enum`: the member with this text, unless a string is a member itself. */
function memberOf(schema: JsonSchema): Coercion {
  const members = fixedValues(schema);
  const others = new Map(
    members
      .filter((member) => typeof member !== "string")
      .map((member) => [String(member), member]),
  );
  if (others.size === 0) return KEEP;
  return (value) =>
    typeof value === "string" && !members.includes(value) && others.has(value)
      ? others.get(value)
      : value;
}

function toList(schema: JsonSchema, of: Document, depth: number): Coercion {
  const first = listOf(schema.prefixItems).map((item) =>
    compile(item, of, depth + 1),
  );
  const others = compile(schema.items, of, depth + 1);
  return (value) => {
    if (value === undefined || value === null) return value;
    return listFrom(value).map((item, index) => (first[index] ?? others)(item));
  };
}

/** One value is a list of one; `qs` gives long lists as objects with the keys "0" to "n-1". */
function listFrom(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  if (!isObject(value)) return [value];
  const keys = Object.keys(value);
  const isList =
    keys.length > 0 && keys.every((key, index) => key === String(index));
  return isList ? Object.values(value) : [value];
}

function toObject(schema: JsonSchema, of: Document, depth: number): Coercion {
  const members = toMembers(schema, of, depth);
  if (typesOf(schema).includes("array")) return members;
  return (value) => members(Array.isArray(value) ? objectOf(value) : value);
}

function toMembers(schema: JsonSchema, of: Document, depth: number): Coercion {
  const properties = new Map<string, Coercion>();
  const declared = isObject(schema.properties) ? schema.properties : {};
  for (const [name, property] of Object.entries(declared))
    properties.set(name, compile(property, of, depth + 1));
  const others = compile(schema.additionalProperties, of, depth + 1);
  const isKept =
    others === KEEP && [...properties.values()].every((one) => one === KEEP);
  if (isKept) return KEEP;
  return (value) => {
    if (!isPlain(value)) return value;
    const result: Record<string, unknown> = {};
    for (const key of Object.keys(value)) {
      if (key === "__proto__") continue;
      result[key] = (properties.get(key) ?? others)(value[key]);
    }
    return result;
  };
}

/**
 * A string is unchanged if any option accepts strings; an object follows the option that fits best.
 */
function oneOf(options: unknown[], of: Document, depth: number): Coercion {
  const schemas = options
    .map((option) => resolveRef(option, of.root))
    .filter((option) => option !== undefined);
  const compiled = schemas.map((option) => compile(option, of, depth + 1));
  if (compiled.every((coercion) => coercion === KEEP)) return KEEP;
  const takesText = schemas.some(isForText);
  const texts = new Set(schemas.flatMap(fixedValues));
  const takesNull = schemas.some((one) => typesOf(one).includes("null"));
  const list = schemas.findIndex((one) => typesOf(one).includes("array"));
  const ofText: Coercion = (value) => {
    if (takesText || texts.has(value)) return value;
    if (takesNull && value === "null") return null; // before lists, which take any text
    for (const coercion of compiled) {
      const result = coercion(value);
      if (result !== value) return result;
    }
    return value;
  };
  return (value) => {
    if (typeof value === "string") return ofText(value);
    const isList = Array.isArray(value);
    if (isList && list >= 0) return compiled[list]!(value);
    const members: unknown = isList ? objectOf(value) : value;
    if (!isPlain(members)) return value;
    const fits = schemas.map((one) => fitOf(one, members, of));
    const best = Math.max(...fits);
    return best === NO_FIT ? value : compiled[fits.indexOf(best)]!(members);
  };
}

function isForText(schema: JsonSchema): boolean {
  return fixedValues(schema).length === 0 && typesOf(schema).includes("string");
}

/** The members of `const` and `enum`. */
export function fixedValues(schema: JsonSchema): unknown[] {
  return "const" in schema ? [schema.const] : listOf(schema.enum);
}

const NO_FIT = -1;
/** More than an option has properties. */
const COMPLETE = 1e6;
/** The maximum depth of unions of unions. */
const MAX_OPTION_DEPTH = 8;

/** How well an object fits an option: its constants and required properties first, then the number of known keys. */
function fitOf(
  schema: unknown,
  value: Record<string, unknown>,
  of: Document,
  depth = 0,
): number {
  const resolved = resolveRef(schema, of.root);
  if (!resolved || depth > MAX_OPTION_DEPTH) return NO_FIT;
  const fit = (part: unknown) => fitOf(part, value, of, depth + 1);
  const fits = listOf(resolved.allOf).map(fit);
  const options = listOf(resolved.anyOf ?? resolved.oneOf);
  if (options.length > 0) fits.push(Math.max(...options.map(fit)));
  if (typesOf(resolved).includes("object"))
    fits.push(ownFitOf(resolved, value, of));
  if (fits.length === 0 || fits.includes(NO_FIT)) return NO_FIT;
  return fits.reduce((sum, one) => sum + one) / fits.length;
}

function ownFitOf(
  { properties, required }: JsonSchema,
  value: Record<string, unknown>,
  of: Document,
): number {
  let fit = 0;
  let isComplete = true;
  const needed = listOf(required);
  for (const [name, property] of Object.entries(Object(properties) as object)) {
    const fixed = fixedValues(resolveRef(property, of.root) ?? {});
    const isGiven = Object.hasOwn(value, name);
    const isWrong = isGiven
      ? fixed.length > 0 && !fixed.map(String).includes(String(value[name]))
      : needed.includes(name);
    if (isWrong && fixed.length === 1) return NO_FIT;
    if (isWrong) isComplete = false;
    else if (isGiven) fit++;
  }
  return isComplete ? COMPLETE + fit : fit;
}

export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Objects of parsers; files and other instances are unchanged. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
