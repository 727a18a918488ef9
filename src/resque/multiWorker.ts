/** Runs as many workers as the event loop has time for. */
import { EventEmitter } from "node:events";
import * as os from "node:os";
import { toError } from "../errors";
import { Connection } from "./connection";
import type { Seat } from "./seat";
import { Session, type SessionOptions } from "./session";
import type { ConnectionOptions, Jobs } from "./types";
import { Worker } from "./worker";

export interface MultiWorkerOptions extends Omit<SessionOptions, "queues"> {
  connection: ConnectionOptions;
  /** In order of priority; `*` for all there are, by name (default `*`). */
  queues?: string | string[];
  name?: string;
  minTaskProcessors?: number;
  maxTaskProcessors?: number;
  /** How often the number of workers is looked at, in ms (default 500). */
  checkTimeout?: number;
  /** The event loop counts as blocked when a timer is late by more than this, in ms (default 10). */
  maxEventLoopDelay?: number;
  /** How long `stop()` waits for running jobs before they are given back, in ms (default 10,000). */
  shutdownTimeout?: number;
}

/** Events of workers that are told again, the worker's number first. */
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
]);

/** Events: those of workers, `multiWorkerAction` (verb, delay in ms), `reaped` (id, jobs), `silent` (id), `error` (error, worker's number, queue, job). */
export class MultiWorker extends EventEmitter {
  options: MultiWorkerOptions & {
    minTaskProcessors: number;
    maxTaskProcessors: number;
  };
  jobs: Jobs;
  name: string;
  workers: Worker[] = [];
  running = false;
  private connection?: Connection;
  private session?: Session;
  private timer?: NodeJS.Timeout;
  private checking?: Promise<void>;
  private stopping?: Promise<void>;
  private readonly takenIds = new Set<number>();
  private readonly ending = new Map<Worker, Promise<void>>();

  constructor(options: MultiWorkerOptions, jobs: Jobs = {}) {
    super();
    this.options = {
      ...options,
      minTaskProcessors: options.minTaskProcessors ?? 1,
      maxTaskProcessors: options.maxTaskProcessors ?? 10,
    };
    this.jobs = jobs;
    this.name = options.name ?? os.hostname();
    const { redis } = options.connection;
    if (redis && typeof redis.setMaxListeners === "function")
      redis.setMaxListeners(
        redis.getMaxListeners() + 2 * this.options.maxTaskProcessors,
      );
    // what nobody listens to is not told again: it would cost as much as the job
    this.on("newListener", (event: string) => {
      if (WORKER_EVENTS.has(event) && this.listenerCount(event) === 0)
        for (const worker of this.everyone()) this.forward(worker, event);
    });
  }

  async start(): Promise<void> {
    await this.stopping;
    if (this.running) return;
    this.running = true;
    const connection = new Connection(this.options.connection);
    this.connection = connection;
    try {
      await connection.connect();
      this.session = this.openSession(connection);
      while (this.workers.length < this.options.minTaskProcessors)
        await this.startWorker();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.scheduleCheck();
  }

  /** Finish what runs, within `shutdownTimeout`, and leave; what is left goes back to its queue. */
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
    clearTimeout(this.timer);
    for (const worker of this.workers.splice(0)) this.endWorker(worker);
    await this.checking; // it may start one more worker
    for (const worker of this.workers.splice(0)) this.endWorker(worker);
    await Promise.all(this.ending.values());
    await this.session?.close();
    await this.connection?.end();
    this.session = undefined;
  }

  private openSession(connection: Connection): Session {
    const queues = [this.options.queues ?? "*"].flat();
    const session = new Session(connection, { ...this.options, queues });
    session.on("error", (error) => this.report(error));
    session.on("reaped", (...args) => this.emit("reaped", ...args));
    session.on("silent", (...args) => this.emit("silent", ...args));
    session.on("fenced", (seat: Seat) => {
      for (const worker of this.everyone())
        if (worker.has(seat)) worker.tellFenced();
    });
    return session;
  }

  private everyone(): Worker[] {
    return [...this.workers, ...this.ending.keys()];
  }

  private scheduleCheck(): void {
    const interval = this.options.checkTimeout ?? 500;
    const begin = performance.now();
    this.timer = setTimeout(() => {
      const delay = Math.max(0, performance.now() - begin - interval);
      this.checking = this.check(delay)
        .catch((error) => this.report(error))
        .finally(() => {
          if (this.running) this.scheduleCheck();
        });
    }, interval);
    this.timer.unref();
  }

  private async check(delay: number): Promise<void> {
    const verb = this.decide(delay);
    if (verb === "+") await this.startWorker();
    if (verb === "-") this.endWorker(this.workers.pop()!);
    this.emit("multiWorkerAction", verb, Math.round(delay));
  }

  private decide(delay: number): "+" | "-" | "x" {
    const { minTaskProcessors: min, maxTaskProcessors: max } = this.options;
    const count = this.workers.length;
    const busy = this.workers.filter(({ working }) => working).length;
    if (count < min) return "+";
    if (delay > (this.options.maxEventLoopDelay ?? 10))
      return count > min ? "-" : "x";
    if (count < max && (count === 0 || busy / count > 0.5)) return "+";
    if (count > min && busy / count < 0.5) return "-";
    return "x";
  }

  private async startWorker(): Promise<void> {
    const { session, connection } = this;
    if (!session || !connection) return;
    const id = this.freeId();
    const shared = { redis: connection.redis };
    const worker = new Worker(
      {
        ...this.options,
        connection: { ...this.options.connection, ...shared },
        name: `${this.name}:${process.pid}+${id}`,
        id,
        session,
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
      await worker.start();
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

  /** Not waited for: a busy worker would keep the others from being looked at. */
  private endWorker(worker: Worker): void {
    const ended = worker
      .end()
      .catch((error) => this.report(error))
      .finally(() => {
        this.takenIds.delete(worker.id);
        this.ending.delete(worker);
      });
    this.ending.set(worker, ended);
  }

  private report(error: unknown, ...details: unknown[]): void {
    if (this.listenerCount("error") > 0)
      this.emit("error", toError(error), ...details);
  }
}
