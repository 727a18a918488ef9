/** What jobs declare: retry, timeout, concurrency, unique, maxFailed; ids, progress and results. */
import { once } from "node:events";
import { Redis } from "ioredis";
import { delayBefore } from "../../src/resque/run";
import type { Jobs } from "../../src/resque/types";
import { describeOnEachEngine } from "../support/engines";
import { FlakyProxy } from "../support/flakyProxy";
import { Bench, until } from "./support";

describeOnEachEngine("declared features", (engine) => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench(engine);
  });
  afterEach(() => bench.close());

  test("a job with retry runs again until it succeeds, with the same arguments", async () => {
    const runs: unknown[] = [];
    const jobs: Jobs = {
      shaky: {
        retry: { attempts: 3, backoff: [20, 30] },
        perform(params) {
          runs.push([params, this.job?.attempt]);
          if (runs.length < 3) throw new Error("not yet");
          return "done";
        },
      },
    };
    const queue = await bench.queue(jobs);
    await bench.scheduler();
    const worker = await bench.startedWorker(jobs);
    const planned: unknown[] = [];
    worker.on("reEnqueue", (_queue, _job, info) => planned.push(info));
    const success = once(worker, "success");
    await queue.enqueue("q", "shaky", [{ a: 1 }]);
    expect((await success)[2]).toBe("done");
    expect(runs).toEqual([
      [{ a: 1 }, undefined],
      [{ a: 1 }, 2],
      [{ a: 1 }, 3],
    ]);
    expect(planned).toMatchObject([
      { delay: 20, remainingAttempts: 2 },
      { delay: 30, remainingAttempts: 1 },
    ]);
    await until(async () => (await queue.stats()).processed === "1");
    expect((await queue.stats()).failed).toBe("2");
    expect(await queue.failedCount()).toBe(0);
  });

  test("the last attempt goes to the failed list, which tells attempts and inputs", async () => {
    const jobs: Jobs = {
      broken: {
        retry: { attempts: 2, backoff: "fixed", delay: 10 },
        perform: () => {
          throw new Error("never");
        },
      },
    };
    const queue = await bench.queue(jobs);
    await bench.scheduler();
    const worker = await bench.startedWorker(jobs);
    await queue.enqueue("q", "broken", [{ a: 1 }]);
    await once(worker, "failure");
    await until(async () => (await queue.failedCount()) === 1);
    const [failed] = await queue.failed(0, 0);
    expect(failed).toMatchObject({ error: "never", attempts: 2 });
    expect(failed.payload.args[0]).toEqual({ a: 1 });

    // tried again by hand, it has all its attempts
    const planned = once(worker, "reEnqueue");
    expect(await queue.retryAndRemoveFailed(failed)).toBe(true);
    expect((await planned)[2]).toMatchObject({ remainingAttempts: 1 });
    await until(async () => (await queue.failedCount()) === 1);
  });

  test("a job of another producer, which names no queue, is retried and postponed by plugins", async () => {
    const queue = await bench.queue();
    const ended: string[] = [];
    const jobs: Jobs = {
      shaky: {
        plugins: ["Retry"],
        pluginOptions: { Retry: { retryLimit: 3, retryDelay: 10 } },
        perform(params) {
          ended.push(`shaky ${JSON.stringify(params)}`);
          if (ended.length === 1) throw new Error("not yet");
        },
      },
      locked: {
        plugins: ["JobLock"],
        pluginOptions: { JobLock: { enqueueTimeout: 10 } },
        async perform() {
          // until the other one was postponed
          if (!ended.includes("locked"))
            await until(async () => (await queue.timestamps()).length > 0);
          ended.push("locked");
        },
      },
    };
    const { store } = queue.connection;
    for (let n = 0; n < 2; n++) await bench.startedWorker(jobs);
    await store.enqueue("q", ['{"class":"shaky","args":[{"n":1}]}']);
    await until(async () => (await queue.timestamps()).length > 0);
    const scheduler = await bench.scheduler();
    await until(
      async () => ended.length === 2 || (await queue.failedCount()) > 0,
    );
    expect(await queue.failed(0, -1)).toEqual([]);
    await scheduler.end();
    await store.enqueue(
      "q",
      ["", ""].map(() => '{"class":"locked","args":[]}'),
    );
    await until(() => ended.includes("locked"));
    await bench.scheduler();
    await until(
      async () => ended.length === 4 || (await queue.failedCount()) > 0,
    );
    expect(await queue.failed(0, -1)).toEqual([]);
    expect(ended).toEqual([
      'shaky {"n":1}',
      'shaky {"n":1}',
      "locked",
      "locked",
    ]);
  });

  test("a job with an id keeps what it was enqueued for in each attempt, also by hand, and another has nothing more in its text", async () => {
    const ran: unknown[] = [];
    const around: unknown[] = [];
    const jobs: Jobs = {
      broken: {
        retry: { attempts: 2, backoff: "fixed", delay: 10 },
        perform(...args) {
          ran.push([args, this.job.requestId]);
          throw new Error("never");
        },
      },
      plain: () => "done",
    };
    const queue = await bench.queue(jobs);
    await queue.enqueue("texts", "plain", [1]);
    await queue.enqueueTracked("texts", "plain", [1]);
    const texts = JSON.stringify(await queue.queued("texts", 0, -1));
    expect(texts).not.toContain("request");

    await bench.scheduler();
    await bench.startedWorker(jobs, {
      queues: "q",
      around: (job, run) => {
        around.push([job.class, job.requestId]);
        return run();
      },
    });
    await queue.enqueueTracked("q", "broken", [1], { requestId: "r1" });
    await until(async () => (await queue.failedCount()) === 1);
    const [failed] = await queue.failed(0, 0);
    await queue.retryAndRemoveFailed(failed);
    await until(() => ran.length === 4);
    expect(ran).toEqual(Array(4).fill([[1], "r1"]));
    expect(around).toEqual(Array(4).fill(["broken", "r1"]));
    await until(async () => (await queue.failedCount()) === 1);

    const long = "a".repeat(129);
    await queue.enqueueTracked("q", "broken", [1], { requestId: long });
    await until(() => ran.length > 4);
    expect(ran[4]).toEqual([[1], undefined]);
    await until(async () => (await queue.failedCount()) === 2);
  });

  test("a job that exceeds its timeout fails, and its signal is aborted", async () => {
    const aborted = jest.fn();
    const jobs: Jobs = {
      endless: {
        timeout: 30,
        perform() {
          this.signal.addEventListener("abort", aborted);
          return new Promise(() => undefined);
        },
      },
      next: () => "ran",
    };
    const queue = await bench.queue(jobs);
    const worker = await bench.startedWorker(jobs);
    const failure = once(worker, "failure");
    await queue.enqueue("q", "endless");
    expect(((await failure)[2] as Error).message).toBe(
      "the task endless took longer than 30 ms",
    );
    expect(aborted).toHaveBeenCalledTimes(1);
    const success = once(worker, "success");
    await queue.enqueue("q", "next");
    expect((await success)[2]).toBe("ran");
  });

  test("no more jobs of a class run at a time than it allows, in any process", async () => {
    let running = 0;
    let most = 0;
    let done = 0;
    const jobs: Jobs = {
      narrow: {
        concurrency: 2,
        perform: async () => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setTimeout(resolve, 3));
          running--;
          done++;
        },
      },
      wide: () => undefined,
    };
    const queue = await bench.queue(jobs);
    const options = { queues: ["q"], minTaskProcessors: 4 };
    await bench.multiWorker(jobs, options).start();
    await bench.multiWorker(jobs, { ...options, name: "other" }).start();
    for (let n = 0; n < 30; n++) await queue.enqueue("q", "narrow", [n]);
    await queue.enqueue("q", "wide");
    await until(async () => (await queue.stats()).processed === "31");
    expect(done).toBe(30);
    expect(most).toBe(2);
    expect(await bench.left(/ah:(limit:|parked)/)).toEqual([]);
  });

  test("a unique job is there once while it is queued, delayed or running", async () => {
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    const jobs: Jobs = { one: { unique: true, perform: () => held } };
    const queue = await bench.queue(jobs);
    const soon = Date.now() + 60_000;
    expect(await queue.enqueue("q", "one", [{ a: 1 }])).toBe(true);
    expect(await queue.enqueue("q", "one", [{ a: 1 }])).toBe(false);
    expect(await queue.enqueueAt(soon, "q", "one", [{ a: 1 }])).toBeUndefined();
    expect(await queue.enqueueAt(soon, "q", "one", [{ a: 2 }])).toBe(true);
    expect(await queue.enqueue("q", "one", [{ a: 2 }])).toBe(false);

    const worker = await bench.startedWorker(jobs);
    await until(() => worker.working);
    expect(await queue.length("q")).toBe(0);
    expect(await queue.enqueue("q", "one", [{ a: 1 }])).toBe(false);
    release();
    await until(async () => (await queue.stats()).processed === "1");
    expect(await queue.enqueue("q", "one", [{ a: 1 }])).toBe(true);
  });

  test("a unique job whose queue was deleted does not keep others out", async () => {
    const jobs: Jobs = { one: { unique: true, perform: () => 1 } };
    const queue = await bench.queue(jobs);
    expect(await queue.enqueue("q", "one", [1])).toBe(true);
    await queue.delQueue("q");
    expect(await queue.enqueue("q", "one", [1])).toBe(true);
    expect(await queue.length("q")).toBe(1);
  });

  test("two producers of one unique job enqueue it once", async () => {
    const jobs: Jobs = { one: { unique: true, perform: () => 1 } };
    const queue = await bench.queue(jobs);
    const results = await Promise.all(
      Array.from({ length: 20 }, () => queue.enqueue("q", "one", [1])),
    );
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await queue.length("q")).toBe(1);
  });

  test("a unique job stays unique over its retries", async () => {
    let runs = 0;
    const jobs: Jobs = {
      one: {
        unique: true,
        retry: { attempts: 2, backoff: [10] },
        perform: () => {
          if (++runs === 1) throw new Error("again");
        },
      },
    };
    const queue = await bench.queue(jobs);
    const worker = await bench.startedWorker(jobs);
    await queue.enqueue("q", "one", [1]);
    await once(worker, "reEnqueue");
    await until(async () => (await queue.timestamps()).length === 1);
    expect(await queue.enqueue("q", "one", [1])).toBe(false);
    await bench.scheduler();
    await until(async () => (await queue.stats()).processed === "1");
    expect(await queue.enqueue("q", "one", [1])).toBe(true);
  });

  test("the failed list keeps as many entries as the class allows", async () => {
    const jobs: Jobs = {
      broken: {
        maxFailed: 3,
        perform: (n: number) => {
          throw new Error(`broken ${n}`);
        },
      },
    };
    const queue = await bench.queue(jobs);
    await bench.startedWorker(jobs);
    for (let n = 0; n < 6; n++) await queue.enqueue("q", "broken", [n]);
    await until(async () => (await queue.stats()).failed === "6");
    const errors = (await queue.failed(0, -1)).map(({ error }) => error);
    expect(errors).toEqual(["broken 3", "broken 4", "broken 5"]);
  });

  test("a tracked job has state, progress, result and error by its id", async () => {
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    const jobs: Jobs = {
      long: {
        async perform() {
          await this.progress({ percent: 50 });
          await held;
          return { rows: 3 };
        },
      },
      broken: () => {
        throw new Error("no");
      },
    };
    const queue = await bench.queue(jobs);
    const id = (await queue.enqueueTracked("q", "long", [{ a: 1 }]))!;
    const base = { id, class: "long", queue: "q", attempt: 1 };
    expect(await queue.job(id)).toEqual({ ...base, state: "queued" });
    const worker = await bench.startedWorker(jobs);
    await until(async () => (await queue.job(id))?.progress !== undefined);
    expect(await queue.job(id)).toEqual({
      ...base,
      state: "running",
      progress: { percent: 50 },
    });
    expect(worker.job).toMatchObject({ id, args: [{ a: 1 }] });
    release();
    await until(async () => (await queue.job(id))?.state === "done");
    expect((await queue.job(id))!.result).toEqual({ rows: 3 });

    const other = (await queue.enqueueTracked("q", "broken"))!;
    await until(async () => (await queue.job(other))?.state === "failed");
    expect((await queue.job(other))!.error).toBe("no");
    expect(await queue.job("none")).toBeUndefined();
    const at = Date.now() + 9e4;
    const later = await queue.enqueueTracked("q", "long", [1], { at });
    expect((await queue.job(later!))!.state).toBe("delayed");
  });

  test("a job that is over is not shown as running, though redis is far and has lost its scripts", async () => {
    const proxy = engine.server && new FlakyProxy(engine.server.port, 10);
    await proxy?.start();
    const client = () =>
      proxy ? new Redis({ port: proxy.port }) : engine.client();
    const far = new Bench({ client });
    try {
      const jobs: Jobs = { short: () => "result" };
      const queue = await far.queue(jobs);
      const worker = await far.startedWorker(jobs);
      const over = once(worker, "success");
      // what redis does not know by its hash is sent again, after what was sent meanwhile
      if (proxy) await bench.redis.script("FLUSH");
      const id = (await queue.enqueueTracked("q", "short", [1]))!;
      await over;
      await worker.end();
      expect(await queue.job(id)).toMatchObject({ state: "done" });
    } finally {
      await far.close();
      if (proxy) far.redis.disconnect();
      await proxy?.stop();
    }
  });

  test("enqueueMany adds many jobs in order", async () => {
    const queue = await bench.queue();
    const count = 2500;
    const args = Array.from({ length: count }, (_, n) => [n]);
    await queue.enqueueMany("q", "x", args);
    expect(await queue.length("q")).toBe(count);
    expect((await queue.queued("q", -1, -1))[0].args).toEqual([count - 1]);
  });

  test("workers on all queues take those of higher priority first, then by name", async () => {
    const seen: unknown[] = [];
    const queue = await bench.queue();
    for (const name of ["a", "b", "c"]) await queue.enqueue(name, "x", [name]);
    await bench.startedWorker(
      { x: (name: string) => void seen.push(name) },
      { priorities: { c: 5 } },
    );
    await until(() => seen.length === 3);
    expect(seen).toEqual(["c", "a", "b"]);
  });
});

test("waits grow, are bounded, and vary as far as they may", () => {
  const waits = (rule: object, random = () => 0) =>
    [1, 2, 3, 4].map((n) => delayBefore({ attempts: 9, ...rule }, n, random));
  expect(waits({})).toEqual([1000, 2000, 4000, 8000]);
  expect(waits({ delay: 10, maxDelay: 30 })).toEqual([10, 20, 30, 30]);
  expect(waits({ backoff: "fixed", delay: 7 })).toEqual([7, 7, 7, 7]);
  expect(waits({ backoff: [1, 5] })).toEqual([1, 5, 5, 5]);
  expect(waits({ jitter: true }, () => 1)).toEqual([500, 1000, 2000, 4000]);
  expect(waits({ jitter: 1 }, () => 1)).toEqual([0, 0, 0, 0]);
});
