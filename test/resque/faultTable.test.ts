/**
 * What operators meet, with real processes: for each fault, how many jobs are lost and how many run twice. Runs are counted in
 * a second redis. `FAULTS=long npx jest test/resque/faultTable` takes the real times (a lease of 30 s) and prints the table.
 */
import { Redis, type RedisOptions } from "ioredis";
import { followFailover, followPromotions } from "../../src/redis/failover";
import { shareTimeouts } from "../../src/redis/commands";
import { Queue } from "../../src/resque/queue";
import { FlakyProxy } from "../support/flakyProxy";
import { RedisCluster } from "../support/redisCluster";
import {
  describeOnRedis,
  RedisServer,
  type RedisServerOptions,
} from "../support/redisServer";
import type { NodeOptions } from "./processes/node";
import { Cluster, Node, removeCompiled } from "./processes/support";
import { until } from "./support";

const isLong = process.env.FAULTS === "long";
/** How long the jobs of a row may take until they have ended, in ms. */
const PATIENCE_MS = isLong ? 300_000 : 45_000;

interface Row {
  fault: string;
  redis?: RedisServerOptions;
  /** @returns how many jobs may run twice (default 0) */
  run: (bench: Bench) => Promise<number | void>;
}

/** A redis for the queue, one for the ledger, and processes. */
class Bench {
  readonly cluster = new Cluster();
  readonly proxies: FlakyProxy[] = [];
  private readonly ledger = new RedisServer();
  private readonly clients: Redis[] = [];
  private readonly servers: RedisServer[] = [];
  private book!: Redis;
  private other?: Queue;
  private readonly atEnd: (() => void | Promise<void>)[] = [];
  private added: number[] = [];
  private number = 0;

  async open(options?: RedisServerOptions): Promise<this> {
    await this.cluster.open(options);
    await this.ledger.start();
    this.book = this.client(this.ledger.port);
    return this;
  }

  get queue(): Queue {
    return this.other ?? this.cluster.queue;
  }

  /** From now on jobs are added and counted through this client. */
  async use(redis: Redis): Promise<void> {
    redis.on("error", () => undefined);
    this.clients.push(redis);
    this.atEnd.push(followPromotions([redis]));
    this.other = new Queue({ connection: { redis } });
    await this.other.connect();
  }

  /** A Redis Cluster beside the server. */
  async redisCluster(): Promise<RedisCluster> {
    const cluster = await new RedisCluster().start();
    this.atEnd.push(() => cluster.stop());
    return cluster;
  }

  get redis(): Redis {
    return this.cluster.redis;
  }

  get server(): RedisServer {
    return this.cluster.server;
  }

  /** How many jobs were added. */
  get jobs(): number {
    return this.added.length;
  }

  client(port: number, commandTimeout?: number): Redis {
    const client = new Redis({
      port,
      host: "127.0.0.1",
      maxRetriesPerRequest: null,
      commandTimeout,
    });
    client.on("error", () => undefined); // it is ended under us
    followFailover(client);
    if (commandTimeout !== undefined) shareTimeouts(client);
    this.clients.push(client);
    return client;
  }

  async proxy(delayMs = 0): Promise<FlakyProxy> {
    const proxy = await new FlakyProxy(this.server.port, delayMs).start();
    this.proxies.push(proxy);
    return proxy;
  }

  async otherServer(options: RedisServerOptions): Promise<RedisServer> {
    const server = await new RedisServer().start(options);
    this.servers.push(server);
    return server;
  }

  async node(
    options: Partial<NodeOptions> = {},
    event?: "starting",
  ): Promise<Node> {
    const node = await Node.start(
      {
        role: "workers",
        port: this.server.port,
        ledgerPort: this.ledger.port,
        ...options,
      },
      event,
    );
    this.cluster.nodes.push(node);
    return node;
  }

  /** Numbers for jobs. */
  numbers(count: number): number[] {
    return Array.from({ length: count }, () => ++this.number);
  }

  async enqueue(count: number, ms: number): Promise<number[]> {
    const numbers = this.numbers(count);
    await this.queue.enqueueMany(
      "q",
      "effect",
      numbers.map((n) => [n, ms]),
    );
    this.add(...numbers);
    return numbers;
  }

