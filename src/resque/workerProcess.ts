/**
 * Owns the workers of one process: their states, the registration of the process with its lease, and the one call at a
 * time that reports finished jobs and fetches the next ones. Calls go one way: from here to the store and to the workers.
 */
import { toError } from "../errors";
import { type Environment, Outage, pause, type Timer } from "./machine";
import { waitAtMost } from "../utils/promises";
import type { Heartbeat } from "./heartbeat";
import {
  ABORT_REASONS,
  isActive,
  isJoining,
  isRequesting,
  type JobLease,
  type JobRunner,
  Member,
  needsJoin,
  nextState,
  onEnding,
  untilDrained,
  type WorkerEvent,
  type WorkerState,
} from "./member";
import {
  NO_OUTCOME,
  workerIdentity,
  type ExchangeCall,
  type ExchangeResult,
  type ExchangeSlot,
  type QueuedJob,
  type QueueStore,
  type Renewal,
  type Returned,
  type Waiting,
} from "./store/store";
import { releaseUnique } from "./jobText";
import { SkewWatch } from "../utils/clockSkew";
import { POLL_MS, STUCK_MS } from "./scheduler";

export interface WorkerProcessOptions {
  /** In order of preference; `*` means all queues that are not listed. */
  queues: readonly string[];
  /** The longest wait between two polls of the queues, in ms (default 5000). */
  timeout?: number;
  /** The lease: a process that does not renew it for this long is dead, in ms (default 30,000). */
  heartbeatTimeout?: number;
  /** A process that cannot renew its lease but is connected is considered dead after this, in ms (default 1 h). */
  stuckWorkerTimeout?: number;
  /** For `*`: queues of a higher priority come first (default 0); queues of one priority take turns. */
  priorities?: Readonly<Record<string, number>>;
  /** The id of this node: `*` also includes its own queues. */
  node?: string;
}

interface ProcessListener {
  /** A call to the store failed, for the first time in this outage. */
  outageBegan(error: Error): void;
  outageEnded(ms: number): void;
  /** The store responded, and reported a problem of its data. */
  problem(error: Error): void;
  /** The registration of another process was removed. */
  reaped(process: string, jobs: readonly Returned[]): void;
  /** Jobs of orphaned workers were requeued. */
  repaired(jobs: readonly Returned[]): void;
  /** Another process does not renew its lease, and is still connected. */
  silent(process: string): void;
  /** A job that killed its workers begins to run alone in this process, or has ended. */
  alone(job: QueuedJob, isOver: boolean): void;
  /** The clock of this machine is `ms` ahead of the store's (behind when negative); 0 when it is right again. */
  skewed(ms: number): void;
}

interface ProcessParts {
  store: QueueStore;
  environment: Environment;
  listener: ProcessListener;
  /** The name of this process's connections (`CLIENT SETNAME`), by which others detect that it is alive. */
  connectionName: string;
  /** Renews the lease while the event loop is blocked; not supported by every store. */
  startHeartbeat?: () => Heartbeat | undefined;
}

export const LEASE_MS = 30_000;
/** Other producers push no wake-up token, so the queues are polled at least this often. */
const IDLE_POLL_MS = 1_000;
const MAX_BATCH = 64;
/** An in-process store responds without yielding to the event loop; after this many calls, the process yields. */
const CALLS_PER_TURN = 16;
const NAME_TRIES = 5;
/** Locks are deleted with the registration of their worker, before this. */
const LOCK_SECONDS = 300;
/** A process that ends before this needs no thread, in ms. */
const HEARTBEAT_AFTER_MS = 1_000;
/** How long the end of the registration may take once no job runs, in ms. */
const CLOSE_MS = 900;
/** How long a job may wait for the store when its worker should end, in ms. */
const LAST_MS = 500;
/** Both times during an outage of the store. */
const SILENT_MS = 100;
/** How long a suspected crash job waits to run alone, in ms. */
const EXCLUSIVE_WAIT_MS = 60_000;

export class WorkerProcess {
  /** Names the registration; a new one after each fencing, empty without one. */
  id = "";
  readonly environment: Environment;
  readonly store: QueueStore;
  private readonly listener: ProcessListener;
  /** Orders of preference that take turns; all have the same queues. */
  private readonly orders: readonly (readonly string[])[];
  private turn = 0;
  private readonly named: ReadonlySet<string>;
  /** The queue of the last job that was fetched by `*`. */
  private after?: string;
  private known: Promise<string[]> = Promise.resolve([]);
  private knownUntil = -Infinity;
  private readonly members = new Set<Member>();
  private registering?: Promise<void>;

