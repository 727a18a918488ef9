/** The list of all invalid params of a request: `errors` in its response. */
import { settings } from "../config/settings";
import {
  type DeclaredInputs,
  type InputProblem,
  problemsOf,
  SchemaError,
} from "../input/types";
import { tableOf } from "../input/schemaPlan";
import { isStandardSchema } from "../input/standardSchema";
import type { ActionProcessor } from "./actionProcessor";
import { ActionsStatus, errorForStatus } from "./status";

/** One entry. */
export interface ListedError {
  /** Keys with dots: `address.city`; empty for an error of all params together. */
  path: string;
  message: string;
  /** `"missing"`, `"invalid"`, or what the library of the schema calls it. */
  code: string;
}

/** Add `errors` to the response, for actions with a schema, and for all with `config.web.listErrors`. */
export async function listErrors(data: ActionProcessor): Promise<void> {
  const { response } = data as { response: unknown };
  if (!isOpen(response) || !isListed(data)) return;
  const problems = problemsOf(data);
  if (problems.length === 0) return;
  response.errors = await Promise.all(
    problems.map((problem) => listed(data, problem)),
  );
}

function isListed({ actionTemplate }: ActionProcessor): boolean {
  const { listErrors: isOn } = settings().web;
  if (isOn === true) return true;
  const { inputs } = actionTemplate as { inputs?: DeclaredInputs };
  return (
    isStandardSchema(inputs) ||
    Object.values(tableOf(inputs)).some(({ schema }) =>
      isStandardSchema(schema),
    )
  );
}

function isOpen(response: unknown): response is { errors?: ListedError[] } {
  return (
    typeof response === "object" &&
    response !== null &&
    !Array.isArray(response) &&
    Object.isExtensible(response) &&
    !("errors" in response)
  );
}

/** In the words of `config.errors`, as if nothing else were wrong. */
async function listed(
  data: ActionProcessor,
  { path, code, error }: InputProblem,
): Promise<ListedError> {
  const isMissing = code === "missing" && error === undefined;
  const only = Object.create(data, {
    missingParams: { value: isMissing ? [path] : [] },
    validatorErrors: { value: isMissing ? [] : [error] },
  }) as ActionProcessor;
  const status = isMissing
    ? ActionsStatus.MissingParams
    : ActionsStatus.ValidatorErrors;
  const worded = await errorForStatus(status, only, undefined);
  return { path, message: textOf(worded), code };
}

function textOf(worded: unknown): string {
  const detail = SchemaError.detailOf(worded);
  if (detail !== undefined) return detail;
  const { message } = (worded ?? {}) as { message?: unknown };
  return typeof message === "string" ? message : String(worded);
}
