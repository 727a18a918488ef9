/**
 * The store on redis. Every operation on one job is one script; `docs/wire-protocol-tasks.md` says what it keeps. The redis may be a
 * Redis Cluster when the prefix has a hash tag.
 */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { toError } from "../../errors";
import { keyHolders } from "../../redis/engine";
import {
  Operations,
  type Place,
  runScript,
  defineScript,
  REDIS_CLOCK,
  type Script,
} from "../../redis/script";
import { systemEnvironment, type Environment } from "../machine";
import { delayedText } from "../jobText";
import type { JobInfo } from "../types";
import { flatFields, jobInfoOf, openRecord, SEARCH_LENGTH } from "./texts";
import { dueArgs, encodeEffects } from "./lua/effects";
import {
  JOB,
  LOST,
  MAX_WORKERS,
  NEXT_JOB,
  NO_FETCH,
  RECORD,
  UNLISTED,
  WITH_EFFECTS,
  EXCHANGE,
} from "./lua/exchange";
import { RedisWakeUps } from "./redisWakeUps";
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
import { recordOf } from "../../utils/objects";
import * as inspect from "./lua/inspect";
import * as periodic from "./lua/periodic";
import * as processLua from "./lua/processes";
import * as producers from "./lua/producers";
import * as scheduler from "./lua/scheduler";

interface RedisStoreOptions {
  /** The prefix of every key, including the colon. */
  prefix: string;
  /** The timeout of an operation, in ms (default: the client's `commandTimeout`, or 10,000). */
  operationTimeoutMs?: number;
  /** Lua that defines `now()` and `expire(key, ms)`, for a test that moves the clock. */
  clock?: string;
  /** The name of this process's connections: a process that is not listed itself cannot judge others. */
  connectionName?: string;
  scanCount?: number;
  /** The machine that it runs on (default this one). */
  environment?: Environment;
}

/** Jobs per call: the arguments of a Lua call are limited, and it blocks redis. */
const MAX_JOBS = 1000;
const MAX_BYTES = 1_000_000;
const DEFAULT_TIMEOUT_MS = 10_000;

type Args = readonly (string | number)[];

/** The first argument of the calls of a second, for one order of queues. */
interface Head {
  second: number;
  node: string;
  text: string;
}

export class RedisStore implements QueueStore {
  readonly kind = "redis";
  private readonly prefix: string;
  private readonly place: Place;
  private readonly scripts: Scripts;
  private readonly operations: Operations;
  private readonly wakeUps: RedisWakeUps;
  private readonly environment: Environment;
  private readonly heads = new WeakMap<readonly string[], Head>();

  constructor(
    private readonly redis: Redis,
    private readonly options: RedisStoreOptions,
  ) {
    const { prefix, clock, environment = systemEnvironment } = options;
    this.prefix = prefix;
    this.environment = environment;
    this.place = { prefix, keys: [`${prefix}queues`] };
    this.scripts = scriptsFor(clock);
    const shared = sharedParts(redis, options, this.scripts, environment);
    this.operations = shared.operations;
    this.wakeUps = shared.wakeUps;
    this.wakeUps.open();
  }

  // ------------------------------------------------------------------ clock

  now(): Promise<number> {
    return this.operations.measure(this.place);
  }

  // -------------------------------------------------------------- producers

  async enqueue(
    queue: string,
    raws: readonly string[],
    options?: EnqueueOptions,
  ): Promise<EnqueueResult> {
    if (options?.unique || options?.track)
      return this.produce({ queue, raw: raws[0]! }, ["", ""], options);
    const node = options?.node ?? "";
    if (raws.length === 1) await this.once("ENQUEUE", [queue, node, raws[0]!]);
    else
      for (const batch of batchesOf(raws))
        await this.once("ENQUEUE", [queue, node, ...batch]);
    return { state: "added" };
  }

