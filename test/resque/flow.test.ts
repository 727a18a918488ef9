/** A job from its producer to its end, and what workers tell about it. */
import { once } from "node:events";
import { describeOnEachEngine } from "../support/engines";
import { timed } from "../support/stopwatch";
import { Bench, until } from "./support";

describeOnEachEngine("jobs", (engine) => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench(engine);
  });
  afterEach(() => bench.close());

  test("a worker runs what is enqueued, in order, and counts it", async () => {
    const seen: unknown[] = [];
    const queue = await bench.queue();
    for (const n of [1, 2, 3]) await queue.enqueue("low", "note", [{ n }]);
    await queue.enqueue("high", "note", [{ n: 0 }]);
    await bench.startedWorker(
      { note: { perform: (params: unknown) => void seen.push(params) } },
      { queues: ["high", "low"] },
    );
    await until(async () => (await queue.stats()).processed === "4");
    expect(seen).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }]);
    expect(await queue.length("low")).toBe(0);
  });

  test("events carry queue, job, result and duration", async () => {
    const queue = await bench.queue();
    const worker = await bench.startedWorker({
      add: (a: number, b: number) => a + b,
    });
    const job = once(worker, "job");
    const success = once(worker, "success");
    await queue.enqueue("math", "add", [1, 2]);
    const parsed = { class: "add", queue: "math", args: [1, 2] };
    expect(await job).toEqual(["math", parsed]);
    expect(await success).toEqual(["math", parsed, 3, expect.any(Number)]);
  });

  test("a failed job lies in the failed list as resque writes it", async () => {
    let runs = 0;
    const queue = await bench.queue();
    const worker = await bench.startedWorker({
      broken: () => {
        throw new TypeError(`no ${++runs}`);
      },
    });
    const failure = once(worker, "failure");
    await queue.enqueue("q", "broken", [{ a: 1 }]);
    const [name, job, error] = await failure;
    expect([name, job.class, error.message]).toEqual(["q", "broken", "no 1"]);
    await until(async () => (await queue.failedCount()) === 1);
    const [failed] = await queue.failed(0, 0);
    expect(Object.keys(failed)).toEqual([
      "worker",
      "queue",
      "payload",
      "exception",
      "error",
      "backtrace",
      "failed_at",
    ]);
    expect(failed).toMatchObject({
      worker: worker.name,
      queue: "q",
      payload: { class: "broken", queue: "q", args: [{ a: 1 }] },
      exception: "TypeError",
      error: "no 1",
    });
    expect(failed.backtrace!.length).toBeGreaterThan(0);
    expect(await queue.retryAndRemoveFailed(failed)).toBe(true);
    await until(async () => (await queue.stats()).failed === "2");
    await expect(queue.retryAndRemoveFailed(failed)).rejects.toThrow(
      "This job is not in failed queue",
    );
  });

  test("a delayed job starts when it is due", async () => {
    const queue = await bench.queue();
    await bench.scheduler();
    const started = new Promise<number>((resolve) => {
      void bench.startedWorker({ later: () => resolve(Date.now()) });
    });
    let due = 0;
    const tookMs = await timed(async () => {
      due = Date.now() + 150;
      await queue.enqueueAt(due, "q", "later");
      expect(await started).toBeGreaterThanOrEqual(due);
    });
    expect(tookMs).toBeLessThan(2000); // of the five seconds between two looks
  });

  test("a job is there once for each time at which it is due", async () => {
    const queue = await bench.queue();
    const due = Date.now() + 60_000;
    await queue.enqueueAt(due, "q", "later");
    await expect(queue.enqueueAt(due, "q", "later")).rejects.toThrow(
      "Job already enqueued at this time with same arguments",
    );
    expect(await queue.enqueueAt(due, "q", "later", [], true)).toBeUndefined();
    expect(await queue.scheduledAt("q", "later")).toHaveLength(1);
  });

  test("a multiWorker runs jobs side by side", async () => {
    const queue = await bench.queue();
    let running = 0;
    let most = 0;
    const multiWorker = bench.multiWorker(
      {
        wait: async () => {
          most = Math.max(most, ++running);
          await until(() => most === 3);
          running--;
        },
      },
      { queues: ["q"], minTaskProcessors: 3, maxTaskProcessors: 3 },
    );
    await multiWorker.start();
    for (let n = 0; n < 3; n++) await queue.enqueue("q", "wait", [n]);
    await until(async () => (await queue.stats()).processed === "3");
    expect(most).toBe(3);
    await multiWorker.stop();
    expect(await queue.workers()).toEqual({});
    await multiWorker.start();
    expect(Object.keys(await queue.workers())).toHaveLength(3);
  });

  test("performInline runs plugins and gives back the result", async () => {
    const worker = await bench.worker({
      sum: { plugins: ["JobLock"], perform: (a: number, b: number) => a + b },
    });
    expect(await worker.performInline("sum", [1, 2])).toBe(3);
    await expect(worker.performInline("none")).rejects.toThrow(
      'No job defined for class "none"',
    );
  });
});
