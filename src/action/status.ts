/** How an action ended, and the error that this gives the client. */
import { errorMessage, type ErrorMessage } from "../config/errorMessage";
import { isThenable } from "../input/field";

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
}

/** The facts that error messages are made from; the whole ActionProcessor is handed to `config.errors`. */
export interface StatusFacts {
  missingParams: string[];
  validatorErrors: any[];
  connection: { type: string; otherMethods?: string[] };
}

/** Used when a project's `config.errors` lacks an entry. */
const DEFAULT_MESSAGES: Record<string, ErrorMessage> = {
  genericError: (_data, error) => error as unknown,
  serverShuttingDown: () => "the server is shutting down",
  tooManyPendingActions: () => "you have too many pending requests",
  unknownAction: ({ connection: { otherMethods } }: StatusFacts) =>
    otherMethods
      ? `unknown action or invalid apiVersion (with this method: use ${otherMethods.join(", ")})`
      : "unknown action or invalid apiVersion",
  unsupportedServerType: (data: StatusFacts) =>
    `this action does not support the ${data.connection.type} connection type`,
  missingParams: (_data, missing: string[]) =>
    `${missing[0]} is a required parameter for this action`,
  invalidParams: (_data, errors: unknown[]) => errors[0],
};

/**
 * The error of an action that did not complete, as `config.errors` words it.
 * @param thrown what was thrown, for GenericError
 * @returns an Error for a text, else whatever the message function answers; a promise only if that answers one
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
  return typeof worded === "string" ? withoutStack(worded) : worded;
}

/** A stack would show nothing but the framework, and costs more than all else of answering a 404. */
export function withoutStack(text: string): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error = new Error(text);
  Error.stackTraceLimit = stackTraceLimit;
  return error;
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
  }
}

function call(key: string, data: StatusFacts, detail?: unknown): unknown {
  return (errorMessage(key) ?? DEFAULT_MESSAGES[key]!)(data, detail);
}
