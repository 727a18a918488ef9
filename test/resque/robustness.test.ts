/** Connections that are cut, clocks that jump, many and large jobs, and ends that are not waited for. */
import { once } from "node:events";
import * as v8 from "node:v8";
import * as vm from "node:vm";
import { Redis } from "ioredis";
import { systemEnvironment } from "../../src/resque/machine";
import { Queue } from "../../src/resque/queue";
import { Scheduler } from "../../src/resque/scheduler";
import type { Jobs } from "../../src/resque/types";
import { Worker } from "../../src/resque/worker";
import { describeOnEachEngine } from "../support/engines";
import { FlakyProxy } from "../support/flakyProxy";
import { freePort } from "../support/freePort";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { timed } from "../support/stopwatch";
import { Bench, until } from "./support";

describeOnEachEngine("loads", (engine) => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench(engine);
  });
  afterEach(() => bench.close());

  // the embedded engine copies a list with each step, so the queue is shorter there
  const JOBS = engine.embedded ? 5_000 : 100_000;

  test("a long queue of jobs is done in constant memory", async () => {
    let done = 0;
    const heap: number[] = [];
    const queue = await bench.queue();
    for (let start = 0; start < JOBS; start += 5000)
      await queue.enqueueMany(
        "q",
        "count",
        Array.from({ length: 5000 }, (_, n) => [
          { n: start + n, text: "x".repeat(50) },
        ]),
      );
    const jobs: Jobs = {
      count: () => {
        if (++done % (JOBS / 5) === 0) heap.push(usedHeap());
      },
    };
    const multiWorker = bench.multiWorker(jobs, {
      queues: ["q"],
      minTaskProcessors: 50,
      maxTaskProcessors: 50,
      maxEventLoopDelay: 60_000,
    });
    await multiWorker.start();
    await until(
      async () => Number((await queue.stats()).processed) === JOBS,
      150_000,
    );
    expect(done).toBe(JOBS);
    // on the embedded engine the jobs themselves are in this process
    const growth = heap[heap.length - 1] - heap[0];
    expect(growth).toBeLessThan(10 * 1024 * 1024);
  }, 180_000);

  test("a job of one megabyte arrives whole", async () => {
    const text = "ä€😀".repeat(110_000);
    const queue = await bench.queue();
    let seen = "";
    const worker = await bench.startedWorker({
      large: (params: { text: string }) => {
        seen = params.text;
      },
    });
    const success = once(worker, "success");
    await queue.enqueue("q", "large", [{ text }]);
    await success;
    expect(seen).toBe(text);
  });

  test("delayed jobs with odd strings and deep arguments arrive unchanged", async () => {
    let deep: unknown = "end";
    for (let i = 0; i < 1500; i++) deep = [deep];
    const odd = {
      half: "\ud83d",
      quote: '"\\',
      path: "a/b",
      big: 2 ** 53,
      e: [],
      deep,
    };
    const queue = await bench.queue();
    await bench.scheduler();
    const seen = new Promise((resolve) => {
      void bench.startedWorker({ odd: resolve });
    });
    await queue.enqueueIn(5, "q", "odd", [odd]);
    expect(JSON.stringify(await seen)).toBe(JSON.stringify(odd));
  });

  test("deleting a delayed job leaves nothing of it", async () => {
    const queue = await bench.queue();
    const due = Date.now() + 60_000;
    await queue.enqueueAt(due, "q", "x", [1]);
    await queue.enqueueAt(due + 5000, "q", "x", [1]);
    expect((await queue.delDelayed("q", "x", [1])).sort()).toEqual(
      [due, due + 5000].map((ms) => Math.round(ms / 1000)),
    );
    expect(await queue.scheduledAt("q", "x", [1])).toEqual([]);
    expect(await bench.redis.zcard("resque:ah:due")).toBe(0);
    expect(await bench.redis.zcard("resque:delayed_queue_schedule")).toBe(0);
  });

  test("the move that takes the last job of a second leaves nothing of it", async () => {
    const queue = await bench.queue();
    const due = Date.now() - 60_000;
    const jobs = 500; // as many as are moved at once
    for (let n = 0; n < jobs; n++) await queue.enqueueAt(due, "q", "x", [n]);
    const { moved } = await queue.connection.store.promote(jobs);
    expect(moved).toHaveLength(jobs);
    expect(await queue.timestamps()).toEqual([]);
    expect(await bench.redis.zcard("resque:ah:due")).toBe(0);
    expect(await bench.redis.zcard("resque:delayed_queue_schedule")).toBe(0);
  });

  test("a class that was removed while its job was queued ends in the failed list, with its inputs", async () => {
    const queue = await bench.queue();
    await queue.enqueue("q", "gone", [{ a: 1 }]);
    const worker = await bench.worker({});
    const failure = once(worker, "failure");
    await worker.start();
    expect(((await failure)[2] as Error).message).toBe(
      'No job defined for class "gone"',
    );
    await until(async () => (await queue.failedCount()) === 1);
    expect((await queue.failed(0, 0))[0].payload.args).toEqual([{ a: 1 }]);
  });

  test("a job that does not end in time is requeued when its worker ends, and its signal is aborted", async () => {
    const queue = await bench.queue();
    let signal: AbortSignal | undefined;
    let finish!: () => void;
    const jobs: Jobs = {
      endless: {
        plugins: ["JobLock"],
        perform() {
          signal = this.signal;
          return new Promise<void>((resolve) => (finish = resolve));
        },
      },
    };
    const worker = await bench.startedWorker(jobs, { shutdownTimeout: 50 });
    const fenced = jest.fn();
    worker.on("fenced", fenced);
    await queue.enqueue("q", "endless", [1]);
    await until(() => signal !== undefined);
    await worker.end();
    expect(signal!.aborted).toBe(true);
    expect(await queue.length("q")).toBe(1);
    expect(await queue.locks()).toEqual({});
    finish();
    await new Promise((resolve) => setImmediate(resolve));
    expect(await queue.length("q")).toBe(1);
    expect((await queue.stats()).processed).toBeUndefined();
    expect(fenced).not.toHaveBeenCalled(); // that is for jobs whose lease expired
  });

  test("a listener that throws breaks no job", async () => {
    const queue = await bench.queue();
    const errors: unknown[] = [];
    const worker = await bench.worker({ x: () => 1 });
    worker.on("error", (error) => errors.push(error));
    for (const event of ["job", "success", "poll", "pause"])
      worker.on(event, () => {
        throw new Error(`thrown by ${event}`);
      });
    await worker.start();
    await queue.enqueue("q", "x");
    await until(async () => (await queue.stats()).processed === "1");
    expect(errors.map(String)).toContain("Error: thrown by success");
  });

  test("workers that ask for a name in use get another one", async () => {
    const first = await bench.startedWorker(
      {},
      { name: "host:1", queues: ["q"] },
    );
    const second = await bench.startedWorker(
      {},
      { name: "host:1", queues: ["q"] },
    );
    expect(first.name).toBe("host:1");
    expect(second.name).toMatch(/^host:1-[0-9a-f]{6}$/);
    const queue = await bench.queue();
    expect(Object.keys(await queue.workers()).sort()).toEqual(
      [first.name, second.name].sort(),
    );
  });

  test("end() may be called twice, before start() too", async () => {
    const unstarted = await bench.worker({});
    await unstarted.end();
    const worker = await bench.startedWorker({});
    await Promise.all([worker.end(), worker.end()]);
    expect(await (await bench.queue()).workers()).toEqual({});
    const scheduler = await bench.scheduler();
    await Promise.all([scheduler.end(), scheduler.end()]);
  });
});

