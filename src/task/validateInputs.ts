/** The checks of a job's inputs, when it is enqueued. */
import { api, resolveApiMethod } from "../api";
import { ActionheroError, toError } from "../errors";
import { type InputErrors, isMissing, NO_TEXT } from "../input/field";
import { planOf } from "../input/schemaPlan";
import { applySchema } from "../input/schemaParams";
import {
  isStandardSchema,
  type StandardSchema,
  MAX_LISTED,
  problemsOf,
  SchemaError,
  type Input,
  type Inputs,
} from "../input/types";
import type { Task, TaskInputs } from "./task";

/**
 * Fill in defaults and check what the task declares. Defaults are written into the caller's object, unless nothing can be
 * added to it, as to the inputs of a running task.
 * @param isQueued whether they go through the queue; otherwise a schema gets them as they are
 * @returns the inputs to enqueue; undefined when there are none
 * @throws Error of a validator, or naming what is missing; it is that of the first bad input, and if there are more, its `errors`
 * names them all
 */
export async function validateInputs(
  task: Task,
  inputs: TaskInputs | null | undefined,
  isQueued = true,
): Promise<TaskInputs | null | undefined> {
  const declared = (task.inputs ?? {}) as Inputs;
  if (!isStandardSchema(declared)) return checkTable(task, declared, inputs);
  await parseInputs(task, declared, isQueued ? asQueued(inputs) : inputs);
  return inputs && knownInputs(declared, inputs);
}

async function checkTable(
  task: Task,
  declared: Inputs,
  inputs: TaskInputs | null | undefined,
): Promise<TaskInputs | null | undefined> {
  const names = Object.keys(declared);
  if (names.length === 0) return inputs;
  const isOpen = inputs != null && Object.isExtensible(inputs);
  const values = isOpen ? inputs : { ...inputs };
  const problems: Problem[] = [];
  for (const name of names) {
    const problem = await problemIn(task, name, declared[name]!, values);
    if (problem) problems.push(problem);
  }
  if (problems.length > 0) throw firstOf(problems);
  return inputs || Object.keys(values).length > 0 ? values : inputs;
}

/** The defaults of a task that are the same each time. */
export function fixedDefaults(task: Task): TaskInputs {
  const values: TaskInputs = {};
  for (const [name, input] of fieldsOf(task))
    if (input.default !== undefined && typeof input.default !== "function")
      values[name] = input.default as unknown;
  return values;
}

/** Fill in defaults, without validation. */
export async function withDefaults(
  task: Task,
  inputs: TaskInputs,
): Promise<TaskInputs> {
  const values = { ...inputs };
  for (const [name, input] of fieldsOf(task)) await fillIn(name, input, values);
  return values;
}

/** The inputs of a table; a schema applies its defaults when the job runs. */
function fieldsOf({ inputs }: Task): [string, Input][] {
  return isStandardSchema(inputs) ? [] : Object.entries(inputs ?? {});
}

/** @returns the value that the input has now */
async function fillIn(
  name: string,
  input: Input,
  values: TaskInputs,
): Promise<unknown> {
  const value: unknown = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value !== undefined || input.default === undefined) return value;
  const filled: unknown =
    typeof input.default === "function"
      ? await (input.default as (...args: unknown[]) => unknown).call(
          api,
          value,
        )
      : input.default;
  values[name] = filled;
  return filled;
}

interface Problem {
  path: string;
  code: "missing" | "invalid";
  thrown: unknown;
}

async function problemIn(
  task: Task,
  name: string,
  input: Input,
  values: TaskInputs,
): Promise<Problem | undefined> {
  let value: unknown;
  try {
    value = await fillIn(name, input, values);
    if (formatting.has(task)) value = await format(name, input, value);
    if (value !== undefined && input.validator !== undefined) {
      for (const method of [input.validator].flat())
        await judge(task, name, method, value);
    }
  } catch (thrown) {
    return { path: name, code: "invalid", thrown };
  }
  if (input.required !== true || !isMissing(value)) return undefined;
  const thrown = new ActionheroError(
    "AH_TASK",
    `${name} is a required input for task ${task.name}`,
  );
  return { path: name, code: "missing", thrown };
}

/** The first error; its `errors` lists all problems if there are several. */
function firstOf(problems: readonly Problem[]): unknown {
  const [{ thrown }] = problems as [Problem];
  const canList =
    thrown instanceof Error &&
    Object.isExtensible(thrown) &&
    !Object.hasOwn(thrown, "errors");
  if (problems.length < 2 || !canList) return thrown;
  const errors = problems.slice(0, MAX_LISTED).map((problem) => ({
    path: problem.path,
    message:
      problem.code === "missing"
        ? requiredText(problem.path)
        : toError(problem.thrown).message,
    code: problem.code,
  }));
  return Object.assign(thrown, { errors });
}

