/** Checks values by a Standard Schema. */
import type { InputErrors } from "./field";
import { HttpError } from "../errors";
import { MAX_LISTED, noteProblem, SchemaError } from "./types";
import type { SchemaPlan } from "./schemaPlan";
import type { SchemaIssue, SchemaResult } from "./standardSchema";

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
  const result = schema["~standard"].validate(value);
  return "then" in result
    ? result.then((settled) => conclude(settled, value, errors, prefix))
    : conclude(result, value, errors, prefix);
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
