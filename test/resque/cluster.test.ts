/** On a Redis Cluster all keys of the queue share one hash tag. */
import { once } from "node:events";
import type { Cluster, Redis } from "ioredis";
import * as resque from "node-resque";
import { Connection } from "../../src/resque/connection";
import { Queue } from "../../src/resque/queue";
import type { Jobs } from "../../src/resque/types";
import { Worker } from "../../src/resque/worker";
import { RedisCluster } from "../support/redisCluster";
import { describeOnRedis } from "../support/redisServer";
import { Bench, until } from "./support";

describeOnRedis("on a Redis Cluster", () => {
  const cluster = new RedisCluster();
  let client: Cluster;
  let redis: Redis;
  let bench: Bench;

  beforeAll(async () => {
    await cluster.start();
    client = cluster.client();
    redis = client as unknown as Redis;
  }, 60_000);
  afterAll(async () => {
    client?.disconnect();
    await cluster.stop();
  });
  beforeEach(() => {
    bench = new Bench({ client: () => redis });
  });
  afterEach(async () => {
    await bench.end();
    await Promise.all(client.nodes("master").map((node) => node.flushall()));
  });

  test("a namespace without a hash tag is refused", async () => {
    const connection = new Connection({ redis, namespace: "resque" });
    await expect(connection.connect()).rejects.toThrow(
      "on a Redis Cluster the namespace of the queue needs a hash tag, e.g. {resque}",
    );
  });

  test("jobs run, fail, are delayed, tried again, limited, unique and tracked", async () => {
    let shaky = 0;
    const jobs: Jobs = {
      plain: () => "done",
      broken: () => {
        throw new Error("no");
      },
      shaky: {
        retry: { attempts: 2, backoff: [10] },
        perform: () => {
          if (shaky++ === 0) throw new Error("again");
        },
      },
      locked: { plugins: ["JobLock", "QueueLock"], perform: () => 1 },
      narrow: { concurrency: 1, perform: () => 1 },
      one: { unique: true, perform: () => 1 },
    };
    const queue = await bench.queue(jobs);
    await bench.scheduler();
    await bench.multiWorker(jobs, { minTaskProcessors: 4 }).start();
    for (let n = 0; n < 20; n++) await queue.enqueue("q", "plain", [n]);
    await queue.enqueueMany("q2", "plain", [[1], [2], [3]]);
    await queue.enqueueIn(30, "q", "plain", ["later"]);
    await queue.enqueue("q", "broken");
    await queue.enqueue("q", "shaky");
    expect(await queue.enqueue("q", "locked", [1])).toBe(true);
    for (let n = 0; n < 5; n++) await queue.enqueue("q", "narrow", [n]);
    expect(await queue.enqueue("q", "one", [1])).toBe(true);
    const id = (await queue.enqueueTracked("q", "plain"))!;
    await until(async () => (await queue.stats()).processed === "33");
    expect((await queue.job(id))!.result).toBe("done");
    const [failed] = await queue.failed(0, 0);
    expect(await queue.failedCount()).toBe(1);
    expect(await queue.retryAndRemoveFailed(failed)).toBe(true);
    await until(async () => (await queue.failedCount()) === 1);
    expect(await queue.timestamps()).toEqual([]);
    expect(Object.keys(await queue.workers())).toHaveLength(4);
    expect((await queue.queues()).sort()).toEqual(["q", "q2"]);
    expect(await queue.locks()).toEqual({});
  });

  test("everything lies on one node", async () => {
    const queue = await bench.queue();
    await queue.enqueue("q", "x", [1]);
    await queue.enqueueIn(60_000, "q", "x", [1]);
    const sizes = await Promise.all(
      client.nodes("master").map((node) => node.dbsize()),
    );
    expect(sizes.filter((size) => size > 0)).toHaveLength(1);
  });

  test("a dead process is told by its connections, on whichever node they are", async () => {
    const own = cluster.client();
    const jobs: Jobs = { wait: () => new Promise(() => undefined) };
    const worker = new Worker(
      {
        connection: { redis: own as unknown as Redis },
        shutdownTimeout: 10,
        heartbeatTimeout: 60_000,
        queues: ["q"],
      },
      jobs,
    );
    await worker.connect();
    await worker.start();
    const queue = await bench.queue();
    await queue.enqueue("q", "wait", [1]);
    await until(() => worker.working);
    const owner = await redis.get(`{resque}:ah:owner:${worker.name}:q`);
    const { store } = queue.connection;
    expect(await store.reap(owner!, 0)).toBeUndefined();

    const other = await bench.startedWorker(
      { wait: () => 1 },
      { heartbeatTimeout: 300, queues: ["q"] },
    );
    const reaped = once(other, "reaped");
    await redis.zadd("{resque}:ah:procs", 0, owner!);
    own.disconnect(); // and its beats end
    // both are this process: the name of its connections is there, so only its silence tells
    await redis.hset(`{resque}:ah:proc:${owner}`, "connection", "gone");
    expect((await reaped)[0]).toBe(owner);
    await until(async () => (await queue.stats()).processed === "1");
    await worker.end();
  });

  test("node-resque with the same namespace works beside it", async () => {
    const their = new resque.Queue({
      connection: { redis: client as never, namespace: "{resque}" },
    });
    await their.connect();
    await their.enqueue("q", "x", [{ n: 1 }]);
    const queue = await bench.queue();
    const seen: unknown[] = [];
    await bench.startedWorker(
      { x: (params: unknown) => void seen.push(params) },
      { queues: ["q"], timeout: 20 },
    );
    await until(async () => (await queue.stats()).processed === "1");
    expect(seen).toEqual([{ n: 1 }]);
    const jobs = { x: { perform: async () => void seen.push("theirs") } };
    await queue.enqueueMany("q3", "x", [[1], [2]]);
    const worker = new resque.Worker(
      {
        connection: { redis: client as never, namespace: "{resque}" },
        queues: ["q3"],
        timeout: 20,
        name: "them:1",
      },
      jobs,
    );
    await worker.connect();
    await worker.start();
    await until(() => seen.length === 3);
    await worker.end();
    await their.end();
  });

  test("a queue of its own namespace", async () => {
    const queue = new Queue({
      connection: { redis, namespace: ["{a}", "b"] },
    });
    await queue.connect();
    await queue.enqueue("q", "x");
    expect(await redis.llen("{a}:b:queue:q")).toBe(1);
    await queue.end();
  });
});
