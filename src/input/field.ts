/** The steps that every input goes through: default, formatters, validators, required; nested schemas alike. */
import { resolveApiMethod } from "../apiMethod";
import { config } from "../config/config";
import { wordedForClients } from "../log/exposure";
import { fileFailure } from "./file";
import { noteProblem } from "./problem";
import { checkValue } from "./schemaCheck";
import { planOf } from "./schemaPlan";
import { isStandardSchema, type StandardSchema } from "./standardSchema";
import type { Input, InputMethod, InputMethods, Inputs } from "./types";

type Params = Record<string, any>;

/** What is wrong with the params of one call. */
export interface InputErrors {
  /** Names of required params that are missing, dotted for nested ones. */
  missingParams: string[];
  /** Whatever validators returned or threw. */
  validatorErrors: any[];
}

/** Names that every action takes, whatever its inputs are. */
export type SafeParams = readonly string[];

/** Which params of a call came as text, and so may stand for numbers, lists and the like. */
export interface TextParams {
  has(name: string): boolean;
}

export const NO_TEXT: TextParams = { has: () => false };

/** How the inputs of a call are applied. */
export interface InputCall {
  errors: InputErrors;
  /** `this` of formatters, validators and default functions. */
  scope: unknown;
  /** Names that stay in nested objects although no input declares them. */
  safeParams?: SafeParams;
  /** Asked only for the schemas of inputs (default: none). */
  text?: () => TextParams;
}

/**
 * Apply all inputs to `params`, in the order of declaration; every input is looked at even after an error.
 * @returns a promise only if one of those functions does
 * @throws what a formatter or a default function throws
 */
export function applyInputs(
  inputs: Inputs,
  params: Params,
  call: InputCall,
): void | Promise<void> {
  const steps = stepsOf(inputs, params, call, "");
  const first = steps.next();
  return first.done ? undefined : finish(steps, first.value);
}

/** Yields what has to be waited for, and is told the outcome: most calls wait for nothing. */
type Steps = Generator<PromiseLike<unknown>, void, unknown>;

async function finish(
  steps: Steps,
  pending: PromiseLike<unknown>,
): Promise<void> {
  for (;;) {
    const next = await pending.then(
      (value) => steps.next(value),
      (error: unknown) => steps.throw(error),
    );
    if (next.done) return;
    pending = next.value;
  }
}

/** @param prefix the dotted path of `params`, for names in errors */
function* stepsOf(
  inputs: Inputs,
  params: Params,
  context: InputCall,
  prefix: string,
): Steps {
  const { errors, scope } = context;
  for (const key of Object.keys(inputs)) {
    const input = inputs[key]!;
    const name = prefix + key;
    let value: unknown = Object.hasOwn(params, key) ? params[key] : undefined;

    if (value === undefined && input.default !== undefined) {
      value = defaultOf(input, scope);
      if (isThenable(value)) value = yield value;
      setOwn(params, key, value);
    }
    if (value !== undefined && input.formatter !== undefined) {
      for (const method of listOf(input.formatter)) {
        value = call(method, scope, value, key);
        if (isThenable(value)) value = yield value;
      }
      setOwn(params, key, value);
    }
    if (value !== undefined && input.file !== undefined) {
      const failure = fileFailure(input.file, value, name);
      if (failure !== undefined) noteBad(errors, name, failure);
    }
    if (value !== undefined && input.validator !== undefined) {
      for (const method of listOf(input.validator)) {
        let failure: unknown;
        try {
          let result = call(method, scope, value, key);
          if (isThenable(result)) result = yield result;
          failure = failureOf(result, key);
        } catch (error) {
          failure = error ?? failureOf(false, key);
        }
        if (failure !== undefined) noteBad(errors, name, failure);
      }
    }
    if (input.required === true && isMissing(value)) noteMissing(errors, name);
    if (!input.schema || value === undefined) continue;

    if (isStandardSchema(input.schema)) {
      let checked = checkBySchema(input.schema, value, context, name);
      if (isThenable(checked)) checked = yield checked;
      setOwn(params, key, checked);
      continue;
    }
    if (!value) continue;
    if (!isSchemaObject(value)) {
      const text = `Input for parameter "${name}" is not an object`;
      noteBad(errors, name, new Error(text));
      continue;
    }
    const nested = reduceParams(value, input.schema, context.safeParams ?? []);
    setOwn(params, key, nested);
    yield* stepsOf(input.schema, nested, context, `${name}.`);
  }
}

/** @returns what the schema makes of the value; the value itself when it is bad */
function checkBySchema(
  schema: StandardSchema,
  value: unknown,
  { errors, text }: InputCall,
  name: string,
): unknown {
  const plan = planOf(schema);
  const [topLevel] = name.split(".", 1);
  const given =
    plan.whole && text?.().has(topLevel!) ? plan.whole(value) : value;
  const checked = checkValue(plan, given, errors, `${name}.`);
  return isThenable(checked)
    ? checked.then((settled) => (settled.isGood ? settled.value : given))
    : checked.isGood
      ? checked.value
      : given;
}

function noteMissing(errors: InputErrors, path: string): void {
  errors.missingParams.push(path);
  noteProblem(errors, { path, code: "missing", error: undefined });
}

function noteBad(errors: InputErrors, path: string, error: unknown): void {
  errors.validatorErrors.push(error);
  noteProblem(errors, { path, code: "invalid", error });
}

/**
 * Only the params that are declared (or safe); all of them when `config.general.disableParamScrubbing` is on.
 * @returns a new object; the given one may be the client's and is left alone
 */
export function reduceParams(
  params: Params,
  inputs: { [key: string]: unknown },
  safeParams: SafeParams,
): Params {
  if (config.general?.disableParamScrubbing === true) return { ...params };
  const reduced: Params = {};
  for (const key of Object.keys(params)) {
    if (Object.hasOwn(inputs, key) || safeParams.includes(key))
      setOwn(reduced, key, params[key]);
  }
  return reduced;
}

/** Whether a required param with this value counts as absent. */
export function isMissing(value: unknown): boolean {
  const checks = config.general?.missingParamChecks as unknown[] | undefined;
  return (checks ?? [null, "", undefined]).includes(value);
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === "function";
}

/** Assignment that cannot change the prototype: `__proto__` in params is just a name. */
function setOwn(params: Params, key: string, value: unknown): void {
  if (key !== "__proto__") params[key] = value;
}

function defaultOf(input: Input, scope: unknown): unknown {
  if (typeof input.default !== "function") return input.default;
  return (input.default as (value: undefined) => unknown).call(
    scope,
    undefined,
  );
}

function listOf(methods: InputMethods): readonly (InputMethod | string)[] {
  return typeof methods === "function" || typeof methods === "string"
    ? [methods]
    : methods;
}

function call(
  method: InputMethod | string,
  scope: unknown,
  value: unknown,
  key: string,
): unknown {
  if (typeof method === "function")
    return method.call(scope, value, key) as unknown;
  const found = resolveApiMethod(method);
  if (!found) throw new TypeError(`${method} is not a function`);
  return found.method.call(scope, value, key);
}

/** @returns the error of a bad value, undefined for a good one */
function failureOf(result: unknown, key: string): unknown {
  if (result === undefined || result === null || result === true)
    return undefined;
  if (result === false)
    return new Error(`Input for parameter "${key}" failed validation!`);
  return wordedForClients(result);
}

function isSchemaObject(value: unknown): value is Params {
  return typeof value === "object" && !Array.isArray(value);
}
