/** The compiled form of a Standard Schema, and the validation of values by one. */
import {
  acceptedTypes,
  type Coercion,
  compileCoercion,
  isObject,
  isPlain,
  listOf,
  resolveRef,
} from "./coercion";
import type { AnyFileInput } from "./file";
import { withLastingDefaults } from "./jsonSchema";
import {
  failureOf,
  isStandardSchema,
  type JsonSchema,
  jsonSchemaOf,
  type StandardSchema,
  type SchemaIssue,
  type SchemaResult,
  type DeclaredInputs,
  type Inputs,
  MAX_LISTED,
  noteProblem,
  SchemaError,
  unsendableOf,
} from "./types";
import type { InputErrors } from "./field";
import { errorText, HttpError } from "../errors";

export interface SchemaPlan {
  readonly schema: StandardSchema;
  /** The JSON Schema of its input; undefined if its library provides none. */
  readonly json: JsonSchema | undefined;
  /** Its properties; undefined if it accepts others, or does not list them. */
  readonly names: ReadonlySet<string> | undefined;
  /** The schema as a table of inputs, for documentation and the names of params. */
  readonly table: Inputs;
  /** The JSON types that each property accepts; an empty set: any. */
  readonly types: ReadonlyMap<string, ReadonlySet<string>>;
  /** Coerces a whole value. */
  readonly whole: Coercion | undefined;
}

const NO_INPUTS: Inputs = Object.freeze({});

const plans = new WeakMap<StandardSchema, SchemaPlan>();
const filesOf = new WeakMap<StandardSchema, Record<string, AnyFileInput>>();

/** Compiled when an action or a task is registered, or when a schema is first used. */
export function planOf(schema: StandardSchema): SchemaPlan {
  let plan = plans.get(schema);
  if (!plan) plans.set(schema, (plan = compile(schema)));
  return plan;
}

/**
 * The JSON Schema of the input of a schema, to be shown. A default that a function makes, such as the time of the call or a random id, is
 * another one than at the registration, and is left out.
 */
export function shownJson(schema: StandardSchema): JsonSchema | undefined {
  const { json } = planOf(schema);
  if (!json || failureOf(schema)) return json; // its library would fail again
  return withLastingDefaults(json, jsonSchemaOf(schema, "input")) as JsonSchema;
}

/** The inputs as a table, also when they are a schema: its properties, and which of them are required. */
export function tableOf(inputs: DeclaredInputs | null | undefined): Inputs {
  if (!inputs) return NO_INPUTS;
  return isStandardSchema(inputs) ? planOf(inputs).table : inputs;
}

/**
 * Compile the schemas of inputs, so that no request has to wait for it.
 * @returns what is wrong with them, as the end of a sentence
 */
export function prepareInputs(
  inputs: DeclaredInputs | null | undefined,
): string[] {
  const schemas: unknown[] = [inputs];
  if (isStandardSchema(inputs)) planOf(inputs);
  for (const { schema } of Object.values(tableOf(inputs))) schemas.push(schema);
  return schemas.flatMap((schema) => {
    if (!isStandardSchema(schema)) return [];
    return [describingGapOf(schema) ?? [], sendingGapOf(schema) ?? []].flat();
  });
}

function describingGapOf(schema: StandardSchema): string | undefined {
  const { json } = planOf(schema);
  const failure = failureOf(schema);
  if (json && !failure) return undefined;
  const reason = failure
    ? `complete JSON Schema (${errorText(failure)})`
    : `JSON Schema (their library, ${schema["~standard"].vendor}, provides none)`;
  return `have no ${reason}: documentation lacks them, and texts, as in queries, are not converted to what the schema expects`;
}

/** The inputs of types that JSON does not have, as the end of a sentence. */
export function sendingGapOf(schema: StandardSchema): string | undefined {
  const places = unsendableOf(schema);
  return places.length > 0
    ? `take what JSON cannot hold, so that clients and jobs cannot have it: ${places.join(", ")}`
    : undefined;
}

/** The declared files of a schema, which are not in its JSON Schema. */
export function declareFiles(
  schema: StandardSchema,
  files: Record<string, AnyFileInput>,
): void {
  filesOf.set(schema, files);
}