  /** Members that take part in the next call. */
  private pending: Member[] = [];
  /** The number of workers that run a job. */
  private busy = 0;
  /** Its job runs alone: it begins when the others have ended, and no other one is fetched meanwhile. */
  private exclusive?: Member;
  private onRunEnded: () => void = () => undefined;
  private isCalling = false;
  private isPlanned = false;
  private number = 0;
  private calls = 0;
  /** Additions after the last call end the next wait. */
  private mark = 0;
  private waiting?: Waiting;
  private problems = new Set<string>();

  private sweeper?: Timer;
  private heart?: Timer;
  private heartbeat?: Heartbeat;
  private renewing?: Promise<Renewal | undefined>;
  /** Until when the lease is certainly valid, by the monotonic clock. */
  private leaseUntil = -Infinity;
  /** Since when every renewal was in time: a process that was disconnected itself cannot judge others. */
  private steadySince = 0;
  private lastRenewal = -Infinity;

  private readonly outage: Outage;
  private readonly skew: SkewWatch;
  private isClosed = false;

  constructor(
    private readonly parts: ProcessParts,
    readonly options: WorkerProcessOptions,
  ) {
    const { store, environment, listener } = parts;
    this.store = store;
    this.environment = environment;
    this.listener = listener;
    this.orders = queueOrders(options.queues, options.priorities);
    this.named = new Set(this.orders[0]);
    this.outage = new Outage(environment, {
      began: (error) => listener.outageBegan(error),
      ended: (ms) => listener.outageEnded(ms),
    });
    this.skew = new SkewWatch(environment, (ms) => listener.skewed(ms));
  }

  /** The queues of all workers, as they were when one of them asked within the last poll interval: there may be many. */
  async knownQueues(): Promise<string[]> {
    const { environment, options, store } = this;
    const now = environment.monotonic();
    if (now >= this.knownUntil) {
      this.knownUntil = now + (options.timeout ?? POLL_MS);
      this.known = listQueues(store, options.queues);
    }
    try {
      return [...(await this.known)];
    } catch (error) {
      this.knownUntil = -Infinity;
      throw error;
    }
  }

  /** Make the worker known here; `start` registers it. */
  add(runner: JobRunner, name: string, queues: string): Member {
    const member = new Member(runner, name, queues);
    member.lease = this.leaseOf(member);
    return member;
  }

  /** Register a worker and let it fetch; it gets another name if its own is in use. */
  async start(member: Member): Promise<void> {
    if (this.isClosed) throw new Error("the process has ended");
    this.members.add(member);
    this.move(member, "start");
    while (isJoining(member)) {
      try {
        await this.ensureRegistered();
      } catch (error) {
        // it may be another worker that was not registered
        if (!isJoining(member)) return;
        this.move(member, "refused");
        throw error;
      }
    }
  }

  /**
   * Let a worker finish its job and unregister.
   * @param remainingMs how long its job may take until it is requeued
   */
  end(member: Member, remainingMs = Infinity): Promise<void> {
    member.remainingMs = Math.min(member.remainingMs, remainingMs);
    if (!isActive(member.state)) return DONE;
    if (!this.move(member, "end") && member.state === "draining")
      this.entered.draining!(member);
    return member.ended;
  }

  /** End all workers and the registration. Without redis this takes `CLOSE_MS` at most once no job runs. */
  async close(remainingMs: number): Promise<void> {
    if (this.isClosed) return;
    const members = [...this.members];
    const ended = members.map((member) => this.end(member, remainingMs));
    await Promise.all(members.map(untilDrained));
    // the result of a job is worth a wait: without a report, the job runs again
    const ms = this.isOut && !this.hasOutcomes() ? SILENT_MS : CLOSE_MS;
    const deadline = this.environment.monotonic() + ms;
    await waitAtMost(ms, Promise.all(ended), this.environment);
    // the jobs of the others are requeued when the lease expires
    const isClean = this.members.size === 0;
    for (const member of this.members) this.move(member, "cut");
    this.isClosed = true;
    this.heart?.cancel();
    this.sweeper?.cancel();
    this.heartbeat?.stop();
    this.waiting?.stop();
    if (isClean && this.id !== "") await this.deregister(deadline);
  }

