/** The framework's error class and the table of its codes. */

/** Every code with what it means; the README's table is checked against this one. */
export const ERROR_CODES = {
  AH_CONFIG: "a configuration file is missing, broken or contradicts another",
  AH_BOOT: "an initializer, action, task, server or plugin could not be loaded",
  AH_ACTION: "an action run in-line ended with an error",
  AH_SERVER_START: "a server could not listen",
  AH_REDIS_CONNECT: "redis could not be reached within `redis.connectTimeout`",
  AH_REDIS_TIMEOUT:
    "redis did not answer within `redis.operationTimeout`, or the connection was lost",
  AH_RPC_TIMEOUT: "no node answered a cluster call within `general.rpcTimeout`",
  AH_RPC_REMOTE: "the remote side of a cluster call threw",
  AH_CACHE_LOCKED: "the cache key is locked by another holder",
  AH_CACHE_NOT_FOUND: "the cache key does not exist",
  AH_CACHE_EXPIRY: "an expiry given to the cache is no number of ms",
  AH_CACHE_DUMP: "a file given to `cache.dumpRead` is no dump of the cache",
  AH_CHAT: "a chat room operation was refused",
  AH_TASK: "a task could not be enqueued or run",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * An error that code can decide on (`error.code`) while its text stays what clients match on.
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

/** Whatever was thrown, as an Error. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  if (typeof thrown === "string") return new Error(thrown);
  const message = (thrown as { message?: unknown } | null)?.message;
  return new Error(typeof message === "string" ? message : String(thrown), {
    cause: thrown,
  });
}

/** What a file failed with while it was loaded: reports of the error name the file. */
export function loadFailure(thrown: unknown, file: string): Error {
  const error = toError(thrown) as Error & { data?: object };
  if (Object.isExtensible(error)) error.data = { ...error.data, loading: file };
  return error;
}