function compile(schema: StandardSchema): SchemaPlan {
  const json = jsonSchemaOf(schema, "input") ?? describeProperties(schema);
  const shape = json && shapeOf(json, json);
  const table = { ...tableFor(shape), ...filesOf.get(schema) };
  return {
    schema,
    json,
    names: shape?.isClosed ? new Set(Object.keys(table)) : undefined,
    table,
    types: typesFor(shape, json),
    whole: json && compileCoercion(json, json),
  };
}

function typesFor(
  shape: Shape | undefined,
  json: JsonSchema | undefined,
): SchemaPlan["types"] {
  const types = new Map<string, Set<string>>();
  for (const [name, schemas] of shape?.properties ?? [])
    types.set(name, acceptedTypes(schemas, json!));
  return types;
}

function tableFor(shape: Shape | undefined): Inputs {
  const table: Inputs = {};
  for (const [name, schemas] of shape?.properties ?? [])
    if (name !== "__proto__") table[name] = describe(name, schemas, shape!);
  return table;
}

/**
 * Of an object that its library cannot describe as a whole, such as for one recursive property: each property that it can, so that
 * texts of the others are still coerced.
 */
function describeProperties(schema: StandardSchema): JsonSchema | undefined {
  if (failureOf(schema) === undefined) return undefined;
  const { shape, entries } = schema as { shape?: unknown; entries?: unknown }; // of zod, of valibot
  const parts = shape ?? entries;
  if (!isObject(parts)) return undefined;
  const properties: Record<string, JsonSchema> = {};
  const required: string[] = [];
  for (const [name, part] of Object.entries(parts)) {
    if (!isStandardSchema(part)) continue;
    const json = jsonSchemaOf(part, "input");
    // references are relative to the root of a document, which it would not be
    properties[name] =
      json && !JSON.stringify(json).includes('"$ref"') ? json : {};
    if (!acceptsNothing(part)) required.push(name);
  }
  // it may be one that accepts others: then none may be dropped
  return { type: "object", properties, required, additionalProperties: true };
}

function acceptsNothing(schema: StandardSchema): boolean {
  try {
    const result = schema["~standard"].validate(undefined);
    return "then" in result || result.issues === undefined;
  } catch {
    return true;
  }
}

function describe(name: string, schemas: unknown[], { required }: Shape) {
  const { default: value } = (schemas[0] ?? {}) as { default?: unknown };
  return value === undefined
    ? { required: required.has(name) }
    : { required: required.has(name), default: value };
}

// --- Which properties the objects of a JSON Schema have.

/** The properties of a schema of objects, through unions and intersections. */
interface Shape {
  /** All schemas of each name. */
  properties: Map<string, unknown[]>;
  required: Set<string>;
  isClosed: boolean;
}

const MAX_DEPTH = 16;

export function united(schemas: unknown[]): unknown {
  return schemas.length === 1 ? schemas[0] : { anyOf: schemas };
}

export function shapeOf(
  schema: unknown,
  root: JsonSchema,
  depth = 0,
): Shape | undefined {
  const resolved = resolveRef(schema, root);
  if (!resolved || depth > MAX_DEPTH) return undefined;
  const options = listOf(resolved.anyOf ?? resolved.oneOf).filter(
    (option) => resolveRef(option, root)?.type !== "null", // params are never null as a whole
  );
  const parts = [...listOf(resolved.allOf), ...options];
  const isUnion = options.length > 0;
  if (parts.length > 0 && resolved.properties === undefined) {
    const shapes = parts.map((part) => shapeOf(part, root, depth + 1));
    return shapes.every((shape) => shape !== undefined)
      ? joinShapes(shapes, isUnion)
      : undefined;
  }
  return ownShape(resolved);
}

/** @returns undefined if the schema is not one of objects */
function ownShape(resolved: JsonSchema): Shape | undefined {
  if (resolved.type !== "object" && !isObject(resolved.properties))
    return undefined;
  const { additionalProperties: others, patternProperties } = resolved;
  const isOpen = others !== undefined && others !== false;
  return {
    properties: new Map(
      Object.entries((resolved.properties ?? {}) as object).map(
        ([name, property]) => [name, [property]],
      ),
    ),
    required: new Set(listOf(resolved.required) as string[]),
    isClosed: !isOpen && patternProperties === undefined,
  };
}

