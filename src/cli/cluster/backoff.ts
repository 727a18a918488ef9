/** How long to wait before a worker that ended unexpectedly is replaced. */

/** The first delay, in ms; it doubles with each failure in a row. */
const FIRST_MS = 100;
const LONGEST_MS = 10_000;
/** A worker that ran this long, in ms, was healthy: the next failure starts a new series. */
const HEALTHY_MS = 30_000;

export class Backoff {
  private failures = 0;

  constructor(
    private readonly firstMs = FIRST_MS,
    private readonly longestMs = LONGEST_MS,
  ) {}

  /** How many workers in a row ended early. */
  get failuresInARow(): number {
    return this.failures;
  }

  /**
   * A worker ended.
   * @param ranMs how long it served
   * @returns how long to wait before the next one, in ms
   */
  next(ranMs: number): number {
    if (ranMs >= HEALTHY_MS) this.failures = 0;
    const wait = this.firstMs * 2 ** this.failures;
    this.failures++;
    return Math.min(wait, this.longestMs);
  }
}
