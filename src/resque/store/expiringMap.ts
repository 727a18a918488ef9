/** A map whose entries expire and free their memory. */
const MIN_PURGE = 64;

export class ExpiringMap<Value> {
  private readonly entries = new Map<string, { value: Value; until: number }>();
  private nextPurge = MIN_PURGE;

  /** @param clock in ms */
  constructor(private readonly clock: () => number) {}

  get(key: string): Value | undefined {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    if (entry.until > this.clock()) return entry.value;
    this.entries.delete(key);
    return undefined;
  }

  set(key: string, value: Value, ttlMs: number): void {
    this.entries.set(key, { value, until: this.clock() + ttlMs });
    if (this.entries.size >= this.nextPurge) this.purge();
  }

  delete(key: string): boolean {
    const isThere = this.get(key) !== undefined;
    this.entries.delete(key);
    return isThere;
  }

  /** Whether no entry has been set since the last one was removed. */
  get isEmpty(): boolean {
    return this.entries.size === 0;
  }

  clear(): void {
    this.entries.clear();
  }

  /** Entries that have not expired. */
  live(): [key: string, value: Value][] {
    this.purge();
    return [...this.entries].map(([key, { value }]) => [key, value]);
  }

  /** Remove expired entries; also done when the number of entries doubles. */
  purge(): void {
    const now = this.clock();
    for (const [key, { until }] of this.entries)
      if (until <= now) this.entries.delete(key);
    this.nextPurge = Math.max(MIN_PURGE, 2 * this.entries.size);
  }
}
