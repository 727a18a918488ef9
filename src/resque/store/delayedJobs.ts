/** Delayed jobs in memory, in buckets of a second as in resque, and by their exact time. */

export interface DelayedJob {
  dueMs: number;
  second: number;
  queue: string;
  raw: string;
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
