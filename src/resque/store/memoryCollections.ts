/** Delayed jobs in memory, in buckets of a second as in resque, and by their exact time. */
import { splitContext } from "../jobText";
import { SEARCH_LENGTH } from "./texts";

interface DelayedJob {
  dueMs: number;
  second: number;
  queue: string;
  /** Its bare text, by which it is known. */
  raw: string;
  /** The JSON of the context that it carries. */
  context?: string;
}

interface Entry extends DelayedJob {
  /** Of two jobs with the same due time, the one added first is due first. */
  serial: number;
}

export class DelayedJobs {
  private readonly buckets = new Map<number, Map<string, Entry>>();
  private readonly secondsOfJob = new Map<string, Set<number>>();
  /** A binary heap by time; removed jobs stay until they reach the top. */
  private heap: Entry[] = [];
  private count = 0;
  private serial = 0;

  /** @returns false when the job exists in that second */
  add(job: DelayedJob): boolean {
    const bucket = this.buckets.get(job.second) ?? new Map<string, Entry>();
    if (bucket.has(job.raw)) return false;
    const entry = { ...job, serial: this.serial++ };
    bucket.set(job.raw, entry);
    this.buckets.set(job.second, bucket);
    const seconds = this.secondsOfJob.get(job.raw) ?? new Set();
    this.secondsOfJob.set(job.raw, seconds.add(job.second));
    this.count++;
    this.push(entry);
    return true;
  }

  /** The next job that is due. */
  first(): DelayedJob | undefined {
    while (this.heap.length > 0 && !this.isThere(this.heap[0]!)) this.pop();
    return this.heap[0];
  }

  shift(): DelayedJob | undefined {
    const job = this.first();
    if (!job) return undefined;
    this.pop();
    this.drop(job);
    return job;
  }

  /** @returns the seconds in which it was due */
  remove(raw: string): number[] {
    const seconds = this.secondsOf(raw);
    for (const second of seconds)
      this.drop(this.buckets.get(second)!.get(raw)!);
    if (this.heap.length > 2 * this.count + 64) this.rebuild();
    return seconds;
  }

  secondsOf(raw: string): number[] {
    return [...(this.secondsOfJob.get(raw) ?? [])];
  }

  seconds(): number[] {
    return [...this.buckets.keys()].sort((a, b) => a - b);
  }

  jobsAt(second: number): string[] {
    return [...(this.buckets.get(second)?.keys() ?? [])];
  }

  clear(): void {
    this.buckets.clear();
    this.secondsOfJob.clear();
    this.heap = [];
    this.count = 0;
  }

  private isThere(job: Entry): boolean {
    return this.buckets.get(job.second)?.get(job.raw) === job;
  }

  private drop({ second, raw }: DelayedJob): void {
    const bucket = this.buckets.get(second)!;
    bucket.delete(raw);
    if (bucket.size === 0) this.buckets.delete(second);
    const seconds = this.secondsOfJob.get(raw)!;
    seconds.delete(second);
    if (seconds.size === 0) this.secondsOfJob.delete(raw);
    this.count--;
  }

  private rebuild(): void {
    const jobs = this.heap.filter((job) => this.isThere(job));
    this.heap = jobs.sort(compare);
  }

  private push(job: Entry): void {
    const { heap } = this;
    let at = heap.push(job) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (compare(heap[parent]!, job) <= 0) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = job;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right && compare(right, heap[child]!) < 0) child++;
      if (compare(heap[child]!, last) >= 0) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function compare(a: Entry, b: Entry): number {
  return a.dueMs - b.dueMs || a.serial - b.serial;
}

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

  /** Whether the job is there, or may be: a long list is not searched. A bare job is found with any context, too. */
  mayHave(raw: string): boolean {
    if (this.length > SEARCH_LENGTH) return true;
    const isJob = jobMatcher(raw);
    for (let at = this.head; at < this.items.length; at++)
      if (isJob(this.items[at]!)) return true;
    return false;
  }

  toArray(): string[] {
    return this.items.slice(this.head);
  }

  /**
   * Remove a job; a bare one is found with any context, too.
   * @param count at most so many from the head, or from the tail when negative; 0 for all
   * @returns the number of removed jobs
   */
  remove(raw: string, count = 0): number {
    const most = count === 0 ? Infinity : Math.abs(count);
    const items = this.toArray();
    if (count < 0) items.reverse();
    let removed = 0;
    const isJob = jobMatcher(raw);
    const kept = items.filter((item) => {
      if (!isJob(item) || removed === most) return true;
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

/** @returns whether a text is the job; a bare one stands for itself with any context, too */
export function jobMatcher(raw: string): (text: string) => boolean {
  const head = raw.slice(0, -1);
  return (text) =>
    text === raw || (text.startsWith(head) && splitContext(text).bare === raw);
}

/** The least number of entries at which expired ones are removed. */
const MIN_PURGE = 64;

/** A map whose entries expire and free their memory. */
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
