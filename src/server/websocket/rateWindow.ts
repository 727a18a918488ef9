/** Counts what happens within a second. */
export class RateWindow {
  private start = 0;
  private count = 0;

  /**
   * Count one more.
   * @param limit how many a second may have; 0: any number, and nothing is counted
   * @returns whether it is one too many
   */
  isExceeded(limit: number): boolean {
    if (!(limit > 0)) return false;
    const now = Date.now();
    if (now - this.start >= 1000) {
      this.start = now;
      this.count = 0;
    }
    return ++this.count > limit;
  }
}