  delay(
    job: QueuedJob,
    due: Due,
    options: EnqueueOptions = {},
  ): Promise<EnqueueResult> {
    const raw = delayedText(job);
    return this.produce({ ...job, raw }, dueArgs(due), options);
  }

  async retryFailed(
    entry: string,
    { queue, raw }: QueuedJob,
    { unique }: Pick<EnqueueOptions, "unique"> = {},
  ): Promise<"added" | "held" | "missing"> {
    const args = [entry, queue, raw, unique?.key ?? "", unique?.class ?? ""];
    return (await this.once("RETRY_FAILED", args)) as "added";
  }

  // -------------------------------------------------------------- scheduler

  async lead(name: string, ttlMs: number): Promise<number> {
    const ms = Number(await this.once("LEAD", [name, ttlMs]));
    return ms < 0 ? Infinity : ms;
  }

  async resign(name: string): Promise<void> {
    await this.once("RESIGN", [name]);
  }

  async promote(limit: number): Promise<Promotion> {
    const date = new Date(this.operations.estimate()).toString();
    const reply = (await this.once("PROMOTE", [limit, date])) as string[];
    const moved: Promotion["moved"] = [];
    for (let i = 1; i < reply.length; i += 2)
      moved.push({ second: reply[i]!, raw: reply[i + 1]! });
    return reply[0] === "" ? { moved } : { moved, nextInMs: Number(reply[0]) };
  }

  async sweepSlots(
    limits: Readonly<Record<string, number | null>>,
  ): Promise<void> {
    const args = Object.entries(limits).flatMap(([jobClass, limit]) => [
      jobClass,
      limit ?? -1,
    ]);
    await this.intime("SWEEP_SLOTS", args);
  }

  async sweepQueues(periodMs: number): Promise<number> {
    return (await this.intime("SWEEP_QUEUES", [periodMs])) as number;
  }

  // ----------------------------------------------------------- process life

  async register(
    process: string,
    ttlMs: number,
    connectionName: string,
  ): Promise<Renewal> {
    const args = [process, ttlMs, connectionName];
    return renewalOf(await this.intime("REGISTER", args))!;
  }

  async renewLocks(locks: readonly HeldLock[]): Promise<void> {
    const args = locks.flatMap((lock) => [lock.key, lock.value, lock.seconds]);
    await this.intime("RENEW_LOCKS", args);
  }

  async renew(
    process: string,
    ttlMs: number,
    workers: readonly WorkerIdentity[],
    locks: readonly HeldLock[],
  ): Promise<Renewal | undefined> {
    const { connectionName = "" } = this.options;
    const args: (string | number)[] = [process, ttlMs, connectionName];
    args.push(workers.length);
    for (const { name, quoted, queues } of workers)
      args.push(name, quoted, queues);
    for (const { key, value, seconds } of locks) args.push(key, value, seconds);
    return renewalOf(await this.intime("RENEW", args));
  }

  async join(
    process: string,
    { name, quoted, queues }: WorkerIdentity,
    ttlMs: number,
  ): Promise<"joined" | "taken" | "fenced" | Returned> {
    const args = [process, name, quoted, queues, ttlMs, this.date()];
    const reply = await this.once("JOIN", args);
    return Array.isArray(reply) ? returnedOf(reply)[0]! : (reply as "joined");
  }

  async leave(
    process: string,
    { member, name }: WorkerIdentity,
    onlyIdle = false,
  ): Promise<Returned | { what: "running"; queue: string; raw: string }> {
    const args = [process, member, name, onlyIdle ? "1" : ""];
    return returnedOf(await this.once("LEAVE", args))[0]!;
  }

  async deregister(process: string): Promise<Returned[]> {
    return returnedOf(await this.once("DEREGISTER", [process]));
  }

  async reap(
    process: string,
    graceMs: number,
  ): Promise<Returned[] | undefined> {
    const reply = await this.once("REAP", [process, graceMs, this.date()]);
    return reply ? returnedOf(reply) : undefined;
  }

