/** Bounds on waiting for redis. */
import { ActionheroError, type ErrorCode } from "../errors";

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
