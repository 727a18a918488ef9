/** Functions in the style of version 3, which pass their outcome to a callback. */
import { log } from "../log/log";

export type Next = (...outcome: any[]) => void;

/**
 * Run `work`, which calls `next` when it is done.
 * @returns what was given to `next`; for a function that returns a promise and takes no `next`, nothing
 * @throws what it throws or rejects with
 */
export function untilNext(
  work: (next: Next) => unknown,
  takesNext: boolean,
): Promise<any[]> {
  return new Promise((resolve, reject) => {
    const returned = work((...outcome) => resolve(outcome));
    const { then } = (returned ?? {}) as Partial<PromiseLike<unknown>>;
    if (typeof then === "function")
      then.call(returned, () => void (takesNext || resolve([])), reject);
  });
}

/**
 * Pass the outcome of a promise to a callback, if one was given.
 * @param failed what the callback gets for a failure, which is in the log then: these callbacks have no place for errors
 * @returns the promise; with a callback it does not reject
 */
export function passOn<T, F>(
  outcome: Promise<T>,
  next: ((value: any) => void) | undefined,
  failed: F,
): Promise<T | F> {
  const logged = logFailure(outcome);
  if (typeof next !== "function") return logged;
  return logged
    .catch(() => failed)
    .then((value) => {
      next(value);
      return value;
    });
}

/**
 * Code of version 3 does not wait for what has no callback: its failures are in the log, and must not end the process.
 * @returns the same promise, for code that does wait
 */
export function logFailure<T>(outcome: Promise<T>): Promise<T> {
  outcome.catch((error: unknown) =>
    log(`a call of the style of version 3 failed: ${String(error)}`, "error"),
  );
  return outcome;
}
