/** The store of the embedded engine: plain maps in this process. Every operation is synchronous inside, and so atomic. */
import { delayedText, joinContext, parseJob } from "../jobText";
import type { JobInfo } from "../types";
import {
  jobInfoOf,
  KEEP_JOB_SECONDS,
  lockValue,
  CLOCK_SLACK_MS,
  MAX_EXPIRED,
  nodeQueue,
  recordText,
  RUN_SEARCH_LENGTH,
  UNKNOWN_SECONDS,
} from "./texts";
import {
  jobMatcher,
  MemoryData,
  type ListedWorker,
  type Process,
} from "./memoryData";
import type {
  AwaitedRun,
  Due,
  Effect,
  EnqueueOptions,
  EnqueueResult,
  ExchangeCall,
  ExchangeResult,
  ExchangeSlot,
  HeldJob,
  HeldLock,
  JobFields,
  LockRequest,
  Orphan,
  Outcome,
  PlanChange,
  PlannedTask,
  Promotion,
  QueuedJob,
  QueueLength,
  QueueLockRequest,
  QueueStore,
  Renewal,
  Returned,
  SlotRequest,
  UniqueLock,
  Waiting,
  WakeTarget,
  WorkerIdentity,
  WorkerRecord,
} from "./store";

export interface MemoryStoreOptions {
  /** In ms since the epoch (default `Date.now`). */
  clock?: () => number;
  /** Whether the process with this connection name is alive (default: always, it is this process). */
  isConnected?: (connectionName: string) => boolean;
  /** The prefix of lock names (default: none). */
  prefix?: string;
  /** Called before each operation; returns true to flush all data first. */
  isFlushed?: () => boolean;
}

export class MemoryStore implements QueueStore {
  readonly kind = "memory";
  private data: MemoryData;
  private readonly clock: () => number;

  constructor(private readonly options: MemoryStoreOptions = {}) {
    this.clock = options.clock ?? Date.now;
    this.data = new MemoryData(this.clock);
  }

  // ------------------------------------------------------------------ clock

  now(): Promise<number> {
    return Promise.resolve(this.clock());
  }

  // -------------------------------------------------------------- producers

  enqueue(
    queue: string,
    raws: readonly string[],
    options?: EnqueueOptions,
  ): Promise<EnqueueResult> {
    return this.run((data) => {
      if (options)
        return produce(
          data,
          { queue, raw: raws[0]! },
          options,
          "queued",
          () => {
            addAll(data, queue, raws, options.node);
            return 0;
          },
        );
      addAll(data, queue, raws);
      return ADDED;
    });
  }

  delay(
    { queue, raw }: QueuedJob,
    due: Due,
    options: EnqueueOptions = {},
  ): Promise<EnqueueResult> {
    const job = { queue, raw: delayedText({ queue, raw }) };
    return this.run((data) =>
      produce(data, job, options, "delayed", () => {
        const dueMs = data.dueMs(due);
        if (!data.delay(job, dueMs)) return undefined;
        data.own(job.queue, options.node);
        data.keepOwner(job.queue, dueMs);
        return Math.max(0, dueMs - this.clock());
      }),
    );
  }

  retryFailed(
    entry: string,
    job: QueuedJob,
    { unique }: Pick<EnqueueOptions, "unique"> = {},
  ): Promise<"added" | "held" | "missing"> {
    return this.run((data) => {
      if (!data.failed.includes(entry)) return "missing";
      if (unique && data.isUniqueHeld(unique, job.queue)) return "held";
      data.removeFailed(entry);
      data.add(job.queue, job.raw);
      data.setState(job.raw, { state: "queued", error: "" });
      if (unique) data.setUnique(unique.key, job.raw);
      return "added";
    });
  }

  // -------------------------------------------------------------- scheduler

  lead(name: string, ttlMs: number): Promise<number> {
    return this.run((data) => {
      const { leading } = data;
      const now = this.clock();
      if (leading && leading.name !== name && leading.until > now)
        return leading.until - now;
      data.leading = { name, until: now + ttlMs };
      return 0;
    });
  }

