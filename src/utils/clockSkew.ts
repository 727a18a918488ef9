/** Compares the clock of this machine with that of redis. */
import type { Machine } from "./promises";

/** A difference below this is not reported, in ms. */
const SKEW_LIMIT_MS = 1_000;

export class SkewWatch {
  private isSkewed = false;

  /** @param report called with the difference when one begins, in ms (ahead of redis is positive), and with 0 when it ends */
  constructor(
    private readonly machine: Pick<Machine, "now" | "monotonic">,
    private readonly report: (ms: number) => void,
  ) {}

  /**
   * Record a time reported by redis.
   * @param sentAt the monotonic time at which it was asked, in ms
   */
  measured(redisMs: number, sentAt: number): void {
    const tookMs = this.machine.monotonic() - sentAt;
    // redis read its clock at some point in between
    const skewMs = this.machine.now() - tookMs / 2 - redisMs;
    const isSkewed = Math.abs(skewMs) - tookMs / 2 > SKEW_LIMIT_MS;
    if (isSkewed === this.isSkewed) return;
    this.isSkewed = isSkewed;
    this.report(isSkewed ? Math.round(skewMs) : 0);
  }
}
