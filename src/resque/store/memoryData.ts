/** The data of a memory store, and changes that several of its operations share. */
import { timerMs } from "../../utils/promises";
import { delayedText, parseJob, splitContext } from "../jobText";
import type {
  Due,
  Effect,
  HeldLock,
  JobFields,
  NextRun,
  PlanChange,
  QueuedJob,
  Returned,
  UniqueLock,
  Waiting,
  WakeTarget,
  WorkerIdentity,
} from "./store";
import {
  CRASH_SECONDS,
  CRASHED,
  crashedEntry,
  flatFields,
  KEEP_JOB_SECONDS,
  MAX_CRASHES,
  secondOf,
  UNIQUE_SECONDS,
  UNSEEN_NODE_SECONDS,
  SEARCH_LENGTH,
} from "./texts";

export interface Process {
  /** Number of its last call. */
  call: number;
  connection: string;
  /** End of its lease, and how long that is, in ms. */
  deadline: number;
  leaseMs: number;
  members: Set<string>;
  /** The worker whose job runs alone. */
  alone?: string;
  /** That job has started. */
  isAloneStarted?: boolean;
}

export interface ListedWorker {
  owner: string;
  identity: WorkerIdentity;
  job?: QueuedJob & { sinceMs: number };
  processed: number;
  failed: number;
  /** Locks that end with the worker: key and value. */
  locks: Map<string, string>;
}

interface ClassSlots {
  members: Set<string>;
  waiting: QueuedJob[];
}

interface StoredPlan {
  task: string;
  /** Empty for a task that one worker of the cluster runs. */
  ofNode: string;
  plan: string;
  by: string;
  sinceMs: number;
}

export class MemoryData {
  readonly knownQueues = new Set<string>();
  readonly lists = new Map<string, JobList>();
  readonly paused = new Set<string>();
  readonly delayed = new DelayedJobs();
  readonly processes = new Map<string, Process>();
  readonly workers = new Map<string, ListedWorker>();
  readonly slots = new Map<string, ClassSlots>();
  readonly nodeOfQueue = new Map<string, string>();
  /** By node, the next run of each of its recurring tasks. */
  readonly runsOfNodes = new Map<string, Map<string, string>>();
  readonly stopped = new Set<string>();
  readonly plans = new Map<string, StoredPlan>();
  readonly planners: ExpiringMap<true>;
  readonly uniques: ExpiringMap<string>;
  readonly locks: ExpiringMap<string>;
  readonly crashes: ExpiringMap<number>;
  readonly tracked: ExpiringMap<Record<string, string>>;
  readonly idempotent: ExpiringMap<string>;
  readonly retries: ExpiringMap<number>;
  /** Since when jobs have been unknown. */
  readonly unknown: ExpiringMap<number>;
  readonly liveNodes: ExpiringMap<true>;
  readonly seenNodes: ExpiringMap<true>;
  /** By node with delayed jobs, the time until which the owner of its queues is remembered. */
  readonly delayedOfNodes: ExpiringMap<number>;
  failed: string[] = [];
  readonly failedOfClass = new Map<string, string[]>();
  processedCount = 0;
  failedCount = 0;
  orphansRepairedAt = -Infinity;
  leading?: { name: string; until: number };
  /** The process that runs a suspect alone, or ran the last one. */
  private aloneTurn = { process: "", sinceMs: 0, untilMs: 0 };
  private readyNames?: string[];

  /** @param wakeUps waits survive a flush of the data */
  constructor(
    readonly clock: () => number,
    readonly wakeUps = new MemoryWakeUps(),
  ) {
    const expiring = <Value>() => new ExpiringMap<Value>(clock);
    this.uniques = expiring();
    this.locks = expiring();
    this.crashes = expiring();
    this.tracked = expiring();
    this.idempotent = expiring();
    this.retries = expiring();
    this.unknown = expiring();
    this.liveNodes = expiring();
    this.seenNodes = expiring();
    this.delayedOfNodes = expiring();
    this.planners = expiring();
  }

  emptied(): MemoryData {
    return new MemoryData(this.clock, this.wakeUps);
  }

  /** Remove expired data. */
  purge(): void {
    const { uniques, locks, crashes, tracked, unknown } = this;
    const { idempotent, retries, planners } = this;
    const { liveNodes, seenNodes, delayedOfNodes } = this;
    for (const map of [uniques, locks, crashes, tracked]) map.purge();
    unknown.purge();
    for (const map of [idempotent, retries, planners]) map.purge();
    for (const map of [liveNodes, seenNodes]) map.purge();
    delayedOfNodes.purge();
  }

  /** A queue that gets a job belongs to `node`, which may not have announced itself yet. */
  own(queue: string, node?: string): void {
    if (node === undefined) return;
    this.nodeOfQueue.set(queue, node);
    if (!this.seenNodes.get(node))
      this.seenNodes.set(node, true, UNSEEN_NODE_SECONDS * 1000);
  }

