/** Declarations of inputs of actions, tasks and commands, as tables or schemas, and the types of the resulting params. */
import type { InputErrors } from "./field";
import type { FileRule, UploadedFile } from "./file";
import { toError } from "../errors";

/** Called with the value and its key; `this` is the running action or task. */
export type InputMethod = (...args: any[]) => any;

/** A function, the dotted name of one below `api` (`"api.my.method"`), or several of them in order. */
export type InputMethods =
  InputMethod | string | readonly (InputMethod | string)[];

/** One parameter. */
export interface Input {
  /** Used when the parameter is absent; a function is called for it. */
  default?: any;
  /** Refuse the call when the value is missing (`config.general.missingParamChecks`). */
  required?: boolean;
  /** Returns the replacement of the value. */
  formatter?: InputMethods;
  /** Returns nothing or true for a valid value; false or the error for an invalid one; or throws. */
  validator?: InputMethods;
  /** For a value that is an object: its own inputs, to any depth. For any value: a Standard Schema. */
  schema?: { [key: string]: any } | StandardSchema;
  /** Made by `file()`: the value is an uploaded file. */
  file?: FileRule;
}

/** All parameters of an action or a task by name. */
export interface Inputs {
  [key: string]: Input;
}

/**
 * The type of `inputs` of an action or a task: a table, or a Standard Schema of all params (of zod, valibot, arktype,
 * ...). Code that reads a property of it gets `any`, as the table of any action.
 */
export type DeclaredInputs = Inputs | (StandardSchema & { [key: string]: any });

type ValueOf<I> = I extends { formatter: (...args: any[]) => infer Result }
  ? Awaited<Result>
  : I extends { file: { isList: infer IsList } }
    ? IsList extends true
      ? UploadedFile[]
      : UploadedFile
    : I extends { schema: infer Schema }
      ? Schema extends StandardSchema
        ? SchemaOutput<Schema>
        : ParamsOf<Schema>
      : string;

type ItemOf<I> = I extends { variadic: true } ? ValueOf<I>[] : ValueOf<I>;

type RequiredKeys<I> = {
  [Key in keyof I]: I[Key] extends { required: true } ? Key : never;
}[keyof I];

type ParamsOf<I> = { [Key in RequiredKeys<I>]: ItemOf<I[Key]> } & {
  [Key in Exclude<keyof I, RequiredKeys<I>>]?: ItemOf<I[Key]>;
};

type IsAny<T> = 0 extends 1 & T ? true : false;

/** The type of the params that follows from inputs. */
export type ParamsOfInputs<I> =
  IsAny<I> extends true
    ? ParamsOf<any>
    : I extends StandardSchema
      ? SchemaOutput<I>
      : ParamsOf<I>;

/**
 * The type of `params` that follows from `inputs`: the output of a Standard Schema; in a table, the return type of
 * the formatter, else an `UploadedFile` (or a list) for `file()`, else an object for a schema, else `string`;
 * optional unless the input says `required: true as true` (or the inputs are `as const`).
 */
export type ParamsFrom<A extends { inputs?: any }> = ParamsOfInputs<
  NonNullable<A["inputs"]>
>;

// --- An invalid param, for the list of errors in a response.

export interface InputProblem {
  /** Keys with dots: `address.city`, `tags.3`. */
  path: string;
  /** `"missing"`, `"invalid"`, or the code of the schema library. */
  code: string;
  /** The result of the validator, for `config.errors.invalidParams`; undefined for a missing param. */
  error: unknown;
}

/** The maximum number of errors: longer lists would make a response much larger than its request. */
export const MAX_LISTED = 100;

/** Created for the first invalid param of a call, so that valid calls cost nothing. */
const problems = new WeakMap<InputErrors, InputProblem[]>();

export function noteProblem(errors: InputErrors, problem: InputProblem): void {
  const list = problems.get(errors);
  if (!list) problems.set(errors, [problem]);
  else if (list.length < MAX_LISTED) list.push(problem);
}

/** The first 100 problems. */
export function problemsOf(errors: InputErrors): readonly InputProblem[] {
  return problems.get(errors) ?? [];
}

/**
 * An invalid value, with the message of the schema: its text includes the param, the list of errors has both
 * separately.
 */
export class SchemaError extends Error {
  readonly #detail: string;

  constructor(path: string, detail: string) {
    super(path === "" ? detail : `${path}: ${detail}`);
    this.name = "Error"; // as all errors that clients read
    this.#detail = detail;
  }

  /** The text without the path; undefined for another error. */
  static detailOf(error: unknown): string | undefined {
    return error instanceof SchemaError ? error.#detail : undefined;
  }
}

// --- Schemas of any library that implements Standard Schema (standardschema.dev), and the JSON Schema that some of
// them provide.