  async findDisconnected(processes: readonly string[]): Promise<string[]> {
    const { redis, prefix, options } = this;
    const lists = await Promise.all(
      keyHolders(redis).map((node) => node.client("LIST")),
    ).catch(() => []); // hosted servers may forbid it
    const clients = lists.join("\n");
    const isConnected = (name: string) => clients.includes(`name=${name} `);
    // if connections have no names, dead processes cannot be detected
    const canTell = isConnected(options.connectionName ?? "");
    const gone: string[] = [];
    for (const id of processes) {
      const key = `${prefix}ah:proc:${id}`;
      const name = await orNone(redis.hget(key, "connection"), null);
      if (!name || (canTell && !isConnected(name))) gone.push(id);
    }
    return gone;
  }

  async findOrphans(): Promise<Orphan[]> {
    const orphans: Orphan[] = [];
    let cursor = "0";
    do {
      const reply = (await this.intime("FIND_ORPHANS", [cursor])) as string[];
      for (let i = 1; i < reply.length; i += 2)
        orphans.push({ member: reply[i]!, record: reply[i + 1] || undefined });
      cursor = reply[0]!;
    } while (cursor !== "0");
    return orphans;
  }

  async repairOrphans(periodMs?: number): Promise<Returned[]> {
    if (periodMs !== undefined)
      return (await this.repairPage("", periodMs)).returned;
    const returned: Returned[] = [];
    let cursor = "0";
    do {
      const page = await this.repairPage(cursor);
      returned.push(...page.returned);
      ({ cursor } = page);
    } while (cursor !== "0");
    return returned;
  }

  // ------------------------------------------------------------------ fetch

  async exchange(call: ExchangeCall): Promise<ExchangeResult | "fenced"> {
    const { slots, after = "" } = call;
    const number = call.number * MAX_WORKERS + slots.length;
    const args: (string | number)[] = [this.headOf(call), `${number}`, after];
    for (const { worker } of slots) args.push(worker.member);
    for (const slot of slots) args.push(codeOf(slot));
    for (const { outcome } of slots)
      if (outcome.effects) encodeEffects(outcome.effects, args);
    for (;;) {
      const reply = (await runScript(
        this.redis,
        this.scripts.EXCHANGE,
        [`${this.prefix}ah:proc:${call.process}`],
        args,
      )) as (number | string)[] | typeof LOST | null;
      if (reply === LOST && (await this.restore(call))) continue;
      return reply ? openExchange(reply, call) : "fenced";
    }
  }

  /** Write the lost registration of the caller again. @returns whether there was one */
  private async restore({
    process,
    number,
    slots,
  }: ExchangeCall): Promise<boolean> {
    const { connectionName = "" } = this.options;
    const args: (string | number)[] = [process, connectionName, number];
    for (const { worker, outcome, raw } of slots)
      if (raw !== undefined && COUNTED.has(outcome.kind))
        args.push(worker.member, raw);
    return (await this.intime("RESTORE", args)) === 1;
  }

  /** The argument that all calls with one order of queues share for a second. */
  private headOf({ queues, node = "" }: ExchangeCall): string {
    const second = Math.floor(this.operations.estimate() / 1000);
    const known = this.heads.get(queues);
    if (known?.second === second && known.node === node) return known.text;
    const parts = [this.prefix, `"${runAt(second)}"`, node, ...queues];
    // the JSON of redis knows no half of a surrogate pair: as everywhere else, it gets a replacement for one
    const text = JSON.stringify(
      parts.map((part) => Buffer.from(part).toString()),
    );
    this.heads.set(queues, { second, node, text });
    return text;
  }

  async apply(
    { member }: WorkerIdentity,
    effects: readonly Effect[],
  ): Promise<void> {
    if (effects.length === 0) return;
    const args: (string | number)[] = [member];
    encodeEffects(effects, args);
    await this.once("APPLY", args);
  }