  /** Jobs whose enqueueing was confirmed. */
  add(...numbers: number[]): void {
    this.added.push(...numbers);
  }

  /** What was added so far may be gone. */
  forget(): void {
    this.added = [];
  }

  async counts(list: "runs" | "effects"): Promise<Map<number, number>> {
    const counts = new Map<number, number>();
    for (const text of await this.book.lrange(list, 0, -1))
      counts.set(Number(text), (counts.get(Number(text)) ?? 0) + 1);
    return counts;
  }

  /** By the clock of redis, in ms. */
  async times(): Promise<Map<number, number>> {
    const times = await this.book.hgetall("times");
    return new Map(
      Object.entries(times).map(([n, ms]) => [Number(n), Number(ms)]),
    );
  }

  async untilRuns(count: number): Promise<void> {
    await until(
      async () => (await this.counts("runs")).size >= count,
      PATIENCE_MS,
    );
  }

  /** Numbers of the jobs that a process runs, by its records. */
  async jobsOf(node: Node): Promise<number[]> {
    const working = await this.queue.allWorkingOn();
    return Object.entries(working).flatMap(([name, work]) =>
      work !== "started" && name.includes(`:${node.child.pid}+`)
        ? [(work.payload.args as number[])[0]]
        : [],
    );
  }

  /** Wait until everything has ended. @returns lost jobs, and those that ran more than once */
  async tally(): Promise<{ lost: number[]; twice: number[] }> {
    const unfinished = async () => {
      const effects = await this.counts("effects");
      return this.added.filter((n) => !effects.has(n));
    };
    await until(
      async () => (await unfinished()).length === 0,
      PATIENCE_MS,
    ).catch(() => undefined);
    // what is to run again does so now
    await until(async () => {
      const working = Object.values(await this.queue.allWorkingOn());
      const isIdle = working.every((work) => work === "started");
      return isIdle && (await this.queue.length("q")) === 0;
    }, PATIENCE_MS).catch(() => undefined);
    const runs = await this.counts("runs");
    return {
      lost: await unfinished(),
      twice: [...runs].filter(([, count]) => count > 1).map(([n]) => n),
    };
  }

