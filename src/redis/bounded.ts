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
    const timer = setTimeout(
      () => reject(new ActionheroError(code, message())),
      ms,
    );
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