  resign(name: string): Promise<void> {
    return this.run((data) => {
      if (data.leading?.name === name) data.leading = undefined;
    });
  }

  promote(limit: number): Promise<Promotion> {
    return this.run((data) => {
      const now = this.clock();
      const moved: Promotion["moved"] = [];
      let first = data.delayed.first();
      while (first && first.dueMs <= now && moved.length < limit) {
        const { second, queue, raw: bare, context } = data.delayed.shift()!;
        const raw = joinContext(bare, context);
        data.add(queue, raw);
        moved.push({ second: String(second), raw });
        first = data.delayed.first();
      }
      return first
        ? { moved, nextInMs: Math.max(first.dueMs - now, 0) }
        : { moved };
    });
  }

  sweepSlots(limits: Readonly<Record<string, number | null>>): Promise<void> {
    return this.run((data) => {
      for (const [jobClass, slots] of data.slots) {
        for (const member of slots.members)
          if (!data.workers.has(member)) slots.members.delete(member);
        const limit = Object.hasOwn(limits, jobClass) ? limits[jobClass] : 1;
        const free = (limit ?? Infinity) - slots.members.size;
        for (let n = 0; n < free && slots.waiting.length > 0; n++)
          data.callWaiting(slots);
        if (limit === null || slots.members.size + slots.waiting.length === 0)
          data.slots.delete(jobClass);
      }
    });
  }

  /** There are no other producers in this process. */
  sweepQueues(periodMs: number): Promise<number> {
    return Promise.resolve(periodMs);
  }

  // ----------------------------------------------------------- process life

  register(
    process: string,
    ttlMs: number,
    connectionName: string,
  ): Promise<Renewal> {
    return this.run((data) => {
      const known = data.processes.get(process);
      data.processes.set(process, {
        call: known?.call ?? 0,
        connection: connectionName,
        deadline: this.clock() + ttlMs,
        leaseMs: ttlMs,
        members: known?.members ?? new Set(),
        alone: known?.alone,
        isAloneStarted: known?.isAloneStarted,
      });
      return this.renewal(data);
    });
  }

  renewLocks(locks: readonly HeldLock[]): Promise<void> {
    return this.run((data) => data.renewLocks(locks));
  }

  renew(
    process: string,
    ttlMs: number,
    _workers: readonly WorkerIdentity[],
    locks: readonly HeldLock[],
  ): Promise<Renewal | undefined> {
    return this.run((data) => {
      const registered = data.processes.get(process);
      if (!registered) return undefined;
      registered.deadline = this.clock() + ttlMs;
      data.renewLocks(locks);
      data.purge();
      return this.renewal(data);
    });
  }

  join(
    process: string,
    identity: WorkerIdentity,
  ): Promise<"joined" | "taken" | "fenced" | Returned> {
    return this.run((data) => {
      const registered = data.processes.get(process);
      if (!registered) return "fenced";
      const listed = data.workers.get(identity.member);
      const isOthers = listed !== undefined && listed.owner !== process;
      if (isOthers && data.processes.has(listed.owner)) return "taken";
      const returned = isOthers && data.requeueJobOf(identity.member, true);
      if (!data.workers.has(identity.member))
        data.workers.set(identity.member, newListed(process, identity));
      registered.members.add(identity.member);
      return returned || "joined";
    });
  }

  leave(
    process: string,
    { member }: WorkerIdentity,
    onlyIdle = false,
  ): Promise<Returned | { what: "running"; queue: string; raw: string }> {
    return this.run((data) => {
      const listed = data.workers.get(member);
      if (listed?.owner !== process)
        return { what: "idle", member, queue: "", raw: "" };
      const { job } = listed;
      if (onlyIdle && job)
        return { what: "running", queue: job.queue, raw: job.raw };
      return data.requeueJobOf(member, false);
    });
  }

  deregister(process: string): Promise<Returned[]> {
    return this.run((data) => endProcess(data, process, false));
  }

