import { SEARCH_LENGTH } from "./limits";

/** A list of jobs in memory, with constant cost at both ends. */
export class JobList {
  private items: string[] = [];
  /** Items before it were removed. */
  private head = 0;

  get length(): number {
    return this.items.length - this.head;
  }

  push(raw: string): void {
    this.items.push(raw);
  }

  unshift(raw: string): void {
    if (this.head > 0) this.items[--this.head] = raw;
    else this.items.unshift(raw);
  }

  shift(): string | undefined {
    if (this.length === 0) return undefined;
    const raw = this.items[this.head]!;
    this.items[this.head++] = "";
    if (this.head * 2 > this.items.length) this.compact();
    return raw;
  }

  /** Whether the job is there, or may be: a long list is not searched. */
  mayHave(raw: string): boolean {
    return (
      this.length > SEARCH_LENGTH || this.items.indexOf(raw, this.head) !== -1
    );
  }

  toArray(): string[] {
    return this.items.slice(this.head);
  }

  /**
   * @param count at most so many from the head, or from the tail when negative; 0 for all
   * @returns the number of removed jobs
   */
  remove(raw: string, count = 0): number {
    const most = count === 0 ? Infinity : Math.abs(count);
    const items = this.toArray();
    if (count < 0) items.reverse();
    let removed = 0;
    const kept = items.filter((item) => {
      if (item !== raw || removed === most) return true;
      removed++;
      return false;
    });
    if (removed === 0) return 0;
    this.items = count < 0 ? kept.reverse() : kept;
    this.head = 0;
    return removed;
  }

  private compact(): void {
    this.items = this.toArray();
    this.head = 0;
  }
}
