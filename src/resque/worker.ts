/** Takes jobs from queues and runs them, one at a time. */
import { EventEmitter } from "node:events";
import { toError } from "../errors";
import { processToken, type Connection } from "./connection";
import { encode } from "./jobText";
import { systemEnvironment, type Environment, type Timer } from "./machine";
import { viewClassOf, type JobView, type JobViewClass } from "./jobView";
import { runHooks } from "./plugin";
import { Queue } from "./queue";
import {
  listQueues,
  WorkerProcess,
  type WorkerProcessOptions,
} from "./workerProcess";
import { definitionOf, finish, openJob, runBody, runJob } from "./run";
import {
  type HeldLock,
  workerIdentity,
  type Outcome,
  type QueuedJob,
  type QueueStore,
} from "./store/store";
import type { Around, ConnectionOptions, Jobs, ParsedJob } from "./types";
import type { JobLease, Member } from "./member";

export interface WorkerOptions extends Omit<WorkerProcessOptions, "queues"> {
  connection: ConnectionOptions;
  /** `host:pid` unless given; a suffix is added if it is in use. */
  name?: string;
  id?: number;
  /** In order of preference; `*` means all other queues, which take turns (default `*`). */
  queues?: string | string[];
  /** How long `end()` waits for the running job before it is requeued, in ms (default 10,000). */
  shutdownTimeout?: number;
  /**
   * Handling of a job that this process does not define: it fails, or waits for a worker that defines it (default
   * `fail`).
   */
  unknownJobs?: "fail" | "wait";
  /** How long such a job waits before it fails, in ms (default 600,000). */
  unknownJobTimeout?: number;
  /** Called around each job of a queue, with its hooks and events. */
  around?: Around;
  /** Workers of one process share it. */
  process?: WorkerProcess;
  /** The machine that it runs on (default this one). */
  environment?: Environment;
}

export const SHUTDOWN_MS = 10_000;

/**
 * Events: start, end, poll (queue), pause, job (queue, job), success (queue, job, result, ms), failure (queue, job, error, ms),
 * reEnqueue (queue, job, info), unknown (queue, job, ms), overlap (queue, job), unkept (queue, job, reason), fenced (queue, job),
 * reaped (id, jobs),
 * repaired (jobs), silent (id), recovered (ms), skew (ms), error (error, queue, job).
 */
export class Worker extends EventEmitter {
  options: WorkerOptions;
  jobs: Jobs;
  name: string;
  id: number;
  queue = "";
  originalQueue: string;
  queueObject: Queue;
  started = false;
  ready = false;
  running = false;
  /** Runs a job, or is about to fetch the next one. */
  working = false;
  /** The error of the last job; hooks and bodies see that of their own run, and its result. */
  error: Error | null = null;
  result: any = null;
  job: ParsedJob | null = null;
  readonly environment: Environment;

  private readonly View: JobViewClass;
  private readonly given: readonly string[];
  private process?: WorkerProcess;
  private member?: Member;
  private view?: JobView;
  private ending?: Promise<void>;

  constructor(options: WorkerOptions, jobs: Jobs = {}) {
    super();
    this.options = options;
    this.environment = options.environment ?? systemEnvironment;
    const { hostname, pid } = this.environment;
    this.name = options.name ?? `${hostname}:${pid}`;
    this.id = options.id ?? 1;
    this.jobs = jobs;
    this.queueObject = new Queue({ connection: options.connection }, jobs);
    this.queueObject.on("error", (error) => this.report(error));
    this.given = [options.queues ?? "*"].flat();
    const isAny = this.given.length === 0 || this.given.includes("*");
    this.originalQueue = isAny ? "*" : this.given.join(",");
    this.View = viewClassOf(this);
  }

  get connection(): Connection {
    return this.queueObject.connection;
  }

  get store(): QueueStore {
    return this.connection.store;
  }

  /** In order of preference; `*` means all queues known when the worker connected. */
  queues: string[] = [];

  async connect(): Promise<void> {
    await this.queueObject.connect();
    const { process } = this.options;
    this.queues = process
      ? await process.knownQueues()
      : await listQueues(this.store, this.given);
    this.ready = true;
  }

  async start(): Promise<void> {
    if (this.started) return;
    this.started = true;
    this.running = true;
    this.ending = undefined;
    this.emit("start");
    const process = this.options.process ?? this.openProcess();
    this.process = process;
    const { name, originalQueue } = this;
    const member = process.add(this.runner, name, originalQueue);
    this.member = member;
    try {
      await process.start(member);
    } catch (error) {
      this.started = false;
      this.running = false;
      throw error;
    }
  }

  /** Finish the running job within `shutdownTimeout`, then unregister; an unfinished job is requeued. */
  end(): Promise<void> {
    return this.endWithin(this.options.shutdownTimeout ?? SHUTDOWN_MS);
  }

  /** Stop fetching, and unregister when the running job has ended, however long it takes. */
  retire(): Promise<void> {
    return this.endWithin(Infinity);
  }