/** One issue of an invalid value. */
export interface SchemaIssue {
  readonly message: string;
  /** The path to the invalid value; a segment is a key, or an object with a key. */
  readonly path?:
    readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** Options of a JSON Schema request: the dialect, and options of the library. */
interface JsonSchemaOptions {
  readonly target: string;
  readonly libraryOptions?: Record<string, unknown> | undefined;
}

/** A schema of zod, valibot, arktype or another library. */
export interface StandardSchema<In = any, Out = any> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (
      value: unknown,
    ) => SchemaResult<Out> | Promise<SchemaResult<Out>>;
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
  };
}

/** The input type of a schema. */
export type SchemaInput<S extends StandardSchema> = NonNullable<
  S["~standard"]["types"]
>["input"];

/** The output type of a schema. */
export type SchemaOutput<S extends StandardSchema> = NonNullable<
  S["~standard"]["types"]
>["output"];

/** A JSON Schema that is an object. */
export type JsonSchema = Record<string, any>;

interface Converter {
  input(options: JsonSchemaOptions): JsonSchema;
  output(options: JsonSchemaOptions): JsonSchema;
}

const TARGET = "draft-2020-12";

export function isStandardSchema(value: unknown): value is StandardSchema {
  if (value === null) return false;
  if (typeof value !== "object" && typeof value !== "function") return false;
  const standard = (value as { "~standard"?: { validate?: unknown } })[
    "~standard"
  ];
  return typeof standard?.validate === "function";
}

/** Why libraries could not describe schemas. */
const failures = new WeakMap<StandardSchema, Error>();

/** Why its library, which provides JSON Schemas, has none of a schema; undefined: it has one, or was not asked. */
export function failureOf(schema: StandardSchema): Error | undefined {
  return failures.get(schema);
}

/**
 * The JSON Schema (2020-12) of the input or the output of a schema.
 * @returns undefined if its library provides none, or none for this schema
 */
export function jsonSchemaOf(
  schema: StandardSchema,
  side: "input" | "output",
): JsonSchema | undefined {
  const { jsonSchema } = schema["~standard"] as { jsonSchema?: Converter };
  if (typeof jsonSchema?.[side] !== "function") return undefined;
  // zod: what JSON cannot express, such as a Date, is then anything, and the rest of the schema is still described
  const visited: VisitedType[] = [];
  const override = (type: VisitedType) => void visited.push(type);
  const lenient = { unrepresentable: "any", override };
  let failure: unknown;
  for (const libraryOptions of [lenient, undefined]) {
    try {
      const json = jsonSchema[side]({ target: TARGET, libraryOptions });
      if (side === "input") unsendable.set(schema, unsendableIn(visited));
      return json;
    } catch (error) {
      failure = error; // the library refuses these options, or this schema
      if (error instanceof RangeError) break; // a schema without an end takes a second each time
    }
  }
  failures.set(schema, toError(failure));
  return undefined;
}

// --- Types of zod that no value of JSON belongs to: each call and each job that has one is refused.

/** A type inside of a schema, as zod shows it to `override`. */
interface VisitedType {
  zodSchema: {
    _zod: {
      def: { type: string; coerce?: boolean; in?: VisitedType["zodSchema"] };
    };
  };
  /** In the JSON Schema: `properties`, `at`. */
  path: (string | number)[];
}

const NOT_IN_JSON: Record<string, string> = {
  bigint: "a BigInt (use z.coerce.bigint())",
  date: "a Date (use z.coerce.date())",
  file: "a File (use withFiles)",
  function: "a function",
  map: "a Map",
  set: "a Set",
  symbol: "a symbol",
};

const unsendable = new WeakMap<StandardSchema, string[]>();

/** The places of a described schema that no JSON value fits: `at is a Date`. */
export function unsendableOf(schema: StandardSchema): readonly string[] {
  return unsendable.get(schema) ?? [];
}

function unsendableIn(visited: readonly VisitedType[]): string[] {
  const open = visited.filter(takesOthers).map(({ path }) => path.join("/"));
  return visited.flatMap(({ zodSchema, path }) => {
    const { type, coerce } = zodSchema._zod.def;
    const kind = Object.hasOwn(NOT_IN_JSON, type) && NOT_IN_JSON[type];
    if (!kind || coerce) return [];
    const place = path.join("/");
    if (open.some((one) => one === place || place.startsWith(`${one}/`)))
      return [];
    const names = path.filter((_, index) => path[index - 1] === "properties");
    return `${names.join(".") || "the whole"} is ${kind}`;
  });
}

/** A union, a fallback, and a function before the type (`z.preprocess`): a value of JSON may pass there. */
function takesOthers({ zodSchema }: VisitedType): boolean {
  const { type, in: first } = zodSchema._zod.def;
  return (
    type === "union" ||
    type === "catch" ||
    (type === "pipe" && first?._zod.def.type === "transform")
  );
}