function requiredText(path: string): string {
  return `${path} is a required input`;
}

async function judge(
  task: Task,
  name: string,
  method: string | ((...args: any[]) => any),
  value: unknown,
): Promise<void> {
  const result: unknown =
    typeof method === "function"
      ? await method.call(api, value)
      : await callNamed(method, [value]);
  if (result === undefined || result === null || result === true) return;
  if (result === false)
    throw new ActionheroError(
      "AH_TASK",
      `${String(value)} is not a valid value for ${name} in task ${task.name}`,
    );
  throw toError(result);
}

function callNamed(path: string, args: unknown[]): unknown {
  const found = resolveApiMethod(path);
  if (!found) throw new ActionheroError("AH_TASK", `${path} is not a function`);
  return found.method.apply(api, args);
}

// --- Formatters in a table of inputs: a job stores the original inputs, and each run gets the formatted ones.

/** The tasks of `defineTask`. Tasks of classes never ran formatters, and may format in `run`. */
const formatting = new WeakSet<Task>();

/** Format the inputs of this task: for its validators, and by its own `run` with `formatted`. */
export function enableFormatters(task: Task): void {
  formatting.add(task);
}

/** @returns the inputs themselves if no input has a formatter; otherwise a frozen copy */
export async function formatted(task: Task, inputs: unknown): Promise<unknown> {
  const fields = fieldsOf(task).filter(([, input]) => input.formatter);
  if (fields.length === 0 || typeof inputs !== "object") return inputs;
  const values: TaskInputs = { ...inputs };
  for (const [name, input] of fields) {
    if (Object.hasOwn(values, name))
      values[name] = await format(name, input, values[name]);
  }
  return Object.freeze(values);
}

async function format(
  name: string,
  { formatter }: Input,
  given: unknown,
): Promise<unknown> {
  let value = given;
  if (value === undefined || formatter === undefined) return value;
  for (const method of [formatter].flat())
    value =
      typeof method === "function"
        ? await method.call(api, value, name)
        : await callNamed(method, [value, name]);
  return value;
}

/** Declarations of a table that `defineTask` ignores: `address has a schema`. */
export function unappliedIn(task: Task): string[] {
  if (!formatting.has(task)) return [];
  return fieldsOf(task).flatMap(([name, { schema, file }]) => {
    const kinds = [schema && "schema", file && "file rule"].filter(Boolean);
    return kinds.map((kind) => `${name} has a ${kind}`);
  });
}

// --- Tasks whose inputs are a schema: a job stores the original inputs, and each run gets the output of the schema.

/** The inputs as the queue stores them: a Date becomes a text, a Map loses its entries. @throws TypeError for a BigInt or a circle */
export function asQueued<Value>(inputs: Value): Value {
  return inputs === undefined
    ? inputs
    : (JSON.parse(JSON.stringify(inputs)) as Value);
}

/**
 * @returns the output of the schema
 * @throws ActionheroError AH_TASK naming an input that is missing, or bad
 */
export async function parseInputs(
  { name }: Task,
  schema: StandardSchema,
  inputs: TaskInputs | null | undefined,
): Promise<TaskInputs> {
  const errors: InputErrors = { missingParams: [], validatorErrors: [] };
  const call = { errors, safeParams: [], text: NO_TEXT };
  const parsed = await applySchema(planOf(schema), inputs ?? {}, call);
  const [missing] = errors.missingParams;
  if (missing !== undefined)
    throw withProblems(
      new ActionheroError(
        "AH_TASK",
        `${missing} is a required input for task ${name}`,
      ),
      errors,
    );
  const [cause] = errors.validatorErrors as unknown[];
  if (cause !== undefined)
    throw withProblems(
      new ActionheroError("AH_TASK", toError(cause).message, { cause }),
      errors,
    );
  return parsed;
}

/** All problems are in `errors`, like those of a response. */
function withProblems(error: Error, found: InputErrors): Error {
  const errors = problemsOf(found).map(({ path, code, error: cause }) => ({
    path,
    message:
      cause === undefined
        ? requiredText(path)
        : (SchemaError.detailOf(cause) ?? toError(cause).message),
    code,
  }));
  return Object.assign(error, { errors });
}

/** The inputs that the schema knows, as they were given: what is enqueued. */
function knownInputs(schema: StandardSchema, inputs: TaskInputs): TaskInputs {
  const { names } = planOf(schema);
  if (!names) return inputs;
  return Object.fromEntries(
    Object.entries(inputs).filter(([name]) => names.has(name)),
  );
}
