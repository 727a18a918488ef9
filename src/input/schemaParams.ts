/** Inputs that are one schema of all params. */
import { fileFailure, type AnyFileInput } from "./file";
import { settings } from "../config/settings";
import { isPlain } from "./coercion";
import type { FormValues, InputErrors, TextParams } from "./field";
import { isThenable } from "../utils/promises";
import {
  checkValue,
  type Checked,
  declareFiles,
  planOf,
  type SchemaPlan,
} from "./schemaPlan";
import {
  isStandardSchema,
  type SchemaInput,
  type SchemaIssue,
  type SchemaOutput,
  type SchemaResult,
  type StandardSchema,
  type DeclaredInputs,
  type ParamsOfInputs,
} from "./types";

type Params = Record<string, any>;

/** How the params of a call are checked by its schema. */
export interface SchemaCall {
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
 * @returns the names of the fields that were JSON
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
    const isForObject = accepted.has("object") && !mayBeText(accepted);
    const values = form.json(isForObject);
    if (values) typed.add(name);
    if (values) params[name] = valueOf(values, accepted);
    else if (accepted.has("array")) params[name] = listOrText(form.texts());
  }
  return typed;
}

/** A list may be one of texts. */
function mayBeText(accepted: ReadonlySet<string>): boolean {
  return accepted.has("string") || accepted.has("array");
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
