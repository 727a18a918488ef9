/** One call, from its name to its response or error, over any transport. */
import type { CallOptions, CreateClientOptions, TokenSource } from "./types";

export interface Call {
  name: string;
  params: Record<string, unknown>;
  /** With the tokens of the client, unless the call has its own. */
  options: CompleteOptions;
  /** The param that the server reads session tokens from. */
  sessionParam: string;
  /** Aborted when the caller stops waiting; the call fails with its reason. */
  signal: AbortSignal;
  /** The deadline, by `performance.now()`; Infinity for no limit. */
  deadline: number;
}

/** The response of a transport. */
export interface Reply {
  body: unknown;
  /** Over HTTP only. */
  status?: number;
}

export type Send = (call: Call) => Promise<Reply>;

/** The fields that the server adds to the response of an action. */
const METADATA = [
  "context",
  "messageId",
  "serverInformation",
  "requesterInformation",
];

/** The default timeout of a call and of `connect()`, in ms. */
export const DEFAULT_TIMEOUT = 60_000;

/** The default of `config.session.param`. */
const SESSION_PARAM = "sessionToken";

/** The options of a client that apply to each of its calls. */
type ForCalls = Pick<
  CreateClientOptions,
  "timeout" | "accessToken" | "sessionToken" | "sessionParam"
>;

export function makeCall(send: Send, client: ForCalls) {
  const { timeout = DEFAULT_TIMEOUT, sessionParam = SESSION_PARAM } = client;
  return async (
    name: string,
    given: Record<string, unknown> | null | undefined,
    options: CallOptions = {},
  ): Promise<unknown> => {
    const params = given ?? {};
    const controller = new AbortController();
    const { signal } = options;
    const follow = () => controller.abort(signal!.reason);
    if (signal?.aborted) throw signal.reason;
    signal?.addEventListener("abort", follow, { once: true });
    const ms = options.timeout ?? timeout;
    const isBounded = ms > 0 && ms < Infinity;
    const timer = isBounded
      ? setTimeout(() => controller.abort(late(name, ms)), timerMs(ms))
      : undefined;
    try {
      refuseReserved(params, sessionParam);
      const complete = withTokens(options, client);
      const reply = await send({
        ...versioned(name, params),
        options:
          complete instanceof Promise
            ? await withSignal(controller.signal, complete)
            : complete,
        sessionParam,
        signal: controller.signal,
        deadline: isBounded ? performance.now() + ms : Infinity,
      });
      return responseOf(reply);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", follow);
    }
  };
}

/** The longest time of timers, in ms: 24.8 days. Those of a longer one end at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Limits a delay, which may be Infinity, to the longest that timers support. */
export function timerMs(ms: number): number {
  return Math.min(ms, MAX_TIMER_MS);
}

function late(name: string, ms: number): ClientError {
  return new ClientError("TIMEOUT", `${name} got no response within ${ms} ms`);
}

/** The options of a call with the tokens that it sends. */
export type CompleteOptions = CallOptions & {
  /** Empty: no session, on a connection that may have had one. */
  sessionToken?: string | undefined;
};

/** @returns a promise only if a token comes from a function, so that other calls are sent at once */
function withTokens(
  options: CallOptions,
  { accessToken: ofClient, sessionToken }: ForCalls,
): CompleteOptions | Promise<CompleteOptions> {
  refuseSessionOfCall(options);
  const { accessToken = ofClient } = options;
  if (typeof accessToken !== "function" && typeof sessionToken !== "function")
    return {
      ...options,
      accessToken: accessToken ?? undefined,
      sessionToken: sessionToken ?? undefined,
    };
  return Promise.all([tokenOf(accessToken), tokenOf(sessionToken)]).then(
    ([access, session]) => ({
      ...options,
      accessToken: access,
      // a user who signed out: the connection is still in the session before
      sessionToken:
        typeof sessionToken === "function" ? (session ?? "") : session,
    }),
  );
}

/**
 * A connection has one session: the token of one call would be that of the next ones, which may be of other users.
 * @throws {ClientError} UNSUPPORTED
 */
function refuseSessionOfCall(options: object): void {
  if ((options as { sessionToken?: unknown }).sessionToken === undefined)
    return;
  throw new ClientError(
    "UNSUPPORTED",
    "sessionToken is an option of the client: a connection has one session",
  );
}

/** Null is no token, as `localStorage` returns it. */
async function tokenOf(
  source: TokenSource | null | undefined,
): Promise<string | undefined> {
  const token = typeof source === "function" ? await source() : source;
  return token ?? undefined;
}

const OF_ACTION = "the name of a call says which action and version it is for";

