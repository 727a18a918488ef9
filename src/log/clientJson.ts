/**
 * JSON for clients: an Error anywhere in it is its message and never its fields, as libraries give them paths and hosts.
 * A walk over the value before it is encoded would cost a tenth of the encoding, and a replacer several times as much.
 * So errors get a `toJSON` of their own while a value is encoded, which costs nothing where there are none.
 */
import { shownToClients } from "./exposure";
import { log } from "./log";

const prototype = Error.prototype as Error & { toJSON?: unknown };

/** Whether `toJSON` can be put there and taken away; undefined until the first value, when the project is loaded. */
let isWritable: boolean | undefined;

/**
 * An error class with a `toJSON` of its own says itself what is shown.
 * @param padding as the third parameter of JSON.stringify
 * @returns undefined for what JSON leaves out: undefined, functions
 * @throws TypeError for what JSON cannot hold: circles, BigInt
 */
export function jsonForClients(
  value: unknown,
  padding?: number | string | null,
): string {
  isWritable ??= makeWritable();
  if (!isWritable)
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

/** What clients read of an Error that a response contains; the log has it if it is hidden from them. */
export function errorTextForClients(contained: Error): string {
  const { error, id } = shownToClients(contained);
  if (id !== undefined)
    // later: loggers, too, encode errors
    queueMicrotask(() =>
      log(`a response contains an error: ${String(contained)}`, "error", {
        errorId: id,
        stack: contained.stack,
      }),
    );
  const { message, name } = error as Error;
  return message || name;
}

/** Whether an error's class, and not a project for all errors, says how it is encoded. */
export function hasOwnJson(error: Error & { toJSON?: unknown }): boolean {
  return error.toJSON !== prototype.toJSON;
}

function errorText(this: Error): string {
  return errorTextForClients(this);
}

/** Where the built-in prototypes are frozen. */
function replaceError(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[key];
  return original instanceof Error && !hasOwnJson(original)
    ? errorTextForClients(original)
    : value;
}

/** What a project put there stays what it is, and what is new does not appear in loops over the fields of errors. */
function makeWritable(): boolean {
  return Reflect.defineProperty(prototype, "toJSON", {
    value: prototype.toJSON,
    writable: true,
    configurable: true,
    enumerable: false,
  });
}
