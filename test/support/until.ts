/** Waiting for what sends no event. */
const POLL_MS = 10;

/**
 * Ask until the answer is true or anything else that counts as true, and return it.
 * @param limitMs fails after this long (default 20 s)
 * @param what named in the error (default: the text of `ask`)
 */
export async function until<T>(
  ask: () => T | Promise<T>,
  limitMs = 20_000,
  what: string = String(ask),
): Promise<Exclude<T, false | null | undefined | 0 | "">> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer as Exclude<T, false | null | undefined | 0 | "">;
    if (Date.now() > deadline)
      throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