  /** Whether the store is unavailable. */
  get isOut(): boolean {
    return this.outage.isOpen;
  }

  /** A call to the store failed that was made for this process. */
  callFailed(error: Error): void {
    this.outage.failed(error);
  }

  // -------------------------------------------------------- state machine

  /** The only place that changes the state of a worker. */
  private move(member: Member, event: WorkerEvent): boolean {
    const next = nextState(member.state, event);
    if (next === undefined) return false;
    const wasDraining = member.state === "draining";
    const isJobLost = event === "fence" || (event === "cut" && wasDraining);
    member.state = next;
    if (isJobLost) {
      member.isCut = event === "cut";
      member.runner.abort(ABORT_REASONS[event]);
    }
    if (wasDraining) member.drained();
    this.entered[next]?.(member);
    return true;
  }

  private readonly entered: {
    [state in WorkerState]?: (member: Member) => void;
  } = {
    fetching: (member) => {
      member.runner.poll();
      this.request(member);
    },
    reporting: (member) => this.request(member),
    idle: (member) => member.runner.onIdle(),
    draining: (member) => {
      for (const listener of member.endListeners) listener();
      this.limitRunTime(member);
    },
    leaving: (member) => void this.leave(member),
    stopped: (member) => this.forget(member),
    abandoned: (member) => this.forget(member),
  };

  private limitRunTime(member: Member): void {
    member.timer?.cancel();
    if (member.remainingMs === Infinity) return;
    member.timer = this.environment.after(member.remainingMs, () => {
      if (member.state === "draining") this.move(member, "cut");
    });
  }

  private forget(member: Member): void {
    member.timer?.cancel();
    this.members.delete(member);
    if (member === this.exclusive) this.endExclusiveRun();
    member.end();
  }

  // ---------------------------------------------------------------- fetch

  private request(member: Member): void {
    this.pending.push(member);
    this.plan();
  }

  /** Call at once if no other worker can take part; otherwise once for all workers that become free in this turn. */
  private plan(): void {
    if (this.isCalling || this.isPlanned || this.isClosed) return;
    this.isPlanned = true;
    if (this.busy === 0) void DONE.then(this.callNow);
    else this.environment.soon(this.callNow);
  }

  private readonly callNow = (): void => {
    this.isPlanned = false;
    if (this.isCalling || this.isClosed || this.pending.length === 0) return;
    this.isCalling = true;
    void this.callStore(this.pending.splice(0, MAX_BATCH));
  };

  private async callStore(batch: readonly Member[]): Promise<void> {
    await this.exchange(batch);
    if (this.store.kind === "memory" && ++this.calls % CALLS_PER_TURN === 0)
      await new Promise<void>((resolve) => this.environment.soon(resolve));
    this.isCalling = false;
    if (this.pending.length > 0) this.plan();
    else if (this.mayWait()) void this.waitForJobs();
  }

  /** Until the store responds: a repeated call changes nothing. */
  private async exchange(batch: readonly Member[]): Promise<void> {
    let call: Call | undefined;
    let reply: ExchangeResult | "fenced" | undefined;
    while (!this.isClosed) {
      try {
        if (!this.isRegistered()) await this.ensureRegistered();
        if (call?.process !== this.id) call = this.prepare(batch);
        if (!call) return;
        this.mark = this.store.mark();
        reply = await this.store.exchange(call);
        this.outage.succeeded();
      } catch (error) {
        await pause(this.environment, this.outage.failed(toError(error)));
        continue;
      }
      // jobs that were fetched under a removed registration were requeued
      if (reply !== "fenced" && call.process === this.id)
        return this.deliver(call, reply);
      this.fence(call.process);
    }
  }

  /** The call of a batch under the present registration; undefined if there is nothing to report or request. */
  private prepare(batch: readonly Member[]): Call | undefined {
    const members: Member[] = [];
    const slots: ExchangeSlot[] = [];
    for (const member of batch) {
      if (!isRequesting(member.state)) continue;
      this.dropStaleOutcome(member);
      const { identity: worker, outcome, raw, state } = member;
      const want = state === "fetching";
      if (!want && outcome === NO_OUTCOME) {
        this.move(member, "empty");
        continue;
      }
      members.push(member);
      slots.push({ worker, outcome, raw, want });
    }
    if (members.length === 0) return undefined;
    const { id: process, after } = this;
    const { node } = this.options;
    const queues = this.orders[this.turn % this.orders.length]!;
    const number = ++this.number;
    return { process, number, queues, node, after, slots, members };
  }

