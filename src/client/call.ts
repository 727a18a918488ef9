/** One call, from its name to its response, over any transport. */
import { ActionError, ClientError } from "./errors";
import type { CallOptions } from "./types";

export interface Call {
  name: string;
  params: Record<string, unknown>;
  options: CallOptions;
  /** Aborted when nobody waits any more; its reason is what the call fails with. */
  signal: AbortSignal;
  /** When that is at the latest, as `performance.now()` counts; Infinity for any time. */
  deadline: number;
}

/** What a transport brings from the server. */
export interface Answer {
  body: unknown;
  /** Of HTTP. */
  status?: number;
}

export type Send = (call: Call) => Promise<Answer>;

/** What the server adds to the response of an action. */
const METADATA = [
  "context",
  "messageId",
  "serverInformation",
  "requesterInformation",
];

/** @param timeout how long a call may take unless it says so itself, in ms; 0 for any time */
export function makeCall(send: Send, timeout: number) {
  return async (
    name: string,
    params: Record<string, unknown> = {},
    options: CallOptions = {},
  ): Promise<unknown> => {
    const controller = new AbortController();
    const { signal } = options;
    const follow = () => controller.abort(signal!.reason);
    if (signal?.aborted) throw signal.reason;
    signal?.addEventListener("abort", follow, { once: true });
    const ms = options.timeout ?? timeout;
    const isBounded = ms > 0 && ms < Infinity;
    const timer = isBounded
      ? setTimeout(() => controller.abort(late(name, ms)), ms)
      : undefined;
    try {
      refuseRouting(params);
      const answer = await send({
        ...versioned(name, params),
        options,
        signal: controller.signal,
        deadline: isBounded ? performance.now() + ms : Infinity,
      });
      return responseOf(answer);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", follow);
    }
  };
}

function late(name: string, ms: number): ClientError {
  return new ClientError("TIMEOUT", `${name} was not answered in ${ms} ms`);
}

/** What the server looks at to choose the action, also as a field of a form: `action[]`. */
const ROUTING = /^(?:action|apiVersion)(?:\[|$)/;

/**
 * Only the name of a call chooses the action: a caller may pass on params from its own clients.
 * @throws {ClientError} UNSUPPORTED
 */
function refuseRouting(params: Record<string, unknown>): void {
  for (const key of Object.keys(params)) {
    if (params[key] === undefined || !ROUTING.test(key)) continue;
    throw new ClientError(
      "UNSUPPORTED",
      `${key} is no param: the name of a call says which action and version it is for`,
    );
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

function responseOf({ body, status }: Answer): unknown {
  const isObject = typeof body === "object" && body !== null;
  const { error } = (isObject ? body : {}) as { error?: unknown };
  if (error !== undefined && error !== null)
    throw new ActionError(body, status);
  if (status !== undefined && status >= 400)
    throw new ActionError(body, status);
  if (!isObject || Array.isArray(body)) return body;
  const response = { ...body } as Record<string, unknown>;
  for (const key of METADATA) delete response[key];
  return response;
}

/** @throws {ClientError} UNSUPPORTED for a BigInt or a circle */
export function jsonOf(name: string, params: unknown): string {
  try {
    return JSON.stringify(params);
  } catch (cause) {
    const text = `the params of ${name} cannot be written as JSON`;
    throw new ClientError("UNSUPPORTED", text, { cause });
  }
}

/** What a call that never left fails with: unlike one that was sent, the server has not done it. */
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
 * @param work returns what is called when the signal came first, and may know a better reason
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
    // it may settle at once
    const release = work(settle(resolve), settle(reject));
    if (signal.aborted) abort();
    else if (!isSettled)
      signal.addEventListener("abort", abort, { once: true });
  });
}

/** What `work` gives, unless the signal comes first. */
export function withSignal<Value>(
  signal: AbortSignal,
  work: Promise<Value>,
): Promise<Value> {
  return abortable<Value>(signal, (resolve, reject) => {
    work.then(resolve, reject);
    return () => undefined;
  });
}

/** Wait, unless the signal comes first. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return abortable<void>(signal, (resolve) => {
    const timer = setTimeout(resolve, ms);
    return () => clearTimeout(timer);
  });
}

/** `client.user.show(params)` for `client.call("user:show", params)`; what the client has itself goes first. */
export function withNames<Methods extends object>(
  methods: Methods,
  call: (name: string, ...args: never[]) => unknown,
): Methods {
  const branch = (name: string): unknown =>
    new Proxy(() => undefined, {
      apply: (_target, _this, args: never[]) => call(name, ...args),
      get: (_target, key) =>
        isName(key) ? branch(`${name}:${key}`) : undefined,
    });
  return new Proxy(methods, {
    get: (target, key) => {
      if (key in target || !isName(key)) return Reflect.get(target, key);
      return branch(key);
    },
  });
}

/** `then` would make a client that is awaited look like a promise. */
function isName(key: string | symbol): key is string {
  return typeof key === "string" && key !== "then" && key !== "toJSON";
}
