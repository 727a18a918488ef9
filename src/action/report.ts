/** Reports an action: its log line, its error, its metric, and the list of invalid params. */
import { api } from "../api";
import type { ErrorFormatter } from "../config/types";
import { settings } from "../config/settings";
import type { Connection } from "../connection/connection";
import { httpFactsOf, ownFields, toError } from "../errors";
import { tableOf } from "../input/schemaPlan";
import {
  isStandardSchema,
  type DeclaredInputs,
  type InputProblem,
  problemsOf,
  SchemaError,
} from "../input/types";
import {
  escapeFields,
  escapeOwnFields,
  jsonForLogging as toJson,
} from "../log/escape";
import { clientErrorLevel, isClientError, isMistake } from "../exposure/errors";
import {
  paramsForLogging,
  filterResponseForLogging,
  isFiltering,
  textForLogging,
} from "../log/filters";
import { type ActionheroLogLevel, log, logEscaped, willLog } from "../log/log";
import { isRefusalLogged, type RefusalKind } from "../log/refusals";
import type { MetricsApi } from "../metrics/types";
import type { Action } from "./action";
import type { ActionProcessor } from "./actionProcessor";
import { hasClientLeft } from "./cancellation";
import { ActionsStatus, errorForStatus, usualStatus } from "./status";

/** The return value of `config.errors.serializers.actionProcessor`. */
export type ErrorLogLine = ReturnType<ErrorFormatter>;

const TOO_MANY_REQUESTS = 429;

/** Statuses that the client's request caused, in addition to errors with a client status. */
const CLIENT_STATUSES: readonly (ActionsStatus | null)[] = [
  ActionsStatus.TooManyRequests,
  ActionsStatus.UnknownAction,
  ActionsStatus.UnsupportedServerType,
  ActionsStatus.MissingParams,
  ActionsStatus.ValidatorErrors,
];

interface LogLine {
  [field: string]: unknown;
}

/**
 * Write the line of a finished action; an error also goes to the exception reporters. An error thrown by a project's
 * formatter or reporter does not affect the response.
 * @param errorId the id that the client gets instead of a hidden error
 */
export function reportAction(
  data: ActionProcessor,
  error: unknown,
  errorId?: string,
): void {
  try {
    if (error === undefined || error === null) reportSuccess(data);
    else reportFailure(data, error, errorId);
  } catch (failure) {
    log(
      `cannot report the action \`${textForLogging(data.action)}\``,
      "error",
      {
        to: data.connection.remoteIP,
        error: String(failure),
        stack: (failure as Error | undefined)?.stack,
      },
    );
  }
}

/** Add an action that has ended to the metrics. */
export function measureAction(data: ActionProcessor): void {
  const { metrics } = api as { metrics?: MetricsApi };
  if (metrics?.watch === undefined) return;
  metrics.watch.action(
    data.connection.type,
    data.actionTemplate ? data.action! : undefined,
    ActionsStatus[data.actionStatus!],
    data.duration!,
  );
}

function reportFailure(
  data: ActionProcessor,
  error: unknown,
  errorId: string | undefined,
): void {
  if (!isSeen(data)) return;
  const { logLevel, errorFields } = formatError(data, error);
  const level = logLevel ?? "error";
  const toReport = isReported(data) && !hasClientLeft(error);
  const toLog = willLog(level) && !isOnlyCounted(data, error, level);
  if (!toReport && !toLog) return;

  const line = Object.assign(buildLine(data), errorFields);
  if (errorId !== undefined) line.errorId = errorId;
  if (toLog) logLine(data, level, line);
  if (toReport)
    api.exceptionHandlers?.action(error as NodeJS.ErrnoException, line);
}

function reportSuccess(data: ActionProcessor): void {
  const { logLevel } = (data.actionTemplate ?? {}) as Partial<Action>;
  const level = logLevel ?? "info";
  if (willLog(level)) logLine(data, level, buildLine(data));
}

function logLine(
  { connection }: ActionProcessor,
  level: ActionheroLogLevel,
  line: LogLine,
): void {
  const text = `[ action @ ${connection.type} ]`;
  // an error may have been given to the reporters as it is
  if (line.error === "" && escapeOwnFields(line)) logEscaped(text, level, line);
  else log(text, level, escapeFields(line));
}

/**
 * The built-in format: `error` as text, and every own property except `message`. A thrown value that is not an Error is
 * logged as JSON.
 */
export function errorLogLine(error: unknown): ErrorLogLine {
  const errorFields: Record<string, unknown> = {};
  if (error instanceof Error) {
    errorFields.error = String(error);
    Object.assign(errorFields, ownFields(error, "message"));
  } else {
    errorFields.error = toJson(error);
  }
  return { errorFields, logLevel: "error" };
}

function formatError(data: ActionProcessor, error: unknown): ErrorLogLine {
  const formatter = settings().errors.serializers.actionProcessor;
  if (typeof formatter === "function") return formatter(error);
  const level = clientErrorLevel();
  return level !== "error" && isOfClient(data, error)
    ? clientErrorLogLine(data, error, level)
    : errorLogLine(error);
}