  // ---------------------------------------------------------------- running

  async acquireSlot(
    request: SlotRequest,
  ): Promise<"acquired" | "waiting" | "lost"> {
    const { process, worker, limit, job } = request;
    const entry = `${Buffer.byteLength(job.queue)}:${job.queue}${job.raw}`;
    return (await this.intime("ACQUIRE_SLOT", [
      process,
      worker.member,
      request.class,
      limit,
      entry,
      job.queue,
    ])) as "acquired";
  }

  async takeLock(request: LockRequest): Promise<HeldLock | undefined> {
    const { key, seconds, owned, worker } = request;
    const args = [
      key,
      seconds,
      owned ? parseInt(this.environment.token(4), 16) : "",
      worker?.member ?? "",
    ];
    const value = (await this.once("TAKE_LOCK", args)) as string | null;
    return value === null ? undefined : { key, value, seconds };
  }

  async releaseLock(
    { key, value }: Pick<HeldLock, "key" | "value">,
    worker?: WorkerIdentity,
  ): Promise<void> {
    await this.intime("RELEASE_LOCK", [key, value, worker?.member ?? ""]);
  }

  async takeQueueLock(request: QueueLockRequest): Promise<boolean> {
    const { key, seconds, believedSeconds, job } = request;
    const args = [key, seconds, believedSeconds, job.queue, job.raw];
    const reply = await this.once("TAKE_QUEUE_LOCK", [...args, SEARCH_LENGTH]);
    return reply === 1;
  }

  async updateJob(
    { id, worker, raw }: HeldJob,
    fields: JobFields,
  ): Promise<void> {
    const args = [id, worker.member, raw, ...flatFields(fields)];
    await this.once("UPDATE_JOB", args);
  }

  async noteUnique(
    key: string,
    { worker, raw }: Pick<HeldJob, "worker" | "raw">,
  ): Promise<void> {
    await this.intime("NOTE_UNIQUE", [key, worker.member, raw]);
  }

  async releaseUnique(
    { key, class: jobClass }: UniqueLock,
    { queue, raw }: QueuedJob,
  ): Promise<void> {
    await this.intime("RELEASE_UNIQUE", [key, queue, jobClass, raw]);
  }

  async waitUnknown(
    { queue, raw }: QueuedJob,
    timeoutMs: number,
  ): Promise<number | undefined> {
    const args = [queue, raw, timeoutMs];
    const ms = (await this.once("WAIT_UNKNOWN", args)) as number;
    return ms < 0 ? undefined : ms;
  }

  async countRetry(key: string): Promise<number> {
    return (await this.once("COUNT_RETRY", [key])) as number;
  }

  async forgetRetry(key: string): Promise<void> {
    await this.once("FORGET_RETRY", [key]);
  }

  // -------------------------------------------------------------- operators

  async pause(queue: string): Promise<void> {
    await this.once("PAUSE", ["1", queue]);
  }

  async resume(queue: string): Promise<void> {
    await this.once("PAUSE", ["0", queue]);
  }

  async pausedQueues(): Promise<string[]> {
    return (await this.members("ah:paused")).sort();
  }

  // ---------------------------------------------------------------- inspect

  queues(): Promise<string[]> {
    return this.members("queues");
  }

  async lengths(
    queues: readonly string[],
  ): Promise<Record<string, QueueLength>> {
    const result: Record<string, QueueLength> = {};
    for (const batch of batchesOf(queues)) {
      const reply = (await this.intime("LENGTHS", batch)) as number[];
      batch.forEach((queue, index) => {
        const [queued, waiting] = reply.slice(2 * index, 2 * index + 2);
        result[queue] = { queued: queued!, waiting: waiting! };
      });
    }
    return result;
  }