/** The params that the server itself reads, and what says the same in a call. */
const RESERVED: ReadonlyMap<string, string> = new Map([
  ["action", OF_ACTION],
  ["apiVersion", OF_ACTION],
  ["accessToken", "it is an option of the client or of the call"],
  ["idempotencyKey", "it is an option of the call"],
]);

/** Form fields may have brackets (or dots, which `web.queryParseOptions` may allow): `action[]`, `[action]`. */
const BEFORE_NAME = /^[[\].]+/;
const BEHIND_NAME = /[[\].]/;

/**
 * Params may come from untrusted clients, which must not choose the action, the session or the caller. They are refused on all
 * transports, though not every server reads each of them.
 * @throws {ClientError} UNSUPPORTED
 */
function refuseReserved(
  params: Record<string, unknown>,
  sessionParam: string,
): void {
  for (const key of Object.keys(params)) {
    if (params[key] === undefined) continue;
    const [name = ""] = key.replace(BEFORE_NAME, "").split(BEHIND_NAME, 1);
    const instead =
      name === sessionParam
        ? "the option sessionToken of the client names the session"
        : RESERVED.get(name);
    if (instead !== undefined)
      throw new ClientError("UNSUPPORTED", `${key} is no param: ${instead}`);
  }
}

/** The part behind the last `@` is the version. */
function versioned(name: string, params: Record<string, unknown>) {
  const at = name.lastIndexOf("@");
  if (at < 1) return { name, params: { ...params } };
  const version = name.slice(at + 1);
  const apiVersion = /^\d+$/.test(version) ? Number(version) : version;
  return { name: name.slice(0, at), params: { ...params, apiVersion } };
}

function responseOf({ body, status }: Reply): unknown {
  const isObject = typeof body === "object" && body !== null;
  const { error } = (isObject ? body : {}) as { error?: unknown };
  if (error !== undefined && error !== null)
    throw new ActionError(body, status);
  if (status !== undefined && status >= 400)
    throw new ActionError(body, status);
  // as replies of the other transports contain them
  if (!isObject || Array.isArray(body))
    return body === undefined ? body : { data: body };
  const response = { ...body } as Record<string, unknown>;
  for (const key of METADATA) delete response[key];
  return response;
}

/** The params of a call over a transport without headers, for JSON. */
export function messageParams({
  params,
  options: { idempotencyKey, accessToken, sessionToken },
  sessionParam,
}: Call): Record<string, unknown> {
  return {
    ...params,
    idempotencyKey,
    accessToken,
    [sessionParam]: sessionToken,
  };
}

/** @throws {ClientError} UNSUPPORTED for a BigInt or a circular reference */
export function jsonOf(name: string, params: unknown): string {
  try {
    return JSON.stringify(params);
  } catch (cause) {
    const text = `the params of ${name} cannot be written as JSON`;
    throw new ClientError("UNSUPPORTED", text, { cause });
  }
}

/** The error of a call that was never sent, so that the server has certainly not run it. */
export function unsent(
  signal: AbortSignal,
  cause: Error | undefined,
): ClientError | undefined {
  const reason: unknown = signal.reason;
  if (!(reason instanceof ClientError && reason.code === "TIMEOUT"))
    return undefined;
  const text = `${reason.message}: there was no connection`;
  return new ClientError("UNREACHABLE", text, { cause });
}

/**
 * Settle with `work`, or fail with the signal's reason.
 * @param work may return a function that is called when the signal aborts first, and may return a better reason
 */
export function abortable<Value>(
  signal: AbortSignal,
  work: (
    resolve: (value: Value) => void,
    reject: (error: Error) => void,
  ) => () => Error | undefined | void,
): Promise<Value> {
  return new Promise<Value>((resolve, reject) => {
    let isSettled = false;
    const settle =
      <Result>(end: (result: Result) => void) =>
      (result: Result) => {
        isSettled = true;
        signal.removeEventListener("abort", abort);
        end(result);
      };
    const abort = () => reject(release() ?? (signal.reason as Error));
    // it may settle synchronously
    const release = work(settle(resolve), settle(reject));
    if (signal.aborted) abort();
    else if (!isSettled)
      signal.addEventListener("abort", abort, { once: true });
  });
}

/** The result of `work`, unless the signal aborts first. */
export function withSignal<Value>(
  signal: AbortSignal,
  work: Promise<Value>,
): Promise<Value> {
  return abortable<Value>(signal, (resolve, reject) => {
    work.then(resolve, reject);
    return () => undefined;
  });
}

/** Wait, unless the signal aborts first. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return abortable<void>(signal, (resolve) => {
    const timer = setTimeout(resolve, timerMs(ms));
    return () => clearTimeout(timer);
  });
}

/**
 * `client.user.show(params)` for `client.call("user:show", params)`; properties of the client itself take precedence.
 */