/** @param isUnion a property is required only if all of them require it */
function joinShapes(shapes: Shape[], isUnion: boolean): Shape {
  const properties = new Map<string, unknown[]>();
  const required = new Set<string>();
  for (const shape of shapes) {
    for (const [name, schemas] of shape.properties)
      properties.set(name, [...(properties.get(name) ?? []), ...schemas]);
    for (const name of shape.required)
      if (!isUnion || shapes.every((other) => other.required.has(name)))
        required.add(name);
  }
  return {
    properties,
    required,
    isClosed: shapes.every(({ isClosed }) => isClosed),
  };
}

// --- The validation of values.

/** The output of a schema. */
export type Checked = { isGood: true; value: unknown } | { isGood: false };

/** Both repeat keys that the client chose, which may be as long as its request. In letters. */
const MAX_PATH_LENGTH = 256;
const MAX_MESSAGE_LENGTH = 1024;

const BAD: Checked = { isGood: false };

/**
 * Validate a value; problems are added to `errors`.
 * @param prefix the dotted path of the value, with a dot at its end
 * @returns a promise only if the schema is async
 * @throws the error that the schema throws
 */
export function checkValue(
  { schema }: SchemaPlan,
  value: unknown,
  errors: InputErrors,
  prefix: string,
): Checked | Promise<Checked> {
  const standard = schema["~standard"];
  // its optional keys do not accept undefined, which JSON leaves out
  const given =
    standard.vendor === "arktype" ? withoutUndefined(value, 0) : value;
  const result = standard.validate(given);
  return "then" in result
    ? result.then((settled) => conclude(settled, value, errors, prefix))
    : conclude(result, value, errors, prefix);
}

/** Where a circle of references is left. */
const MAX_CLEANED_DEPTH = 100;

/** Plain objects and lists without members that are undefined. @returns the value itself if it has none */
function withoutUndefined(value: unknown, depth: number): unknown {
  if (depth > MAX_CLEANED_DEPTH) return value;
  const clean = (member: unknown) => withoutUndefined(member, depth + 1);
  if (Array.isArray(value)) {
    const items = value.map(clean);
    return items.every((item, index) => item === value[index]) ? value : items;
  }
  if (!isPlain(value)) return value;
  const entries = Object.entries(value);
  const kept = entries
    .filter(([, member]) => member !== undefined)
    .map(([name, member]): [string, unknown] => [name, clean(member)]);
  const isSame =
    kept.length === entries.length &&
    kept.every(([name, member]) => member === value[name]);
  return isSame ? value : Object.fromEntries(kept);
}

function conclude(
  result: SchemaResult<unknown>,
  value: unknown,
  errors: InputErrors,
  prefix: string,
): Checked {
  if (!result.issues) return { isGood: true, value: result.value };
  for (const issue of result.issues.slice(0, MAX_LISTED))
    noteIssue(issue, value, errors, prefix);
  return BAD;
}

function noteIssue(
  issue: SchemaIssue,
  value: unknown,
  errors: InputErrors,
  prefix: string,
): void {
  const keys = keysOf(issue);
  const path = prefix + keys.map(String).join(".");
  const name = cut(
    path.endsWith(".") ? path.slice(0, -1) : path,
    MAX_PATH_LENGTH,
  );
  if (name !== "" && at(value, keys) === undefined) {
    errors.missingParams.push(name);
    noteProblem(errors, { path: name, code: "missing", error: undefined });
    return;
  }
  const { cause } = issue as { cause?: unknown };
  const error =
    cause instanceof HttpError
      ? cause
      : new SchemaError(name, cut(issue.message, MAX_MESSAGE_LENGTH));
  errors.validatorErrors.push(error);
  noteProblem(errors, { path: name, code: codeOf(issue), error });
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}...` : text;
}

function keysOf({ path }: SchemaIssue): PropertyKey[] {
  return (path ?? []).map((segment) =>
    typeof segment === "object" ? segment.key : segment,
  );
}

/** The value below own keys, or undefined. */
function at(value: unknown, keys: readonly PropertyKey[]): unknown {
  let current = value;
  for (const key of keys) {
    if (typeof current !== "object" || current === null) return undefined;
    current = Object.hasOwn(current, key)
      ? (current as Record<PropertyKey, unknown>)[key]
      : undefined;
  }
  return current;
}

/** zod and arktype use `code`, valibot uses `type`. */
function codeOf(issue: SchemaIssue): string {
  const { code, type } = issue as { code?: unknown; type?: unknown };
  if (typeof code === "string") return code;
  return typeof type === "string" ? type : "invalid";
}