  async jobs(queue: string, start: number, stop: number): Promise<string[]> {
    return (await this.intime("JOBS", [queue, start, stop])) as string[];
  }

  async isQueued(queue: string, raw: string): Promise<boolean> {
    const args = [queue, raw, SEARCH_LENGTH];
    return (await this.intime("IS_QUEUED", args)) === 1;
  }

  async removeJobs(
    queue: string,
    raws: readonly string[],
    count = 0,
  ): Promise<number> {
    let removed = 0;
    for (const batch of batchesOf([...new Set(raws)])) {
      const args = [queue, count, ...batch];
      removed += (await this.once("REMOVE_JOBS", args)) as number;
    }
    return removed;
  }

  async removeQueue(queue: string): Promise<void> {
    await this.once("REMOVE_QUEUE", [queue]);
  }

  async delayedSeconds(): Promise<number[]> {
    const key = `${this.prefix}delayed_queue_schedule`;
    return (await orNone(this.redis.zrange(key, 0, -1), [])).map(Number);
  }

  delayedJobs(second: number): Promise<string[]> {
    return this.range(`delayed:${second}`, 0, -1);
  }

  async scheduledAt(raw: string): Promise<number[]> {
    return ((await this.intime("SCHEDULED_AT", [raw])) as string[]).map(Number);
  }

  async removeDelayed(raw: string): Promise<number[]> {
    const reply = (await this.once("REMOVE_DELAYED", [raw])) as string[];
    return reply.map(Number);
  }

  failedCount(): Promise<number> {
    return orNone(this.redis.llen(`${this.prefix}failed`), 0);
  }

  failed(start: number, stop: number): Promise<string[]> {
    return this.range("failed", start, stop);
  }

  async removeFailed(entry: string): Promise<number> {
    return (await this.once("REMOVE_FAILED", [entry])) as number;
  }

  workers(): Promise<string[]> {
    return this.members("workers");
  }

  async records(members: readonly string[]): Promise<WorkerRecord[]> {
    const texts = await this.values(
      members.map((member) => `${this.prefix}worker:${member}`),
    );
    return members.map((member, index) => ({
      member,
      record: texts[index] ?? null,
    }));
  }

  async foreignPings(): Promise<string[]> {
    return (await this.intime("FOREIGN_PINGS", [])) as string[];
  }

  async removeWorker(
    { member, record }: WorkerRecord,
    name: string,
    entry = "",
  ): Promise<boolean> {
    const args = [member, name, record ?? "", entry];
    return (await this.once("REMOVE_WORKER", args)) === 1;
  }

  async locks(): Promise<Record<string, string>> {
    const found = [
      ...(await this.find("lock:*")),
      ...(await this.find("workerslock:*")),
    ];
    // the owner behind the point is not public
    return Object.fromEntries(
      found.map(([key, value]) => [key, value.split(".")[0]!]),
    );
  }

  async removeLock(key: string): Promise<number> {
    return (await this.once("REMOVE_LOCK", [key])) as number;
  }

  async stats(): Promise<Record<string, string>> {
    const found = await this.find("stat:*");
    return Object.fromEntries(
      found.map(([key, value]) => [key.slice("stat:".length), value]),
    );
  }

  leader(): Promise<string | null> {
    const key = `${this.prefix}resque_scheduler_leader_lock`;
    return orNone(this.redis.get(key), null);
  }

  async jobInfo(id: string): Promise<JobInfo | undefined> {
    const fields = this.redis.hgetall(`${this.prefix}ah:job:${id}`);
    return jobInfoOf(id, await orNone(fields, {}));
  }

  // ------------------------------------------------------------------ nodes

  async announceNode(
    node: string,
    queues: readonly string[],
    liveMs: number,
    keepMs: number,
  ): Promise<void> {
    await this.intime("ANNOUNCE", [node, liveMs, keepMs, ...queues]);
  }

  async retireNode(node: string): Promise<void> {
    await this.intime("RETIRE", [node]);
  }

