/** The steps that every input goes through: default, formatters, validators, required; nested schemas alike. */
import { resolveApiMethod } from "../api";
import { settings } from "../config/settings";
import { isThenable } from "../utils/promises";
import { wordedForClients } from "../exposure/errors";
import { fileFailure } from "./file";
import {
  type Input,
  type InputMethod,
  type InputMethods,
  type Inputs,
  noteProblem,
  isStandardSchema,
  type StandardSchema,
} from "./types";
import { checkValue, planOf } from "./schemaPlan";

type Params = Record<string, any>;

/** The invalid params of one call. */
export interface InputErrors {
  /** Names of required params that are missing, dotted for nested ones. */
  missingParams: string[];
  /** Errors that validators returned or threw. */
  validatorErrors: any[];
}

/** Names that every action accepts, regardless of its inputs. */
export type SafeParams = readonly string[];

/** The params of a call that are strings that may represent numbers, lists and so on. */
export interface TextParams {
  has(name: string): boolean;
  /** The values that a form sent under a name, if there are several. */
  ofForm?(name: string): FormValues | undefined;
}

/** The fields of one name in a form: several, or JSON. The param is the text of the last one. */
export interface FormValues {
  /** Every text, in order. @throws HttpError beyond the limit of lists */
  texts(): readonly string[];
  /**
   * The values of parts of the type `application/json`; undefined for other ones and malformed ones.
   * @param isForObject the schema takes an object only: texts of one are parsed whatever their type, because some generated
   * clients send none
   * @throws HttpError beyond a limit of JSON
   */
  json(isForObject: boolean): readonly unknown[] | undefined;
}

export const NO_TEXT: TextParams = { has: () => false };

/** How the inputs of a call are applied. */
export interface InputCall {
  errors: InputErrors;
  /** `this` of formatters, validators and default functions. */
  scope: unknown;
  /** Undeclared names that are kept in nested objects. */
  safeParams?: SafeParams;
  /** Asked only for the schemas of inputs (default: none). */
  text?: () => TextParams;
}

/**
 * Apply all inputs to `params`, in the order of declaration; every input is checked even after an error.
 * @returns a promise only if one of those functions does
 * @throws the error of a formatter or a default function
 */
export function applyInputs(
  inputs: Inputs,
  params: Params,
  call: InputCall,
): Outcome {
  return new Application(inputs, params, call, "").run(0);
}

/** A promise only if a step is async. */
type Outcome = void | Promise<void>;

/**
 * Processes the inputs of one object. Each step calls the next one, and only async steps create a promise and a
 * closure: this is on the hot path, and most calls are synchronous (bench/http.ts).
 */
class Application {
  private readonly names: readonly string[];

  /** @param prefix the dotted path of `params`, for names in errors */
  constructor(
    private readonly inputs: Inputs,
    private readonly params: Params,
    private readonly call: InputCall,
    private readonly prefix: string,
  ) {
    this.names = Object.keys(inputs);
  }

  /** @param first the position of the next input */
  run(first: number): Outcome {
    const { names } = this;
    for (let i = first; i < names.length; i++) {
      const name = names[i]!;
      const pending = this.apply(this.inputs[name]!, name);
      if (pending) return pending.then(() => this.run(i + 1));
    }
  }

  private apply(input: Input, key: string): Outcome {
    const { params } = this;
    const value: unknown = Object.hasOwn(params, key) ? params[key] : undefined;
    if (value !== undefined || input.default === undefined)
      return this.format(input, key, value);
    const settled = defaultOf(input, this.call.scope);
    return isThenable(settled)
      ? Promise.resolve(settled).then((late) =>
          this.takeDefault(input, key, late),
        )
      : this.takeDefault(input, key, settled);
  }

  private takeDefault(input: Input, key: string, value: unknown): Outcome {
    setOwn(this.params, key, value);
    return this.format(input, key, value);
  }

  private format(input: Input, key: string, value: unknown): Outcome {
    return value === undefined || input.formatter === undefined
      ? this.checkFile(input, key, value)
      : this.runFormatters(input, key, value, 0);
  }

  /** @param first the position of the next formatter */
  private runFormatters(
    input: Input,
    key: string,
    given: unknown,
    first: number,
  ): Outcome {
    const methods = input.formatter!;
    const count = countOf(methods);
    let value = given;
    for (let i = first; i < count; i++) {
      value = invoke(methodAt(methods, i), this.call.scope, value, key);
      if (isThenable(value))
        return Promise.resolve(value).then((late) =>
          this.runFormatters(input, key, late, i + 1),
        );
    }
    setOwn(this.params, key, value);
    return this.checkFile(input, key, value);
  }

  private checkFile(input: Input, key: string, value: unknown): Outcome {
    const { file, validator } = input;
    if (value === undefined) return this.conclude(input, key, value);
    if (file !== undefined) {
      const failure = fileFailure(file, value, this.prefix + key);
      if (failure !== undefined) this.noteBad(key, failure);
    }
    return validator === undefined
      ? this.conclude(input, key, value)
      : this.runValidators(input, key, value, 0);
  }

