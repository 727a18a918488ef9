/** A process of a fault test: workers or a scheduler, as its first argument says. Its events go to its parent. */
import { Redis } from "ioredis";
import { MultiWorker } from "../../../src/resque/multiWorker";
import { Scheduler } from "../../../src/resque/scheduler";
import type { Jobs } from "../../../src/resque/types";

export interface NodeOptions {
  role: "workers" | "scheduler";
  port: number;
  slots?: number;
  heartbeatTimeout?: number;
  stuckWorkerTimeout?: number;
  leaderLockTimeout?: number;
}

const options = JSON.parse(process.argv[2]) as NodeOptions;
const redis = new Redis({ port: options.port, host: "127.0.0.1" });
redis.on("error", () => undefined); // it is restarted under us

const tell = (event: string, ...details: unknown[]) =>
  process.send?.({ event, details });
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Each run and each effect leaves a trace of its number. */
const jobs: Jobs = {
  async effect(n: number, ms: number) {
    await redis.rpush("runs", n);
    await wait(ms);
    await redis.rpush("effects", n);
  },
  async block(n: number, ms: number) {
    await redis.rpush("runs", n);
    const end = performance.now() + ms;
    while (performance.now() < end);
    await redis.rpush("effects", n);
  },
  poison() {
    process.kill(process.pid, "SIGKILL");
    return new Promise(() => undefined);
  },
};
jobs.locked = {
  plugins: ["JobLock"],
  pluginOptions: { JobLock: { reEnqueue: false } },
  perform: jobs.effect as Exclude<Jobs[string], object>,
};
jobs.narrow = {
  concurrency: 2,
  perform: jobs.effect as Exclude<Jobs[string], object>,
};

async function workers(): Promise<void> {
  const slots = options.slots ?? 5;
  const multiWorker = new MultiWorker(
    {
      connection: { redis },
      queues: ["q"],
      minTaskProcessors: slots,
      maxTaskProcessors: slots,
      maxEventLoopDelay: 60_000,
      heartbeatTimeout: options.heartbeatTimeout,
      stuckWorkerTimeout: options.stuckWorkerTimeout,
    },
    jobs,
  );
  for (const event of ["fenced", "reaped", "silent"])
    multiWorker.on(event, (...details) => tell(event, ...details));
  await multiWorker.start();
  process.on("SIGTERM", () => {
    void multiWorker.stop().then(() => process.exit(0));
  });
}

async function schedule(): Promise<void> {
  const scheduler = new Scheduler({
    connection: { redis },
    leaderLockTimeout: options.leaderLockTimeout,
    timeout: 200,
  });
  scheduler.on("error", () => undefined);
  scheduler.on("leader", () => tell("leader"));
  await scheduler.connect();
  await scheduler.start();
}

void (options.role === "workers" ? workers() : schedule()).then(() =>
  tell("ready"),
);
process.on("disconnect", () => process.exit(0));