  /** Remove the next runs of a node's recurring tasks. */
  removeRunsOf(node: string): void {
    for (const raw of this.runsOfNodes.get(node)?.values() ?? [])
      this.delayed.remove(raw);
    this.runsOfNodes.delete(node);
  }

  /** Whether a job killed so many workers that it has to run alone. */
  isSuspect({ queue, raw }: QueuedJob): boolean {
    const { crashes } = this;
    return !crashes.isEmpty && crashes.get(queue + raw) === MAX_CRASHES;
  }

  /**
   * Whether a suspect may run alone: none runs in another process, and other jobs have had their turn. A clock that is before
   * the last one's beginning was set back.
   */
  private mayRunAlone(): boolean {
    const { process, sinceMs, untilMs } = this.aloneTurn;
    const member = this.processes.get(process)?.alone;
    if (member !== undefined && this.workers.get(member)?.job) return false;
    return this.clock() >= untilMs || this.clock() < sinceMs;
  }

  beginAlone(process: string): void {
    this.aloneTurn = { process, sinceMs: this.clock(), untilMs: 0 };
  }

  /** Other jobs have their turn for as long as the suspect took. */
  endAlone(process: string): void {
    const { aloneTurn } = this;
    if (aloneTurn.process !== process) return;
    aloneTurn.process = "";
    aloneTurn.untilMs = 2 * this.clock() - aloneTurn.sinceMs;
  }

  /** Names of queues with jobs, sorted. */
  ready(): readonly string[] {
    this.readyNames ??= [...this.lists.keys()].sort();
    return this.readyNames;
  }

  add(queue: string, raw: string): void {
    this.listOf(queue).push(raw);
    this.wakeUps.queueHasJobs(queue, this.nodeOfQueue.get(queue));
  }

  /** Requeue at the head. */
  requeue({ queue, raw }: QueuedJob): void {
    this.listOf(queue).unshift(raw);
    this.wakeUps.queueHasJobs(queue, this.nodeOfQueue.get(queue));
  }

  /** A suspect that may not run yet stays under suspicion. */
  private mayRun(job: QueuedJob): boolean {
    if (!this.isSuspect(job) || this.mayRunAlone()) return true;
    this.crashes.set(job.queue + job.raw, MAX_CRASHES, CRASH_SECONDS * 1000);
    return false;
  }

  /** The first job of the queue that may run. */
  take(queue: string): string | undefined {
    const list = this.lists.get(queue);
    const raw = this.crashes.isEmpty
      ? list?.shift()
      : list?.takeFirst((job) => this.mayRun({ queue, raw: job }));
    if (list?.length === 0) this.dropList(queue);
    return raw;
  }

  dropList(queue: string): void {
    if (this.lists.delete(queue)) this.readyNames = undefined;
  }

  dueMs(due: Due): number {
    return "atMs" in due ? due.atMs : this.clock() + due.inMs;
  }

  /** @returns false when the job exists in that second */
  delay({ queue, raw }: QueuedJob, dueMs: number, shift = 0): boolean {
    const second = secondOf(dueMs) + shift;
    const { bare, context } = splitContext(raw);
    const job = { dueMs, second, queue, raw: bare, context };
    if (!this.delayed.add(job)) return false;
    this.keepOwner(queue, dueMs);
    if (this.delayed.first()!.dueMs === dueMs) this.wakeUps.isDueEarlier();
    return true;
  }

  /** The owner of a queue is remembered until its last delayed job is due, and for as long as jobs of silent nodes are kept. */
  keepOwner(queue: string, dueMs: number): void {
    const node = this.nodeOfQueue.get(queue);
    if (node === undefined) return;
    const ends = dueMs + UNSEEN_NODE_SECONDS * 1000;
    if ((this.delayedOfNodes.get(node) ?? 0) >= ends) return;
    this.delayedOfNodes.set(node, ends, ends - this.clock());
  }

  isUniqueHeld({ key, class: jobClass }: UniqueLock, queue: string): boolean {
    const raw = this.uniques.get(key);
    if (raw === undefined) return false;
    const { bare } = splitContext(raw);
    if (this.delayed.secondsOf(bare).length > 0) return true;
    if (this.lists.get(queue)?.mayHave(raw)) return true;
    const waiting = this.slots.get(jobClass)?.waiting ?? [];
    if (waiting.some((job) => job.queue === queue && job.raw === raw))
      return true;
    for (const { job } of this.workers.values())
      if (job?.raw === raw) return true;
    return false;
  }

  setUnique(key: string, raw: string, waitMs = 0): void {
    this.uniques.set(key, raw, UNIQUE_SECONDS * 1000 + waitMs);
  }

