/** Functions of the style of version 3: they tell their outcome to a callback. */
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
 * Tell the outcome of a promise to a callback, if there is one.
 * @param failed what the callback gets for a failure, which is in the log then: these callbacks have no place for errors
 * @returns the promise; with a callback it does not reject
 */
export async function tell<T, F>(
  outcome: Promise<T>,
  next: ((value: any) => void) | undefined,
  failed: F,
): Promise<T | F> {
  if (typeof next !== "function") return outcome;
  let value: T | F;
  try {
    value = await outcome;
  } catch (error) {
    log(`a call of the style of version 3 failed: ${String(error)}`, "error");
    value = failed;
  }
  next(value);
  return value;
}
