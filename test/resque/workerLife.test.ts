/** How workers begin, take jobs in order, are scaled down, and end; and what they make of jobs that cannot be read. */
import { SkewWatch } from "../../src/utils/clockSkew";
import { once } from "node:events";
import { Redis } from "ioredis";
import type { JobView } from "../../src/resque/jobView";
import { MultiWorker } from "../../src/resque/multiWorker";
import { type Environment, systemEnvironment } from "../../src/resque/machine";
import {
  queueOrder,
  queueOrders,
  resolveQueues,
} from "../../src/resque/workerProcess";
import type { Jobs } from "../../src/resque/types";
import type { Worker } from "../../src/resque/worker";
import { describeOnEachEngine } from "../support/engines";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { timed } from "../support/stopwatch";
import { Bench, until } from "./support";

/** What would last for half a second is over at once. */
const HASTY: Environment = {
  ...systemEnvironment,
  after: (ms, work) => systemEnvironment.after(ms === 500 ? 0 : ms, work),
};

describeOnEachEngine("workers", (engine) => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench(engine);
  });
  afterEach(() => bench.close());

  test.each([
    [
      '{"class":{"toString":1},"args":[]}',
      'No job defined for class "{"toString":1}"',
    ],
    ["{not json", "the job is not valid JSON"],
    ["null", 'No job defined for class "undefined"'],
  ])("the job %s fails, and the worker goes on", async (raw, message) => {
    const queue = await bench.queue();
    await queue.connection.store.enqueue("q", [raw]);
    await queue.enqueue("q", "x");
    const worker = await bench.worker({ x: () => 1 }, { queues: ["q"] });
    const failure = once(worker, "failure");
    const success = once(worker, "success");
    await worker.start();
    expect(((await failure)[2] as Error).message).toContain(message);
    await success;
    await until(async () => (await queue.failedCount()) === 1);
  });

  test("queues are worked in the order given, and * stands for the rest", async () => {
    const seen: string[] = [];
    const queue = await bench.queue();
    for (const name of ["a", "high", "b", "zz"])
      await queue.enqueue(name, "note", [name]);
    await bench.startedWorker(
      { note: (name: string) => void seen.push(name) },
      { queues: ["zz", "high", "*"] },
    );
    await until(() => seen.length === 4);
    expect(seen).toEqual(["zz", "high", "a", "b"]);
  });

  test("queues of the same priority take turns, also with workers that take jobs together", async () => {
    const seen: string[] = [];
    const queue = await bench.queue();
    const backlog = Array.from({ length: 60 }, () => ["a"]);
    await queue.enqueueMany("a", "note", backlog);
    await queue.enqueue("b", "note", ["b"]);
    const multiWorker = bench.multiWorker(
      { note: (name: string) => void seen.push(name) },
      {
        queues: ["*"],
        priorities: { a: 1, b: 1 },
        minTaskProcessors: 2,
        maxTaskProcessors: 2,
      },
    );
    await multiWorker.start();
    await until(() => seen.length === 61);
    expect(seen.indexOf("b")).toBeLessThan(10);
  });

  test("a job that is defined while the workers run is run", async () => {
    const jobs: Jobs = {};
    const queue = await bench.queue();
    const worker = await bench.startedWorker(jobs);
    jobs.late = () => "defined";
    const success = once(worker, "success");
    await queue.enqueue("q", "late");
    expect((await success)[2]).toBe("defined");
  });

  test("a scale-down ends no running job, however long it takes", async () => {
    const queue = await bench.queue();
    const runs: number[] = [];
    const finish: (() => void)[] = [];
    const multiWorker = bench.multiWorker(
      {
        slow: (n: number) => {
          runs.push(n);
          return new Promise<void>((resolve) => finish.push(resolve));
        },
      },
      {
        queues: ["q"],
        minTaskProcessors: 4,
        maxTaskProcessors: 4,
        checkTimeout: 10,
        shutdownTimeout: 20,
        maxEventLoopDelay: -1, // always busy
      },
    );
    await multiWorker.start();
    for (let n = 0; n < 4; n++) await queue.enqueue("q", "slow", [n]);
    await until(() => runs.length === 4);
    multiWorker.options.minTaskProcessors = 1;
    await until(() => multiWorker.workers.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 200)); // of which shutdownTimeout is a tenth
    expect(await queue.length("q")).toBe(0);
    for (const one of finish) one();
    await until(async () => (await queue.stats()).processed === "4");
    expect(runs.sort()).toEqual([0, 1, 2, 3]);
  });

  test("a job that was given to another worker is told so, also when its own worker is to end after it", async () => {
    const queue = await bench.queue();
    const reasons: string[] = [];
    let process = "";
    const body = function (this: JobView) {
      process = this.lease.process;
      return once(this.signal, "abort").then(() => {
        reasons.push((this.signal.reason as Error).message);
      });
    };
    const worker = await bench.startedWorker(
      { long: body },
      { queues: "q", heartbeatTimeout: 300 },
    );
    await queue.enqueue("q", "long");
    await until(() => process !== "");
    const ended = worker.retire();
    const fenced = once(worker, "fenced");
    expect(await queue.connection.store.deregister(process)).toMatchObject([
      { what: "requeued" },
    ]);
    await fenced;
    await ended;
    expect(reasons).toEqual(["the job was given to another worker"]);
  });

  test("a job that is requeued at the end of its worker, and ends as it is told, neither fails nor was given away", async () => {
    const queue = await bench.queue();
    const body = async function (this: JobView) {
      await once(this.signal, "abort");
      this.signal.throwIfAborted();
    };
    const worker = await bench.startedWorker(
      { long: body },
      { queues: "q", shutdownTimeout: 20 },
    );
    const events: string[] = [];
    for (const event of ["failure", "fenced"])
      worker.on(event, () => void events.push(event));
    const began = once(worker, "job");
    await queue.enqueue("q", "long");
    await began;
    await worker.end();
    expect(events).toEqual([]);
    expect(await queue.length("q")).toBe(1);
  });

  test("a job of a worker that is one too many waits for the store as long as any other", async () => {
    const queue = await bench.queue();
    const replies: unknown[] = [];
    const worker: Worker = await bench.startedWorker(
      {
        job: {
          perform: () => undefined,
          finished: async (view: JobView) => {
            void worker.retire();
            const late = new Promise((resolve) => setTimeout(resolve, 50, 1));
            replies.push(await view.lease.persist(() => late));
          },
        },
      },
      { queues: "q", environment: HASTY },
    );
    const ended = once(worker, "end");
    await queue.enqueue("q", "job");
    await ended;
    expect(replies).toEqual([1]);
  });

  test("before a stop no other job is fetched, and running ones continue", async () => {
    const queue = await bench.queue();
    let release!: () => void;
    const multiWorker = bench.multiWorker(
      { slow: () => new Promise<void>((resolve) => (release = resolve)) },
      { queues: ["q"], minTaskProcessors: 2, checkTimeout: 1 },
    );
    await multiWorker.start();
    const began = once(multiWorker, "job");
    await queue.enqueue("q", "slow");
    await began;
    multiWorker.stopFetching();
    await queue.enqueue("q", "slow", ["later"]);
    const succeeded = once(multiWorker, "success");
    release();
    await succeeded;
    expect(multiWorker.workers).toEqual([]);
    await multiWorker.stop();
    expect(await queue.length("q")).toBe(1);
  });

  test("a minimum of workers above the maximum is what runs", async () => {
    const multiWorker = bench.multiWorker(
      {},
      { minTaskProcessors: 3, maxTaskProcessors: 1, checkTimeout: 5 },
    );
    await multiWorker.start();
    await once(multiWorker, "multiWorkerAction");
    expect(multiWorker.workers).toHaveLength(3);
  });

  test("a stop while workers start leaves none, and no job in a record", async () => {
    const queue = await bench.queue();
    for (let n = 0; n < 50; n++) await queue.enqueue("q", "x", [n]);
    let ran = 0;
    const multiWorker = bench.multiWorker(
      { x: () => void ran++ },
      { queues: ["q"], minTaskProcessors: 5, maxTaskProcessors: 5 },
    );
    const starting = multiWorker.start().catch(() => undefined);
    await until(() => ran > 0);
    await multiWorker.stop();
    await starting;
    expect(await queue.workers()).toEqual({});
    expect(ran + (await queue.length("q"))).toBe(50);
  });

  test("plugins see and change the result of one run, and no other", async () => {
    class Change {
      name = "Change";
      constructor(readonly worker: any) {}
      afterPerform() {
        expect(this.worker.job.args).toEqual([this.worker.result]);
        this.worker.result *= 10;
        return true;
      }
    }
    const queue = await bench.queue();
    const results: unknown[] = [];
    const multiWorker = bench.multiWorker(
      {
        echo: {
          plugins: [Change],
          perform: (n: number) =>
            new Promise((resolve) => setImmediate(resolve, n)),
        },
      },
      { queues: ["q"], minTaskProcessors: 3, maxTaskProcessors: 3 },
    );
    multiWorker.on("success", (_id, _queue, _job, result) =>
      results.push(result),
    );
    await multiWorker.start();
    for (const n of [1, 2, 3]) await queue.enqueue("q", "echo", [n]);
    await until(() => results.length === 3);
    expect(results.sort()).toEqual([10, 20, 30]);
  });
});

