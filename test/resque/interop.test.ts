/** The real node-resque and ours on one redis: producers, workers, schedulers and views of either kind. */
import { once } from "node:events";
import * as resque from "node-resque";
import { Queue } from "../../src/resque/queue";
import { Scheduler } from "../../src/resque/scheduler";
import type { Jobs } from "../../src/resque/types";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { Bench, until } from "./support";
import { Redis } from "ioredis";

describeOnRedis("beside node-resque", () => {
  const server = new RedisServer();
  let redis: Redis;
  let bench: Bench;
  let connection: { redis: Redis };
  const endings: (() => Promise<unknown>)[] = [];

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
    connection = { redis };
  });
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
    await bench.close();
  });

  async function theirQueue(jobs: resque.Jobs = {}): Promise<resque.Queue> {
    const queue = new resque.Queue({ connection: theirs() }, jobs);
    await queue.connect();
    endings.push(() => queue.end());
    return queue;
  }

  async function theirWorker(jobs: resque.Jobs): Promise<resque.Worker> {
    const worker = new resque.Worker(
      { connection: theirs(), queues: ["q"], timeout: 50, name: "them:1" },
      jobs,
    );
    await worker.connect();
    await worker.start();
    endings.push(() => worker.end());
    return worker;
  }

  async function theirScheduler(): Promise<resque.Scheduler> {
    const scheduler = new resque.Scheduler({
      connection: theirs(),
      name: "them:2",
      timeout: 50,
    });
    await scheduler.connect();
    await scheduler.start();
    endings.push(() => scheduler.end());
    return scheduler;
  }

  // their scripts are defined on the client, and theirs only
  const theirs = () => ({ redis: redis as never, namespace: "resque" });

  test("their jobs run here, and ours run there", async () => {
    const done: unknown[] = [];
    const their = await theirQueue();
    const our = await bench.queue();

    await their.enqueue("q", "add", [1, { a: [] }]);
    const ours = await bench.startedWorker(
      { add: (...args: unknown[]) => void done.push(["ours", ...args]) },
      { queues: ["q"], timeout: 20 },
    );
    await until(() => done.length === 1);
    await ours.end();

    await our.enqueue("q", "add", [2, { a: [] }]);
    await theirWorker({
      add: { perform: async (...args) => void done.push(["theirs", ...args]) },
    });
    await until(() => done.length === 2);
    expect(done).toEqual([
      ["ours", 1, { a: [] }],
      ["theirs", 2, { a: [] }],
    ]);
    await until(async () => (await our.stats()).processed === "2");
  });

  test("our jobs with a context run there, and their scheduler, lists and locks of delayed jobs know them", async () => {
    const done: unknown[][] = [];
    const their = await theirQueue();
    const our = await bench.queue({}, () => ({ request: "r1", trace: "t1" }));
    await our.enqueue("q", "add", [1, { a: [] }]);
    const due = (Math.floor(Date.now() / 1000) + 60) * 1000;
    await our.enqueueAt(due, "q", "add", [2]);
    await expect(their.enqueueAt(due, "q", "add", [2])).rejects.toThrow(
      "already enqueued",
    );
    expect(await their.scheduledAt("q", "add", [2])).toEqual([due / 1000]);
    expect(await their.delDelayed("q", "add", [2])).toEqual([due / 1000]);
    await our.enqueueIn(1, "q", "add", [3]);
    await our.enqueue("q", "fail", [4]);

    // they find it in the queue by its whole text only; we find it by its bare one
    await our.enqueue("other", "add", [5]);
    expect(await their.del("other", "add", [5])).toBe(0);
    expect(await our.del("other", "add", [5])).toBe(1);

    await theirWorker({
      add: { perform: async (...args) => void done.push(args) },
      fail: {
        perform: () => {
          throw new Error("no");
        },
      },
    });
    await theirScheduler();
    await until(() => done.length === 2);
    expect(done).toEqual([[1, { a: [] }], [3]]);

    const failed = await waitFor(async () => (await our.failed(0, -1))[0]);
    await our.pause("q");
    expect(await our.retryAndRemoveFailed(failed)).toBe(true);
    expect(await our.failedCount()).toBe(0);
  });

  test("each sees the queued, delayed, failed and running jobs of the other", async () => {
    const their = await theirQueue();
    const our = await bench.queue();
    await our.enqueue("q", "x", [{ n: 1 }]);
    await their.enqueue("q", "x", [{ n: 2 }]);
    expect(await their.queued("q", 0, -1)).toEqual(
      await our.queued("q", 0, -1),
    );
    expect(await their.del("q", "x", [{ n: 1 }])).toBe(1);
    expect(await our.del("q", "x", [{ n: 2 }])).toBe(1);

    const due = (Math.floor(Date.now() / 1000) + 60) * 1000;
    await our.enqueueAt(due, "q", "x", [{ n: 3 }]);
    await their.enqueueAt(due, "q", "x", [{ n: 4 }]);
    await expect(their.enqueueAt(due, "q", "x", [{ n: 3 }])).rejects.toThrow(
      "already enqueued",
    );
    await expect(our.enqueueAt(due, "q", "x", [{ n: 4 }])).rejects.toThrow(
      "already enqueued",
    );
    expect(await their.allDelayed()).toEqual(await our.allDelayed());
    expect(await our.delayedAt(due)).toEqual(await their.delayedAt(due));
    expect(await their.timestamps()).toEqual(await our.timestamps());
    expect(await our.scheduledAt("q", "x", [{ n: 4 }])).toEqual([due / 1000]);
    expect(await their.scheduledAt("q", "x", [{ n: 3 }])).toEqual([due / 1000]);
    expect(await their.delDelayed("q", "x", [{ n: 3 }])).toEqual([due / 1000]);
    expect(await our.delDelayed("q", "x", [{ n: 4 }])).toEqual([due / 1000]);

    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    const worker = await bench.startedWorker(
      { wait: () => held },
      { queues: ["q"] },
    );
    await their.enqueue("q", "wait", [{ n: 5 }]);
    const running = await waitFor(async () => {
      const all = await their.allWorkingOn();
      const one = all[worker.name];
      return typeof one === "object" ? one : undefined;
    });
    expect(running).toMatchObject({
      queue: "q",
      worker: worker.name,
      payload: { class: "wait", queue: "q", args: [{ n: 5 }] },
    });
    expect(Date.parse(running.run_at)).toBeGreaterThan(Date.now() - 60_000);
    expect(await their.workers()).toEqual({ [worker.name]: "q" });
    expect(await our.workers()).toEqual({ [worker.name]: "q" });
    release();
    await until(async () => (await our.stats()).processed === "1");
    expect((await their.stats()).processed).toBe("1");
  });

  test("failed jobs of either kind are tried again and removed by the other", async () => {
    const their = await theirQueue();
    const our = await bench.queue();
    const fail = () => {
      throw new Error("broken");
    };
    await our.enqueue("q", "x", [{ n: 1 }]);
    const ours = await bench.startedWorker({ x: fail }, { queues: ["q"] });
    await until(async () => (await our.failedCount()) === 1);
    await ours.end();
    const [failedHere] = await their.failed(0, 0);
    expect(failedHere).toMatchObject({ exception: "Error", error: "broken" });
    expect(await their.retryAndRemoveFailed(failedHere)).toBe(true);

    await theirWorker({ x: { perform: async () => fail() } });
    await until(async () => (await our.failedCount()) === 1);
    const [failedThere] = await our.failed(0, 0);
    expect(Object.keys(failedThere)).toEqual(Object.keys(failedHere));
    expect(await our.removeFailed(failedThere)).toBe(1);
  });

  test("a plugin written for node-resque runs around jobs here", async () => {
    const seen: string[] = [];
    class Watch extends resque.Plugin {
      async beforeEnqueue() {
        seen.push(`beforeEnqueue ${this.func} ${this.queue}`);
        return this.args[0] !== "refused";
      }
      async afterEnqueue() {
        seen.push(`afterEnqueue ${await this.queueObject.length("q")}`);
        return true;
      }
      async beforePerform() {
        seen.push(`beforePerform ${this.options.word}`);
        return true;
      }
      async afterPerform() {
        seen.push(`afterPerform ${(this.worker as resque.Worker).result}`);
        return true;
      }
    }
    const jobs: Jobs = {
      x: {
        plugins: [Watch, resque.Plugins.Noop],
        pluginOptions: { Watch: { word: "hello" } },
        perform: () => "result",
      },
    };
    const our = await bench.queue(jobs);
    expect(await our.enqueue("q", "x", ["refused"])).toBe(false);
    expect(await our.enqueue("q", "x", ["taken"])).toBe(true);
    await bench.startedWorker(jobs, { queues: ["q"] });
    await until(async () => (await our.stats()).processed === "1");
    expect(seen).toEqual([
      "beforeEnqueue x q",
      "beforeEnqueue x q",
      "afterEnqueue 1",
      "beforePerform hello",
      "afterPerform result",
    ]);
  });

  test("locks keep jobs of either kind out", async () => {
    const plugins = ["QueueLock"];
    const their = await theirQueue({ x: { plugins, perform: async () => 1 } });
    const our = await bench.queue({ x: { plugins, perform: () => 1 } });
    expect(await our.enqueue("q", "x", [1])).toBe(true);
    expect(await their.enqueue("q", "x", [1])).toBe(false);
    expect(await their.enqueue("q", "x", [2])).toBe(true);
    expect(await our.enqueue("q", "x", [2])).toBe(false);
    expect(await our.locks()).toEqual(await their.locks());
    expect(Object.keys(await our.locks()).sort()).toEqual([
      "lock:x:q:[1]",
      "lock:x:q:[2]",
    ]);
    expect(await their.delLock("lock:x:q:[1]")).toBe(1);
    expect(await our.delLock("lock:x:q:[2]")).toBe(1);
  });

  test("a job that they run under a lock is put off here", async () => {
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    const order: string[] = [];
    const our = await bench.queue();
    const plugins = ["JobLock"];
    await our.enqueue("q", "x", [1]);
    await theirWorker({
      x: {
        plugins,
        perform: async () => {
          order.push("theirs begins");
          await held;
          order.push("theirs ends");
        },
      },
    });
    await until(() => order.length === 1);
    await bench.scheduler();
    await our.enqueue("q", "x", [1]);
    await bench.startedWorker(
      {
        x: {
          plugins,
          pluginOptions: { JobLock: { enqueueTimeout: 100 } },
          perform: () => void order.push("ours"),
        },
      },
      { queues: ["q"] },
    );
    await until(async () => (await our.scheduledAt("q", "x", [1])).length > 0);
    expect(order).toEqual(["theirs begins"]);
    release();
    await until(() => order.includes("ours") || order.length === 4);
    expect(order.slice(0, 2)).toEqual(["theirs begins", "theirs ends"]);
  });

  test("among schedulers of both kinds there is one leader at a time", async () => {
    const our = new Scheduler({ connection, name: "us:1", timeout: 50 });
    await our.connect();
    const leading = once(our, "leader");
    await our.start();
    await leading;
    const their = await theirScheduler();
    let polls = 0;
    our.on("poll", () => polls++);
    await until(() => polls > 3);
    expect(their.leader).toBe(false);
    expect(await (await bench.queue()).leader()).toBe("us:1");

    await our.end();
    await until(() => their.leader);
    const next = new Scheduler({ connection, name: "us:2", timeout: 50 });
    await next.connect();
    await next.start();
    endings.push(() => next.end());
    const queue = await bench.queue();
    expect(await queue.leader()).toBe("them:2");
    // a leader of theirs moves our delayed jobs
    await queue.enqueueAt(Date.now() + 10, "q", "x", [{ n: 1 }]);
    await until(async () => (await queue.length("q")) === 1);
    expect(next.leader).toBe(false);
  });

  test("their delayed jobs are moved by our leader, and leave nothing behind", async () => {
    const their = await theirQueue();
    const our = await bench.queue();
    await bench.scheduler();
    await their.enqueueIn(10, "q", "x", [{ n: 1 }]);
    await our.enqueueIn(10, "q", "x", [{ n: 2 }]);
    await until(async () => (await our.length("q")) === 2);
    const left = (await redis.keys("resque:*")).filter((key) =>
      /delayed|timestamps|ah:due/.test(key),
    );
    expect(left).toEqual([]);
  });

  test("jobs as Ruby writes them run, and one that cannot be read fails", async () => {
    const seen: unknown[] = [];
    await redis.sadd("resque:queues", "q");
    await redis.rpush(
      "resque:queue:q",
      '{"class":"Ruby::Job","args":["a",{"b":[]}]}',
      "not json",
      '{"class":"__proto__","args":[]}',
    );
    await bench.startedWorker(
      { "Ruby::Job": (...args: unknown[]) => void seen.push(args) },
      { queues: ["q"], timeout: 20 },
    );
    const our = new Queue({ connection });
    await our.connect();
    await until(async () => (await our.failedCount()) === 2);
    expect(seen).toEqual([["a", { b: [] }]]);
    const failed = await our.failed(0, -1);
    expect(failed.map(({ error }) => error)).toEqual([
      expect.stringContaining("the job is not valid JSON"),
      'No job defined for class "__proto__"',
    ]);
    for (const one of failed) expect(await our.removeFailed(one)).toBe(1);
  });

  test("failed entries that others wrote with blanks are removed and tried again", async () => {
    const our = await bench.queue();
    const entry = (n: number) =>
      `{"worker": "ruby:1", "queue": "a/b", "payload": {"class": "x", "args": [${n}]}, "exception": "E", "error": "\\u00e4", "backtrace": [], "failed_at": "2026/01/01"}`;
    await redis.rpush("resque:failed", entry(1), entry(2));
    const [first, second] = await our.failed(0, -1);
    expect(await our.removeFailed(first)).toBe(1);
    expect(await our.retryAndRemoveFailed(second)).toBe(true);
    expect(await our.failedCount()).toBe(0);
    expect(await our.queued("a/b", 0, -1)).toEqual([
      { class: "x", queue: "a/b", args: [2] },
    ]);
  });

  test("their scheduler cleans a dead worker of theirs; ours does the same, by redis's clock", async () => {
    const our = await bench.queue();
    const now = Math.floor(Date.now() / 1000);
    const job = { class: "x", queue: "q", args: [1] };
    await redis.sadd("resque:workers", "gone:7:q", "gone:8:q");
    for (const [name, time] of [
      ["gone:7", now - 100],
      ["gone:8", now],
    ] as const) {
      await redis.set(
        `resque:worker:ping:${name}`,
        JSON.stringify({ time, name, queues: "q" }),
      );
      await redis.set(
        `resque:worker:${name}:q`,
        JSON.stringify({ run_at: "", queue: "q", worker: name, payload: job }),
      );
    }
    const scheduler = await bench.scheduler({
      stuckWorkerTimeout: 50_000,
      timeout: 20,
    });
    const [name, payload, delta] = await once(scheduler, "cleanStuckWorker");
    expect([name, payload.payload]).toEqual(["gone:7", job]);
    expect(delta).toBeGreaterThanOrEqual(100);
    expect(Object.keys(await our.workers())).toEqual(["gone:8"]);
    expect(await redis.get("resque:worker:gone:7:q")).toBeNull();
    await our.retryStuckJobs();
    expect(await our.failedCount()).toBe(0);
    expect(await our.queued("q", 0, -1)).toEqual([job]);
  });
});

async function waitFor<T>(get: () => Promise<T | undefined>): Promise<T> {
  let found: T | undefined;
  await until(async () => (found = await get()) !== undefined);
  return found!;
}