  async liveNodes(): Promise<string[]> {
    return (await this.intime("LIVE_NODES", [])) as string[];
  }

  async assignQueues(prefix: string): Promise<string[]> {
    return (await this.intime("ASSIGN_QUEUES", [prefix])) as string[];
  }

  async removeQueuesOfLostNodes(): Promise<string[]> {
    return (await this.once("REMOVE_LOST", [])) as string[];
  }

  // --------------------------------------------------------- periodic tasks

  async plans(
    node = "",
    asker = { by: "", liveMs: 0, keepMs: 0 },
  ): Promise<Record<string, PlannedTask>> {
    const args = [node, asker.by, asker.liveMs, asker.keepMs];
    const reply = (await this.intime("PLANS_OF", args)) as string[];
    const result: Record<string, PlannedTask> = {};
    for (let i = 0; i < reply.length; i += 5) {
      const [task, by, lives, since, plan] = reply.slice(i, i + 5) as [
        string,
        string,
        string,
        string,
        string,
      ];
      const sinceMs = Number(since);
      result[task] = { plan, by, isLive: lives === "1", sinceMs };
    }
    return result;
  }

  async planOf(task: string, node = ""): Promise<string | undefined> {
    const plan = (await this.intime("PLAN_OF", [task, node])) as string;
    return plan === "" ? undefined : plan;
  }

  async plan(change: PlanChange): Promise<number> {
    const { task, node = "", declare, remove, next } = change;
    const args: (string | number)[] = [
      task,
      node,
      declare?.by ?? "",
      declare?.plan ?? "",
      remove.length,
    ];
    for (const { queue, raw } of remove) args.push(queue, raw);
    if (next) args.push(next.queue, next.raw, ...dueArgs(next.due));
    return (await this.once("PLAN", args)) as number;
  }

  async missingRuns(runs: readonly AwaitedRun[]): Promise<string[]> {
    const missing: string[] = [];
    for (let first = 0; first < runs.length; first += MAX_JOBS) {
      const args = runs
        .slice(first, first + MAX_JOBS)
        .flatMap(({ task, queue, raws, onlyInQueue }) => [
          ...[task, queue, onlyInQueue ? "1" : "", raws.length],
          ...raws,
        ]);
      const found = await this.intime("MISSING_RUNS", args);
      missing.push(...(found as string[]));
    }
    return missing;
  }

  async startAlone(
    process: string,
    { member }: WorkerIdentity,
  ): Promise<boolean> {
    return (await this.intime("START_ALONE", [process, member])) === 1;
  }

  async markStopped(task: string, isStopped: boolean): Promise<void> {
    await this.once("MARK_STOPPED", [isStopped ? "1" : "0", task]);
  }

  async isStopped(task: string): Promise<boolean> {
    return (await this.intime("IS_STOPPED", [task])) === 1;
  }

  // --------------------------------------------------------------- wake-ups

  /** Tokens remain in redis for later waits. */
  mark(): number {
    return 0;
  }

  wait(target: WakeTarget, timeoutMs: number): Waiting {
    const { prefix } = this;
    if (target === "scheduler")
      return this.wakeUps.wait([`${prefix}ah:wake-scheduler`], timeoutMs);
    const keys: string[] = [];
    for (const queue of target.queues) {
      if (queue !== "*") keys.push(`${prefix}ah:wake:${queue}`);
      else keys.push(`${prefix}ah:wake-any`);
      if (queue === "*" && target.node !== undefined)
        keys.push(`${prefix}ah:wake-any:${target.node}`);
    }
    return this.wakeUps.wait(keys, timeoutMs);
  }

  close(): void {
    this.wakeUps.close();
  }

