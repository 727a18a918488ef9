/** The compiled form of a Standard Schema, and the validation of values and of all params by one. */
import {
  acceptedTypes,
  type Coercion,
  compileCoercion,
  isObject,
  isPlain,
  listOf,
  resolveRef,
} from "./coercion";
import { type AnyFileInput, fileFailure } from "./file";
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
  type SchemaInput,
  type SchemaOutput,
  type ParamsOfInputs,
} from "./types";
import type { InputErrors, FormValues, TextParams } from "./field";
import { errorText, HttpError } from "../errors";
import { settings } from "../config/settings";
import { isThenable } from "../utils/promises";

interface SchemaPlan {
  readonly schema: StandardSchema;
  /** The JSON Schema of its input; undefined if its library provides none. */
  readonly json: JsonSchema | undefined;
  /** Its properties; undefined if it accepts others, or does not list them. */
  readonly names: ReadonlySet<string> | undefined;
  /** The same as a table of inputs, for documentation and the names of params. */
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
    planOf(schema);
    const failure = failureOf(schema);
    return [
      failure
        ? `have no complete JSON Schema (${errorText(failure)}): documentation lacks them, and texts, as in queries, are not converted to what the schema expects`
        : [],
      sendingGapOf(schema) ?? [],
    ].flat();
  });
}

/** Which inputs are of types that JSON does not have, as the end of a sentence. */
export function sendingGapOf(schema: StandardSchema): string | undefined {
  const places = unsendableOf(schema);
  return places.length > 0
    ? `take what JSON cannot hold, so that clients and jobs cannot have it: ${places.join(", ")}`
    : undefined;
}