/** Whether the client caused the error; its stack would not help then. */
function isOfClient({ actionStatus }: ActionProcessor, error: unknown) {
  if (isMistake(error)) return false;
  return CLIENT_STATUSES.includes(actionStatus) || isClientError(error);
}

function clientErrorLogLine(
  { actionStatus }: ActionProcessor,
  error: unknown,
  logLevel: ActionheroLogLevel,
): ErrorLogLine {
  const { status = usualStatus(actionStatus, error, settings().web) } =
    httpFactsOf(error);
  const { cause } = (error ?? {}) as { cause?: unknown };
  const errorFields = {
    error: error instanceof Error ? String(error) : toJson(error),
    status,
    cause: cause === undefined ? undefined : String(toError(cause)),
  };
  return { errorFields, logLevel };
}

/**
 * Whether the error will be logged or reported; checked first, because reading its stack costs more than a 404
 * response.
 */
function isSeen(data: ActionProcessor): boolean {
  return (
    typeof settings().errors.serializers.actionProcessor === "function" ||
    isReported(data) ||
    willLog("error")
  );
}

/** Whether the client exceeds a limit and already has a log line about it. */
function isOnlyCounted(
  { actionStatus, connection }: ActionProcessor,
  error: unknown,
  level: ActionheroLogLevel,
): boolean {
  const isTooMuch =
    actionStatus === ActionsStatus.TooManyRequests ||
    actionStatus === ActionsStatus.Overloaded ||
    httpFactsOf(error).status === TOO_MANY_REQUESTS;
  if (!isTooMuch) return false;
  const { type, remoteIP: to } = connection;
  const client = { type, source: sourceOf(connection), to };
  const kind: RefusalKind = { what: "actions", level };
  return !isRefusalLogged(client, kind);
}

/** The key for counting: over HTTP the socket, because each request has a separate connection. */
function sourceOf(connection: Connection): object {
  const { req } = (connection.rawConnection ?? {}) as {
    req?: { socket?: object };
  };
  return req?.socket ?? connection;
}

function isReported(data: ActionProcessor): boolean {
  if (data.actionStatus === ActionsStatus.Overloaded) return false; // a flood would cause one report per request
  if (data.actionStatus !== ActionsStatus.UnknownAction) return true;
  return settings().errors.reportUnknownActions;
}

function buildLine(data: ActionProcessor): LogLine {
  const { connection } = data;
  const web = connection.type === "web" ? webFields(connection) : undefined;
  return {
    to: connection.remoteIP,
    action: nameForLogging(data),
    params: paramsForLogging(paramsOf(data)),
    duration: data.duration,
    method: web?.method,
    pathname: web?.pathname,
    error: "",
    response: settings().general.enableResponseLogging
      ? toJson(filterResponseForLogging(data.response as object))
      : undefined,
  };
}

/**
 * As in version 29, an unparsable TCP line is taken as the name of an action. Its part after `{` or `=` may be a secret
 * param that `general.filteredParams` cannot match, so it is hidden.
 */
function nameForLogging({ action, actionTemplate }: ActionProcessor) {
  if (actionTemplate || typeof action !== "string" || !isFiltering())
    return textForLogging(action);
  const end = action.search(/[{=]/);
  return textForLogging(
    end === -1 ? action : `${action.slice(0, end)}[FILTERED]`,
  );
}

/** A client may send an object for the name of an action; it is not shown by another way than the name is. */
function paramsOf(data: ActionProcessor): object {
  const actionTemplate = data.actionTemplate as Action | null;
  const params = data.params as { action?: unknown };
  const { action } = params;
  const isObject = typeof action === "object" && action !== null;
  if (isObject) return { ...params, action: textForLogging(action) };
  if (actionTemplate || typeof action !== "string") return params;
  const name = nameForLogging(data);
  return name === action ? params : { ...params, action: name };
}

function webFields(connection: Connection): {
  method?: string;
  pathname?: string;
} {
  const request = connection.rawConnection as {
    method?: string;
    parsedURL?: { pathname?: string };
    pathForLogging?(connection: Connection): string;
  };
  return {
    method: request.method,
    pathname:
      request.pathForLogging?.(connection) ?? request.parsedURL?.pathname,
  };
}

// --- The list of all invalid params of a request: `errors` in its response.

/** One entry. */
export interface ListedError {
  /** Keys with dots: `address.city`; empty for an error of all params together. */
  path: string;
  message: string;
  /** `"missing"`, `"invalid"`, or what the library of the schema calls it. */
  code: string;
}

/**
 * Add `errors` to the response, for actions with a schema, and for all with `config.web.listErrors`.
 * @returns a promise only if there are any
 */
export function listErrors(data: ActionProcessor): Promise<void> | undefined {
  const { response } = data as { response: unknown };
  if (!isOpen(response) || !isListed(data)) return undefined;
  const problems = problemsOf(data);
  if (problems.length === 0) return undefined;
  const all = problems.map((problem) => listed(data, problem));
  return Promise.all(all).then((errors) => void (response.errors = errors));
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