  reap(process: string, graceMs: number): Promise<Returned[] | undefined> {
    return this.run((data) => {
      const registered = data.processes.get(process);
      if (!registered || registered.deadline + graceMs > this.clock())
        return undefined;
      return endProcess(data, process, true);
    });
  }

  findDisconnected(processes: readonly string[]): Promise<string[]> {
    const { isConnected = () => true } = this.options;
    return this.run((data) =>
      processes.filter((id) => {
        const connection = data.processes.get(id)?.connection;
        return connection === "" || (connection && !isConnected(connection));
      }),
    );
  }

  findOrphans(): Promise<Orphan[]> {
    return this.run((data) =>
      orphansOf(data).map(({ identity, job }) => ({
        member: identity.member,
        record: job && textOf(identity, job),
      })),
    );
  }

  repairOrphans(periodMs = 0): Promise<Returned[]> {
    return this.run((data) => {
      const now = this.clock();
      if (periodMs > 0 && now < data.orphansRepairedAt + periodMs) return [];
      if (periodMs > 0) data.orphansRepairedAt = now;
      return orphansOf(data).map(({ identity }) =>
        data.requeueJobOf(identity.member, true),
      );
    });
  }

  // ------------------------------------------------------------------ fetch

  exchange(call: ExchangeCall): Promise<ExchangeResult | "fenced"> {
    return this.run((data) => {
      const registered = data.processes.get(call.process);
      if (!registered || call.number < registered.call) return "fenced";
      const isRepeated = call.number === registered.call;
      registered.call = call.number;
      const own = call.slots.map(({ worker }) => {
        const listed = data.workers.get(worker.member);
        return listed?.owner === call.process ? listed : undefined;
      });
      if (!isRepeated) {
        own.forEach((listed, index) => {
          if (listed) report(data, registered, listed, call.slots[index]!);
        });
        fetchAll(data, registered, own, call);
      }
      const jobs = own.map((listed, index) =>
        call.slots[index]!.want && listed?.job ? plain(listed.job) : undefined,
      );
      const alone = own.findIndex(
        (listed, index) =>
          jobs[index] && listed?.identity.member === registered.alone,
      );
      const unlisted = own.flatMap((listed, index) => (listed ? [] : [index]));
      return {
        jobs,
        problems: [],
        ...(alone < 0 ? {} : { alone }),
        ...(unlisted.length === 0 ? {} : { unlisted }),
      };
    });
  }

  startAlone(process: string, { member }: WorkerIdentity): Promise<boolean> {
    return this.run(({ processes }) => {
      const registered = processes.get(process);
      if (registered?.alone !== member) return false;
      registered.isAloneStarted = true;
      return true;
    });
  }

  apply(worker: WorkerIdentity, effects: readonly Effect[]): Promise<void> {
    return this.run((data) => {
      for (const effect of effects) data.apply(effect, worker.member);
    });
  }

  // ---------------------------------------------------------------- running

  acquireSlot(request: SlotRequest): Promise<"acquired" | "waiting" | "lost"> {
    return this.run((data) => {
      const { process, worker, job, limit } = request;
      const listed = data.workers.get(worker.member);
      if (listed?.owner !== process) return "lost";
      const slots = slotsOf(data, request.class);
      if (slots.members.has(worker.member)) return "acquired";
      if (listed.job?.raw !== job.raw) return "waiting";
      const free = limit - slots.members.size;
      if (free > 0) {
        slots.members.add(worker.member);
        if (free > 1) data.callWaiting(slots);
        return "acquired";
      }
      slots.waiting.push(plain(job));
      listed.job = undefined;
      return "waiting";
    });
  }

  takeLock(request: LockRequest): Promise<HeldLock | undefined> {
    return this.run((data) => {
      const { key, seconds, owned, worker } = request;
      const listed = worker && data.workers.get(worker.member);
      if (worker && !listed) return undefined;
      const holder = data.locks.get(key);
      if (holder !== undefined && listed?.locks.get(key) !== holder)
        return undefined;
      const value = holder ?? lockValue(this.clock(), seconds, owned);
      data.locks.set(key, value, seconds * 1000);
      listed?.locks.set(key, value);
      return { key, value, seconds };
    });
  }