describeOnRedis("connections and clocks", () => {
  const server = new RedisServer();
  let redis: Redis;
  let bench: Bench;

  beforeAll(async () => {
    await server.start();
    redis = new Redis(server.url);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });
  beforeEach(() => {
    bench = new Bench({ client: () => redis });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await bench.close();
  });

  test("connections cut at any moment lose and double no job", async () => {
    const JOBS = 3000;
    const proxy = await new FlakyProxy(server.port).start();
    const client = new Redis({
      port: proxy.port,
      maxRetriesPerRequest: null,
      retryStrategy: () => 1,
    });
    client.on("error", () => undefined);
    const runs = new Map<number, number>();
    const queue = await bench.queue();
    await queue.enqueueMany(
      "q",
      "x",
      Array.from({ length: JOBS }, (_, n) => [n]),
    );
    const worker = new Worker(
      { connection: { redis: client }, queues: ["q"], timeout: 50 },
      {
        x: async (n: number) => {
          runs.set(n, (runs.get(n) ?? 0) + 1);
          if (n % 50 === 0)
            await new Promise((resolve) => setImmediate(resolve));
        },
      },
    );
    await worker.connect();
    await worker.start();
    let cuts = 0;
    const cutting = setInterval(() => {
      cuts++;
      proxy.cut();
    }, 60);
    await until(
      async () => Number((await queue.stats()).processed) >= JOBS,
      30_000,
    );
    clearInterval(cutting);
    expect(cuts).toBeGreaterThan(3);
    expect(runs.size).toBe(JOBS);
    expect([...runs.values()].every((count) => count === 1)).toBe(true);
    expect((await queue.stats()).processed).toBe(String(JOBS));
    await worker.end();
    client.disconnect();
    await proxy.stop();
  });

  test("a lock whose request failed is not taken later", async () => {
    const client = new Redis(server.url, { commandTimeout: 300 });
    const queue = new Queue({ connection: { redis: client } });
    await queue.connect();
    const { store } = queue.connection;
    const known = (await store.takeLock({ key: "known", seconds: 60 }))!; // redis has the scripts
    await store.releaseLock(known);
    await redis.client("PAUSE", 60_000, "WRITE");
    const late = store.takeLock({ key: "late", seconds: 60 });
    await expect(late).rejects.toThrow("Command timed out");
    await redis.client("UNPAUSE");
    await client.ping(); // what was sent before it is done
    expect(await redis.exists("late")).toBe(0);
    await queue.end();
    client.disconnect();
  });

  test("a process that dies frees the locks of its inline jobs within a minute; one that lives renews them", async () => {
    const ticks: (() => void)[] = [];
    const environment = {
      ...systemEnvironment,
      after(ms: number, work: () => void) {
        ticks.push(work);
        return systemEnvironment.after(ms, work);
      },
    };
    const queue = await bench.queue();
    const key = "resque:workerslock:alone";
    const ttls: number[] = [];
    const worker = new Worker(
      { connection: queue.connection.options, queues: ["q"], environment },
      {
        alone: {
          plugins: ["JobLock"],
          pluginOptions: { JobLock: { key } },
          async perform() {
            ttls.push(await redis.pttl(key));
            await redis.pexpire(key, 5_000);
            ticks.pop()!();
            await until(async () => (await redis.pttl(key)) > 6_000);
            ttls.push(await redis.pttl(key));
          },
        },
      },
    );
    await worker.connect();
    await worker.performInline("alone", []);
    for (const ttl of ttls) expect(ttl).toBeLessThanOrEqual(60_000);
    expect(ttls).toHaveLength(2);
    expect(await redis.exists(key)).toBe(0);
    await worker.end();
  });

  test("the worker of a running unique job is known to checks of its lock", async () => {
    let end!: () => void;
    const running = new Promise<void>((resolve) => (end = resolve));
    const jobs: Jobs = { one: { unique: true, perform: () => running } };
    const queue = await bench.queue(jobs);
    await queue.enqueue("q", "one", []);
    const worker = await bench.startedWorker(jobs, { queues: ["q"] });
    const known = async () => {
      const [key] = await redis.keys("resque:ah:unique:*:at");
      return key !== undefined && (await redis.get(key)) === `${worker.name}:q`;
    };
    await until(known);
    end();
    await until(
      async () => (await redis.keys("resque:ah:unique:*")).length === 0,
    );
  });

  test("a standby scheduler leads as soon as the leadership of a dead one ends", async () => {
    const queue = await bench.queue();
    await redis.set(queue.leaderKey(), "dead", "PX", 1_000);
    const scheduler = new Scheduler({
      connection: queue.connection.options,
      timeout: 3_600_000,
    });
    await scheduler.connect();
    const leads = once(scheduler, "leader");
    await scheduler.start();
    await leads;
    await scheduler.end();
  });

  test("wake-ups are not lost with the connection that waits for them", async () => {
    const worker = await bench.startedWorker({ x: () => 1 }, { queues: ["q"] });
    const queue = await bench.queue();
    await once(worker, "pause");
    for (let i = 0; i < 5; i++) {
      await redis.client("KILL", "TYPE", "normal", "SKIPME", "yes");
      await queue.enqueue("q", "x", [i]);
    }
    await until(async () => (await queue.stats()).processed === "5");
  });

  test("a short time-out of commands takes no wake-ups away", async () => {
    const client = new Redis({ port: server.port, commandTimeout: 300 });
    const worker = new Worker(
      { connection: { redis: client }, queues: ["q"] },
      { x: () => 1 },
    );
    await worker.connect();
    await worker.start();
    const queue = await bench.queue();
    await once(worker, "pause");
    await new Promise((resolve) => setTimeout(resolve, 500));
    const success = once(worker, "success");
    const tookMs = await timed(async () => {
      await queue.enqueue("q", "x");
      await success;
    });
    expect(tookMs).toBeLessThan(2000); // of the five seconds between two looks
    await worker.end();
    client.disconnect();
  });

  test("a clock that jumps by a day, either way, reaps no process and stops no work", async () => {
    const queue = await bench.queue();
    const options = { heartbeatTimeout: 150, timeout: 30 };
    const reaped = jest.fn();
    const workers: Worker[] = [];
    for (let i = 0; i < 2; i++) {
      const worker = await bench.startedWorker({ x: () => 1 }, options);
      worker.on("reaped", reaped);
      worker.on("fenced", reaped);
      workers.push(worker);
    }
    const scheduler = await bench.scheduler({
      timeout: 30,
      stuckWorkerTimeout: 5000,
    });
    scheduler.on("cleanStuckWorker", reaped);
    const real = Date.now.bind(Date);
    let processed = 0;
    for (const days of [1, -1]) {
      jest
        .spyOn(Date, "now")
        .mockImplementation(() => real() + days * 86_400_000);
      for (let i = 0; i < 10; i++) await queue.enqueue("q", "x", [i]);
      await queue.enqueueIn(50, "q", "x", ["later", days]);
      processed += 11;
      await until(
        async () => (await queue.stats()).processed === String(processed),
      );
      let polls = 0;
      scheduler.on("poll", () => polls++);
      await until(() => polls > 5);
    }
    expect(reaped).not.toHaveBeenCalled();
    expect(Object.keys(await queue.workers())).toHaveLength(2);
  });

  test.each(["hangs", "is gone"])(
    "end() does not hang when redis %s",
    async (what) => {
      const own = await new RedisServer().start();
      // its timer for streams that do not close outlives those that are closed already
      const client = new Redis({ port: own.port, disconnectTimeout: 50 });
      client.on("error", () => undefined);
      const multi = bench.multiWorker(
        {},
        { connection: { redis: client }, minTaskProcessors: 2 },
      );
      await multi.start();
      const queue = new Queue({ connection: { redis: client } });
      await queue.connect();
      if (what === "hangs") own.pause();
      else await own.kill();
      const tookMs = await timed(async () => {
        await multi.stop();
        await queue.end();
      });
      expect(tookMs).toBeLessThan(6000);
      own.resume();
      client.disconnect();
      await own.stop();
    },
  );
});

