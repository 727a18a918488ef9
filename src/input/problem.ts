/** An invalid param, for the list of errors in a response. */
import type { InputErrors } from "./field";

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
