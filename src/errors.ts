/** The framework's error class with the table of its codes, and the error that projects throw for clients. */

/** Every code with its meaning; a test compares the README's table with this one. */
export const ERROR_CODES = {
  AH_CONFIG:
    "a configuration file is missing, broken or contradicts another, or `general.serverToken` is missing",
  AH_BOOT: "an initializer, action, task, server or plugin could not be loaded",
  AH_ACTION: "an action run in-line ended with an error",
  AH_ACTION_TIMEOUT: "an action did not end within its `timeout`",
  AH_CLIENT_LEFT:
    "the reason of `data.signal` when the client of an action disconnects",
  AH_SERVER_START: "a server could not listen",
  AH_REDIS_CONNECT: "redis could not be reached within `redis.connectTimeout`",
  AH_REDIS_TIMEOUT:
    "redis did not reply within `redis.operationTimeout`, the connection was lost, or it refuses writes",
  AH_RPC_TIMEOUT:
    "no node replied to a cluster call within `general.rpcTimeout`",
  AH_RPC_REMOTE: "the remote side of a cluster call threw",
  AH_CACHE_LOCKED: "the cache key is locked by another holder",
  AH_CACHE_NOT_FOUND: "the cache key does not exist",
  AH_CACHE_EXPIRY: "an expiry for the cache is not a number of ms",
  AH_CACHE_DUMP: "a file for `cache.dumpRead` is not a dump of the cache",
  AH_CHECK_TIMEOUT:
    "a health check, or the collection of a metric, did not end in time",
  AH_OVERLOADED: "new work is refused by `general.overload`",
  AH_CHAT: "a chat room operation was refused",
  AH_TASK: "a task could not be enqueued or run",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * An error with a `code` for programs, while its text stays the one that clients match on.
 * The codes are never numeric, so they cannot be mistaken for an HTTP status.
 */
export class ActionheroError extends Error {
  readonly code: ErrorCode;
  /** Extra facts for the error reporters: name, file and phase of what failed. */
  data?: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "Error"; // `String(error)` is on the wire: v29 clients match on "Error: ..."
    this.code = code;
  }
}

/** An error of the framework's own that is meant for clients, with the status and headers of its HTTP response. */
export class StatusError extends ActionheroError {
  readonly expose = true;

  constructor(
    code: ErrorCode,
    message: string,
    readonly status: number,
    readonly headers: HttpErrorHeaders = {},
  ) {
    super(code, message);
  }
}

/** The error of an action that was run in-line, as a client of it would have received it. */
export class InlineError extends ActionheroError {
  readonly expose = true;
  readonly status: number;
  readonly headers: HttpErrorHeaders;
  /** All problems of its params. */
  readonly errors?: unknown[];

  constructor(
    message: string,
    {
      cause,
      status,
      headers,
      errors,
    }: { cause?: unknown } & Pick<InlineError, "status" | "headers" | "errors">,
  ) {
    super("AH_ACTION", message, { cause });
    this.status = status;
    this.headers = headers;
    if (errors) this.errors = errors;
  }
}

/** Headers of an HTTP response; a list is several headers of one name. */
export type HttpErrorHeaders = Record<string, string | number | string[]>;

/**
 * An error whose message is meant for the client. Over HTTP it sets the status and adds its headers; replies over other
 * transports have the status as `code`. It is not an `ActionheroError`: its code is the HTTP status, not one of the
 * table.
 */
export class HttpError extends Error {
  /** The HTTP status, 400 to 599. */
  readonly status: number;
  /** The `status` again: version 29 reads the status of any error from its `code`. */
  readonly code: number;
  /** Added to the HTTP response, in place of headers of the same name. */
  readonly headers: HttpErrorHeaders;
  /** The message is meant for the client, whatever `config.errors.exposeMessages` is. */
  readonly expose = true;

  /**
   * @param status the HTTP status, 400 to 599
   * @param message what the client gets to read
   * @throws RangeError for any other status
   */
  constructor(
    status: number,
    message: string,
    {
      headers,
      ...options
    }: { cause?: unknown; headers?: HttpErrorHeaders } = {}, // projects may compile without ES2022's ErrorOptions
  ) {
    super(message, options);
    if (!isErrorStatus(status))
      throw new RangeError(
        `the status of an HttpError must be from 400 to 599, not ${String(status)}`,
      );
    this.name = "Error"; // `String(error)` is on the wire: v29 clients match on "Error: ..."
    this.status = status;
    this.code = status;
    this.headers = { ...headers };
  }
}

/** The fields that a reply without an HTTP status has beside its error. */
export function codeFieldsOf(error: unknown): { code?: string | number } {
  if (error instanceof StatusError) return { code: error.code };
  const { status, isExplicit } = httpFactsOf(error);
  return isExplicit ? { code: status } : {};
}

/** The HTTP response that an error asks for. */
export interface HttpFacts {
  /** Undefined if the error has no status. */
  status: number | undefined;
  /** Whether `status` comes from an error that is meant for clients, not only from a `code` as in version 29. */
  isExplicit: boolean;
  headers: HttpErrorHeaders;
}

