/**
 * What calls of a connection's methods mean for the requests that are open on it: a rejection that nobody waits for
 * fails its request instead of ending the process, and a message that was sent answers its request.
 */
import { toError } from "../errors";
import { isThenable } from "../utils/promises";
import { reportError } from "../log/exceptions";
import type { Connection } from "./connection";

/** A call that was rejected. */
export interface FailedCall {
  /** The name of the method. */
  method: string;
  /** The request that was being worked on when the method was called. */
  messageId: string | number;
  error: unknown;
}

/** Called for a rejection that nobody waits for when no action is pending that could fail with it. */
type LateHandler = (connection: Connection, call: FailedCall) => void;

interface Failure extends FailedCall {
  promise: CallPromise;
}

/** What is known of the pending actions of one connection. */
interface OpenCalls {
  failures: Failure[];
  /** The ids of requests that a message was sent for. */
  answered: Set<unknown>;
}

/** The methods that answer a request; one that failed has not. */
const SENDING = ["sendMessage", "sendFile"];

const open = new WeakMap<Connection, OpenCalls>();
/** How many there are in `open`, so that most actions end without a look at it. */
let openCount = 0;

/** Knows whether somebody waits for it. Our own handlers are attached past its `then`. */
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
 * Call a method of a connection. Its promise never becomes an unhandled rejection: if nobody waits for it, the action
 * that is pending on the connection fails with the error, or else `onLate` is called and the error is reported.
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
    // noted before the caller goes on: a synchronous action ends before any callback of a promise
    const promise = new CallPromise((_resolve, reject) => reject(error));
    void Promise.prototype.then.call(promise, undefined, ignore);
    note(connection, { method, messageId, error, promise }, onLate);
    return promise;
  }
  if (!isThenable(result)) return Promise.resolve(result);
  const promise = CallPromise.resolve(result) as CallPromise;
  void Promise.prototype.then.call(promise, undefined, ignore);
  // of the method's own promise, which is a few steps ahead: the action may end meanwhile
  result.then(undefined, (error: unknown) =>
    note(connection, { method, messageId, error, promise }, onLate),
  );
  return promise;
}

/** A message was sent to a client: if it is a response, the request has its answer. */
export function noteMessage(connection: Connection, message: unknown): void {
  if (connection.pendingActions === 0) return;
  const { context, messageId } = (message ?? {}) as {
    context?: unknown;
    messageId?: unknown;
  };
  if (context && context !== "response") return;
  callsOf(connection).answered.add(messageId ?? connection.messageId);
}

/** Whether a message answered this request of an action that is still pending. */
export function wasAnswered(connection: Connection, messageId: unknown) {
  return open.get(connection)?.answered.has(messageId) === true;
}

/**
 * An action of the connection is about to end: take the error of a call that it did not wait for, if there is one.
 * @param hasFailed it fails with another error: then this one is only reported
 */
export function takeFailedCall(
  connection: Connection,
  hasFailed: boolean,
): FailedCall | undefined {
  if (openCount === 0) return undefined;
  const calls = open.get(connection);
  // of several actions at a time it cannot be told which one made the call
  if (!calls || connection.pendingActions > 1) return undefined;
  const unnoticed = calls.failures.splice(0).filter(isUnnoticed);
  const taken = hasFailed ? undefined : unnoticed.shift();
  unnoticed.forEach(report);
  return taken;
}

/** The last pending action of the connection has ended. */
export function forgetCalls(connection: Connection): void {
  if (openCount === 0) return;
  const calls = open.get(connection);
  if (!calls) return;
  open.delete(connection);
  openCount--;
  calls.failures.filter(isUnnoticed).forEach(report);
}

function callsOf(connection: Connection): OpenCalls {
  let calls = open.get(connection);
  if (!calls) {
    calls = { failures: [], answered: new Set() };
    open.set(connection, calls);
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
    const { failures, answered } = callsOf(connection);
    failures.push(failure);
    if (SENDING.includes(failure.method)) answered.clear();
    return;
  }
  // the caller may be about to wait for it
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
  // whoever waits gets the rejection; otherwise it was noted
}
