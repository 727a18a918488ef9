/** Runs that go on when their timeout is over. */
import { once } from "node:events";
import type { Jobs } from "../../src/resque/types";
import { describeOnEachEngine } from "../support/engines";
import { Bench, until } from "./support";

describeOnEachEngine("a run whose timeout is over", (engine) => {
  let bench: Bench;
  let bodies: { end: () => void; attempt: number }[];
  beforeEach(() => {
    bench = new Bench(engine);
    bodies = [];
  });
  afterEach(async () => {
    for (const { end } of bodies) end();
    await bench.close();
  });

  /** Its first attempt goes on until the test ends it; the second one ends by itself. */
  function slow(options: object): Jobs {
    return {
      slow: {
        timeout: 20,
        retry: { attempts: 2, backoff: [1] },
        ...options,
        perform() {
          const attempt = this.job.attempt ?? 1;
          return new Promise<string>((resolve) => {
            const end = () => resolve("ended");
            bodies.push({ end, attempt });
            if (attempt > 1) end();
          });
        },
      },
    };
  }

  test("is reported when another worker starts the next attempt in parallel", async () => {
    const jobs = slow({});
    const queue = await bench.queue(jobs);
    await bench.scheduler({}, jobs);
    const first = await bench.startedWorker(jobs, { name: "a:1" });
    const second = await bench.startedWorker(jobs, { name: "b:2" });
    const overlaps: unknown[][] = [];
    for (const worker of [first, second])
      worker.on("overlap", (...args) => overlaps.push(args));
    const success = Promise.race([
      once(first, "success"),
      once(second, "success"),
    ]);
    await queue.enqueue("q", "slow", [{ a: 1 }]);
    await success;
    expect(overlaps).toEqual([
      ["q", expect.objectContaining({ class: "slow", attempt: 2 })],
    ]);
    expect(await queue.locks()).toEqual({});
  });

  test("an overrun is no longer reported when it has ended", async () => {
    const jobs = slow({ retry: { attempts: 2, backoff: [1000] } });
    const queue = await bench.queue(jobs);
    await bench.scheduler({}, jobs);
    const worker = await bench.startedWorker(jobs);
    const overlaps: unknown[] = [];
    worker.on("overlap", (...args) => overlaps.push(args));
    const planned = once(worker, "reEnqueue");
    const success = once(worker, "success");
    await queue.enqueue("q", "slow", [{ a: 1 }]);
    await planned;
    bodies[0].end();
    await success;
    expect(overlaps).toEqual([]);
  });

  test("is not reported for attempts that follow each other at once", async () => {
    const failing: Jobs = {
      failing: {
        timeout: 10_000,
        retry: { attempts: 4, backoff: [1] },
        perform() {
          bodies.push({ end: () => undefined, attempt: this.job.attempt ?? 1 });
          throw new Error("not yet");
        },
      },
    };
    const queue = await bench.queue(failing);
    await bench.scheduler({}, failing);
    const worker = await bench.startedWorker(failing);
    const overlaps: unknown[] = [];
    worker.on("overlap", (...args) => overlaps.push(args));
    const failed = once(worker, "failure");
    await queue.enqueue("q", "failing", [{ a: 1 }]);
    await failed;
    expect(bodies.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
    expect(overlaps).toEqual([]);
    expect(await queue.locks()).toEqual({});
  });

  test("is waited for when the job says so, and no attempt starts beside it", async () => {
    const jobs = slow({ afterTimeout: "wait" });
    const queue = await bench.queue(jobs);
    await bench.scheduler({}, jobs);
    const worker = await bench.startedWorker(jobs, { name: "a:1" });
    await bench.startedWorker(jobs, { name: "b:2" });
    let planned = 0;
    worker.on("reEnqueue", () => planned++);
    await queue.enqueue("q", "slow", [{ a: 1 }]);
    await until(() => bodies.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 200)); // ten times its timeout
    expect(bodies).toHaveLength(1);
    expect(planned).toBe(0);
    bodies[0].end();
    await until(() => bodies.length === 2);
    await until(async () => (await queue.stats()).processed === "1");
    expect(await queue.stats()).toMatchObject({ failed: "1" });
  });
});