  /** A job that was fetched under an earlier registration was requeued: its result is dropped. */
  private dropStaleOutcome(member: Member): void {
    if (member.outcome === NO_OUTCOME || member.fetchedIn === this.id) return;
    member.outcome = NO_OUTCOME;
    member.runner.dropped();
  }

  private deliver(call: Call, reply: ExchangeResult): void {
    const { jobs, problems, alone, unlisted = [] } = reply;
    this.reportProblems(problems);
    // someone removed them: they register again
    for (const index of unlisted) call.members[index]!.registration = "";
    // one step per call: a step per job would leave the order unchanged when a batch has as many jobs as there are
    // queues
    let isStep = false;
    for (let index = 0; index < jobs.length; index++) {
      const member = call.members[index]!;
      const job = jobs[index];
      member.outcome = NO_OUTCOME;
      member.locks.clear(); // they were released with the report
      if (member === this.exclusive) this.endExclusiveRun();
      if (!job) {
        this.move(member, "empty");
        continue;
      }
      if (this.named.has(job.queue)) isStep = true;
      else this.after = job.queue;
      member.fetchedIn = call.process;
      member.raw = job.raw;
      if (index === alone) this.exclusive = member;
      this.move(member, "job");
      if (member.state === "running") void this.run(member, job);
    }
    if (isStep) this.turn++;
  }

  /** Others may fetch again. */
  private endExclusiveRun(): void {
    this.exclusive = undefined;
    for (const member of this.members) this.move(member, "wake");
  }

  /**
   * Wait until no other job of this process runs, at most `EXCLUSIVE_WAIT_MS`: other jobs may run for hours, or wait for
   * this one.
   * @returns false when the worker should end before that
   */
  private async untilExclusive(member: Member): Promise<boolean> {
    let isLate = false;
    const timer = this.environment.after(EXCLUSIVE_WAIT_MS, () => {
      isLate = true;
      this.onRunEnded();
    });
    while (this.busy > 0 && !isLate && member.state === "running")
      await new Promise<void>((resolve) => {
        const stopListening = onEnding(member, resolve);
        this.onRunEnded = () => {
          stopListening();
          resolve();
        };
      });
    timer.cancel();
    return member.state === "running";
  }

  /** From now on, a death of this process counts as one that the job caused. */
  private startAlone(member: Member): Promise<boolean | undefined> {
    const { fetchedIn, identity } = member;
    return this.persist(member, () =>
      this.store.startAlone(fetchedIn, identity),
    );
  }

  private async run(member: Member, job: QueuedJob): Promise<void> {
    const isAlone = member === this.exclusive;
    if (isAlone) {
      this.listener.alone(job, false);
      if (
        !(await this.untilExclusive(member)) ||
        !(await this.startAlone(member))
      )
        return void this.move(member, "finished");
    }
    this.busy++;
    const outcome = await member.runner.run(job, member.lease);
    this.busy--;
    if (isAlone) this.listener.alone(job, true);
    this.onRunEnded();
    if (this.holds(member)) member.outcome = outcome;
    else if (!member.isCut) member.runner.dropped();
    this.move(member, "finished");
  }

  private reportProblems(problems: readonly string[]): void {
    if (problems.length === 0 && this.problems.size === 0) return;
    for (const problem of problems)
      if (!this.problems.has(problem))
        this.listener.problem(new Error(problem));
    this.problems = new Set(problems);
  }

  private mayWait(): boolean {
    return !this.waiting && !this.isClosed && !this.exclusive && this.hasIdle();
  }

  private async waitForJobs(): Promise<void> {
    const { timeout = POLL_MS, node } = this.options;
    const target = { queues: this.orders[0]!, node };
    const ms = Math.min(timeout, IDLE_POLL_MS);
    this.waiting = this.store.wait(target, ms, this.mark);
    await this.waiting.done;
    this.waiting = undefined;
    if (this.isClosed) return;
    for (const member of this.members) this.move(member, "wake");
  }

  private scheduleSweep(ms: number): void {
    const { environment } = this;
    this.sweeper = environment.after(ms, () => void this.sweep());
  }

  /** Find jobs of producers without wake-up tokens. */
  private async sweep(): Promise<void> {
    const { timeout = POLL_MS } = this.options;
    let nextMs: number;
    try {
      nextMs = await this.store.sweepQueues(timeout);
      this.outage.succeeded();
    } catch (error) {
      nextMs = this.outage.failed(toError(error));
    }
    if (!this.isClosed) this.scheduleSweep(nextMs);
  }