const NO_HEADERS: HttpErrorHeaders = {};
const NO_FACTS: HttpFacts = Object.freeze({
  status: undefined,
  isExplicit: false,
  headers: NO_HEADERS,
});

/**
 * The status and headers of an error: those of an `HttpError`, or of any error with `expose: true` and a `status` or
 * `statusCode` (as other libraries have them); otherwise its `code`, also as text ("418 teapot"), if it is a status.
 */
export function httpFactsOf(error: unknown): HttpFacts {
  const { expose, status, statusCode, headers, code } = (error ?? {}) as {
    [key in "expose" | "status" | "statusCode" | "headers" | "code"]?: unknown;
  };
  if (expose === true) {
    const explicit = status ?? statusCode;
    if (isErrorStatus(explicit))
      return {
        status: explicit,
        isExplicit: true,
        headers: isRecord(headers) ? headers : NO_HEADERS,
      };
  }
  if (code === undefined) return NO_FACTS;
  // eslint-disable-next-line @typescript-eslint/no-base-to-string -- whatever it is
  const fromCode = parseInt(String(code), 10);
  const isStatus = fromCode >= 200 && fromCode < 600;
  return {
    status: isStatus ? fromCode : undefined,
    isExplicit: false,
    headers: NO_HEADERS,
  };
}

function isErrorStatus(status: unknown): status is number {
  return (
    Number.isInteger(status) &&
    (status as number) >= 400 &&
    (status as number) < 600
  );
}

function isRecord(value: unknown): value is HttpErrorHeaders {
  return typeof value === "object" && value !== null;
}

const REDIS_AWAY: readonly unknown[] = [
  "AH_REDIS_CONNECT",
  "AH_REDIS_TIMEOUT",
] satisfies ErrorCode[];

/** How many causes of an error are followed: causes may be circular. */
const MAX_CAUSES = 5;

/** Whether an error, or one of its causes, means that redis cannot be reached. */
export function isRedisAway(error: unknown): boolean {
  let current = error;
  for (let i = 0; i <= MAX_CAUSES; i++) {
    if (typeof current !== "object" || current === null) return false;
    const { code, cause } = current as { code?: unknown; cause?: unknown };
    if (REDIS_AWAY.includes(code)) return true;
    current = cause;
  }
  return false;
}

/** The thrown value as an Error. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  if (typeof thrown === "string") return new Error(thrown);
  const message = (thrown as { message?: unknown } | null)?.message;
  return new Error(typeof message === "string" ? message : String(thrown), {
    cause: thrown,
  });
}

/** An error and its causes, for logs. */
export function errorText(thrown: unknown): string {
  const error = toError(thrown);
  const { cause } = error;
  // a thrown value that is not an Error is the cause of the Error made from it
  if (cause === undefined || cause === thrown) return error.toString();
  return `${error.toString()} (${toError(cause).message})`;
}

/** The own properties of a thrown value, such as `code` and `stack`, except some; for logs. */
export function ownFields(
  thrown: unknown,
  ...except: string[]
): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  const holder = Object(thrown ?? {}) as Record<string, unknown>;
  if (isErrorOfText(thrown) && !except.includes("stack"))
    fields.stack = holder.stack; // inherited
  for (const key of Object.getOwnPropertyNames(holder))
    if (!except.includes(key)) fields[key] = holder[key];
  return fields;
}

/** An error that occurred while a file was loaded; reports of the error name the file. */
export function loadFailure(thrown: unknown, file: string): Error {
  const error = toError(thrown) as Error & { data?: object };
  if (Object.isExtensible(error)) error.data = { ...error.data, loading: file };
  return error;
}

/**
 * An error of a text that a client may cause as often as it likes. Making a native error takes V8 longer than finding the
 * route of a request does (bench/http.ts, notFound), so this only inherits from `Error`: it is one for `instanceof`, as text,
 * and in logs, but not for `util.types.isNativeError`.
 */
class TextError implements Error {
  declare name: string; // that of `Error`
  #message: string;

  constructor(text: string) {
    this.#message = text;
  }

  get message(): string {
    return this.#message;
  }

  set message(text: string) {
    this.#message = text;
  }

  /** Without frames, which would show only framework code. */
  get stack(): string {
    return Error.prototype.toString.call(this);
  }

  set stack(stack: string) {
    Object.defineProperty(this, "stack", {
      configurable: true,
      writable: true,
      value: stack,
    });
  }

  static has(error: unknown): boolean {
    return typeof error === "object" && error !== null && #message in error;
  }
}

Object.setPrototypeOf(TextError.prototype, Error.prototype);
Object.defineProperties(TextError.prototype, {
  constructor: { value: Error },
  [Symbol.toStringTag]: { value: "Error" },
});

/** An error with a text for clients, and without a stack. */
export function errorOfText(text: string): Error {
  return new TextError(text);
}

/** Whether an error comes from `errorOfText`. */
export function isErrorOfText(error: unknown): boolean {
  return TextError.has(error);
}

/** Create an error without a stack, which costs more than the rest of a refusal, and would show only framework code. */
export function withoutTrace<E extends Error>(create: () => E): E {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return create();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
