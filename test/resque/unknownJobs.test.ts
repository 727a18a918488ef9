/** Jobs that reach workers without their definition, as in a rolling deploy. */
import { once } from "node:events";
import type { Jobs } from "../../src/resque/types";
import { describeOnEachEngine } from "../support/engines";
import { Bench, until } from "./support";

describeOnEachEngine("a job that a worker does not define", (engine) => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench(engine);
  });
  afterEach(() => bench.close());

  test("fails unless unknown jobs wait", async () => {
    const queue = await bench.queue();
    const worker = await bench.startedWorker({});
    const failure = once(worker, "failure");
    await queue.enqueue("q", "fresh", [{ n: 1 }]);
    expect(((await failure)[2] as Error).message).toBe(
      'No job defined for class "fresh"',
    );
  });

  test("waits for a worker that does, with its arguments as they are", async () => {
    const queue = await bench.queue();
    const worker = await bench.startedWorker({}, { unknownJobs: "wait" });
    const unknown = once(worker, "unknown");
    const id = await queue.enqueueTracked("q", "fresh", [{ n: 1 }]);
    expect((await unknown)[1]).toMatchObject({ class: "fresh", id });
    await until(async () => (await queue.job(id!))!.state === "delayed");
    expect(await queue.stats()).toEqual({});

    const seen: unknown[] = [];
    const jobs: Jobs = { fresh: (params) => void seen.push(params) };
    await worker.end();
    await bench.startedWorker(jobs);
    await bench.scheduler({}, jobs);
    await until(() => seen.length === 1);
    expect(seen).toEqual([{ n: 1 }]);
    await until(async () => (await queue.job(id!))!.state === "done");
    expect(await queue.failedCount()).toBe(0);
  });

  test("waits while two alike are there, and neither is lost", async () => {
    const queue = await bench.queue();
    const worker = await bench.startedWorker({}, { unknownJobs: "wait" });
    let postponed = 0;
    worker.on("unknown", () => postponed++);
    for (let n = 0; n < 2; n++) await queue.enqueue("q", "fresh", [{ n: 1 }]);
    await until(() => postponed === 2);
    await worker.end();
    let runs = 0;
    await bench.scheduler();
    await bench.startedWorker({ fresh: () => void runs++ });
    await until(() => runs === 2);
  });

  test("fails when it has waited for too long, and counts anew when it is tried again", async () => {
    const queue = await bench.queue();
    await bench.scheduler();
    const worker = await bench.startedWorker(
      {},
      { unknownJobs: "wait", unknownJobTimeout: 50 },
    );
    let postponed = 0;
    worker.on("unknown", () => postponed++);
    await queue.enqueue("q", "fresh", [{ n: 1 }]);
    await until(async () => (await queue.failedCount()) === 1);
    expect(postponed).toBeGreaterThan(0);
    const [entry] = await queue.failed(0, -1);
    expect(entry.error).toBe('No job defined for class "fresh"');
    expect(entry.payload.args).toEqual([{ n: 1 }]);
    postponed = 0;
    await queue.retryAndRemoveFailed(entry);
    await until(async () => (await queue.failedCount()) === 1);
    expect(postponed).toBeGreaterThan(0);
  });

  test.each([
    '{"class":"fresh","args":[{"n":1}]}',
    '{"class":"fresh","queue":"other","args":[{"n":1}]}',
  ])("waits in the queue that contained it: %s", async (raw) => {
    const queue = await bench.queue();
    const worker = await bench.startedWorker({}, { unknownJobs: "wait" });
    const unknown = once(worker, "unknown");
    await queue.connection.store.enqueue("q", [raw]);
    await unknown;
    await worker.end();
    const ends: unknown[] = [];
    const jobs: Jobs = { fresh: (params) => void ends.push(params) };
    const second = await bench.startedWorker(jobs);
    second.on("job", (from) => ends.push(from));
    await bench.scheduler({}, jobs);
    await until(async () => ends.length > 1 || (await queue.failedCount()) > 0);
    expect(await queue.failed(0, -1)).toEqual([]);
    expect(ends).toEqual(["q", { n: 1 }]);
  });

  test("waits once, not once more when it names its queue", async () => {
    const queue = await bench.queue();
    await bench.scheduler();
    const worker = await bench.startedWorker(
      {},
      { unknownJobs: "wait", unknownJobTimeout: 50 },
    );
    const waits: number[] = [];
    worker.on("unknown", (_queue, _job, ms) => waits.push(ms));
    const raw = '{"class":"fresh","args":[]}';
    await queue.connection.store.enqueue("q", [raw]);
    await until(async () => (await queue.failedCount()) === 1);
    expect(waits.filter((ms) => ms === 0)).toHaveLength(1);
    const [entry] = await queue.failed(0, -1);
    expect(entry.queue).toBe("q");
    expect(entry.error).toBe('No job defined for class "fresh"');
  });

  test.each(["5", "[]", "null"])(
    "fails at once when it is no job: %s",
    async (raw) => {
      const queue = await bench.queue();
      const worker = await bench.startedWorker({}, { unknownJobs: "wait" });
      const ended = Promise.race([
        once(worker, "failure"),
        once(worker, "unknown"),
      ]);
      await queue.connection.store.enqueue("q", [raw]);
      expect((await ended)[2]).toEqual(
        new Error('No job defined for class "undefined"'),
      );
    },
  );

  test("fails at once when nobody can read it", async () => {
    const queue = await bench.queue();
    await queue.connection.store.enqueue("q", ["{no json"]);
    const worker = await bench.worker({}, { unknownJobs: "wait" });
    const failure = once(worker, "failure");
    await worker.start();
    expect(((await failure)[2] as Error).message).toContain("not valid JSON");
  });
});