  renewLocks(locks: readonly HeldLock[]): void {
    for (const { key, value, seconds } of locks)
      if (this.locks.get(key) === value)
        this.locks.set(key, value, seconds * 1000);
  }

  releaseLock(key: string, value: string): void {
    if (this.locks.get(key) === value) this.locks.delete(key);
  }

  /** Give the slot of a worker to the job that has waited longest. */
  releaseSlot(jobClass: string, member: string): void {
    const slots = this.slots.get(jobClass);
    if (slots?.members.delete(member)) this.callWaiting(slots);
  }

  callWaiting(slots: ClassSlots): void {
    const job = slots.waiting.shift();
    if (job) this.requeue(job);
  }

  updateJob(id: string, fields: JobFields): void {
    const known = this.tracked.get(id);
    if (!known) return;
    const flat = flatFields(fields);
    for (let i = 0; i < flat.length; i += 2) known[flat[i]!] = flat[i + 1]!;
    this.tracked.set(id, known, KEEP_JOB_SECONDS * 1000);
  }

  /** Set the state of a job, if it is tracked. */
  setState(raw: string, fields: JobFields): void {
    const { id } = raw.includes('{"ah":{') ? parseJob(raw, "").job : {};
    if (id !== undefined) this.updateJob(id, fields);
  }

  apply(effect: Effect, member: string): void {
    switch (effect.do) {
      case "delay":
        return this.delayAtFreeTime(effect);
      case "unlockUnique":
        return this.unlockUnique(effect.key, effect.raw);
      case "moveUnique":
        return this.setUnique(effect.key, effect.raw);
      case "releaseLock":
        this.releaseLock(effect.key, effect.value);
        this.workers.get(member)?.locks.delete(effect.key);
        return;
      case "releaseSlot":
        return this.releaseSlot(effect.class, member);
      case "boundFailed":
        return this.boundFailed(effect.class, effect.most);
      case "updateJob":
        return this.updateJob(effect.id, effect.fields);
      case "keepRetry":
        return this.keepRetry(effect.key, effect.seconds);
      case "planRun":
        return this.planRun(effect);
      case "stopTask":
        this.stopped.add(effect.task);
    }
  }

  private delayAtFreeTime(effect: QueuedJob & { due: Due }): void {
    const job = { queue: effect.queue, raw: delayedText(effect) };
    let shift = 0;
    while (!this.delay(job, this.dueMs(effect.due), shift)) shift++;
  }

  private unlockUnique(key: string, raw: string): void {
    if (this.uniques.get(key) === raw) this.uniques.delete(key);
  }

  private keepRetry(key: string, seconds: number): void {
    const count = this.retries.get(key);
    if (count !== undefined) this.retries.set(key, count, seconds * 1000);
  }

  planOf(task: string, node: string): string | undefined {
    return this.plans.get(planKey(task, node))?.plan;
  }

  /** @returns how many jobs were removed */
  plan({ task, node = "", declare, remove, next }: PlanChange): number {
    const key = planKey(task, node);
    const known = this.plans.get(key);
    const removed = this.removeWaiting(remove);
    if (next) this.delayRun(task, node, next);
    const declared = declare ?? known;
    if (!declared) return removed;
    const { plan, by } = declared;
    const sinceMs = next ? this.clock() : (known?.sinceMs ?? 0);
    this.plans.set(key, { task, ofNode: node, plan, by, sinceMs });
    return removed;
  }

  private planRun({ task, node = "", plan, ...run }: NextRun): void {
    if (run.unlessStopped && this.stopped.has(task)) return;
    const declared = this.plans.get(planKey(task, node));
    if (declared && plan !== undefined && declared.plan !== plan) return;
    this.removeWaiting(run.remove);
    this.delayRun(task, node, run.next);
    if (declared) declared.sinceMs = this.clock();
  }

  private removeWaiting(jobs: readonly QueuedJob[]): number {
    let removed = 0;
    for (const job of jobs)
      removed += this.removeJob(job, 0) + this.delayed.remove(job.raw).length;
    return removed;
  }

  private delayRun(
    task: string,
    node: string,
    next: QueuedJob & { due: Due },
  ): void {
    this.delayed.remove(next.raw);
    if (node !== "") {
      this.own(next.queue, node);
      const runs = this.runsOfNodes.get(node) ?? new Map<string, string>();
      this.runsOfNodes.set(node, runs.set(task, next.raw));
    }
    this.delay(next, this.dueMs(next.due));
    this.stopped.delete(task);
  }