  releaseLock(
    { key, value }: Pick<HeldLock, "key" | "value">,
    worker?: WorkerIdentity,
  ): Promise<void> {
    return this.run((data) => {
      data.releaseLock(key, value);
      if (worker) data.workers.get(worker.member)?.locks.delete(key);
    });
  }

  takeQueueLock(request: QueueLockRequest): Promise<boolean> {
    return this.run((data) => {
      const { key, seconds, believedSeconds, job } = request;
      const value = data.locks.get(key);
      const now = Math.floor(this.clock() / 1000);
      if (value !== undefined && parseInt(value, 10) >= now) {
        const takenAt = parseInt(value, 10) - seconds - 1;
        if (takenAt > now - believedSeconds) return false;
        if (isQueued(data, job)) return false;
      }
      data.locks.set(key, lockValue(this.clock(), seconds), seconds * 1000);
      return true;
    });
  }

  updateJob({ id, worker, raw }: HeldJob, fields: JobFields): Promise<void> {
    return this.run((data) => {
      const held = data.workers.get(worker.member)?.job;
      if (held?.raw === raw) data.updateJob(id, fields);
    });
  }

  /** There are few workers in this process. */
  noteUnique(): Promise<void> {
    return Promise.resolve();
  }

  releaseUnique(lock: UniqueLock, { queue, raw }: QueuedJob): Promise<void> {
    return this.run((data) => {
      const { key } = lock;
      if (data.uniques.get(key) === raw && !data.isUniqueHeld(lock, queue))
        data.uniques.delete(key);
    });
  }

  waitUnknown(
    { queue, raw }: QueuedJob,
    timeoutMs: number,
  ): Promise<number | undefined> {
    return this.run(({ unknown }) => {
      const key = `${queue}:${raw}`;
      const now = this.clock();
      const since = unknown.get(key) ?? now;
      if (now - since >= timeoutMs) return void unknown.delete(key);
      unknown.set(key, since, UNKNOWN_SECONDS * 1000);
      return now - since;
    });
  }

  countRetry(key: string): Promise<number> {
    return this.run((data) => {
      const count = (data.retries.get(key) ?? -1) + 1;
      data.retries.set(key, count, KEEP_JOB_SECONDS * 1000);
      return count;
    });
  }

  forgetRetry(key: string): Promise<void> {
    return this.run((data) => void data.retries.delete(key));
  }

  // -------------------------------------------------------------- operators

  pause(queue: string): Promise<void> {
    return this.run((data) => void data.paused.add(queue));
  }

  resume(queue: string): Promise<void> {
    return this.run((data) => {
      if (!data.paused.delete(queue)) return;
      const own = [...data.nodeOfQueue].filter(
        ([name, node]) => name === nodeQueue(queue, node),
      );
      for (const name of [queue, ...own.map(([one]) => one)])
        if (data.lists.has(name))
          data.wakeUps.queueHasJobs(name, data.nodeOfQueue.get(name));
    });
  }

  pausedQueues(): Promise<string[]> {
    return this.run(({ paused }) => [...paused].sort());
  }

  // ---------------------------------------------------------------- inspect

  queues(): Promise<string[]> {
    return this.run(({ knownQueues }) => [...knownQueues]);
  }

  lengths(queues: readonly string[]): Promise<Record<string, QueueLength>> {
    return this.run((data) =>
      Object.fromEntries(
        queues.map((queue) => [
          queue,
          {
            queued: data.lists.get(queue)?.length ?? 0,
            waiting: waitingIn(data, queue).length,
          },
        ]),
      ),
    );
  }

  jobs(queue: string, start: number, stop: number): Promise<string[]> {
    return this.run((data) =>
      range(
        [
          ...(data.lists.get(queue)?.toArray() ?? []),
          ...waitingIn(data, queue),
        ],
        start,
        stop,
      ),
    );
  }

  isQueued(queue: string, raw: string): Promise<boolean> {
    return this.run((data) => isQueued(data, { queue, raw }));
  }