  async close(): Promise<void> {
    for (const server of [this.server, ...this.servers]) server.resume();
    await this.cluster.close();
    await this.other?.end();
    for (const end of this.atEnd) await end();
    for (const client of this.clients) client.disconnect();
    for (const proxy of this.proxies) await proxy.stop();
    for (const server of [this.ledger, ...this.servers]) await server.stop();
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Keys of ours, with a type that they do not have. */
const KEYS: Record<string, "string" | "set"> = {
  queues: "string",
  workers: "string",
  failed: "string",
  delayed_queue_schedule: "string",
  "stat:processed": "set",
  "stat:failed": "set",
  resque_scheduler_leader_lock: "set",
  "queue:other": "string",
  "ah:due": "string",
  "ah:due-count": "string",
  "ah:failed-aside": "string",
  "ah:full": "string",
  "ah:limits": "string",
  "ah:node-queues": "string",
  "ah:nodes": "string",
  "ah:orphan-sweep": "string",
  "ah:paused": "string",
  "ah:procs": "string",
  "ah:ready": "string",
  "ah:stopped": "string",
  "ah:sweep": "string",
  "ah:waiting": "string",
  "ah:wake-any": "string",
  "ah:wake:q": "string",
};

/** Keys of ours that say who runs a job, or where one waits, by pattern: each is lost alone, and with what lists it. */
const LISTINGS: readonly (readonly string[])[] = [
  ["ah:proc:*"],
  ["ah:proc:*", "ah:procs"],
  ["ah:proc:*", "ah:proc:*:members"],
  ["ah:proc:*", "ah:owner:*"],
  ["ah:proc:*:members"],
  ["ah:proc:*:members", "ah:owner:*"],
  ["ah:proc:*:members", "workers"],
  ["ah:owner:*"],
  ["ah:owner:*", "workers"],
  ["ah:procs"],
  ["workers"],
  ["queues"],
  ["ah:ready"],
  ["queues", "ah:ready"],
  ["ah:ops:*"],
];

async function keysOf(redis: Redis, pattern: string): Promise<string[]> {
  const keys = await redis.keys(`resque:${pattern}`);
  const isWhole = pattern.endsWith(":members");
  return keys.filter((key) => isWhole || !key.endsWith(":members"));
}

/** How many processes and workers have all their keys. */
async function listed(redis: Redis): Promise<number> {
  let count = 0;
  for (const key of await keysOf(redis, "ah:proc:*")) {
    const id = key.slice("resque:ah:proc:".length);
    if ((await redis.type(key)) !== "hash") continue;
    if ((await redis.type("resque:ah:procs")) !== "zset") continue;
    if ((await redis.zscore("resque:ah:procs", id)) === null) continue;
    count++;
    if ((await redis.type(`${key}:members`)) !== "hash") continue;
    for (const member of await redis.hkeys(`${key}:members`)) {
      const owner = `resque:ah:owner:${member}`;
      if ((await redis.type(owner)) !== "string") continue;
      if ((await redis.get(owner)) === id) count++;
    }
  }
  return count;
}

async function stand(bench: Bench, ms: number, lease: number): Promise<number> {
  const options = { slots: 3, heartbeatTimeout: lease };
  const [frozen] = await Promise.all([
    bench.node(options),
    bench.node(options),
  ]);
  await bench.enqueue(isLong ? 1_500 : 150, isLong ? 200 : 30);
  await bench.untilRuns(20);
  frozen.child.kill("SIGSTOP");
  // what it has told so far has arrived
  await sleep(100);
  const held = await bench.jobsOf(frozen);
  await sleep(ms);
  frozen.child.kill("SIGCONT");
  const { twice } = await bench.tally();
  // only those that were running when the lease ended
  expect(held).toEqual(expect.arrayContaining(twice));
  return ms > lease ? held.length : 0;
}

const isMaster = async (port: number) => {
  const client = new Redis({ port, host: "127.0.0.1" });
  const [role] = (await client.role()) as string[];
  client.disconnect();
  return role === "master";
};

/** Wait until redis accepts a job. */
async function enqueueWhenPossible(bench: Bench): Promise<void> {
  const [number] = bench.numbers(1);
  const add = () => bench.queue.enqueue("q", "effect", [number, 1]);
  await until(
    () =>
      add().then(
        () => true,
        () => false,
      ),
    PATIENCE_MS,
  );
  bench.add(number);
}

const ROWS: Row[] = [
  {
    fault: "stops under backlog, redis 20 ms away",
    async run(bench) {
      const { port } = await bench.proxy(10);
      await bench.enqueue(isLong ? 3_000 : 300, 30);
      if (isLong) await bench.enqueue(30, 5_000);
      for (let i = 0; i < (isLong ? 30 : 4); i++) {
        const node = await bench.node({ port, slots: 5 }, "starting");
        await sleep(isLong ? (i * 131) % 4_000 : (i * 131) % 500);
        await node.kill("SIGTERM");
        expect(node.child.exitCode).toBe(0);
      }
      await bench.node({ slots: 20 });
    },
  },
  {
    fault: "a scale-down under jobs that take longer than shutdownTimeout",
    async run(bench) {
      const shutdownTimeout = isLong ? 10_000 : 200;
      const node = await bench.node({ slots: 8, scaleTo: 1, shutdownTimeout });
      await bench.enqueue(8, isLong ? 13_000 : 1_500);
      await bench.untilRuns(8);
      node.child.send("scale");
    },
  },
  {
    fault: "SIGSTOP for less than the lease",
    run: (bench) =>
      isLong ? stand(bench, 10_000, 30_000) : stand(bench, 200, 20_000),
  },
  {
    fault: "SIGSTOP for more than the lease",
    run: (bench) =>
      isLong ? stand(bench, 40_000, 30_000) : stand(bench, 3_000, 1_000),
  },
  {
    fault: "redis hangs for longer than operationTimeout",
    async run(bench) {
      const commandTimeout = isLong ? 10_000 : 500;
      await bench.node({ slots: 3, commandTimeout });
      const { port } = bench.server;
      const redis = bench.client(port, commandTimeout);
      const queue = new Queue({ connection: { redis } });
      await queue.connect();
      await bench.enqueue(20, 100);
      await bench.untilRuns(5);
      bench.server.pause();
      const numbers = bench.numbers(20);
      const calls = numbers.map((n) => queue.enqueue("q", "effect", [n, 1]));
      const replies = await Promise.allSettled([
        ...calls,
        sleep(isLong ? 16_000 : 1_500),
      ]);
      bench.server.resume();
      numbers.forEach((n, i) => {
        if (replies[i].status === "fulfilled") bench.add(n);
      });
      await bench.enqueue(5, 1);
      await bench.tally();
      const refused = numbers.filter(
        (_, i) => replies[i].status !== "fulfilled",
      );
      const runs = await bench.counts("runs");
      expect(refused.length).toBeGreaterThan(0);
      expect(refused.filter((n) => runs.has(n))).toEqual([]);
      await queue.end();
    },
  },
  {
    fault: "redis is full",
    redis: { config: { "maxmemory-policy": "noeviction" } },
    async run(bench) {
      await bench.enqueue(isLong ? 5_000 : 300, 5);
      await bench.redis.config("SET", "maxmemory", "1mb");
      await bench.node({ slots: 5 });
      await expect(bench.enqueue(1, 1)).rejects.toThrow("OOM");
    },
  },
  {
    fault: "redis cannot save, and refuses all writes for a while",
    async run(bench) {
      const { server } = bench;
      await bench.node({ slots: 5 });
      await bench.enqueue(100, 30);
      await bench.untilRuns(10);
      await server.refuseWrites();
      await expect(bench.enqueue(1, 1)).rejects.toThrow("MISCONF");
      await sleep(isLong ? 10_000 : 500);
      await server.acceptWrites();
      await bench.enqueue(20, 5);
    },
  },
  {
    fault: "redis is emptied (counted: jobs from then on)",
    async run(bench) {
      await bench.node({ slots: 3, heartbeatTimeout: 1_000 });
      await bench.enqueue(100, 30);
      await bench.untilRuns(20);
      await bench.redis.flushall();
      bench.forget();
      await bench.enqueue(50, 5);
    },
  },
  {
    fault: "redis is killed and restarted with its data",
    redis: { config: { appendonly: "yes", appendfsync: "always" } },
    async run(bench) {
      const heartbeatTimeout = isLong ? 30_000 : 10_000;
      await Promise.all([
        bench.node({ slots: 5, heartbeatTimeout }),
        bench.node({ slots: 5, heartbeatTimeout }),
      ]);
      for (let i = 1; i <= (isLong ? 5 : 2); i++) {
        await bench.enqueue(100, 20);
        await bench.untilRuns(100 * i - 80);
        await bench.server.kill();
        await bench.server.restart();
      }
    },
  },
  {
    fault: "a failover behind one address",
    async run(bench) {
      const { port } = bench.server;
      const replica = await bench.otherServer({
        config: { replicaof: `127.0.0.1 ${port}` },
      });
      const proxy = await bench.proxy();
      await bench.node({ slots: 5, port: proxy.port });
      const redis = bench.client(proxy.port);
      const queue = new Queue({ connection: { redis } });
      await queue.connect();
      await bench.enqueue(200, 30);
      await bench.untilRuns(30);
      expect(await bench.redis.wait(1, 10_000)).toBe(1);
      await bench.redis.call("FAILOVER", "TO", "127.0.0.1", replica.port);
      proxy.targetPort = replica.port; // those that are open stay where they are
      const [number] = bench.numbers(1);
      await queue.enqueue("q", "effect", [number, 1]);
      bench.add(number);
      await until(
        async () => (await bench.counts("effects")).size === bench.jobs,
        PATIENCE_MS,
      );
      expect(await redis.llen("resque:queue:q")).toBe(0);
      await queue.end();
    },
  },
  {
    fault: "the replica stands still, and redis refuses writes without it",
    async run(bench) {
      const { redis } = bench;
      const replica = await bench.otherServer({
        config: { replicaof: `127.0.0.1 ${bench.server.port}` },
      });
      await bench.node({ slots: 5 });
      await bench.enqueue(200, 30);
      await bench.untilRuns(20);
      expect(await redis.wait(1, 10_000)).toBe(1);
      replica.pause();
      await bench.untilRuns(60);
      await redis.config("SET", "min-replicas-max-lag", "1");
      await redis.config("SET", "min-replicas-to-write", "1");
      await until(() =>
        redis.set("probe", "1").then(
          () => false,
          ({ message }: Error) => message.startsWith("NOREPLICAS"),
        ),
      );
      await expect(bench.enqueue(1, 1)).rejects.toThrow("NOREPLICAS");
      await sleep(isLong ? 10_000 : 500);
      replica.resume();
      await enqueueWhenPossible(bench);
    },
  },
  {
    fault: "a master behind a Sentinel stands still, is replaced, and wakes",
    async run(bench) {
      const { server } = bench;
      const replica = await bench.otherServer({
        config: { replicaof: `127.0.0.1 ${server.port}` },
      });
      const { port: sentinelPort } = await bench.otherServer({
        args: ["--sentinel"],
        config: {
          "sentinel monitor": `mymaster 127.0.0.1 ${server.port} 1`,
          "sentinel down-after-milliseconds": "mymaster 500",
          "sentinel failover-timeout": "mymaster 2000",
        },
      });
      const sentinel = bench.client(sentinelPort);
      await until(async () => {
        const replicas = await sentinel.call(
          "SENTINEL",
          "REPLICAS",
          "mymaster",
        );
        return (replicas as string[][]).some((one) => one.includes("slave"));
      }, 20_000);
      const options: RedisOptions = {
        sentinels: [{ host: "127.0.0.1", port: sentinelPort }],
        name: "mymaster",
        maxRetriesPerRequest: null,
      };
      await bench.use(new Redis(options));
      const slots = 3;
      await Promise.all([
        bench.node({ slots, sentinelPort }),
        bench.node({ slots, sentinelPort }),
      ]);
      await bench.enqueue(isLong ? 2_000 : 200, 30);
      await bench.untilRuns(30);
      expect(await bench.redis.wait(1, 10_000)).toBe(1);
      server.pause();
      await until(() => isMaster(replica.port), PATIENCE_MS);
      await enqueueWhenPossible(bench);
      await bench.untilRuns(60);
      server.resume();
      await until(async () => !(await isMaster(server.port)), PATIENCE_MS);
      await enqueueWhenPossible(bench);
      // what a worker took or reported in the last moment, the replica may not have heard
      return 2 * slots;
    },
  },
  {
    fault: "a master of a Redis Cluster stands still, is replaced, and wakes",
    async run(bench) {
      const cluster = await bench.redisCluster();
      const redis = cluster.client({
        redisOptions: { maxRetriesPerRequest: null },
      }) as unknown as Redis;
      await bench.use(redis);
      const slot = await redis.cluster("KEYSLOT", "{resque}:queue:q");
      const index = Math.floor((slot * cluster.nodes.length) / 16_384);
      const replica = await cluster.addReplica(index);
      const master = cluster.nodes[index];
      const clusterPorts = cluster.addresses.map(({ port }) => port);
      const slots = 3;
      await Promise.all([
        bench.node({ slots, clusterPorts }),
        bench.node({ slots, clusterPorts }),
      ]);
      await bench.enqueue(isLong ? 2_000 : 200, 30);
      await bench.untilRuns(30);
      const source = bench.client(master.port);
      expect(await source.wait(1, 10_000)).toBe(1);
      master.pause();
      const heir = bench.client(replica.port);
      await heir.call("CLUSTER", "FAILOVER", "TAKEOVER");
      await enqueueWhenPossible(bench);
      await bench.untilRuns(60);
      master.resume();
      await until(async () => !(await isMaster(master.port)), PATIENCE_MS);
      await enqueueWhenPossible(bench);
      return 2 * slots;
    },
  },
  {
    fault: "a wrong type at each key in turn",
    async run(bench) {
      const { redis } = bench;
      const queues = ["*"];
      await bench.node({ slots: 3, heartbeatTimeout: 2_000, queues });
      await bench.node({ role: "scheduler" });
      for (const [name, type] of Object.entries(KEYS)) {
        const key = `resque:${name}`;
        await bench.enqueue(5, 5);
        const spoil =
          type === "string"
            ? redis.multi().del(key).set(key, "x")
            : redis.multi().del(key).sadd(key, "x");
        await spoil.exec();
        await sleep(isLong ? 1_000 : 50);
        await redis.del(key);
        await bench.enqueue(5, 5).catch(() => undefined);
      }
    },
  },
  ...(["lost", "of a wrong type"] as const).map((how): Row => ({
    fault: `each key that lists running or waiting jobs is ${how}, alone and with another`,
    async run(bench) {
      const { redis } = bench;
      const options = { slots: 3, heartbeatTimeout: 3_000, queues: ["*"] };
      await Promise.all([bench.node(options), bench.node(options)]);
      for (const patterns of LISTINGS) {
        const before = (await bench.counts("runs")).size;
        await bench.enqueue(12, isLong ? 1_000 : 150);
        await bench.untilRuns(before + 3);
        for (const pattern of patterns)
          for (const key of await keysOf(redis, pattern)) {
            // a stream is no key of ours
            const spoil = redis.multi().del(key);
            await (
              how === "lost" ? spoil : spoil.xadd(key, "*", "x", "y")
            ).exec();
          }
        await bench.enqueue(1, 1);
        await bench.untilRuns(before + 13);
        // repaired by the next beat
        await until(async () => (await listed(redis)) === 2 * 3 + 2);
      }
    },
  })),
  {
    fault: "the leader is killed while it moves delayed jobs",
    async run(bench) {
      await bench.node({ slots: 10 });
      const numbers = bench.numbers(isLong ? 4_000 : 600);
      await Promise.all(
        numbers.map((n) => bench.queue.enqueueIn(1_500, "q", "effect", [n, 1])),
      );
      bench.add(...numbers);
      const scheduler = { role: "scheduler", leaderLockTimeout: 1 } as const;
      const leader = await bench.node(scheduler);
      const next = bench.node(scheduler);
      await bench.untilRuns(10);
      await leader.kill();
      await next;
    },
  },
  ...[5_000, 86_400_000, -3_600_000].map((skewMs): Row => ({
    fault: `clocks of scheduler and workers ${skewMs / 1000} s ahead`,
    async run(bench) {
      const waitMs = 2_000;
      await Promise.all([
        bench.node({ slots: 3, skewMs }),
        bench.node({ role: "scheduler", skewMs }),
      ]);
      const numbers = bench.numbers(20);
      const begin = Date.now();
      for (const n of numbers)
        await bench.queue.enqueueIn(waitMs, "q", "timed", [n]);
      bench.add(...numbers);
      await bench.tally();
      const times = [...(await bench.times()).values()];
      expect(times).toHaveLength(numbers.length);
      expect(Math.min(...times) - begin).toBeGreaterThanOrEqual(waitMs - 1);
    },
  })),
];

describeOnRedis("lost and doubled jobs", () => {
  const table: string[] = [];
  let bench: Bench;
  afterEach(() => bench.close());
  afterAll(() => {
    removeCompiled();
    if (isLong) process.stderr.write(`${table.join("\n")}\n`);
  });

  test.each(ROWS)(
    "none: $fault",
    async ({ fault, redis, run }) => {
      bench = await new Bench().open(redis);
      const mayRepeat = (await run(bench)) ?? 0;
      const { lost, twice } = await bench.tally();
      table.push(
        `| ${fault} | ${bench.jobs} | ${lost.length} | ${twice.length} | ${mayRepeat} |`,
      );
      expect(lost).toEqual([]);
      expect(twice.length).toBeLessThanOrEqual(mayRepeat);
    },
    2 * PATIENCE_MS + 60_000,
  );
});
