/** The response of an action: what it returned, and the error that replaces it. */
import { IN_LINE } from "../api";
import { settings } from "../config/settings";
import { codeFieldsOf, InlineError, StatusError } from "../errors";
import {
  isMistake,
  shownToClients,
  wordedForClients,
  type ShownError,
} from "../exposure/errors";
import { log } from "../log/log";
import type { ActionProcessor } from "./actionProcessor";
import { refuseStream } from "./output";
import { type ActionsStatus, usualStatus } from "./status";

/** Connections whose responses have an HTTP status, or go to a test or to code of this process. */
const WITH_STATUS = ["web", "testServer", IN_LINE];

/**
 * Merge the return value of an action into its response; a returned Error, whose fields are not for clients,
 * becomes its error.
 * @param isShared others than the action may keep the response as it is
 */
export function addToResponse(
  data: ActionProcessor,
  returned: unknown,
  isShared = true,
): void {
  if (returned === undefined || returned === null) return;
  refuseStream(returned, "a response");
  if (returned instanceof Error) attachError(data, returned);
  // a copy takes a fourth of the time of `Object.assign`, which was a tenth of an in-line action (bench/action.ts)
  else if (!isShared && isEmpty(data.response)) data.response = { ...returned };
  else Object.assign((data.response ??= {}), returned);
}

/** Whether the action has not touched its response. */
function isEmpty(response: unknown): boolean {
  if (typeof response !== "object" || response === null) return false;
  for (const _name in response) return false;
  return Object.getPrototypeOf(response) === Object.prototype;
}

/**
 * Put the error of a failed action into its response, as clients may see it.
 * @param thrown what the action threw, if it did; `config.errors` may have replaced it
 * @returns the id of the original in the log, if the client gets another text
 */
export function putError(
  data: ActionProcessor,
  error: unknown,
  thrown: unknown,
): string | undefined {
  const shown: ShownError =
    isThrown(error, thrown) || isMistake(error)
      ? shownToClients(error)
      : { error: wordedForClients(error) };
  attachError(data, shown.error);
  attachFacts(data, error);
  return shown.id;
}

/**
 * An Error that the action added to its response may not be meant for clients either.
 * @returns the id of the original in the log
 */
export function hideOwnError(data: ActionProcessor): string | undefined {
  if (data.response instanceof Error) data.response = { error: data.response };
  if (settings().errors.exposeMessages !== "intended") return undefined;
  const { error } = (data.response ?? {}) as { error?: unknown };
  if (!(error instanceof Error)) return undefined;
  const shown = shownToClients(error);
  if (shown.id === undefined) return undefined;
  data.response = withError(data.response as object, shown.error);
  log(`an action responded with an error: ${String(error)}`, "error", {
    errorId: shown.id,
    stack: error.stack,
  });
  return shown.id;
}

function hasStatus({ connection }: ActionProcessor): boolean {
  return WITH_STATUS.includes(connection.type);
}

/** For clients of all transports: only HTTP has a status. An action that was run in-line may also have a list of errors. */
function attachFacts(data: ActionProcessor, error: unknown): void {
  if (error instanceof StatusError || !hasStatus(data))
    attach(data, "code", codeFieldsOf(error).code);
  if (error instanceof InlineError) attach(data, "errors", error.errors);
}

/** Clients of transports without a status get, with the list of invalid params, the status of HTTP as `code`. */
export function attachStatus(
  data: ActionProcessor,
  status: ActionsStatus,
  error: unknown,
): void {
  if (!hasStatus(data))
    attach(data, "code", usualStatus(status, error, settings().web));
}

function attach(data: ActionProcessor, field: string, value: unknown): void {
  const { response } = data as { response: unknown };
  if (value !== undefined && isOpenObject(response) && !(field in response))
    response[field] = value;
}

function attachError(data: ActionProcessor, error: unknown): void {
  if (error === undefined || error === null) return;
  if (isTextOrList(data.response) && !settings().web.strictHttp) {
    data.response = `${error as string}`; // the whole response in version 29
    return;
  }
  const response = (canShowError(data.response) ? data.response : {}) as {
    error?: unknown;
  };
  try {
    if (response.error) return;
    response.error = error;
    data.response = response;
  } catch {
    data.response = withError(response, error); // frozen, or its `error` has only a getter
  }
}

function isTextOrList(response: unknown): boolean {
  return typeof response === "string" || Array.isArray(response);
}

/** Whether a property `error` would be sent: not of lists and bytes, nor of objects that make their own JSON. */
function canShowError(response: unknown): boolean {
  if (typeof response !== "object" || response === null) return false;
  if (
    response instanceof Error ||
    Array.isArray(response) ||
    ArrayBuffer.isView(response)
  )
    return false;
  try {
    return typeof (response as { toJSON?: unknown }).toJSON !== "function";
  } catch {
    return false; // a getter throws
  }
}

function isOpenObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.isExtensible(value)
  );
}

/** Whether an error is the thrown one, not its replacement from `config.errors`. */
function isThrown(error: unknown, thrown: unknown): boolean {
  if (thrown === undefined) return false;
  return error === thrown || (error as Error | null)?.message === thrown;
}

function withError(response: object, error: unknown): object {
  try {
    return { ...response, error };
  } catch {
    return { error }; // a getter throws
  }
}