  private hasOutcomes(): boolean {
    for (const { outcome } of this.members)
      if (outcome !== NO_OUTCOME) return true;
    return false;
  }

  private hasIdle(): boolean {
    for (const { state } of this.members) if (state === "idle") return true;
    return false;
  }

  // --------------------------------------------------------- registration

  /** Register the process and every worker that is not registered under its present id. */
  private ensureRegistered(): Promise<void> {
    if (this.isRegistered()) return DONE;
    this.registering ??= this.registerAll().finally(() => {
      this.registering = undefined;
    });
    return this.registering;
  }

  private isRegistered(): boolean {
    return (
      this.id !== "" && !this.registering && this.unregistered() === undefined
    );
  }

  private unregistered(): Member | undefined {
    for (const member of this.members)
      if (this.isUnlisted(member)) return member;
    return undefined;
  }

  private isUnlisted({ state, registration }: Member): boolean {
    if (!needsJoin(state)) return false;
    return registration === "" || registration !== this.id;
  }

  private async registerAll(): Promise<void> {
    for (;;) {
      if (this.id === "") await this.register();
      if (this.unregistered() === undefined) return;
      const members = [...this.members].filter((m) => this.isUnlisted(m));
      // all have ended before one is tried again: no worker is listed under two names
      const joins = members.map((member) => this.join(member));
      for (const result of await Promise.allSettled(joins))
        if (result.status === "rejected") throw result.reason;
    }
  }

  private async register(): Promise<void> {
    const { environment, leaseMs } = this;
    const { hostname, pid } = environment;
    const id = `${hostname}:${pid}:${environment.token(6)}`;
    const sentAt = environment.monotonic();
    const { connectionName } = this.parts;
    const renewal = await this.store.register(id, leaseMs, connectionName);
    this.id = id;
    this.number = 0;
    this.renewed(sentAt, renewal);
    this.steadySince = environment.monotonic();
    this.heartbeat?.follow(id);
    if (this.heart) return;
    this.scheduleBeat();
    if (this.named.has("*")) this.scheduleSweep(0);
  }

  private async join(member: Member): Promise<void> {
    const { id } = this;
    for (let i = 0; i < NAME_TRIES; i++) {
      const name = i === 0 ? member.name : this.otherName(member.name);
      const identity = workerIdentity(name, member.identity.queues);
      const result = await this.store.join(id, identity, this.leaseMs);
      if (result === "taken") continue;
      if (result === "fenced") return this.fence(id);
      if (result !== "joined") void this.repaired([result]);
      member.identity = identity;
      member.registration = id;
      member.runner.renamed(name);
      this.move(member, "joined");
      return;
    }
    throw new Error(`no free name for a worker like ${member.name}`);
  }

  /** Names are `host:pid+n`, which tools parse. */
  private otherName(name: string): string {
    const at = name.lastIndexOf("+");
    const suffix = `-${this.environment.token(3)}`;
    if (at === -1) return name + suffix;
    return name.slice(0, at) + suffix + name.slice(at);
  }

  private async leave(member: Member): Promise<void> {
    while (member.state === "leaving") {
      const { registration } = member;
      if (registration === "" || registration !== this.id) break;
      try {
        await this.store.leave(registration, member.identity);
        this.outage.succeeded();
        break;
      } catch (error) {
        await pause(this.environment, this.outage.failed(toError(error)));
      }
    }
    this.move(member, "left");
  }

  private async deregister(deadline: number): Promise<void> {
    const ended = this.store.deregister(this.id).catch((error) => {
      this.outage.failed(toError(error));
    });
    const left = deadline - this.environment.monotonic();
    await waitAtMost(Math.max(left, 0), ended, this.environment);
  }

  /** The registration `id` was removed, and all its jobs were requeued. */
  private fence(id: string): void {
    if (id !== this.id) return;
    this.id = "";
    this.leaseUntil = -Infinity;
    this.exclusive = undefined;
    for (const member of [...this.members]) this.move(member, "fence");
    this.onRunEnded();
  }

  // ---------------------------------------------------------------- lease

  private get leaseMs(): number {
    return this.options.heartbeatTimeout ?? LEASE_MS;
  }

