/** The pending requests of a connection: disconnect listeners, and calls of its methods that failed. */
import { isThenable } from "../utils/promises";
import { toError } from "../errors";
import { reportError } from "../log/exceptions";
import type { Connection } from "./connection";

const disconnectListeners = new WeakMap<Connection, Set<() => void>>();
/** The number of listeners, so that most connections can end without a look-up. */
let disconnectListenerCount = 0;

/**
 * Call a function once when a connection ends.
 * @returns a function that removes the listener
 */
export function onDisconnect(
  connection: Connection,
  listener: () => void,
): () => void {
  let own = disconnectListeners.get(connection);
  if (!own) disconnectListeners.set(connection, (own = new Set()));
  own.add(listener);
  disconnectListenerCount++;
  return () => {
    if (own.delete(listener)) disconnectListenerCount--;
  };
}

/** The connection has ended. */
export function notifyDisconnect(connection: Connection): void {
  if (disconnectListenerCount === 0) return;
  const own = disconnectListeners.get(connection);
  if (!own) return;
  disconnectListeners.delete(connection);
  for (const listener of [...own]) {
    if (own.delete(listener)) disconnectListenerCount--;
    listener();
  }
}

// --- Calls of a connection's methods belong to its pending requests: an unhandled rejection fails its request instead of
// stopping the process, and a sent message completes its request.

/** A rejected call. */
export interface FailedCall {
  /** The name of the method. */
  method: string;
  /** The current request when the method was called. */
  messageId: string | number;
  error: unknown;
}

/** Called for an unhandled rejection when no pending action could fail with it. */
type LateHandler = (connection: Connection, call: FailedCall) => void;

interface Failure extends FailedCall {
  promise: CallPromise;
}

/** The state of the pending actions of one connection. */
interface OpenCalls {
  failures: Failure[];
  /** The ids of requests for which a message was sent. */
  respondedIds: Set<unknown>;
}

/** The methods that send a response, unless they fail. */
const SENDING = ["sendMessage", "sendFile"];

const openCalls = new WeakMap<Connection, OpenCalls>();
/** The size of `openCalls`, so that most actions can end without a look-up. */
let openCount = 0;

/** A promise that records whether a handler is attached. Our own handlers bypass its `then`. */
class CallPromise extends Promise<unknown> {
  isAwaited = false;

  static override get [Symbol.species]() {
    return Promise;
  }

  override then<A = unknown, B = never>(
    onFulfilled?: ((value: unknown) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.isAwaited = true;
    return super.then(onFulfilled, onRejected);
  }
}

/**
 * Call a method of a connection. Its promise never becomes an unhandled rejection: without a handler, the pending
 * action of the connection fails with the error, or else `onLate` is called and the error is reported.
 */
export function call(
  connection: Connection,
  method: string,
  act: () => unknown,
  onLate?: LateHandler,
): Promise<unknown> {
  const { messageId } = connection;
  let result: unknown;
  try {
    result = act();
  } catch (error) {
    // recorded before the caller continues: a synchronous action ends before any callback of a promise
    const promise = new CallPromise((_resolve, reject) => reject(error));
    void Promise.prototype.then.call(promise, undefined, ignore);
    note(connection, { method, messageId, error, promise }, onLate);
    return promise;
  }
  if (!isThenable(result)) return Promise.resolve(result);
  const promise = CallPromise.resolve(result) as CallPromise;
  void Promise.prototype.then.call(promise, undefined, ignore);
  // on the method's own promise, which settles a few microtasks earlier: the action may end meanwhile
  result.then(undefined, (error: unknown) =>
    note(connection, { method, messageId, error, promise }, onLate),
  );
  return promise;
}

/** A message was sent to a client: if it is a response, it completes its request. */
export function noteMessage(connection: Connection, message: unknown): void {
  if (connection.pendingActions === 0) return;
  const { context, messageId } = (message ?? {}) as {
    context?: unknown;
    messageId?: unknown;
  };
  if (context && context !== "response") return;
  callsOf(connection).respondedIds.add(messageId ?? connection.messageId);
}

/** Whether a message was sent for this request while its action is still pending. */
export function hasResponse(connection: Connection, messageId: unknown) {
  return openCalls.get(connection)?.respondedIds.has(messageId) === true;
}

/**
 * Return the error of a call that the ending action did not await, if any.
 * @param hasFailed the action fails with another error; then this one is only reported
 */
export function takeFailedCall(
  connection: Connection,
  hasFailed: boolean,
): FailedCall | undefined {
  if (openCount === 0) return undefined;
  const calls = openCalls.get(connection);
  // with several concurrent actions, the one that made the call is unknown
  if (!calls || connection.pendingActions > 1) return undefined;
  const unnoticed = calls.failures.splice(0).filter(isUnnoticed);
  const taken = hasFailed ? undefined : unnoticed.shift();
  unnoticed.forEach(report);
  return taken;
}

/** The last pending action of the connection has ended. */
export function forgetCalls(connection: Connection): void {
  if (openCount === 0) return;
  const calls = openCalls.get(connection);
  if (!calls) return;
  openCalls.delete(connection);
  openCount--;
  calls.failures.filter(isUnnoticed).forEach(report);
}

function callsOf(connection: Connection): OpenCalls {
  let calls = openCalls.get(connection);
  if (!calls) {
    calls = { failures: [], respondedIds: new Set() };
    openCalls.set(connection, calls);
    openCount++;
  }
  return calls;
}

function note(
  connection: Connection,
  failure: Failure,
  onLate: LateHandler | undefined,
): void {
  if (connection.pendingActions === 1) {
    const { failures, respondedIds } = callsOf(connection);
    failures.push(failure);
    if (SENDING.includes(failure.method)) respondedIds.clear();
    return;
  }
  // the caller may be about to attach a handler
  setImmediate(() => {
    if (!isUnnoticed(failure)) return;
    report(failure);
    onLate?.(connection, failure);
  });
}

function isUnnoticed({ promise }: Failure): boolean {
  return !promise.isAwaited;
}

function report({ method, error }: FailedCall): void {
  reportError(toError(error), "connection", method);
}

function ignore(): void {
  // a handler gets the rejection; otherwise it was recorded
}