describeOnRedis("clients of its own", () => {
  const server = new RedisServer();
  beforeAll(() => server.start());
  afterAll(() => server.stop());
  const address = () => ({ host: "127.0.0.1", port: server.port });

  test("one that cannot connect is ended, and a shared one is left as it was", async () => {
    const options = { maxRetriesPerRequest: 0, retryStrategy: () => 20 };
    const port = await freePort();
    const own = new Queue({ connection: { ...address(), port, options } });
    await expect(own.connect()).rejects.toThrow("max retries");
    await until(() => own.connection.redis.status === "end");

    const redis = new Redis({ port, host: "127.0.0.1", ...options });
    redis.on("error", () => undefined);
    const shared = new Queue({ connection: { redis } });
    const listeners = () => redis.listenerCount("error");
    const before = listeners();
    await expect(shared.connect()).rejects.toThrow("max retries");
    expect(listeners()).toBe(before);
    redis.disconnect();
  });

  test("calls time out while redis stands still, and the end does not wait for it", async () => {
    const connection = { ...address(), operationTimeout: 300 };
    const queue = new Queue({ connection });
    await queue.connect();
    server.pause();
    try {
      await expect(queue.enqueue("q", "x")).rejects.toThrow(
        "Command timed out",
      );
      await queue.end();
    } finally {
      server.resume();
    }
    await until(() => queue.connection.redis.status === "end");
  });
});

test("a no-op job on the embedded engine costs less than half a millisecond", async () => {
  const Mock = require("ioredis-mock") as typeof Redis;
  const redis = new Mock();
  const queue = new Queue({ connection: { redis } });
  await queue.connect();
  const JOBS = 1000;
  const worker = new Worker(
    { connection: { redis }, queues: ["q"] },
    { x: () => 1 },
  );
  await worker.connect();
  await queue.enqueueMany(
    "q",
    "x",
    Array.from({ length: JOBS }, (_, n) => [n]),
  );
  const begin = process.cpuUsage();
  await worker.start();
  await until(async () => Number((await queue.stats()).processed) === JOBS);
  const { user, system } = process.cpuUsage(begin);
  await worker.end();
  await queue.end();
  await redis.flushall();
  expect((user + system) / JOBS).toBeLessThan(500);
});

/** After a collection, in bytes. */
function usedHeap(): number {
  v8.setFlagsFromString("--expose-gc");
  (vm.runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}
