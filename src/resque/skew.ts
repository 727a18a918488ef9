/** Compares the clock of this machine with that of the store. */
import type { Environment } from "./environment";

/** A difference below this is not reported, in ms. */
export const SKEW_LIMIT_MS = 1_000;

export class SkewWatch {
  private isSkewed = false;

  /** @param report called with the difference when one begins, in ms (ahead of the store is positive), and with 0 when it ends */
  constructor(
    private readonly environment: Environment,
    private readonly report: (ms: number) => void,
  ) {}

  /**
   * Record a time reported by the store.
   * @param sentAt the monotonic time at which it was asked, in ms
   */
  measured(storeMs: number, sentAt: number): void {
    const tookMs = this.environment.monotonic() - sentAt;
    // the store read its clock at some point in between
    const skewMs = this.environment.now() - tookMs / 2 - storeMs;
    const isSkewed = Math.abs(skewMs) - tookMs / 2 > SKEW_LIMIT_MS;
    if (isSkewed === this.isSkewed) return;
    this.isSkewed = isSkewed;
    this.report(isSkewed ? Math.round(skewMs) : 0);
  }
}