  /** Run a job at once, with its plugins, outside of any queue. */
  async performInline(func: string, args: any = []): Promise<any> {
    if (this.started)
      throw new Error(
        "Worker#performInline can not be used on a started worker",
      );
    const queue = `_direct-queue-${this.name}`;
    const list: any[] = Array.isArray(args) ? args : [args];
    const raw = encode(queue, func, list);
    const parsed = { class: func, queue, args: list };
    const lease = new InlineLease(this);
    const view = new this.View(parsed, { queue, raw }, lease);
    const job = definitionOf(this.jobs, parsed);
    try {
      if (!(await runHooks(view, "beforePerform", job, parsed))) {
        await finish(view, job);
        return undefined;
      }
      await runBody(view, job);
      await finish(view, job);
    } catch (thrown) {
      view.error = toError(thrown);
      await finish(view, job);
    } finally {
      view.isOver = true;
      lease.end();
      const effects = view.takeEffects();
      const identity = workerIdentity(this.name, this.originalQueue);
      if (effects.length > 0) await this.store.apply(identity, effects);
    }
    if (view.error) throw view.error;
    return view.result as unknown;
  }

  /** Emit an event of a worker or of a job. Errors of listeners do not affect the job. */
  notify(event: string, ...args: unknown[]): void {
    if (this.listenerCount(event) === 0) return;
    try {
      this.emit(event, ...args);
    } catch (error) {
      this.report(toError(error));
    }
  }

  /** Emit `error`, if there is a listener. */
  report(error: unknown): void {
    if (this.listenerCount("error") > 0)
      this.emit("error", error, this.queue, this.job);
  }

  private readonly runner = {
    poll: () => {
      if (this.listenerCount("poll") === 0) return;
      for (const queue of this.queues) this.notify("poll", queue);
    },
    run: (taken: QueuedJob, lease: JobLease): Promise<Outcome> => {
      const view = openJob(this.View, taken, lease);
      this.view = view;
      this.working = true;
      this.queue = taken.queue;
      this.job = view.job;
      // a hook that deletes the error of its view must not uncover that of the run before
      this.error = null;
      this.result = null;
      const { around } = this.options;
      return around ? around(view.job, () => runJob(view)) : runJob(view);
    },
    onIdle: () => {
      this.working = false;
      this.job = null;
      this.notify("pause");
    },
    abort: (reason: string) => this.view?.lose(reason),
    dropped: () => this.notify("fenced", this.queue, this.job),
    renamed: (name: string) => {
      this.name = name;
    },
  };

  private endWithin(remainingMs: number): Promise<void> {
    const { member, process } = this;
    // a second call may be less patient than the first one
    if (this.ending && member) void process!.end(member, remainingMs);
    this.ending ??= this.leave(remainingMs);
    return this.ending;
  }

  private async leave(remainingMs: number): Promise<void> {
    this.running = false;
    const { member, process } = this;
    if (process && !this.options.process) await process.close(remainingMs);
    else if (process && member) await process.end(member, remainingMs);
    this.working = false;
    this.started = false;
    await this.queueObject.end();
    this.notify("end", new Date());
  }

  private openProcess(): WorkerProcess {
    const { store, environment } = this;
    const options = { ...this.options, queues: this.given };
    return new WorkerProcess(
      {
        store,
        environment,
        connectionName: processToken,
        listener: {
          outageBegan: (error) => this.report(error),
          outageEnded: (ms) => this.notify("recovered", ms),
          problem: (error) => this.report(error),
          reaped: (id, jobs) => this.notify("reaped", id, jobs),
          repaired: (jobs) => this.notify("repaired", jobs),
          silent: (id) => this.notify("silent", id),
          alone: (job, isOver) => this.notify("alone", job, isOver),
          skewed: (ms) => this.notify("skew", ms),
        },
      },
      options,
    );
  }
}

/** A process that dies frees the locks of its runs outside of any queue after this, in s. */
const INLINE_LOCK_SECONDS = 60;
/** The longest time between two renewals; a third of the shortest lock if that is less. */
const RENEW_MS = 15_000;

/** The lease of a job that runs outside of any queue: always valid; it only renews the job's locks. */
class InlineLease implements JobLease {
  readonly process = "";
  readonly worker = undefined;
  readonly locks = new Map<string, HeldLock>();
  readonly lockSeconds = INLINE_LOCK_SECONDS;
  private timer?: Timer;
  private hasEnded = false;

  constructor(private readonly owner: Worker) {}

  hold(lock: HeldLock): void {
    this.locks.set(lock.key, lock);
    this.timer?.cancel();
    if (!this.hasEnded) this.renewLater();
  }

  end(): void {
    this.hasEnded = true;
    this.timer?.cancel();
  }

  private renewLater(): void {
    const { environment, store } = this.owner;
    const shortest = Math.min(
      ...[...this.locks.values()].map(({ seconds }) => seconds),
    );
    const ms = Math.min(RENEW_MS, (shortest * 1000) / 3);
    this.timer = environment.after(ms, () => {
      this.renewLater();
      const locks = [...this.locks.values()];
      store.renewLocks(locks).catch((error) => this.owner.report(error));
    });
  }

  readonly isSure = () => true;
  readonly confirm = () => Promise.resolve(true);
  readonly persist = <T>(call: () => Promise<T>) => call();
}