  removeJobs(
    queue: string,
    raws: readonly string[],
    count = 0,
  ): Promise<number> {
    return this.run((data) => {
      let removed = 0;
      for (const raw of new Set(raws))
        removed += data.removeJob({ queue, raw }, count);
      return removed;
    });
  }

  removeQueue(queue: string): Promise<void> {
    return this.run((data) => removeQueue(data, queue));
  }

  delayedSeconds(): Promise<number[]> {
    return this.run(({ delayed }) => delayed.seconds());
  }

  delayedJobs(second: number): Promise<string[]> {
    return this.run(({ delayed }) => delayed.jobsAt(second));
  }

  scheduledAt(raw: string): Promise<number[]> {
    return this.run(({ delayed }) => delayed.secondsOf(raw));
  }

  removeDelayed(raw: string): Promise<number[]> {
    return this.run(({ delayed }) => delayed.remove(raw));
  }

  failedCount(): Promise<number> {
    return this.run(({ failed }) => failed.length);
  }

  failed(start: number, stop: number): Promise<string[]> {
    return this.run(({ failed }) => range(failed, start, stop));
  }

  removeFailed(entry: string): Promise<number> {
    return this.run((data) => (data.removeFailed(entry) ? 1 : 0));
  }

  workers(): Promise<string[]> {
    return this.run(({ workers }) => [...workers.keys()]);
  }

  records(members: readonly string[]): Promise<WorkerRecord[]> {
    return this.run(({ workers }) =>
      members.map((member) => ({
        member,
        record: recordOf(workers.get(member)),
      })),
    );
  }

  /** Workers of other programs are never in this process. */
  foreignPings(): Promise<string[]> {
    return Promise.resolve([]);
  }

  removeWorker(
    { member, record }: WorkerRecord,
    _name: string,
    entry?: string,
  ): Promise<boolean> {
    return this.run((data) => {
      const listed = data.workers.get(member);
      if (recordOf(listed) !== record) return false;
      if (entry !== undefined) {
        data.addFailed(entry);
        const { error } = JSON.parse(entry) as { error: string };
        if (listed?.job)
          data.setState(listed.job.raw, { state: "failed", error });
      }
      if (listed) listed.job = undefined;
      data.requeueJobOf(member, false);
      return true;
    });
  }

  locks(): Promise<Record<string, string>> {
    const { prefix = "" } = this.options;
    return this.run(({ locks }) =>
      Object.fromEntries(
        locks
          .live()
          .filter(([key]) => isJobLock(key, prefix))
          .map(([key, value]) => [
            key.slice(prefix.length),
            value.split(".")[0]!,
          ]),
      ),
    );
  }

  removeLock(key: string): Promise<number> {
    return this.run(({ locks }) => (locks.delete(key) ? 1 : 0));
  }

  stats(): Promise<Record<string, string>> {
    return this.run(({ workers, processedCount, failedCount }) => {
      const result: Record<string, string> = {};
      const put = (name: string, count: number) => {
        if (count > 0) result[name] = String(count);
      };
      put("processed", processedCount);
      put("failed", failedCount);
      for (const { identity, processed, failed } of workers.values()) {
        put(`processed:${identity.name}`, processed);
        put(`failed:${identity.name}`, failed);
      }
      return result;
    });
  }

  leader(): Promise<string | null> {
    return this.run(({ leading }) =>
      leading && leading.until > this.clock() ? leading.name : null,
    );
  }

  jobInfo(id: string): Promise<JobInfo | undefined> {
    return this.run(({ tracked }) => {
      const fields = tracked.get(id);
      return fields && jobInfoOf(id, fields);
    });
  }

  // ------------------------------------------------------------------ nodes

  announceNode(
    node: string,
    queues: readonly string[],
    liveMs: number,
    keepMs: number,
  ): Promise<void> {
    return this.run((data) => {
      data.liveNodes.set(node, true, liveMs);
      data.seenNodes.set(node, true, keepMs);
      for (const queue of queues) data.nodeOfQueue.set(queue, node);
    });
  }

  retireNode(node: string): Promise<void> {
    return this.run(({ liveNodes }) => void liveNodes.delete(node));
  }