describe("the order of queues", () => {
  test("a priority moves a queue that * stands for, and no named one", () => {
    const priorities = { urgent: 5, more: 9, lazy: -1, named: 7 };
    expect(queueOrder(["named", "*", "last"], priorities)).toEqual([
      "named",
      "more",
      "urgent",
      "*",
      "lazy",
      "last",
    ]);
    expect(queueOrder(["a", "b"], priorities)).toEqual(["a", "b"]);
    expect(queueOrder([])).toEqual(["*"]);
  });

  test("queues of the same priority take turns", () => {
    const priorities = { a: 1, b: 1, c: 1, lazy: -1, lazier: -1 };
    expect(queueOrders(["*", "last"], priorities)).toEqual([
      ["a", "b", "c", "*", "lazier", "lazy", "last"],
      ["b", "c", "a", "*", "lazy", "lazier", "last"],
      ["c", "a", "b", "*", "lazier", "lazy", "last"],
    ]);
    expect(queueOrders(["a", "b"], priorities)).toEqual([["a", "b"]]);
  });

  test("* is resolved to the known queues that are not named, by name", () => {
    expect(resolveQueues(["z", "*", "b"], ["b", "c", "a", "z"])).toEqual([
      "z",
      "a",
      "c",
      "b",
    ]);
  });
});

