/** The part of errors that clients see: the message, by `config.errors.exposeMessages`, and never the fields. */
import { randomBytes } from "node:crypto";
import {
  errorMessage,
  type ErrorMessage,
  projectMessage,
} from "../config/errorMessage";
import { settings } from "../config/settings";
import {
  ActionheroError,
  type ErrorCode,
  httpFactsOf,
  isErrorOfText,
  isRedisAway,
} from "../errors";
import type { ActionheroLogLevel } from "../log/log";

/** The framework's own errors whose texts are about what the client asked for. */
const INTENDED_CODES: readonly ErrorCode[] = [
  "AH_CHAT",
  "AH_CACHE_LOCKED",
  "AH_CACHE_NOT_FOUND",
];

/** Errors that indicate a bug, such as a property access on undefined. */
const MISTAKES = [TypeError, ReferenceError, RangeError, SyntaxError];

/** Errors with texts for clients, of the framework or of `config.errors`. */
const worded = new WeakSet<object>();

/** Marks an error in place: an entry of the set costs ten times as much, and time of the collector. */
class Worded extends class {
  constructor(error: object) {
    return error;
  }
} {
  readonly #isWorded = true;

  static has(error: object): boolean {
    return #isWorded in error ? error.#isWorded : worded.has(error);
  }
}

/** The replacement for an error that is not meant for clients. */
class HiddenError extends Error {
  readonly #original: unknown;

  constructor(message: string, original: unknown) {
    super(message);
    this.name = "Error";
    this.#original = original;
    delete this.stack;
  }

  static originalOf(error: unknown): unknown {
    return error instanceof HiddenError ? error.#original : error;
  }
}

/** The error for clients, and, if the original is hidden, the id under which it is logged. */
export interface ShownError {
  error: unknown;
  id?: string;
}

/** Mark an error as worded for clients. */
export function wordedForClients<E>(error: E): E {
  if (typeof error !== "object" || error === null || Worded.has(error))
    return error;
  if (error instanceof Error && Object.isExtensible(error)) new Worded(error);
  else worded.add(error);
  return error;
}

/** The error for clients; if it is hidden (`id`), the caller must log the original with the id. */
export function shownToClients(error: unknown): ShownError {
  const away = awayMessage(error);
  if (
    !away &&
    (settings().errors.exposeMessages !== "intended" || isIntended(error))
  )
    return { error };
  const id = randomBytes(6).toString("hex");
  const text = (away ?? errorMessage("internalError"))(id);
  const message =
    typeof text === "string"
      ? text
      : `The server experienced an internal error (${id})`;
  return { error: new HiddenError(message, error), id };
}

/** The original error, also of an action that another one ran. */
export function originalOf(error: unknown): unknown {
  const isInline =
    error instanceof ActionheroError && error.cause instanceof HiddenError;
  return HiddenError.originalOf(isInline ? error.cause : error);
}

/** `config.errors.redisAway`, for errors whose only cause is redis: one text for all kinds of failed commands. */
function awayMessage(error: unknown): ErrorMessage | undefined {
  const text = projectMessage("redisAway");
  if (!text || !isRedisAway(error)) return undefined;
  return error instanceof HiddenError || isIntended(error) ? undefined : text;
}

/** Whether an error was apparently thrown by the JavaScript engine, which indicates a bug. */
export function isMistake(error: unknown): error is Error {
  return (
    !isErrorOfText(error) &&
    MISTAKES.some((Mistake) => error instanceof Mistake) &&
    !isIntended(error)
  );
}

/** Whether the text of an error is meant for clients; any other error is one to look into. */
export function isIntended(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  if (error instanceof HiddenError || Worded.has(error)) return true;
  const { expose, code, cause } = error as {
    expose?: unknown;
    code?: unknown;
    cause?: unknown;
  };
  if (expose === true) return true;
  if (error instanceof ActionheroError) {
    if (error.code === "AH_ACTION") return isIntended(cause);
    return INTENDED_CODES.includes(error.code);
  }
  const status = parseInt(String(code), 10); // also "418 teapot"; "ENOENT" is not a number
  return status >= 400 && status < 600;
}

// --- The log level of errors that clients cause: `config.errors.clientErrorLogLevel`.

/** `"error"` in the version 29 profile. */
export function clientErrorLevel(): ActionheroLogLevel {
  return settings().errors.clientErrorLogLevel;
}

/** Whether the client caused an error: its status is from 400 to 499. */
export function isClientError(error: unknown): boolean {
  const { status = 0 } = httpFactsOf(error);
  return status >= 400 && status < 500;
}

/** The level of the line about an error that ends a request or a connection. */
export function levelOf(error: unknown): ActionheroLogLevel {
  return isClientError(error) ? clientErrorLevel() : "error";
}