  liveNodes(): Promise<string[]> {
    return this.run(({ liveNodes }) =>
      liveNodes
        .live()
        .map(([node]) => node)
        .sort(),
    );
  }

  assignQueues(prefix: string): Promise<string[]> {
    return this.run((data) =>
      data.liveNodes
        .live()
        .map(([node]) => {
          data.nodeOfQueue.set(prefix + node, node);
          return prefix + node;
        })
        .sort(),
    );
  }

  removeQueuesOfLostNodes(): Promise<string[]> {
    return this.run((data) => {
      const isKept = (node: string) =>
        data.delayedOfNodes.get(node) !== undefined;
      const lost = [...data.nodeOfQueue].filter(
        ([queue, node]) =>
          !data.seenNodes.get(node) &&
          (data.knownQueues.has(queue) ||
            data.runsOfNodes.has(node) ||
            !isKept(node)),
      );
      for (const [queue, node] of lost) {
        removeQueue(data, queue);
        if (!isKept(node)) data.nodeOfQueue.delete(queue);
        data.removeRunsOf(node);
      }
      return lost.map(([queue]) => queue);
    });
  }

  // --------------------------------------------------------- periodic tasks

  plans(
    node = "",
    asker?: { by: string; liveMs: number },
  ): Promise<Record<string, PlannedTask>> {
    return this.run(({ plans, planners }) => {
      if (asker) planners.set(asker.by, true, asker.liveMs);
      return Object.fromEntries(
        [...plans]
          .filter(([, { ofNode }]) => ofNode === node)
          .map(([, { task, plan, by, sinceMs }]) => [
            task,
            { plan, by, isLive: planners.get(by) === true, sinceMs },
          ]),
      );
    });
  }

  planOf(task: string, node = ""): Promise<string | undefined> {
    return this.run((data) => data.planOf(task, node));
  }

  plan(change: PlanChange): Promise<number> {
    return this.run((data) => data.plan(change));
  }

  missingRuns(runs: readonly AwaitedRun[]): Promise<string[]> {
    return this.run((data) => {
      const running = new Set<string>();
      for (const { job } of data.workers.values())
        if (job) {
          const name = classOf(job.raw);
          running.add(name).add(`${job.queue} ${name}`);
        }
      const isThere = ({ task, queue, raws, onlyInQueue }: AwaitedRun) =>
        data.stopped.has(task) ||
        running.has(onlyInQueue ? `${queue} ${task}` : task) ||
        raws.some((raw) => data.delayed.secondsOf(raw).length > 0) ||
        hasRun(data, queue, task);
      return runs.filter((run) => !isThere(run)).map(({ task }) => task);
    });
  }

  markStopped(task: string, isStopped: boolean): Promise<void> {
    return this.run(({ stopped }) => {
      if (isStopped) stopped.add(task);
      else stopped.delete(task);
    });
  }

  isStopped(task: string): Promise<boolean> {
    return this.run(({ stopped }) => stopped.has(task));
  }

  // --------------------------------------------------------------- wake-ups

  mark(): number {
    return this.data.wakeUps.additions;
  }

  wait(target: WakeTarget, timeoutMs: number, since: number): Waiting {
    return this.data.wakeUps.wait(target, timeoutMs, since);
  }

  close(): void {
    // no resources
  }

  private run<Result>(
    operation: (data: MemoryData) => Result,
  ): Promise<Result> {
    if (this.options.isFlushed?.()) this.data = this.data.emptied();
    return new Promise((resolve) => resolve(operation(this.data)));
  }

  private renewal({ processes }: MemoryData): Renewal {
    const nowMs = this.clock();
    // a later end was set before the clock was set back
    for (const process of processes.values())
      if (process.deadline > nowMs + process.leaseMs + CLOCK_SLACK_MS)
        process.deadline = nowMs + process.leaseMs;
    const expired = [...processes].filter(
      ([, { deadline }]) => deadline <= nowMs,
    );
    return { nowMs, expired: expired.slice(0, MAX_EXPIRED).map(([id]) => id) };
  }
}