  /** @param first the position of the next validator */
  private runValidators(
    input: Input,
    key: string,
    value: unknown,
    first: number,
  ): Outcome {
    const methods = input.validator!;
    const count = countOf(methods);
    for (let i = first; i < count; i++) {
      try {
        const method = methodAt(methods, i);
        const result = invoke(method, this.call.scope, value, key);
        if (isThenable(result))
          return this.awaitValidator(key, result).then(() =>
            this.runValidators(input, key, value, i + 1),
          );
        this.noteResult(key, result);
      } catch (error) {
        this.noteThrown(key, error);
      }
    }
    return this.conclude(input, key, value);
  }

  private async awaitValidator(
    key: string,
    pending: PromiseLike<unknown>,
  ): Promise<void> {
    try {
      this.noteResult(key, await pending);
    } catch (error) {
      this.noteThrown(key, error);
    }
  }

  private noteResult(key: string, result: unknown): void {
    const failure = failureOf(result, key);
    if (failure !== undefined) this.noteBad(key, failure);
  }

  private noteThrown(key: string, error: unknown): void {
    this.noteBad(key, error ?? failureOf(false, key));
  }

  private noteBad(key: string, error: unknown): void {
    noteBad(this.call.errors, this.prefix + key, error);
  }

  private conclude(input: Input, key: string, value: unknown): Outcome {
    const { required, schema } = input;
    if (required === true && isMissing(value))
      noteMissing(this.call.errors, this.prefix + key);
    if (!schema || value === undefined) return;

    if (isStandardSchema(schema)) {
      const name = this.prefix + key;
      const checked = checkBySchema(schema, value, this.call, name);
      if (isThenable(checked))
        return Promise.resolve(checked).then((late) =>
          setOwn(this.params, key, late),
        );
      setOwn(this.params, key, checked);
      return;
    }
    if (value) return this.descend(key, value, schema);
  }

  /** The inputs of an object in the params. */
  private descend(key: string, value: unknown, inputs: Inputs): Outcome {
    const name = this.prefix + key;
    if (!isSchemaObject(value)) {
      const text = `Input for parameter "${name}" is not an object`;
      this.noteBad(key, new Error(text));
      return;
    }
    const safeParams = this.call.safeParams ?? [];
    const nested = reduceParams(value, inputs, safeParams);
    setOwn(this.params, key, nested);
    return new Application(inputs, nested, this.call, `${name}.`).run(0);
  }
}

/** @returns the output of the schema; the value itself if it is invalid */
function checkBySchema(
  schema: StandardSchema,
  value: unknown,
  call: InputCall,
  name: string,
): unknown {
  const plan = planOf(schema);
  const [topLevel] = name.split(".", 1);
  const given =
    plan.whole && call.text?.().has(topLevel!) ? plan.whole(value) : value;
  const checked = checkValue(plan, given, call.errors, `${name}.`);
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
 * @returns a new object; the given one may be shared and is not modified
 */
export function reduceParams(
  params: Params,
  inputs: { [key: string]: unknown },
  safeParams: SafeParams,
): Params {
  if (settings().general.disableParamScrubbing) return { ...params };
  const reduced: Params = {};
  for (const key of Object.keys(params)) {
    if (Object.hasOwn(inputs, key) || safeParams.includes(key))
      setOwn(reduced, key, params[key]);
  }
  return reduced;
}

/** Whether `reduceParams` would drop nothing. */
export function isReduced(
  params: Params,
  inputs: { [key: string]: unknown },
  safeParams: SafeParams,
): boolean {
  const keepsAll = settings().general.disableParamScrubbing;
  for (const key in params) {
    if (key === "__proto__") return false;
    if (keepsAll || isSafe(safeParams, key) || Object.hasOwn(inputs, key))
      continue;
    return false;
  }
  return true;
}

/** `includes` takes three times as long for such a short list. */
function isSafe(safeParams: SafeParams, name: string): boolean {
  for (let i = 0; i < safeParams.length; i++)
    if (safeParams[i] === name) return true;
  return false;
}

/** Whether a required param with this value counts as absent. */
export function isMissing(value: unknown): boolean {
  return settings().general.missingParamChecks.includes(value);
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

/** A single method needs no list. */
function countOf(methods: InputMethods): number {
  return isSingle(methods) ? 1 : methods.length;
}

function methodAt(methods: InputMethods, index: number): InputMethod | string {
  return isSingle(methods) ? methods : methods[index]!;
}

function isSingle(methods: InputMethods): methods is InputMethod | string {
  return typeof methods === "function" || typeof methods === "string";
}

function invoke(
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

/** @returns the error of an invalid value, undefined for a valid one */
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

// --- Which stored params of a client are strings, because they come from the verb `paramAdd`.

const textParamNames = new WeakMap<object, Set<string>>();

export function noteTextParam(params: object, name: string): void {
  const known = textParamNames.get(params);
  if (known) known.add(name);
  else textParamNames.set(params, new Set([name]));
}

export function forgetTextParam(params: object, name: string): void {
  textParamNames.get(params)?.delete(name);
}

/** The params of one request are the stored params, overridden by those of the request. */
export function joinTextParams(all: object, kept: object, added: object): void {
  const [keptText, addedText] = [
    textParamNames.get(kept),
    textParamNames.get(added),
  ];
  if (!keptText && !addedText) return;
  const isText = (name: string) =>
    (Object.hasOwn(added, name) ? addedText : keptText)?.has(name);
  textParamNames.set(all, new Set(Object.keys(all).filter(isText)));
}

/** @param params the object in `connection.params` when the request arrived */
export function textParamsOf(params: object): TextParams {
  return textParamNames.get(params) ?? NO_TEXT;
}