  /**
   * Take a job out of its queue, or from those that wait for a slot.
   * @param count how many of them, from the tail when negative; 0 for all
   */
  removeJob({ queue, raw }: QueuedJob, count: number): number {
    const list = this.lists.get(queue);
    let removed = list?.remove(raw, count) ?? 0;
    if (list?.length === 0) this.dropList(queue);
    const most = count === 0 ? Infinity : Math.abs(count);
    const isJob = jobMatcher(raw);
    for (const slots of this.slots.values())
      slots.waiting = slots.waiting.filter((job) => {
        if (job.queue !== queue || !isJob(job.raw) || removed >= most)
          return true;
        removed++;
        return false;
      });
    return removed;
  }

  addFailed(entry: string): void {
    this.failedCount++;
    this.failed.push(entry);
  }

  /** @returns whether the entry existed */
  removeFailed(entry: string): boolean {
    const at = this.failed.indexOf(entry);
    if (at === -1) return false;
    this.failed.splice(at, 1);
    return true;
  }

  /**
   * Remove the registration of a worker; its job is requeued.
   * @param isCrash the job may have caused the death of the worker
   */
  requeueJobOf(member: string, isCrash: boolean): Returned {
    const listed = this.workers.get(member);
    const result: Returned = { what: "idle", member, queue: "", raw: "" };
    if (!listed) return result;
    const { job, owner, locks, identity } = listed;
    this.workers.delete(member);
    this.processes.get(owner)?.members.delete(member);
    if (job) {
      const { queue, raw } = job;
      Object.assign(result, { what: "requeued", queue, raw });
      if (isCrash && this.countCrash(job) > MAX_CRASHES) {
        result.what = "failed";
        const date = new Date(this.clock()).toString();
        this.addFailed(crashedEntry(identity.quoted, job, date));
        this.setState(raw, { state: "failed", error: CRASHED });
      } else this.requeue(job);
    }
    for (const [key, value] of locks) this.releaseLock(key, value);
    for (const jobClass of this.slots.keys())
      this.releaseSlot(jobClass, member);
    return result;
  }

  private listOf(queue: string): JobList {
    let list = this.lists.get(queue);
    if (list) return list;
    list = new JobList();
    this.lists.set(queue, list);
    this.knownQueues.add(queue);
    this.readyNames = undefined;
    return list;
  }

  private countCrash({ queue, raw }: QueuedJob): number {
    const count = (this.crashes.get(queue + raw) ?? 0) + 1;
    this.crashes.set(queue + raw, count, CRASH_SECONDS * 1000);
    return count;
  }

  private boundFailed(jobClass: string, most: number): void {
    const own = this.failedOfClass.get(jobClass) ?? [];
    this.failedOfClass.set(jobClass, own);
    own.push(this.failed[this.failed.length - 1]!);
    while (own.length > most) this.removeFailed(own.shift()!);
  }
}

function planKey(task: string, node: string): string {
  return `${node}\n${task}`;
}

// --- Wakes processes that wait on a memory store: an addition ends the matching waits at once.

interface Waiter {
  target: WakeTarget;
  wake: (isCalled: boolean) => void;
}

class MemoryWakeUps {
  /** Grows with each addition, so that one between an operation and a wait is not missed. */
  additions = 0;
  private readonly waiters = new Set<Waiter>();

  /** @param node the node that the queue belongs to */
  queueHasJobs(queue: string, node?: string): void {
    this.additions++;
    for (const { target, wake } of this.waiters) {
      if (target === "scheduler") continue;
      const { queues } = target;
      const isAny = node === undefined || node === target.node;
      if (queues.includes(queue) || (isAny && queues.includes("*"))) wake(true);
    }
  }

  isDueEarlier(): void {
    this.additions++;
    for (const { target, wake } of this.waiters)
      if (target === "scheduler") wake(true);
  }

  wait(target: WakeTarget, timeoutMs: number, since: number): Waiting {
    if (since !== this.additions)
      return { done: Promise.resolve(true), stop: () => undefined };
    let stop!: () => void;
    const done = new Promise<boolean>((resolve) => {
      const waiter: Waiter = {
        target,
        wake: (isCalled) => {
          clearTimeout(timer);
          this.waiters.delete(waiter);
          resolve(isCalled);
        },
      };
      const ms = timerMs(Math.max(timeoutMs, 0));
      const timer = setTimeout(waiter.wake, ms, false);
      this.waiters.add(waiter);
      stop = () => waiter.wake(false);
    });
    return { done, stop };
  }
}

// --- Delayed jobs in memory, in buckets of a second as in resque, and by their exact time.

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

class DelayedJobs {
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
class JobList {
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

  /** Remove the first job that is accepted. */
  takeFirst(accepts: (raw: string) => boolean): string | undefined {
    for (let at = this.head; at < this.items.length; at++) {
      const raw = this.items[at]!;
      if (!accepts(raw)) continue;
      if (at === this.head) return this.shift();
      this.items.splice(at, 1);
      return raw;
    }
    return undefined;
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
class ExpiringMap<Value> {
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
