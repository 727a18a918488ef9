/** Adjusts the number of workers to the load of the event loop. */
import { EventEmitter } from "node:events";
import { toError } from "../errors";
import { Connection, processToken } from "./connection";
import { systemEnvironment, type Environment, type Timer } from "./machine";
import { startHeartbeat, type Heartbeat } from "./heartbeat";
import type { Around, ConnectionOptions, Jobs } from "./types";
import { SHUTDOWN_MS, Worker } from "./worker";
import {
  LEASE_MS,
  WorkerProcess,
  type WorkerProcessOptions,
} from "./workerProcess";
import { STUCK_MS } from "./scheduler";

export interface MultiWorkerOptions extends Omit<
  WorkerProcessOptions,
  "queues"
> {
  connection: ConnectionOptions;
  /** In order of preference; `*` means all other queues, which take turns (default `*`). */
  queues?: string | string[];
  name?: string;
  /** The minimum number of workers (default 1). */
  minTaskProcessors?: number;
  /** The maximum number of workers (default 10); not less than `minTaskProcessors`. */
  maxTaskProcessors?: number;
  /** How often the number of workers is adjusted, in ms (default 500). */
  checkTimeout?: number;
  /** The event loop counts as blocked when a timer is late by more than this, in ms (default 10). */
  maxEventLoopDelay?: number;
  /** How long `stop()` waits for running jobs before they are requeued, in ms (default 10,000). */
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
  /** The machine that it runs on (default this one). */
  environment?: Environment;
}

/** Events of workers that are emitted again, the worker's number first. */
const WORKER_EVENTS = new Set([
  "start",
  "end",
  "cleaning_worker",
  "poll",
  "ping",
  "job",
  "reEnqueue",
  "success",
  "failure",
  "pause",
  "fenced",
  "unknown",
  "overlap",
  "unkept",
]);

const CHECK_MS = 500;
const BLOCKED_MS = 10;

/**
 * Events: those of workers, `multiWorkerAction` (verb, delay in ms), `reaped` (id, jobs), `repaired` (jobs), `silent` (id), `outage` (error; the
 * same comes as `error`), `recovered` (ms), `skew` (ms), `error` (error, worker's number, queue, job).
 */
export class MultiWorker extends EventEmitter {
  options: MultiWorkerOptions & {
    minTaskProcessors: number;
    maxTaskProcessors: number;
  };
  jobs: Jobs;
  name: string;
  workers: Worker[] = [];
  running = false;
  private readonly environment: Environment;
  private connection?: Connection;
  private process?: WorkerProcess;
  private timer?: Timer;
  private stopping?: Promise<void>;
  private hasStoppedFetching = false;
  private readonly takenIds = new Set<number>();
  /** Workers that finish their last job. */
  private readonly retiring = new Map<Worker, Promise<void>>();

  constructor(options: MultiWorkerOptions, jobs: Jobs = {}) {
    super();
    this.options = {
      ...options,
      minTaskProcessors: options.minTaskProcessors ?? 1,
      maxTaskProcessors: options.maxTaskProcessors ?? 10,
    };
    this.jobs = jobs;
    this.environment = options.environment ?? systemEnvironment;
    this.name = options.name ?? this.environment.hostname;
    const { redis } = options.connection;
    if (redis && typeof redis.setMaxListeners === "function")
      redis.setMaxListeners(
        redis.getMaxListeners() + 2 * this.options.maxTaskProcessors,
      );
    // an event without a listener is not emitted again: it would cost as much as the job
    this.on("newListener", (event: string) => {
      if (WORKER_EVENTS.has(event) && this.listenerCount(event) === 0)
        for (const worker of this.everyone()) this.forward(worker, event);
    });
  }

  async start(): Promise<void> {
    await this.stopping;
    if (this.running) return;
    this.running = true;
    this.hasStoppedFetching = false;
    const connection = new Connection(this.options.connection);
    this.connection = connection;
    try {
      await connection.connect();
      if (!this.running) return await connection.end();
      this.process = this.openProcess(connection);
      const { minTaskProcessors: count } = this.options;
      const starts = Array.from({ length: count }, () => this.startWorker());
      for (const result of await Promise.allSettled(starts))
        if (result.status === "rejected") throw result.reason;
    } catch (error) {
      await this.stop();
      throw error;
    }
    if (this.running) this.scheduleCheck();
  }

  /** A stop is imminent: fetch no other jobs. Running ones continue. */
  stopFetching(): void {
    this.hasStoppedFetching = true;
    this.timer?.cancel();
    while (this.workers.length > 0) this.retireOne();
  }

  /** Finish running jobs within `shutdownTimeout`, then unregister; unfinished jobs are requeued. */
  stop(): Promise<void> {
    this.stopping ??= this.leave().finally(() => {
      this.stopping = undefined;
    });
    return this.stopping;
  }

  end(): Promise<void> {
    return this.stop();
  }

  private async leave(): Promise<void> {
    this.running = false;
    this.timer?.cancel();
    const { shutdownTimeout = SHUTDOWN_MS } = this.options;
    for (const worker of this.workers.splice(0)) this.see(worker, worker.end());
    await this.process?.close(shutdownTimeout);
    await Promise.all(this.retiring.values());
    await this.connection?.end();
    this.process = undefined;
  }

