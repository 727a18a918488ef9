/** A process of a fault test: workers or a scheduler, as its first argument says. Its events go to its parent. */
import { Cluster, Redis } from "ioredis";
import { followFailover, followPromotions } from "../../../src/redis/failover";
import { shareTimeouts } from "../../../src/redis/commands";
import { MultiWorker } from "../../../src/resque/multiWorker";
import { Scheduler } from "../../../src/resque/scheduler";
import type { Jobs } from "../../../src/resque/types";

export interface NodeOptions {
  role: "workers" | "scheduler";
  port: number;
  /** Find the master `mymaster` through this Sentinel instead. */
  sentinelPort?: number;
  /** Masters of a Redis Cluster, instead. */
  clusterPorts?: number[];
  /** Where runs and effects are written (default: the same redis). */
  ledgerPort?: number;
  /** Default: `q`. */
  queues?: string[];
  slots?: number;
  /** How many workers it scales down to: its event loop counts as blocked all the time. */
  scaleTo?: number;
  shutdownTimeout?: number;
  /** How long a command may take, in ms (default: any time). */
  commandTimeout?: number;
  /** How far its clock is ahead, in ms. */
  skewMs?: number;
  heartbeatTimeout?: number;
  stuckWorkerTimeout?: number;
  leaderLockTimeout?: number;
}

const options = JSON.parse(process.argv[2]) as NodeOptions;
const redis = connect();

function connect(): Redis {
  const { port, sentinelPort, clusterPorts, commandTimeout } = options;
  const host = "127.0.0.1";
  const more = { maxRetriesPerRequest: null, commandTimeout };
  let client: Redis;
  if (clusterPorts) {
    const masters = clusterPorts.map((port) => ({ host, port }));
    client = new Cluster(masters, { redisOptions: more }) as unknown as Redis;
  } else if (sentinelPort === undefined) {
    client = new Redis({ host, port, ...more });
    followFailover(client);
  } else {
    const sentinels = [{ host, port: sentinelPort }];
    client = new Redis({ sentinels, name: "mymaster", ...more });
    followFailover(client);
  }
  client.on("error", () => undefined); // it is restarted under us
  if (commandTimeout !== undefined && !clusterPorts) shareTimeouts(client);
  if (clusterPorts || sentinelPort !== undefined) followPromotions([client]);
  return client;
}

const ledger =
  options.ledgerPort === undefined
    ? redis
    : new Redis({ port: options.ledgerPort, host: "127.0.0.1" });

const tell = (event: string, ...details: unknown[]) =>
  process.send?.({ event, details });
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Each run and each effect leaves a trace of its number. */
const jobs: Jobs = {
  async effect(n: number, ms: number) {
    await ledger.rpush("runs", n);
    await wait(ms);
    await ledger.rpush("effects", n);
  },
  async timed(n: number) {
    const [seconds, micros] = await ledger.time();
    await ledger.hset("times", n, seconds * 1000 + micros / 1000);
    await ledger.rpush("runs", n);
    await ledger.rpush("effects", n);
  },
  async block(n: number, ms: number) {
    await ledger.rpush("runs", n);
    const end = performance.now() + ms;
    while (performance.now() < end);
    await ledger.rpush("effects", n);
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
      queues: options.queues ?? ["q"],
      minTaskProcessors: slots,
      maxTaskProcessors: slots,
      maxEventLoopDelay: 60_000,
      heartbeatTimeout: options.heartbeatTimeout,
      stuckWorkerTimeout: options.stuckWorkerTimeout,
      shutdownTimeout: options.shutdownTimeout,
    },
    jobs,
  );
  for (const event of ["fenced", "reaped", "silent"])
    multiWorker.on(event, (...details) => tell(event, ...details));
  multiWorker.on("error", () => undefined); // redis is away
  process.on("SIGTERM", () => {
    void multiWorker.stop().then(() => process.exit(0));
  });
  process.on("message", () => {
    multiWorker.options.minTaskProcessors = options.scaleTo ?? slots;
    multiWorker.options.maxEventLoopDelay = -1;
  });
  tell("starting");
  await multiWorker.start();
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
