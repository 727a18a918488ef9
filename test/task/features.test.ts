/** What tasks can declare, on the workers of a started server. */
import {
  addTask,
  startTaskApp,
  succeeded,
  type TaskApp,
} from "../support/taskApp";
import { once } from "node:events";
import { describeOnEachEngine } from "../support/engines";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { api, config, id, task, type TaskContext } from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

describeOnEachEngine("what tasks declare", () => {
  let app: TaskApp;
  const runs: any[] = [];
  const gates = new Map<string, () => void>();
  const gate = (name: string) =>
    new Promise<void>((resolve) => gates.set(name, resolve));

  beforeAll(async () => {
    app = await startTaskApp({
      tasks: {
        scheduler: true,
        minTaskProcessors: 4,
        maxTaskProcessors: 4,
      },
      before: () => {
        addTask({
          name: "shaky",
          retry: { attempts: 3, backoff: [20, 30] },
          run: async (params: any, _worker: any, context?: TaskContext) => {
            runs.push(context!.attempt);
            if (context!.attempt < params.until) throw new Error("not yet");
            return `after ${context!.attempt}`;
          },
        });
        addTask({
          name: "picky",
          retry: {
            attempts: 3,
            backoff: [5],
            if: (error: Error) => {
              if (error.message === "odd") throw new Error("no predicate");
              // only JavaScript can give a promise
              if (error.message === "late")
                return Promise.reject(error) as unknown as boolean;
              return error.message !== "gone";
            },
          },
          run: async (params: any) => {
            runs.push(params.message);
            throw new Error(params.message);
          },
        });
        addTask({
          name: "unwritable",
          run: async (params: any, _worker: any, context?: TaskContext) => {
            const circle: any = {};
            circle.self = circle;
            const results: any = { circle, big: 1n, long: "x".repeat(70_000) };
            await context!.progress(results[params.progress]);
            return results[params.result];
          },
        });
        addTask({
          name: "endless",
          timeout: 50,
          run: (_params: any, _worker: any, context?: TaskContext) =>
            new Promise(() => {
              const { signal } = context!;
              signal.addEventListener("abort", () => {
                runs.push(signal.reason.message);
              });
            }),
        });
        addTask({
          name: "deaf",
          timeout: 20,
          run: () => new Promise(() => undefined),
        });
        addTask({
          name: "single",
          unique: true,
          run: async (params: any) => {
            runs.push(params.a);
            await gate(`single ${params.a}`);
          },
        });
        let at = 0;
        let most = 0;
        addTask({
          name: "narrow",
          concurrency: 2,
          run: async () => {
            most = Math.max(most, ++at);
            await new Promise((resolve) => setTimeout(resolve, 5));
            at--;
            return most;
          },
        });
        addTask({
          name: "reporting",
          run: async (params: any, _worker: any, context?: TaskContext) => {
            const { progress } = context!;
            await progress({ percent: 40 });
            await gate("reporting");
            if (params.fail) throw new Error("came to nothing");
            return { sum: 42, id: context!.id };
          },
        });
        addTask({
          name: "failing",
          maxFailed: 3,
          run: async (params: any) => {
            throw new Error(`number ${params.a}`);
          },
        });
        for (const [name, queue, priority] of [
          ["low", "a-low", -1],
          ["normal", "b-normal", undefined],
          ["high", "z-high", 10],
        ] as const)
          addTask({
            name,
            queue,
            priority,
            run: async () => {
              runs.push(name);
            },
          });
        addTask({
          name: "everywhere",
          scope: "all",
          run: async function (_params: any, worker: any) {
            runs.push(worker.queue);
            return "here";
          },
        });
      },
    });
  });

  beforeEach(() => {
    runs.length = 0;
    gates.clear();
  });

  afterEach(async () => {
    for (const job of await task.failed(0, -1)) await task.removeFailed(job);
  });

  afterAll(async () => {
    await app.stop();
  });

  test("retry: a job runs again until it succeeds", async () => {
    const again: any[] = [];
    const count = (_job: any, info: any) => again.push(info.delay);
    app.events.on("reEnqueue:shaky", count);
    const logs = new LogLines();
    const done = succeeded(app, "shaky");
    await task.enqueue("shaky", { until: 3 });
    expect(await done).toBe("after 3");
    logs.stop();
    expect(logs.at("warning", /^\[ worker \] task failed/)).toEqual([
      "[ worker ] task failed (attempt 1 of 3), runs again in 20 ms",
      "[ worker ] task failed (attempt 2 of 3), runs again in 30 ms",
    ]);
    const [line] = logs.lines.filter(({ message }) =>
      /attempt 1/.test(message),
    );
    expect(line).toMatchObject({
      class: "shaky",
      args: '{"until":3}',
      error: "Error: not yet",
    });
    expect(runs).toEqual([1, 2, 3]);
    expect(again).toEqual([20, 30]);
    app.events.off("reEnqueue:shaky", count);
    expect(await task.failedCount()).toBe(0);
  });

  test("retry: the last failure is in the failed list, with attempts, inputs and stack", async () => {
    const failed = once(app.events, "failure:shaky");
    await task.enqueue("shaky", { until: 99 });
    await failed;
    await until(async () => (await task.failedCount()) === 1);
    const [entry] = await task.failed(0, -1);
    expect(entry).toMatchObject({
      error: "not yet",
      attempts: 3,
      backtrace: expect.arrayContaining([expect.stringMatching(/^\s+at /)]),
    });
    expect(entry.payload.args[0]).toEqual({ until: 99 });
    // tried again by hand, it has all its attempts
    const again = once(app.events, "failure:shaky");
    runs.length = 0;
    await task.retryAndRemoveFailed(entry);
    await again;
    expect(runs).toEqual([1, 2, 3]);
    await until(async () => (await task.failedCount()) === 1);
  });

  test("retry.if: a job fails at once after an error that no other attempt can mend", async () => {
    const reports: string[] = [];
    const report = ({ message }: Error) => reports.push(message);
    const unhandled = jest.fn();
    api.resque.multiWorker.on("error", report);
    process.on("unhandledRejection", unhandled);
    for (const [message, attempts] of [
      ["gone", 1],
      ["busy", 3],
      ["odd", 3],
      ["late", 3],
    ] as const) {
      runs.length = 0;
      const failed = once(app.events, "failure:picky");
      await task.enqueue("picky", { message });
      await failed;
      expect(runs).toEqual(Array(attempts).fill(message));
    }
    await until(async () => (await task.failedCount()) === 4);
    api.resque.multiWorker.off("error", report);
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect([...new Set(reports)]).toEqual([
      "no predicate",
      "retry.if of the task picky must return a boolean, not a promise",
    ]);
  });

  test("a result or progress that cannot be kept is named in the log", async () => {
    const logs = new LogLines("warning");
    const ids: unknown[] = [];
    for (const inputs of [
      { result: "circle" },
      { result: "big" },
      { progress: "long" },
      {},
    ]) {
      const done = succeeded(app, "unwritable");
      const jobId = await task.enqueueJob("unwritable", inputs);
      ids.push(jobId);
      await done;
      await until(async () => (await task.job(jobId!))?.state === "done");
    }
    logs.stop();
    const start =
      "[ worker ] job(id) will not show all of the task unwritable:";
    const found = logs.lines.filter(({ message }) => message.includes(start));
    expect(found.map(({ message }) => message)).toEqual([
      `${start} its result has no JSON: Converting circular structure to JSON`,
      `${start} its result has no JSON: Do not know how to serialize a BigInt`,
      `${start} the JSON of its progress has 70002 characters, of at most 65536`,
    ]);
    expect(found.map((line) => line.id as string)).toEqual(ids.slice(0, 3));
  });

  test("timeout: a task that never ends fails, and its signal is aborted", async () => {
    const failed = once(app.events, "failure:endless");
    await task.enqueue("endless");
    const [, error] = await failed;
    expect(error.message).toBe("the task endless took longer than 50 ms");
    expect(runs).toEqual(["the task endless took longer than 50 ms"]);
  });

  test("timeout: tasks that do not listen do not keep their worker", async () => {
    for (let a = 0; a < 8; a++) await task.enqueue("deaf", { a });
    await until(async () => (await task.failedCount()) === 8);
    const done = succeeded(app, "normal");
    await task.enqueue("normal");
    await done;
  });

  test("unique: not twice while it is delayed, queued or running", async () => {
    expect(await task.enqueueIn(60_000, "single", { a: 1 })).toBe(true);
    expect(await task.enqueue("single", { a: 1 })).toBe(false);
    await task.delDelayed("default", "single", { a: 1 });
    expect(await task.enqueue("single", { a: 1 })).toBe(true);
    expect(await task.enqueue("single", { a: 2 })).toBe(true);
    await until(() => gates.size === 2);
    expect(await task.enqueue("single", { a: 1 })).toBe(false);
    expect(await task.enqueueMany("single", [{ a: 1 }, { a: 2 }])).toBe(0);
    expect(await task.enqueueJob("single", { a: 1 })).toBeUndefined();
    const done = once(app.events, "success:single");
    gates.get("single 1")!();
    await done;
    await until(() => task.enqueue("single", { a: 1 }));
    await until(() => runs.length === 3);
    for (const open of gates.values()) open();
    expect(runs.sort()).toEqual([1, 1, 2]);
  });

  test("concurrency: no more than so many at a time, and all of them in the end", async () => {
    const results: number[] = [];
    const keep = (_job: any, result: number) => results.push(result);
    app.events.on("success:narrow", keep);
    await task.enqueueMany(
      "narrow",
      Array.from({ length: 30 }, (_, a) => ({ a })),
    );
    await until(() => results.length === 30);
    app.events.off("success:narrow", keep);
    expect(Math.max(...results)).toBe(2);
  });

  test("a job can be followed by its id", async () => {
    const jobId = await task.enqueueJob("reporting", { a: 1 });
    expect(jobId).toMatch(/^[0-9a-f-]{36}$/);
    await until(async () => (await task.job(jobId!))?.progress !== undefined);
    expect(await task.job(jobId!)).toMatchObject({
      id: jobId,
      class: "reporting",
      queue: "default",
      state: "running",
      attempt: 1,
      progress: { percent: 40 },
    });
    await until(() => gates.has("reporting"));
    gates.get("reporting")!();
    await until(async () => (await task.job(jobId!))!.state === "done");
    expect((await task.job(jobId!))!.result).toEqual({ sum: 42, id: jobId });
    expect(await task.job("nothing")).toBeUndefined();
  });

  test("a job can be followed into its failure, and out of a delay", async () => {
    const jobId = await task.enqueueJob("reporting", { fail: 1 }, { in: 200 });
    expect((await task.job(jobId!))!.state).toBe("delayed");
    await until(() => gates.has("reporting"));
    gates.get("reporting")!();
    await until(async () => (await task.job(jobId!))!.state === "failed");
    expect((await task.job(jobId!))!.error).toBe("came to nothing");
    const other = await task.enqueueJob("normal", {}, { queue: "elsewhere" });
    await until(async () => (await task.job(other!))!.state === "done");
    expect((await task.job(other!))!.queue).toBe("elsewhere");
  });

  test("maxFailed: the failed list keeps the last ones of the task, and all of others", async () => {
    await task.enqueue("deaf", { a: 1 });
    await until(async () => (await task.failedCount()) === 1);
    for (let a = 0; a < 6; a++) {
      const failed = once(app.events, "failure:failing");
      await task.enqueue("failing", { a });
      await failed;
    }
    await until(async () => {
      const errors = (await task.failed(0, -1)).map(({ error }) => error);
      return errors.slice(1).join() === "number 3,number 4,number 5";
    });
    expect((await task.failed(0, 0))[0].payload.class).toBe("deaf");
  });

  test("priority: workers on all queues empty the urgent ones first", async () => {
    await api.resque.stopMultiWorker();
    for (const name of ["low", "normal", "high"])
      for (let a = 0; a < 3; a++) await task.enqueue(name, { a });
    config.tasks.minTaskProcessors = 1;
    config.tasks.maxTaskProcessors = 1;
    await api.resque.startMultiWorker();
    await until(() => runs.length === 9);
    const three = (name: string) => [name, name, name];
    expect(runs).toEqual([
      ...three("high"),
      ...three("normal"),
      ...three("low"),
    ]);
  });

  test("scope all: the job goes to the queue of each node that works", async () => {
    expect(await task.enqueue("everywhere", { a: 1 })).toBe(true);
    await until(() => runs.length === 1);
    expect(runs).toEqual([`default:node:${id}`]);

    const { connection } = api.resque.queue;
    const { store } = connection;
    await store.announceNode("far", [], 60_000, 60_000);
    await store.announceNode("lost", [], 1, 60_000);
    await until(async () => !(await store.liveNodes()).includes("lost"));
    expect(await task.enqueue("everywhere", { a: 2 })).toBe(true);
    expect(await task.enqueueMany("everywhere", [{ a: 3 }, { a: 4 }])).toBe(4);
    await until(() => runs.length === 4);
    // nobody here takes what is for another node
    expect(
      (await task.queued("default:node:far", 0, -1)).map(({ args }) => args[0]),
    ).toEqual([{ a: 2 }, { a: 3 }, { a: 4 }]);
    expect(await task.queued("default:node:lost", 0, -1)).toEqual([]);
    await expect(task.enqueueJob("everywhere")).rejects.toThrow(
      "task everywhere runs on all nodes: it has no single job",
    );
    await task.delQueue("default:node:far");
    await store.retireNode("far");
  });

  test("scope all: with a list of queues, workers have their node's queue, too", async () => {
    await api.resque.stopMultiWorker();
    config.tasks.queues = ["z-high", "default"];
    await api.resque.startMultiWorker();
    expect(api.resque.multiWorker.workers[0].queues).toEqual([
      "z-high",
      `default:node:${id}`,
      "default",
    ]);
    expect(await task.enqueue("everywhere", { a: 1 })).toBe(true);
    await until(() => runs.length === 1);
  });
});