  private isLeaseSure(): boolean {
    const now = this.environment.monotonic();
    return (
      now < this.leaseUntil ||
      (this.id !== "" && now < (this.heartbeat?.leaseUntil() ?? -Infinity))
    );
  }

  /** Whether the worker runs a job that is its own. */
  private holds({ state, fetchedIn }: Member): boolean {
    return (
      (state === "running" || state === "draining") && fetchedIn === this.id
    );
  }

  private leaseOf(member: Member): JobLease {
    const isSure = () => this.isLeaseSure() && this.holds(member);
    const persist = <T>(call: () => Promise<T>) => this.persist(member, call);
    const confirm = async () => {
      while (this.holds(member) && !isSure() && !this.isClosed) {
        const reply = await persist(async () => ({ is: await this.renew() }));
        if (!reply) return false;
      }
      return isSure();
    };
    return {
      get process() {
        return member.fetchedIn;
      },
      get worker() {
        return member.identity;
      },
      locks: member.locks,
      lockSeconds: LOCK_SECONDS,
      hold: (lock) => void member.locks.set(lock.key, lock),
      isSure,
      confirm,
      persist,
    };
  }

  private async persist<T>(
    member: Member,
    call: () => Promise<T>,
  ): Promise<T | undefined> {
    const { environment } = this;
    let isGivenUp = false;
    const repeat = async () => {
      while (this.holds(member) && !this.isClosed && !isGivenUp) {
        try {
          const result = await call();
          this.outage.succeeded();
          return this.holds(member) ? result : undefined;
        } catch (error) {
          await pause(environment, this.outage.failed(toError(error)));
        }
      }
      return undefined;
    };
    const reply = repeat();
    let stopListening!: () => void;
    const ending = new Promise<void>((resolve) => {
      // one of too many workers waits for as long as its job does
      const listener = () => {
        if (member.remainingMs < Infinity) resolve();
      };
      stopListening = onEnding(member, listener);
    });
    const late = ending.then(async () => {
      await waitAtMost(this.isOut ? SILENT_MS : LAST_MS, reply, environment);
      // the reply may have arrived while the event loop was blocked
      await new Promise<void>((resolve) => environment.soon(resolve));
    });
    const result = await Promise.race([reply, late.then(() => undefined)]);
    stopListening();
    isGivenUp = true;
    return result;
  }

  private scheduleBeat(): void {
    const isFirst = this.heart === undefined;
    const ms = Math.max(this.leaseMs / 3, 10);
    this.heart = this.environment.after(
      isFirst ? Math.min(ms, HEARTBEAT_AFTER_MS) : ms,
      () => void this.beat(isFirst),
    );
  }

  /** Renew the lease, and find processes whose lease expired. */
  private async beat(isFirst: boolean): Promise<void> {
    if (isFirst) {
      this.heartbeat = this.parts.startHeartbeat?.();
      this.heartbeat?.follow(this.id);
    }
    this.heartbeat?.alive();
    try {
      const renewal = await this.renew();
      if (renewal) await this.reapOthers(renewal.expired);
      if (this.isSteady()) await this.repairOrphans();
      this.outage.succeeded();
    } catch (error) {
      this.outage.failed(toError(error));
    }
    if (!this.isClosed) this.scheduleBeat();
  }

  private renew(): Promise<Renewal | undefined> {
    this.renewing ??= this.renewNow().finally(() => {
      this.renewing = undefined;
    });
    return this.renewing;
  }

  private async renewNow(): Promise<Renewal | undefined> {
    const { id, store, leaseMs } = this;
    if (id === "") return void (await this.ensureRegistered());
    const sentAt = this.environment.monotonic();
    const members = [...this.members].filter(
      ({ registration }) => registration === id,
    );
    const workers = members.map(({ identity }) => identity);
    const locks = members.flatMap((member) => [...member.locks.values()]);
    const renewal = await store.renew(id, leaseMs, workers, locks);
    if (id !== this.id) return undefined;
    if (renewal) this.renewed(sentAt, renewal);
    else {
      this.fence(id);
      await this.ensureRegistered();
    }
    return renewal;
  }

  private renewed(sentAt: number, { nowMs }: Renewal): void {
    const now = this.environment.monotonic();
    this.leaseUntil = sentAt + this.leaseMs;
    if (now - this.lastRenewal > (2 * this.leaseMs) / 3) this.steadySince = now;
    this.lastRenewal = now;
    this.skew.measured(nowMs, sentAt);
  }

