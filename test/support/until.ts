/** Waiting for what sends no event. */
const POLL_MS = 10;

/**
 * Ask until the answer is true (or anything but false, null and undefined), and return it.
 * @param limitMs fails after this long (default 10 s)
 */
export async function until<T>(
  ask: () => T | Promise<T>,
  limitMs = 10_000,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer !== null && answer !== undefined)
      return answer;
    if (Date.now() > deadline)
      throw new Error(`not within ${limitMs} ms: ${String(ask)}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
