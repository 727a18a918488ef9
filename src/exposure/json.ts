/**
 * JSON for clients: an Error at any depth is encoded as its message, never with its fields, because libraries
 * store paths, hosts and whole requests in them. A replacer would multiply the encoding time, so a walk, which
 * takes a tenth of that time, first looks for errors. If there may be one, `Error.prototype` has a `toJSON` while
 * the value is encoded. The replacer is used only if the class of an error defines `toJSON` itself.
 */
import { log } from "../log/log";
import { shownToClients } from "./errors";

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

/** A replacer that replaces errors, for frozen built-in prototypes. */
function replaceError(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[key];
  return original instanceof Error && !hasOwnJson(original)
    ? errorTextForClients(original)
    : value;
}

/** Deeper values may be circular, and are left to the encoder. */
const MAX_DEPTH = 100;

/** The kinds of values that a value may contain. */
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

// --- Encodes a chat message once per transport instead of once per member. All members that get the same message get
// the *same object* through `connection.sendMessage`. A transport that encodes with `encodeOnce(message, "its name",
// encode)` encodes such an object for its first member and gets the same bytes for all others; any other
// message is encoded each time, because it may have changed.

/** The encoded forms of each message with several recipients, by transport. */
const encodedForms = new WeakMap<object, Map<string, unknown>>();

/** Mark an object as immutable from now on, and about to be sent to many. */
export function shareEncoding<T extends object>(message: T): T {
  encodedForms.set(message, new Map());
  return message;
}

/**
 * The encoded form of a message.
 * @param transport names the form, e.g. `"websocket"`; one name, one form
 * @param encode creates the form; the result must not be modified afterwards, because others send it too
 */
export function encodeOnce<T, M extends object>(
  message: M,
  transport: string,
  encode: (message: M) => T,
): T {
  const forms = encodedForms.get(message);
  if (!forms) return encode(message);
  if (!forms.has(transport)) forms.set(transport, encode(message));
  return forms.get(transport) as T;
}
