/** What clients see of errors: the message, by `config.errors.exposeMessages`, and never the fields. */
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
import { type ActionheroLogLevel, log } from "./log";

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

function isIntended(error: unknown): boolean {
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

// --- JSON for clients: an Error at any depth is encoded as its message, never with its fields, because libraries
// store paths, hosts and whole requests in them. A replacer would multiply the encoding time, so a walk, which
// takes a tenth of that time, first looks for errors. If there may be one, `Error.prototype` has a `toJSON` while
// the value is encoded. The replacer is used only if the class of an error defines `toJSON` itself.

const prototype = Error.prototype as Error & { toJSON?: unknown };

/**
 * Whether `toJSON` can be added to and removed from the prototype; undefined until the first value, after the project
 * is loaded.
 */
let isWritable: boolean | undefined;

/**
 * An error with `expose: true` and its own `toJSON` is encoded by that method.
 * @param padding as the third parameter of JSON.stringify
 * @returns undefined for values that JSON omits: undefined, functions
 * @throws TypeError for values that JSON cannot represent: circular references, BigInt
 */
export function jsonForClients(
  value: unknown,
  padding?: number | string | null,
): string {
  const content = contentOf(value, 0);
  if (content === Content.Plain)
    return padding
      ? JSON.stringify(value, null, padding)
      : JSON.stringify(value);
  isWritable ??= makeWritable();
  if (!isWritable || content === Content.ErrorsWithForeignJson)
    return JSON.stringify(value, replaceError, padding ?? undefined);
  const { toJSON } = prototype;
  prototype.toJSON = errorText;
  try {
    return padding
      ? JSON.stringify(value, null, padding)
      : JSON.stringify(value);
  } finally {
    prototype.toJSON = toJSON;
  }
}

/** The text that clients get for an Error in a response; a hidden error is logged. */
export function errorTextForClients(contained: Error): string {
  const { error, id } = shownToClients(contained);
  if (id !== undefined)
    // later, because loggers also encode errors
    queueMicrotask(() =>
      logHidden("a response contains an error", contained, id),
    );
  const { message, name } = error as Error;
  return message || name;
}

function logHidden(what: string, error: Error, errorId: string): void {
  const { stack } = error;
  log(`${what}: ${String(error)}`, "error", { errorId, stack });
}

/** Whether an error that is meant for clients, or its class, says how it is encoded. */
export function hasOwnJson(
  error: Error & { toJSON?: unknown; expose?: unknown },
): boolean {
  return error.expose === true && error.toJSON !== prototype.toJSON;
}

/**
 * Prepares a message of a project for a client: an Error becomes `{ error }`, and an error that clients must not see is
 * replaced and logged.
 */
export function messageForClients(message: unknown): unknown {
  if (message instanceof Error) return { error: shownError(message) };
  const { error } = (message ?? {}) as { error?: unknown };
  if (!(error instanceof Error)) return message;
  const shown = shownError(error);
  return shown === error ? message : { ...(message as object), error: shown };
}

function shownError(original: Error): unknown {
  const { error, id } = shownToClients(original);
  if (id !== undefined) logHidden("a message is an error", original, id);
  return error;
}

function errorText(this: Error): string {
  return errorTextForClients(this);
}

/** For frozen built-in prototypes. */
function replaceError(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[key];
  return original instanceof Error && !hasOwnJson(original)
    ? errorTextForClients(original)
    : value;
}

/** Deeper values may be circular, and are left to the encoder. */
const MAX_DEPTH = 100;

/** What a value may contain. */
enum Content {
  /** Neither an Error nor a value that could produce one. */
  Plain,
  Errors,
  /** An Error that would be encoded by a `toJSON` that is not meant for clients. */
  ErrorsWithForeignJson,
}

function contentOf(value: unknown, depth: number): Content {
  if (typeof value !== "object" || value === null) return Content.Plain;
  if (depth > MAX_DEPTH) return Content.ErrorsWithForeignJson;
  if (hasJson(value))
    return value instanceof Error && !hasOwnJson(value)
      ? Content.ErrorsWithForeignJson
      : Content.Errors; // its JSON may contain some
  if (value instanceof Error) return Content.Errors;
  if (ArrayBuffer.isView(value)) return Content.Plain;
  return Array.isArray(value)
    ? contentOfList(value, depth)
    : contentOfFields(value as Record<string, unknown>, depth);
}

function contentOfList(list: unknown[], depth: number): Content {
  let content = Content.Plain;
  for (const item of list) {
    if (typeof item !== "object" || item === null) continue;
    content = Math.max(content, contentOf(item, depth + 1));
    if (content === Content.ErrorsWithForeignJson) break;
  }
  return content;
}

function contentOfFields(
  fields: Record<string, unknown>,
  depth: number,
): Content {
  let content = Content.Plain;
  for (const key in fields) {
    const item = fields[key];
    if (typeof item !== "object" || item === null) continue;
    content = Math.max(content, contentOf(item, depth + 1));
    if (content === Content.ErrorsWithForeignJson) break;
  }
  return content;
}

function hasJson(value: object): boolean {
  return typeof (value as { toJSON?: unknown }).toJSON === "function";
}

/** A project's own property is kept, and the new one is not enumerable. */
function makeWritable(): boolean {
  return Reflect.defineProperty(prototype, "toJSON", {
    value: prototype.toJSON,
    writable: true,
    configurable: true,
    enumerable: false,
  });
}