/** The declared files of a schema, which are not in its JSON Schema. */
function declareFiles(
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
type Checked = { isGood: true; value: unknown } | { isGood: false };

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

// --- Inputs that are one schema of all params.

type Params = Record<string, any>;

/** How the params of a call are checked by its schema. */
interface SchemaCall {
  errors: InputErrors;
  /** Names of the framework's own params, which the schema gets only if it declares them. */
  safeParams: readonly string[];
  text: TextParams;
}

/**
 * Check and convert the params: those that the schema does not know are dropped if its JSON Schema tells its properties,
 * strings are coerced, and the schema validates the result.
 * @returns the output of the schema with the framework's own params; the given params if they are invalid
 * @throws the error that the schema throws; TypeError if its output is not an object
 */
export function applySchema(
  plan: SchemaPlan,
  params: Params,
  { errors, safeParams, text }: SchemaCall,
): Params | PromiseLike<Params> {
  const own: Params = {};
  const given: Params = {};
  const isOpen = settings().general.disableParamScrubbing;
  for (const name of Object.keys(params)) {
    const value: unknown = params[name];
    if (name === "__proto__") continue;
    const isDeclared = Object.hasOwn(plan.table, name);
    if (!isDeclared && safeParams.includes(name)) own[name] = value;
    else if (isDeclared || isOpen || plan.names === undefined)
      given[name] = value;
  }
  coerceTexts(plan, given, text);
  const finish = (checked: Checked): Params => {
    if (checked.isGood && !isPlain(checked.value))
      throw new TypeError("the schema of the inputs makes no object");
    // V8 takes a microsecond for a literal that spreads two objects, and a twentieth of that for this
    return Object.assign({}, checked.isGood ? checked.value : given, own);
  };
  const checked = checkValue(plan, given, errors, "");
  return isThenable(checked) ? checked.then(finish) : finish(checked);
}

const ALL_TEXT: TextParams = { has: () => true };

/** Coerce the values of command line arguments. */
export function coerceArguments(inputs: DeclaredInputs, values: Params): void {
  if (isStandardSchema(inputs)) {
    coerceTexts(planOf(inputs), values, ALL_TEXT);
    return;
  }
  for (const name of Object.keys(values)) {
    const schema = inputs[name]?.schema;
    const whole = isStandardSchema(schema) ? planOf(schema).whole : undefined;
    if (whole) values[name] = whole(values[name]);
  }
}

/** Params are coerced together, because the values of some decide which option of a union the others belong to. */
function coerceTexts(plan: SchemaPlan, params: Params, text: TextParams): void {
  const { whole, table } = plan;
  const typed = takeFormValues(plan, params, text);
  const coerced = whole?.(params);
  if (!isPlain(coerced) || coerced === params) return;
  for (const name of Object.keys(params)) {
    const isFile = Object.hasOwn(table, name) && table[name]!.file;
    if (text.has(name) && !isFile && !typed?.has(name))
      params[name] = coerced[name];
  }
}

/**
 * A form has lists as repeated fields, and other values as parts of JSON (OpenAPI 3.1, Encoding Object), which only the
 * schema tells from texts.
 * @returns the names of those that were JSON
 * @throws HttpError beyond a limit
 */
function takeFormValues(
  { types }: SchemaPlan,
  params: Params,
  text: TextParams,
): Set<string> | undefined {
  if (!text.ofForm) return undefined;
  const typed = new Set<string>();
  for (const [name, accepted] of types) {
    const takesText = accepted.size === 1 && accepted.has("string");
    const form = takesText ? undefined : text.ofForm(name);
    if (!form || !isOfForm(params[name], form)) continue;
    const values = form.json();
    if (values) typed.add(name);
    if (values) params[name] = valueOf(values, accepted);
    else if (accepted.has("array")) params[name] = listOrText(form.texts());
  }
  return typed;
}

/** A path variable or middleware may have replaced the value. */
function isOfForm(value: unknown, form: FormValues): boolean {
  return Array.isArray(value) || form.texts().at(-1) === value;
}

/** One part may be the whole list, or its only item. */
function valueOf(
  values: readonly unknown[],
  accepted: ReadonlySet<string>,
): unknown {
  const last = values.at(-1);
  if (!accepted.has("array")) return last;
  if (values.length > 1) return [...values];
  return accepted.size > 1 || Array.isArray(last) ? last : [last];
}

function listOrText(texts: readonly string[]): unknown {
  return texts.length > 1 ? [...texts] : texts[0];
}

/**
 * Inputs of a schema, and uploaded files beside it:
 * `inputs = withFiles(z.object({ title: z.string() }), { picture: file({ maxSize: 1024 ** 2, required: true }) })`.
 */
export function withFiles<
  S extends StandardSchema,
  Files extends Record<string, AnyFileInput>,
>(
  schema: S,
  files: Files,
): StandardSchema<
  SchemaInput<S> & ParamsOfInputs<Files>,
  SchemaOutput<S> & ParamsOfInputs<Files>
> {
  const inner = schema["~standard"];
  const combined = {
    "~standard": {
      version: 1 as const,
      jsonSchema: (inner as { jsonSchema?: unknown }).jsonSchema,
      vendor: "actionhero",
      validate(value: unknown) {
        const { fields, taken, issues } = split(value, files);
        const result = inner.validate(fields);
        return isThenable(result)
          ? result.then((settled) => merge(settled, taken, issues))
          : merge(result, taken, issues);
      },
    },
  };
  declareFiles(combined, files);
  return combined as never;
}

function split(value: unknown, files: Record<string, AnyFileInput>) {
  const fields: Params = { ...(value as Params) };
  const taken: Params = {};
  const issues: SchemaIssue[] = [];
  for (const [name, { file, required }] of Object.entries(files)) {
    const given: unknown = fields[name];
    delete fields[name];
    if (given === undefined) {
      if (required === true)
        issues.push({ path: [name], message: "a file is required" });
      continue;
    }
    const cause = fileFailure(file, given, name);
    if (cause)
      issues.push({ path: [name], message: cause.message, cause } as never);
    else taken[name] = given;
  }
  return { fields, taken, issues };
}

function merge(
  result: SchemaResult<unknown>,
  files: Params,
  issues: SchemaIssue[],
): SchemaResult<unknown> {
  if (result.issues || issues.length > 0)
    return { issues: [...issues, ...(result.issues ?? [])] };
  return { value: { ...(result.value as Params), ...files } };
}
