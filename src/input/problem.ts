/** What is wrong with one param, for the list of errors in a response. */
import type { InputErrors } from "./field";

export interface InputProblem {
  /** Keys with dots: `address.city`, `tags.3`. */
  path: string;
  /** `"missing"`, `"invalid"`, or what the library of a schema calls it. */
  code: string;
  /** What the validator said, for `config.errors.invalidParams`; undefined for a missing param. */
  error: unknown;
}

/** Longer lists make a response much larger than its request. */
export const MAX_LISTED = 100;

/** Made when the first param of a call is wrong: good calls cost nothing. */
const problems = new WeakMap<InputErrors, InputProblem[]>();

export function noteProblem(errors: InputErrors, problem: InputProblem): void {
  const list = problems.get(errors);
  if (!list) problems.set(errors, [problem]);
  else if (list.length < MAX_LISTED) list.push(problem);
}

/** The first 100 that were noted. */
export function problemsOf(errors: InputErrors): readonly InputProblem[] {
  return problems.get(errors) ?? [];
}

/** A bad value, as the schema words it: its text names the param, and the list of errors has both apart. */
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