const ADDED: EnqueueResult = { state: "added" };

function addAll(
  data: MemoryData,
  queue: string,
  raws: readonly string[],
  node?: string,
): void {
  data.own(queue, node);
  for (const raw of raws) data.add(queue, raw);
}

/**
 * The common part of all ways to add a job.
 * @param add returns the ms until it is due; undefined for a duplicate
 */
function produce(
  data: MemoryData,
  job: QueuedJob,
  { unique, track, idempotencyKey }: EnqueueOptions,
  state: JobInfo["state"],
  add: () => number | undefined,
): EnqueueResult {
  if (idempotencyKey !== undefined) {
    const id = data.idempotent.get(idempotencyKey);
    if (id !== undefined) return { state: "known", id };
  }
  if (unique && data.isUniqueHeld(unique, job.queue)) return { state: "held" };
  const waitMs = add();
  if (waitMs === undefined) return { state: "duplicate" };
  if (unique) data.setUnique(unique.key, job.raw, waitMs);
  if (!track) return ADDED;
  const ms = KEEP_JOB_SECONDS * 1000 + waitMs;
  const fields = { class: track.class, queue: job.queue, state };
  data.tracked.set(track.id, fields, ms);
  if (idempotencyKey !== undefined)
    data.idempotent.set(idempotencyKey, track.id, ms);
  return ADDED;
}

function newListed(owner: string, identity: WorkerIdentity): ListedWorker {
  return { owner, identity, processed: 0, failed: 0, locks: new Map() };
}

function endProcess(
  data: MemoryData,
  process: string,
  isCrash: boolean,
): Returned[] {
  const ended = data.processes.get(process);
  data.processes.delete(process);
  // a job that runs alone has not started while it waits for the other jobs of its process
  const waiting = ended?.isAloneStarted ? undefined : ended?.alone;
  return [...(ended?.members ?? [])].map((member) =>
    data.requeueJobOf(member, isCrash && member !== waiting),
  );
}

function orphansOf(data: MemoryData): ListedWorker[] {
  return [...data.workers.values()].filter(
    ({ owner }) => !data.processes.has(owner),
  );
}

function report(
  data: MemoryData,
  process: Process,
  listed: ListedWorker,
  { outcome }: ExchangeSlot,
): void {
  if (process.alone === listed.identity.member)
    endAlone(data, process, listed, outcome);
  if (outcome.kind !== "none") listed.job = undefined;
  if (outcome.kind === "success") {
    data.processedCount++;
    listed.processed++;
  } else if (outcome.kind === "failure") {
    data.addFailed(outcome.entry);
    listed.failed++;
  } else if (outcome.kind === "retried") {
    data.failedCount++;
    listed.failed++;
  }
  if (outcome.effects)
    for (const effect of outcome.effects)
      data.apply(effect, listed.identity.member);
}

/** A job that has run is no longer suspected of killing its workers. */
function endAlone(
  data: MemoryData,
  process: Process,
  { job, owner }: ListedWorker,
  { kind }: Outcome,
): void {
  if (job && kind === "none") return;
  if (job && kind !== "uncounted") data.crashes.delete(job.queue + job.raw);
  process.alone = undefined;
  data.endAlone(owner);
}

function fetchAll(
  data: MemoryData,
  process: Process,
  own: readonly (ListedWorker | undefined)[],
  call: ExchangeCall,
): void {
  if (process.alone !== undefined && !data.workers.get(process.alone)?.job) {
    process.alone = undefined;
    data.endAlone(call.process);
  }
  own.forEach((listed, index) => {
    if (!listed || listed.job || !call.slots[index]!.want) return;
    if (process.alone !== undefined) return;
    const job = fetch(data, call);
    if (!job) return;
    listed.job = { ...job, sinceMs: data.clock() };
    if (!data.isSuspect(job)) return;
    process.alone = listed.identity.member;
    process.isAloneStarted = false;
    data.beginAlone(call.process);
  });
}