  private async produce(
    { queue, raw }: QueuedJob,
    [kind, ms]: [string, number | string],
    { unique, track, idempotencyKey, node }: EnqueueOptions,
  ): Promise<EnqueueResult> {
    const reply = await this.once("PRODUCE", [
      queue,
      raw,
      kind,
      ms,
      unique?.key ?? "",
      track?.class ?? unique?.class ?? "",
      track?.id ?? "",
      idempotencyKey === undefined ? "" : sha1(idempotencyKey),
      node ?? "",
    ]);
    if (reply === 1) return { state: "added" };
    const [state, id] = reply as ["known", string];
    return { state, id };
  }

  private async repairPage(cursor: string, periodMs = 0) {
    const args = [this.date(), cursor, periodMs];
    const reply = (await this.once("REPAIR_ORPHANS", args)) as string[];
    return { cursor: reply[0]!, returned: returnedOf(reply.slice(1)) };
  }

  private once(script: ScriptName, args: Args): Promise<unknown> {
    return this.operations.once(this.scripts[script], this.place, args);
  }

  private intime(script: ScriptName, args: Args): Promise<unknown> {
    return this.operations.intime(this.scripts[script], this.place, args);
  }

  private members(name: string): Promise<string[]> {
    return orNone(this.redis.smembers(this.prefix + name), []);
  }

  private range(name: string, start: number, stop: number): Promise<string[]> {
    return orNone(this.redis.lrange(this.prefix + name, start, stop), []);
  }

  private date(): string {
    return new Date(this.operations.estimate()).toString();
  }

  private async values(keys: readonly string[]): Promise<(string | null)[]> {
    const result: (string | null)[] = [];
    for (const batch of batchesOf(keys))
      result.push(...(await this.redis.mget(...batch)));
    return result;
  }

  /** Texts at the keys that match `pattern`, by key without the prefix; found by SCAN. */
  private async find(pattern: string): Promise<[string, string][]> {
    const { prefix, redis, options } = this;
    const keys = new Set<string>();
    for (const node of keyHolders(redis)) {
      let cursor = "0";
      do {
        const [next, found] = await node.scan(
          cursor,
          "MATCH",
          `${prefix}${pattern}`,
          "COUNT",
          options.scanCount ?? 1000,
        );
        cursor = next;
        for (const key of found) keys.add(key);
      } while (cursor !== "0");
    }
    const names = [...keys];
    const values = await this.values(names);
    return names.flatMap((key, index) => {
      const value = values[index];
      return value ? [[key.slice(prefix.length), value]] : [];
    });
  }
}

interface SharedParts {
  operations: Operations;
  wakeUps: RedisWakeUps;
}

const partsOfClients = new WeakMap<Redis, Map<string, SharedParts>>();

/** One caller and one blocking connection for all stores on one client. */
function sharedParts(
  redis: Redis,
  { prefix, operationTimeoutMs, clock }: RedisStoreOptions,
  scripts: Scripts,
  environment: Environment,
): SharedParts {
  const ofClient = partsOfClients.get(redis) ?? new Map<string, SharedParts>();
  partsOfClients.set(redis, ofClient);
  const timeoutMs =
    operationTimeoutMs ?? redis.options?.commandTimeout ?? DEFAULT_TIMEOUT_MS;
  const key = JSON.stringify([prefix, timeoutMs, clock]);
  let found = ofClient.get(key);
  if (!found) {
    found = {
      operations: new Operations(redis, {
        timeoutMs,
        clock: scripts.CLOCK,
        machine: environment,
      }),
      wakeUps: new RedisWakeUps(redis, environment),
    };
    ofClient.set(key, found);
  }
  return found;
}

/** At most `MAX_JOBS` per call, and `MAX_BYTES` unless a single job has more. */
function* batchesOf(texts: readonly string[]): Generator<string[]> {
  let batch: string[] = [];
  let bytes = 0;
  for (const text of texts) {
    const size = Buffer.byteLength(text);
    if (
      batch.length === MAX_JOBS ||
      (batch.length > 0 && bytes + size > MAX_BYTES)
    ) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(text);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

/** Data of a key of a wrong type cannot be read, and counts as lost. */
async function orNone<T>(reply: Promise<T>, none: T): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    if (!toError(error).message.startsWith("WRONGTYPE")) throw error;
    return none;
  }
}

