/** Detects a blocked event loop. */

const PERIOD_MS = 250;
/** A turn that takes longer makes the process not alive, for the same time, so that a probe sees it. */
const STILL_MS = 1_000;

export class Pulse {
  private last = performance.now();
  private stillUntil = 0;
  private readonly timer = setInterval(() => this.beat(), PERIOD_MS).unref();

  /** Whether the event loop has turned within the last second. */
  isAlive(): boolean {
    this.beat(); // the timer may be late, too
    return performance.now() >= this.stillUntil;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private beat(): void {
    const now = performance.now();
    if (now - this.last > STILL_MS + PERIOD_MS)
      this.stillUntil = now + STILL_MS;
    this.last = now;
  }
}