function fetch(data: MemoryData, call: ExchangeCall): QueuedJob | undefined {
  for (const name of call.queues)
    for (const queue of name === "*" ? rest(data, call) : [name]) {
      if (isPaused(data, queue)) continue;
      const raw = data.take(queue);
      if (raw !== undefined) return { queue, raw };
    }
  return undefined;
}

function isPaused({ paused, nodeOfQueue }: MemoryData, queue: string): boolean {
  if (paused.size === 0) return false;
  const node = nodeOfQueue.get(queue);
  if (paused.has(queue) || node === undefined) return paused.has(queue);
  return [...paused].some((name) => queue === nodeQueue(name, node));
}

/** The queues that `*` stands for. */
function rest(
  data: MemoryData,
  { queues, node, after = "" }: ExchangeCall,
): readonly string[] {
  const { nodeOfQueue } = data;
  const ready = turned(
    queues.length === 1
      ? data.ready()
      : data.ready().filter((queue) => !queues.includes(queue)),
    after,
  );
  if (nodeOfQueue.size === 0) return ready;
  const own = ready.filter((queue) => nodeOfQueue.get(queue) === node);
  return [
    ...(node === undefined ? [] : own),
    ...ready.filter((queue) => !nodeOfQueue.has(queue)),
  ];
}

/** Names in order, from the one behind `after` on. */
function turned(names: readonly string[], after: string): readonly string[] {
  if (names.length < 2) return names;
  const at = names.findIndex((name) => name > after);
  return at <= 0 ? names : [...names.slice(at), ...names.slice(0, at)];
}

/** Other locks belong to the engine itself. */
function isJobLock(key: string, prefix: string): boolean {
  return ["lock:", "workerslock:"].some((kind) =>
    key.startsWith(prefix + kind),
  );
}

function slotsOf(data: MemoryData, jobClass: string) {
  let slots = data.slots.get(jobClass);
  if (!slots) {
    slots = { members: new Set(), waiting: [] };
    data.slots.set(jobClass, slots);
  }
  return slots;
}

function plain({ queue, raw }: QueuedJob): QueuedJob {
  return { queue, raw };
}

function recordOf(listed: ListedWorker | undefined): string | null {
  return listed?.job ? textOf(listed.identity, listed.job) : null;
}

function textOf(
  { quoted }: WorkerIdentity,
  job: QueuedJob & { sinceMs: number },
): string {
  return recordText(quoted, job, new Date(job.sinceMs).toString());
}

function isQueued(data: MemoryData, { queue, raw }: QueuedJob): boolean {
  return (
    data.delayed.secondsOf(raw).length > 0 ||
    (data.lists.get(queue)?.mayHave(raw) ?? false) ||
    waitingIn(data, queue).some(jobMatcher(raw))
  );
}

function waitingIn({ slots }: MemoryData, queue: string): string[] {
  const found: string[] = [];
  for (const { waiting } of slots.values())
    for (const job of waiting) if (job.queue === queue) found.push(job.raw);
  return found;
}

/** Whether a job of the class is queued, or waits for a slot; assumed of long lists. */
function hasRun(data: MemoryData, queue: string, task: string): boolean {
  const jobs = data.lists.get(queue);
  const waiting = data.slots.get(task)?.waiting ?? [];
  if (Math.max(jobs?.length ?? 0, waiting.length) >= RUN_SEARCH_LENGTH)
    return true;
  return (
    waiting.some((job) => job.queue === queue) ||
    (jobs?.toArray().some((raw) => classOf(raw) === task) ?? false)
  );
}

function classOf(raw: string): string {
  return parseJob(raw, "").job.class;
}

function removeQueue(data: MemoryData, queue: string): void {
  data.dropList(queue);
  data.knownQueues.delete(queue);
  for (const slots of data.slots.values())
    slots.waiting = slots.waiting.filter((job) => job.queue !== queue);
}

/** The range semantics of LRANGE. */
function range<Item>(
  items: readonly Item[],
  start: number,
  stop: number,
): Item[] {
  const end = stop < 0 ? items.length + stop + 1 : stop + 1;
  return items.slice(start, Math.max(end, 0));
}