test("a wrong clock is reported when it begins and when it ends, and not in between", () => {
  let now = 1_000_000;
  const environment = { ...systemEnvironment, now: () => now };
  const reports: number[] = [];
  const watch = new SkewWatch(environment, (ms) => reports.push(ms));
  const measure = (skewMs: number) => {
    now = 1_000_000 + skewMs;
    watch.measured(1_000_000, environment.monotonic());
  };
  for (const skewMs of [0, 900, 5_000, 6_000, -5_000, 0, 0, -3_600_000])
    measure(skewMs);
  expect(reports.map((ms) => Math.round(ms / 100) * 100)).toEqual([
    5_000, 0, -3_600_000,
  ]);
});

describeOnRedis("workers and an outage of redis", () => {
  const server = new RedisServer();
  beforeEach(async () => {
    await server.start();
  });
  afterEach(() => server.stop());

  test("an outage is reported once when it begins and once when it ends; a stop meanwhile takes a second", async () => {
    const redis = new Redis({
      port: server.port,
      commandTimeout: 100,
      maxRetriesPerRequest: null,
      retryStrategy: () => 20,
    });
    redis.on("error", () => undefined);
    const multiWorker = new MultiWorker(
      {
        connection: { redis },
        queues: ["q"],
        minTaskProcessors: 3,
        maxTaskProcessors: 3,
        heartbeatTimeout: 300,
      },
      {},
    );
    const events: string[] = [];
    for (const name of ["error", "recovered"])
      multiWorker.on(name, () => events.push(name));
    await multiWorker.start();
    server.pause();
    await until(() => events.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // many calls fail
    server.resume();
    await until(() => events.includes("recovered"));
    expect(events).toEqual(["error", "recovered"]);

    server.pause();
    await until(() => events.length === 3);
    const tookMs = await timed(() => multiWorker.stop());
    server.resume();
    redis.disconnect();
    expect(tookMs).toBeLessThan(2_000);
  });
});
