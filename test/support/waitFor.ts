/** Waits for something that no event tells of, with a bound. */

const STEP_MS = 5;

/**
 * Look until `find` finds something (any truthy value), and give that back.
 * @param what named in the error
 * @param timeoutMs how long to look (default 10,000)
 */
export async function waitFor<T>(
  what: string,
  find: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<Exclude<T, false | null | undefined | 0 | "">> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await find();
    if (found) return found as Exclude<T, false | null | undefined | 0 | "">;
    if (Date.now() > deadline)
      throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}