  private openProcess(connection: Connection): WorkerProcess {
    const { environment } = this;
    const queues = [this.options.queues ?? "*"].flat();
    return new WorkerProcess(
      {
        store: connection.store,
        environment,
        connectionName: processToken,
        startHeartbeat: () => this.startHeartbeat(connection),
        listener: {
          outageBegan: (error) => {
            this.emit("outage", error);
            this.report(error);
          },
          outageEnded: (ms) => this.emit("recovered", ms),
          problem: (error) => this.report(error),
          reaped: (id, jobs) => this.emit("reaped", id, jobs),
          repaired: (jobs) => this.emit("repaired", jobs),
          silent: (id) => this.emit("silent", id),
          alone: (job, isOver) => this.emit("alone", job, isOver),
          skewed: (ms) => this.emit("skew", ms),
        },
      },
      { ...this.options, queues },
    );
  }

  /** Called when the process has worked for a moment. */
  protected startHeartbeat(connection: Connection): Heartbeat | undefined {
    if (connection.store.kind === "memory" || !connection.redis) return;
    const { heartbeatTimeout = LEASE_MS, stuckWorkerTimeout = STUCK_MS } =
      this.options;
    return startHeartbeat(connection.redis, {
      prefix: connection.namespacePrefix,
      leaseMs: heartbeatTimeout,
      stuckMs: stuckWorkerTimeout,
    });
  }

  private everyone(): Worker[] {
    return [...this.workers, ...this.retiring.keys()];
  }

  private scheduleCheck(): void {
    const interval = this.options.checkTimeout ?? CHECK_MS;
    const begin = this.environment.monotonic();
    this.timer = this.environment.after(interval, () => {
      const delay = this.environment.monotonic() - begin - interval;
      this.check(Math.max(0, delay))
        .catch((error) => this.process?.callFailed(toError(error)))
        .finally(() => {
          if (this.running && !this.hasStoppedFetching) this.scheduleCheck();
        });
    });
  }

  private async check(delay: number): Promise<void> {
    const verb = this.process?.isOut ? "x" : this.decide(delay);
    if (verb === "+") await this.startWorker();
    if (verb === "-") this.retireOne();
    this.emit("multiWorkerAction", verb, Math.round(delay));
  }

  private decide(delay: number): "+" | "-" | "x" {
    const { minTaskProcessors: min } = this.options;
    const max = Math.max(this.options.maxTaskProcessors, min);
    const count = this.workers.length;
    const busy = this.workers.filter(({ working }) => working).length;
    const hasRoom = count + this.retiring.size < max;
    if (count < min && hasRoom) return "+";
    if (delay > (this.options.maxEventLoopDelay ?? BLOCKED_MS))
      return count > min ? "-" : "x";
    if (hasRoom && (count === 0 || busy / count > 0.5)) return "+";
    if (count > min && busy / count < 0.5) return "-";
    return "x";
  }

  private async startWorker(): Promise<void> {
    const { process, connection } = this;
    if (!process || !connection) return;
    const id = this.freeId();
    const { redis } = connection;
    const worker = new Worker(
      {
        ...this.options,
        connection: { ...this.options.connection, redis },
        name: `${this.name}:${this.environment.pid}+${id}`,
        id,
        process,
      },
      this.jobs,
    );
    for (const event of WORKER_EVENTS)
      if (this.listenerCount(event) > 0) this.forward(worker, event);
    worker.on("error", (error: unknown, queue, job) =>
      this.report(error, id, queue, job),
    );
    this.workers.push(worker);
    try {
      await worker.connect();
      // it may have been stopped meanwhile
      if (this.workers.includes(worker)) await worker.start();
      else await worker.queueObject.end();
    } catch (error) {
      this.workers = this.workers.filter((other) => other !== worker);
      this.takenIds.delete(id);
      throw error;
    }
  }

  private forward(worker: Worker, event: string): void {
    worker.on(event, (...args: unknown[]) =>
      this.emit(event, worker.id, ...args),
    );
  }

  private freeId(): number {
    let id = 1;
    while (this.takenIds.has(id)) id++;
    this.takenIds.add(id);
    return id;
  }

  /** An idle worker ends; if all are busy, the last worker ends after its job, which is not cut short. */
  private retireOne(): void {
    const { workers } = this;
    const idle = workers.filter(({ working }) => !working);
    const worker = idle.pop() ?? workers[workers.length - 1];
    if (!worker) return;
    this.workers = workers.filter((other) => other !== worker);
    this.see(worker, worker.retire());
  }

  /** Not awaited: a busy worker would block the adjustment of the others. */
  private see(worker: Worker, work: Promise<void>): void {
    const ended = work
      .catch((error) => this.report(error))
      .finally(() => {
        this.takenIds.delete(worker.id);
        this.retiring.delete(worker);
      });
    this.retiring.set(worker, ended);
  }

  private report(error: unknown, ...details: unknown[]): void {
    if (this.listenerCount("error") > 0)
      this.emit("error", toError(error), ...details);
  }
}
