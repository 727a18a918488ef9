/** Queues, workers and schedulers of a test: built on its engine, ended with it. */
import { once } from "node:events";
import type { Redis } from "ioredis";
import {
  MultiWorker,
  type MultiWorkerOptions,
} from "../../src/resque/multiWorker";
import { Queue, type QueueOptions } from "../../src/resque/queue";
import { Scheduler, type SchedulerOptions } from "../../src/resque/scheduler";
import type { Jobs } from "../../src/resque/types";
import { Worker, type WorkerOptions } from "../../src/resque/worker";
import type { Engine } from "../support/engines";

interface Ending {
  end(): Promise<void>;
}

/** Everything of one test; `close` ends what the test left running. */
export class Bench {
  readonly redis: Redis;
  private readonly parts: Ending[] = [];

  constructor(engine: Pick<Engine, "client">) {
    this.redis = engine.client();
  }

  async queue(jobs: Jobs = {}, carry?: QueueOptions["carry"]): Promise<Queue> {
    const queue = new Queue({ connection: { redis: this.redis }, carry }, jobs);
    await queue.connect();
    this.parts.push(queue);
    return queue;
  }

  async worker(
    jobs: Jobs,
    options: Partial<WorkerOptions> = {},
  ): Promise<Worker> {
    const worker = new Worker(
      { connection: { redis: this.redis }, ...options },
      jobs,
    );
    await worker.connect();
    this.parts.push(worker);
    return worker;
  }

  async startedWorker(
    jobs: Jobs,
    options: Partial<WorkerOptions> = {},
  ): Promise<Worker> {
    const worker = await this.worker(jobs, options);
    await worker.start();
    return worker;
  }

  multiWorker(
    jobs: Jobs,
    options: Partial<MultiWorkerOptions> = {},
  ): MultiWorker {
    const multiWorker = new MultiWorker(
      { connection: { redis: this.redis }, ...options },
      jobs,
    );
    this.parts.push(multiWorker);
    return multiWorker;
  }

  /** Started, and leading. */
  async scheduler(
    options: Partial<SchedulerOptions> = {},
    jobs: Jobs = {},
  ): Promise<Scheduler> {
    const scheduler = new Scheduler(
      { connection: { redis: this.redis }, ...options },
      jobs,
    );
    await scheduler.connect();
    this.parts.push(scheduler);
    const leading = once(scheduler, "leader");
    await scheduler.start();
    await leading;
    return scheduler;
  }

  /** Keys whose names match. */
  async left(pattern: RegExp): Promise<string[]> {
    return (await this.redis.keys("*")).filter((key) => pattern.test(key));
  }

  async end(): Promise<void> {
    for (const part of this.parts.splice(0).reverse()) await part.end();
  }

  async close(): Promise<void> {
    await this.end();
    await this.redis.flushall();
  }
}

export { until } from "../support/until";
