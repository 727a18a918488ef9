/** How an action ended, and the error that this gives the client. */
import { errorMessage, type ErrorName } from "../config/errorMessage";
import type { WebSettings } from "../config/settings";
import type { ErrorReason } from "../config/types";
import {
  errorOfText,
  isRedisAway,
  StatusError,
  withoutTrace,
  type ErrorCode,
} from "../errors";
import { originalOf } from "../exposure/errors";
import { RETRY_AFTER_SECONDS } from "../overload/overload";
import { isThenable } from "../utils/promises";

/** The order is public: users compare with the numbers. */
export enum ActionsStatus {
  Complete,
  GenericError,
  ServerShuttingDown,
  TooManyRequests,
  UnknownAction,
  UnsupportedServerType,
  MissingParams,
  ValidatorErrors,
  Overloaded,
  TimedOut,
}

/** The facts that error messages are made from; the whole ActionProcessor is handed to `config.errors`. */
export interface StatusFacts {
  missingParams: string[];
  validatorErrors: any[];
  connection: { type: string; otherMethods?: string[] };
  actionTemplate?: { timeout?: number } | null;
}

/**
 * The error of an action that did not complete, created by a function of `config.errors`.
 * @param thrown what was thrown, for GenericError
 * @returns an Error if the function returns a string, otherwise its return value; a promise only if the function
 * returns one
 */
export function errorForStatus(
  status: ActionsStatus,
  data: StatusFacts,
  thrown: unknown,
): unknown {
  const error = messageFor(status, data, thrown);
  return isThenable(error)
    ? Promise.resolve(error).then(toWordedError)
    : toWordedError(error);
}

function toWordedError(worded: unknown): unknown {
  return typeof worded === "string" ? errorOfText(worded) : worded;
}

function messageFor(
  status: ActionsStatus,
  data: StatusFacts,
  thrown: unknown,
): unknown {
  switch (status) {
    case ActionsStatus.Complete:
      return undefined;
    case ActionsStatus.GenericError:
      return call("genericError", data, thrown);
    case ActionsStatus.ServerShuttingDown:
      return call("serverShuttingDown", data);
    case ActionsStatus.TooManyRequests:
      return call("tooManyPendingActions", data);
    case ActionsStatus.UnknownAction:
      return call("unknownAction", data);
    case ActionsStatus.UnsupportedServerType:
      return call("unsupportedServerType", data);
    case ActionsStatus.MissingParams:
      return call("missingParams", data, data.missingParams);
    case ActionsStatus.ValidatorErrors:
      return call("invalidParams", data, data.validatorErrors);
    case ActionsStatus.Overloaded:
      return unavailable("AH_OVERLOADED", call("overloaded", data));
    case ActionsStatus.TimedOut: {
      const { timeout } = data.actionTemplate ?? {};
      return unavailable("AH_ACTION_TIMEOUT", call("timedOut", data, timeout));
    }
  }
}

/** A string becomes an error with the status 503; any other return value of the project is unchanged. */
function unavailable(code: ErrorCode, worded: unknown): unknown {
  if (isThenable(worded))
    return worded.then((text: unknown) => unavailable(code, text));
  if (typeof worded !== "string") return worded;
  const headers =
    code === "AH_OVERLOADED"
      ? { "Retry-After": RETRY_AFTER_SECONDS }
      : undefined;
  return withoutTrace(() => new StatusError(code, worded, 503, headers));
}

function call(name: ErrorName, data: StatusFacts, detail?: unknown): unknown {
  return errorMessage(name)(data, detail);
}

/** The key of `config.web.errorStatus` for the outcome of an action. */
const REASONS: Record<ActionsStatus, ErrorReason> = {
  [ActionsStatus.Complete]: "genericError",
  [ActionsStatus.GenericError]: "genericError",
  [ActionsStatus.ServerShuttingDown]: "serverShuttingDown",
  [ActionsStatus.TooManyRequests]: "tooManyPendingActions",
  [ActionsStatus.UnknownAction]: "unknownAction",
  [ActionsStatus.UnsupportedServerType]: "unsupportedServerType",
  [ActionsStatus.MissingParams]: "missingParams",
  [ActionsStatus.ValidatorErrors]: "invalidParams",
  [ActionsStatus.Overloaded]: "genericError",
  [ActionsStatus.TimedOut]: "genericError",
};

/** The statuses of version 29; all others are `defaultErrorStatusCode`. */
const USUAL_STATUS: Partial<Record<ActionsStatus, number>> = {
  [ActionsStatus.UnknownAction]: 404,
  [ActionsStatus.MissingParams]: 422,
  [ActionsStatus.Overloaded]: 503,
  [ActionsStatus.TimedOut]: 503,
};

/** The HTTP status for an error that has none. */
export function usualStatus(
  status: ActionsStatus | null,
  error: unknown,
  { errorStatus, defaultErrorStatusCode }: WebSettings,
): number {
  return (
    errorStatus[reasonOf(status, error)] ??
    USUAL_STATUS[status ?? ActionsStatus.GenericError] ??
    defaultErrorStatusCode
  );
}

function reasonOf(status: ActionsStatus | null, error: unknown): ErrorReason {
  const reason = REASONS[status ?? ActionsStatus.GenericError];
  return reason === "genericError" && isRedisAway(originalOf(error))
    ? "redisAway"
    : reason;
}
