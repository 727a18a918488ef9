/** Times of a machine that may stand still: what other work takes away from this process is not counted. */

const TICK_MS = 10;
/** What one turn of the event loop counts at most: a longer one was stopped from outside, not slow. */
const MOST_MS = 100;

/**
 * How long `work` took, in ms, without the times at which this process could not run (a machine that was stalled,
 * collections of garbage): for bounds from above, on work that waits. What keeps the event loop busy is not seen.
 */
export async function timed(work: () => unknown): Promise<number> {
  let counted = 0;
  let last = performance.now();
  const count = () => {
    const now = performance.now();
    counted += Math.min(now - last, MOST_MS);
    last = now;
  };
  const ticking = setInterval(count, TICK_MS);
  try {
    await work();
  } finally {
    clearInterval(ticking);
  }
  count();
  return counted;
}
