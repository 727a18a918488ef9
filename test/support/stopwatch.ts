/** Times of a machine that may stand still: what other work takes away from this process is not counted. */

const TICK_MS = 10;
/** What one turn of the event loop counts at most: a longer one was stopped from outside, not slow. */
const MOST_MS = 100;
const MOST_TRIES = 8;

/** Follows the turns of the event loop until `stop`. */
class Ticks {
  /** In ms, without what single turns took over MOST_MS. */
  counted = 0;
  /** In ms. */
  longest = 0;
  private last = performance.now();
  private readonly timer = setInterval(() => this.count(), TICK_MS);

  stop(): void {
    clearInterval(this.timer);
    this.count();
  }

  private count(): void {
    const now = performance.now();
    const turn = now - this.last;
    this.last = now;
    this.counted += Math.min(turn, MOST_MS);
    this.longest = Math.max(this.longest, turn);
  }
}

/**
 * How long `work` took, in ms, without the times at which this process could not run (a machine that was stalled,
 * collections of garbage): for bounds from above, on work that waits. What keeps the event loop busy is not seen.
 */
export async function timed(work: () => unknown): Promise<number> {
  const ticks = new Ticks();
  try {
    await work();
  } finally {
    ticks.stop();
  }
  return ticks.counted;
}

/**
 * Do `work`, whose timers are short; once more when it failed in a time in which this process stood still.
 * @param pauseMs a turn of the event loop that takes longer may be why it failed, in ms
 */
export async function unstalled(
  work: () => Promise<void>,
  pauseMs: number,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const ticks = new Ticks();
    try {
      return await work();
    } catch (error) {
      ticks.stop();
      if (ticks.longest < pauseMs || tries === MOST_TRIES) throw error;
    } finally {
      ticks.stop();
    }
  }
}