  private isSteady(): boolean {
    return this.environment.monotonic() - this.steadySince >= this.leaseMs;
  }

  /** All processes together check each worker once per lease. */
  private async repairOrphans(): Promise<void> {
    const jobs = await this.store.repairOrphans(this.leaseMs);
    if (jobs.length > 0) await this.repaired(jobs);
  }

  private repaired(jobs: readonly Returned[]): Promise<void> {
    this.listener.repaired(jobs);
    return this.unlockFailed(jobs);
  }

  private async reapOthers(expired: readonly string[]): Promise<void> {
    const ids = expired.filter((id) => id !== this.id);
    if (ids.length === 0 || !this.isSteady()) return;
    const { store, listener } = this;
    const { stuckWorkerTimeout = STUCK_MS } = this.options;
    const gone = await store.findDisconnected(ids);
    for (const id of ids) {
      const isGone = gone.includes(id);
      const jobs = await store.reap(id, isGone ? 0 : stuckWorkerTimeout);
      if (jobs) {
        listener.reaped(id, jobs);
        await this.unlockFailed(jobs);
      } else if (!isGone) listener.silent(id);
    }
  }

  /** Release the unique locks of jobs that failed with their workers. */
  private async unlockFailed(jobs: readonly Returned[]): Promise<void> {
    for (const { what, queue, raw } of jobs) {
      if (what !== "failed" || queue === "") continue;
      await releaseUnique(this.store, { queue, raw });
    }
  }
}

const DONE = Promise.resolve();

interface Call extends ExchangeCall {
  readonly members: readonly Member[];
}

// --- The order in which workers poll queues.

type Priorities = Readonly<Record<string, number>>;

/**
 * Queues in order of preference. The given order is used; `*` means the queues that are not listed; of these, queues
 * with a priority are listed before it (above 0) or after it (below 0).
 * @param turn how many places queues of the same priority are rotated by
 */
export function queueOrder(
  given: readonly string[],
  priorities: Priorities = {},
  turn = 0,
): string[] {
  const queues = [...new Set(given.length === 0 ? ["*"] : given)];
  const at = queues.indexOf("*");
  if (at === -1) return queues;
  const groups = groupsOf(queues, priorities);
  const ordered = (isListed: (priority: number) => boolean) =>
    groups
      .filter(({ priority }) => isListed(priority))
      .flatMap((group) => rotated(group.queues, turn));
  const first = ordered((priority) => priority > 0);
  const last = ordered((priority) => priority < 0);
  queues.splice(at, 1, ...first, "*", ...last);
  return queues;
}

/** Orders of preference that take turns, so that no queue waits for another one of the same priority. */
export function queueOrders(
  given: readonly string[],
  priorities: Priorities = {},
): string[][] {
  const isOpen = given.length === 0 || given.includes("*");
  const groups = isOpen ? groupsOf(given, priorities) : [];
  const length = Math.max(1, ...groups.map(({ queues }) => queues.length));
  return Array.from({ length }, (_, turn) =>
    queueOrder(given, priorities, turn),
  );
}

interface Group {
  priority: number;
  queues: string[];
}

/** Queues that are not listed, by priority, the highest first. */
function groupsOf(listed: readonly string[], priorities: Priorities): Group[] {
  const groups = new Map<number, string[]>();
  for (const queue of Object.keys(priorities).sort(compareNames)) {
    const priority = priorities[queue]!;
    if (priority === 0 || listed.includes(queue)) continue;
    const group = groups.get(priority);
    if (group) group.push(queue);
    else groups.set(priority, [queue]);
  }
  return [...groups]
    .map(([priority, queues]) => ({ priority, queues }))
    .sort((one, other) => other.priority - one.priority);
}

function rotated(queues: readonly string[], turn: number): string[] {
  const at = turn % queues.length;
  return [...queues.slice(at), ...queues.slice(0, at)];
}

/** The queues that an order means when `known` ones exist. */
export function resolveQueues(
  order: readonly string[],
  known: readonly string[],
): string[] {
  const rest = known.filter((queue) => !order.includes(queue));
  return order.flatMap((queue) =>
    queue === "*" ? rest.sort(compareNames) : [queue],
  );
}

/** The queues that an order means at the moment. */
export async function listQueues(
  store: Pick<QueueStore, "queues">,
  order: readonly string[],
): Promise<string[]> {
  const known = order.includes("*") ? await store.queues() : [];
  return resolveQueues(order, known);
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
