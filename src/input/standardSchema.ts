/**
 * Schemas of any library that implements Standard Schema (standardschema.dev), and the JSON Schema that some of them
 * provide.
 */
import { toError } from "../errors";

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
export interface StandardSchema<Input = any, Output = any> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (
      value: unknown,
    ) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?:
      { readonly input: Input; readonly output: Output } | undefined;
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
  const lenient = { unrepresentable: "any" };
  let failure: unknown;
  for (const libraryOptions of [lenient, undefined]) {
    try {
      return jsonSchema[side]({ target: TARGET, libraryOptions });
    } catch (error) {
      failure = error; // the library refuses these options, or this schema
      if (error instanceof RangeError) break; // a schema without an end takes a second each time
    }
  }
  failures.set(schema, toError(failure));
  return undefined;
}
