/** Runs as many workers as the event loop has time for. */
import { EventEmitter } from "node:events";
import * as os from "node:os";
import { toError } from "../errors";
import { Connection } from "./connection";
import type { ConnectionOptions, Jobs } from "./types";
import { WakeUps } from "./wakeUps";
import { Worker } from "./worker";

export interface MultiWorkerOptions {
  connection: ConnectionOptions;
  queues?: string | string[];
  name?: string;
  minTaskProcessors?: number;
  maxTaskProcessors?: number;
  timeout?: number;
  /** How often the number of workers is looked at, in ms (default 500). */
  checkTimeout?: number;
  /** The event loop counts as blocked when a timer is late by more than this, in ms (default 10). */
  maxEventLoopDelay?: number;
  heartbeatTimeout?: number;
  stuckWorkerTimeout?: number;
  shutdownTimeout?: number;
}

const WORKER_EVENTS = [
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
  "reaped",
];

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
  private wakeUps?: WakeUps;
  private timer?: NodeJS.Timeout;
  /** A worker keeps its number until it has left: the next one of that name would take its job for lost. */
  private readonly takenIds = new Set<number>();
  private readonly ending = new Set<Promise<void>>();

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
  }

  async start(): Promise<void> {
    if (this.running) return;
    this.running = true;
    this.connection = new Connection(this.options.connection);
    await this.connection.connect();
    this.wakeUps = new WakeUps(this.connection);
    while (this.workers.length < this.options.minTaskProcessors)
      await this.startWorker();
    this.scheduleCheck();
  }

  /** Finish what runs and leave. */
  async stop(): Promise<void> {
    this.running = false;
    clearTimeout(this.timer);
    for (const worker of this.workers.splice(0)) this.endWorker(worker);
    await Promise.all(this.ending);
    this.wakeUps?.close();
    await this.connection?.end();
  }

  end(): Promise<void> {
    return this.stop();
  }

  private scheduleCheck(): void {
    const interval = this.options.checkTimeout ?? 500;
    const begin = performance.now();
    this.timer = setTimeout(() => {
      const delay = Math.max(0, performance.now() - begin - interval);
      this.check(delay)
        .catch((error) => this.report(error))
        .finally(() => {
          if (this.running) this.scheduleCheck();
        });
    }, interval);
    this.timer.unref();
  }

  private async check(delay: number): Promise<void> {
    if (!this.running) return;
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
    const id = this.freeId();
    const worker = new Worker(
      {
        ...this.options,
        name: `${this.name}:${process.pid}+${id}`,
        id,
        wakeUps: this.wakeUps,
      },
      this.jobs,
    );
    for (const event of WORKER_EVENTS)
      worker.on(event, (...args: unknown[]) => this.emit(event, id, ...args));
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

  private freeId(): number {
    let id = 1;
    while (this.takenIds.has(id)) id++;
    this.takenIds.add(id);
    return id;
  }

  private endWorker(worker: Worker): void {
    const ended: Promise<void> = worker
      .end()
      .catch((error) => this.report(error))
      .finally(() => {
        this.takenIds.delete(worker.id);
        this.ending.delete(ended);
      });
    this.ending.add(ended);
  }

  private report(error: unknown, ...details: unknown[]): void {
    if (this.listenerCount("error") > 0)
      this.emit("error", toError(error), ...details);
  }
}