export function withNames<Methods extends object>(
  methods: Methods,
  call: (name: string, ...args: never[]) => unknown,
): Methods {
  const branch = (name: string): unknown =>
    new Proxy(() => undefined, {
      apply: (_target, _this, args: never[]) => call(name, ...args),
      get: (target, key) => {
        if (isName(key) && !FUNCTION_MEMBERS.has(key))
          return branch(`${name}:${key}`);
        return isThenOrJson(key)
          ? undefined
          : (Reflect.get(target, key) as unknown);
      },
    });
  return new Proxy(methods, {
    get: (target, key) => {
      if (key in target || !isName(key)) return Reflect.get(target, key);
      return branch(key);
    },
  });
}

/**
 * Members of functions and objects that the language itself uses: `${client.user}` asks for `toString`. Actions of these names are
 * called by `client.call`.
 */
const FUNCTION_MEMBERS: ReadonlySet<string> = new Set([
  "apply",
  "bind",
  "call",
  ...Object.getOwnPropertyNames(Object.prototype),
]);

function isName(key: string | symbol): key is string {
  return typeof key === "string" && !isThenOrJson(key);
}

/** They would make a client look like a promise when it is awaited, and like a value that has a JSON of its own. */
function isThenOrJson(key: string | symbol): boolean {
  return key === "then" || key === "toJSON";
}

// --- The errors of calls. An abort by the caller rejects with the reason of the signal instead.

/** An invalid param, as listed by the server. */
export interface ParamProblem {
  /** Keys with dots: `address.city`. */
  path: string;
  message: string;
  code: string;
}

/** The server responded with an error. */
export class ActionError<Response = unknown> extends Error {
  override readonly name = "ActionError";
  /**
   * The HTTP status; on other transports, that of an `HttpError` of the server, of listed params and of overload and timeouts,
   * else undefined.
   */
  readonly status: number | undefined;
  /**
   * The response's `code`, or that of the problem that `message` describes; undefined when it has neither. A status is
   * in `status` on every transport, never here.
   */
  readonly code: string | number | undefined;
  /** All problems of the params; empty when the server lists none. */
  readonly errors: ParamProblem[];
  /** The complete response of the server. */
  readonly response: Response;

  constructor(response: Response, status?: number) {
    super(textOf(response, status));
    const { code, errors } = Object(response) as {
      code?: string | number;
      errors?: unknown;
    };
    this.status = status ?? statusOf(code);
    this.errors = Array.isArray(errors) ? (errors as ParamProblem[]) : [];
    const described =
      this.errors.find((problem) => problem?.message === this.message) ??
      this.errors[0];
    this.code = isStatus(code) ? described?.code : (code ?? described?.code);
    this.response = response;
  }
}

/** Codes of the server itself that stand for a status. */
const UNAVAILABLE: readonly unknown[] = ["AH_OVERLOADED", "AH_ACTION_TIMEOUT"];

/** Replies without an HTTP status have it as `code`, or a code of which it follows. */
function statusOf(code: unknown): number | undefined {
  if (isStatus(code)) return code;
  return UNAVAILABLE.includes(code) ? 503 : undefined;
}

function isStatus(code: unknown): code is number {
  return typeof code === "number" && code >= 400 && code < 600;
}

export type ClientErrorCode =
  /** No response within `timeout`. */
  | "TIMEOUT"
  /** There is no connection, and nothing was sent. Browsers do not reveal this over HTTP. */
  | "UNREACHABLE"
  /** The connection ended before the response: it is unknown whether the server ran the action. */
  | "CONNECTION_LOST"
  /** `close()` was called. */
  | "CLOSED"
  /** The response is not JSON, such as the page of a proxy. */
  | "INVALID_RESPONSE"
  /** The transport cannot do this, such as rooms over HTTP. */
  | "UNSUPPORTED";

/** The server did not respond, or is not an actionhero server. */
export class ClientError extends Error {
  override readonly name = "ClientError";

  constructor(
    readonly code: ClientErrorCode,
    message: string,
    /** The HTTP status of a response that is not JSON. */
    { cause, status }: { cause?: unknown; status?: number | undefined } = {},
  ) {
    super(message, { cause });
    this.status = status;
  }

  readonly status: number | undefined;
}

/** An attempt to connect failed on this side, for the reason in `cause`, so waiting calls fail with it: retrying is pointless. */
export class OwnFailure extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function textOf(response: unknown, status: number | undefined): string {
  const { error } = Object(response) as { error?: unknown };
  if (typeof error === "string") return error;
  const { message } = Object(error) as { message?: unknown };
  if (typeof message === "string") return message;
  if (error === undefined) return `the server responded with ${status}`;
  return JSON.stringify(error);
}
