/** Waiting for promises: what is one, and for how long. */
import { ActionheroError, type ErrorCode } from "../errors";

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === "function";
}

/**
 * The outcome of `work`, or a rejection once `ms` milliseconds have gone by.
 * @param message builds the text of the error, when it is needed
 */
export function within<T>(
  ms: number,
  work: Promise<T>,
  code: ErrorCode,
  message: () => string,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const giveUp = () => reject(new ActionheroError(code, message()));
    // an answer may be there already: when this process stood still, timers come before what has arrived
    const timer = setTimeout(() => setImmediate(giveUp), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * Wait for `work`, at most `ms` milliseconds; a late outcome is ignored, an early rejection is thrown.
 * @returns whether it ended in time
 */
export async function waitAtMost(
  ms: number,
  work: Promise<unknown> | undefined,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  const inTime = Promise.resolve(work).then(() => true);
  try {
    return await Promise.race([inTime, late]);
  } finally {
    clearTimeout(timer);
  }
}