function renewalOf(reply: unknown): Renewal | undefined {
  if (!reply) return undefined;
  const [time, ...expired] = reply as string[];
  return { nowMs: Number(time), expired };
}

function returnedOf(reply: unknown): Returned[] {
  const lists = reply as string[];
  const result: Returned[] = [];
  for (let i = 0; i < lists.length; i += 4) {
    const [what, member, queue, raw] = lists.slice(i, i + 4);
    result.push({ what, member, queue, raw } as Returned);
  }
  return result;
}

/** Outcomes of jobs that were in the records of their workers. */
const COUNTED: ReadonlySet<string> = new Set(["success", "failure", "retried"]);

const CODES = { none: "", success: "p", uncounted: "n", retried: "r" };

function codeOf({ outcome, want }: ExchangeSlot): string {
  const code =
    outcome.kind === "failure" ? `f${outcome.entry}` : CODES[outcome.kind];
  if (want && !outcome.effects) return code;
  return `${want ? "" : NO_FETCH}${outcome.effects ? WITH_EFFECTS : ""}${code}`;
}

function openExchange(
  reply: readonly (number | string)[],
  { slots, queues, after }: ExchangeCall,
): ExchangeResult {
  const jobs: (QueuedJob | undefined)[] = [];
  const unlisted: number[] = [];
  let at = 0;
  let queue = after || queues[0]!;
  for (let i = 0; i < slots.length; i++) {
    const kind = reply[at++];
    if (kind === JOB) queue = reply[at++] as string;
    if (kind === JOB || kind === NEXT_JOB)
      jobs.push({ queue, raw: reply[at++] as string });
    else if (kind === RECORD) jobs.push(openRecord(reply[at++] as string));
    else jobs.push(undefined);
    if (kind === UNLISTED) unlisted.push(i);
  }
  const result: ExchangeResult = { jobs, problems: [] };
  if (unlisted.length > 0) result.unlisted = unlisted;
  if (at === reply.length) return result;
  if (reply[at] !== "") result.problems = String(reply[at]).split("\n");
  const alone = (reply[at + 1] as number) - 1;
  if (alone >= 0) result.alone = alone;
  return result;
}

let runAtText = "";
let runAtSecond = 0;

/** Dates of resque have whole seconds, so the text is made once per second. */
function runAt(second: number): string {
  if (second !== runAtSecond) {
    runAtSecond = second;
    runAtText = new Date(second * 1000).toString();
  }
  return runAtText;
}

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}

// --- All scripts of the redis store, by name.

const { APPLY_PARTS: _parts, ...processScripts } = processLua;
const {
  REMOVE_QUEUE_PART: _queue,
  REMOVE_JOBS_PART: _jobs,
  REMOVE_DELAYED_PART: _delayed,
  ...producerScripts
} = producers;

const SOURCES = {
  ...processScripts,
  ...producerScripts,
  ...scheduler,
  ...inspect,
  ...periodic,
  EXCHANGE,
};

type ScriptName = keyof typeof SOURCES;
export type Scripts = Readonly<Record<ScriptName, Script>>;

const compiled = new Map<string, Scripts>();

/** @param clock Lua that defines `now()` and `expire(key, ms)` (default: by redis's clock) */
export function scriptsFor(clock = REDIS_CLOCK): Scripts {
  let scripts = compiled.get(clock);
  if (!scripts) {
    scripts = recordOf(Object.keys(SOURCES) as ScriptName[], (name) =>
      defineScript(`${clock}${SOURCES[name]}`),
    );
    compiled.set(clock, scripts);
  }
  return scripts;
}
