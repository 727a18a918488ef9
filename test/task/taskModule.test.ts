/** Every function of the exported `task`, with what it returns, while no worker runs. */
import { addTask, startTaskApp, type TaskApp } from "../support/taskApp";
import { describeOnEachEngine, type Engine } from "../support/engines";
import {
  action,
  api,
  config,
  specHelper,
  task,
  type TaskInputs,
} from "../../src/index";
import { Plugin } from "../../src/resque/plugin";
import { NO_OUTCOME, workerIdentity } from "../../src/resque/store/store";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

describeOnEachEngine("the task module", (engine: Engine) => {
  let app: TaskApp;

  beforeAll(async () => {
    app = await startTaskApp();
    addTask({ name: "regular", run: async (params: any) => params });
    addTask({ name: "other", queue: "otherQueue", run: async () => null });
  });

  beforeEach(async () => {
    await api.resque.queue.connection.redis.flushdb();
  });

  afterAll(async () => {
    await app.stop();
  });

  test("enqueue puts a job at the end of the task's own queue", async () => {
    expect(await task.enqueue("regular", { word: "first" })).toBe(true);
    expect(await task.enqueue("regular", { word: "second" })).toBe(true);
    expect(await task.queued("default", 0, -1)).toEqual([
      { class: "regular", queue: "default", args: [{ word: "first" }] },
      { class: "regular", queue: "default", args: [{ word: "second" }] },
    ]);
    expect(await task.queued("default", 1, 1)).toHaveLength(1);
  });

  test("the text of a job is the one that resque tools compare with", async () => {
    await task.enqueue("regular", { word: "a" });
    await task.enqueue("regular");
    const { connection } = api.resque.queue;
    expect(await connection.store.jobs("default", 0, -1)).toEqual([
      '{"class":"regular","queue":"default","args":[{"word":"a"}]}',
      '{"class":"regular","queue":"default","args":[null]}',
    ]);
  });

  test("a queue can be named", async () => {
    await task.enqueue("regular", {}, "named");
    expect(await task.queued("named", 0, -1)).toHaveLength(1);
    await task.enqueueIn(60_000, "regular", {}, "named");
    expect(await task.scheduledAt("named", "regular", {})).toHaveLength(1);
  });

  test.each(["enqueue", "enqueueAt", "enqueueIn"] as const)(
    "%s of a task that does not exist",
    async (name) => {
      const call = task[name] as (...args: any[]) => Promise<unknown>;
      const args = name === "enqueue" ? [] : [1000];
      for (const unknown of ["nothing", "constructor", "__proto__"]) {
        await expect(call(...args, unknown, {})).rejects.toMatchObject({
          message: `task ${unknown} not found`,
          code: "AH_TASK",
        });
        await expect(call(...args, unknown, {}, "aQueue")).rejects.toThrow(
          `task ${unknown} not found`,
        );
      }
    },
  );

  test("enqueueAt and enqueueIn answer true, and refuse the same job at the same second", async () => {
    const due = Math.ceil(Date.now() / 1000) * 1000 + 60_000;
    expect(await task.enqueueAt(due, "regular", { a: 1 })).toBe(true);
    await expect(task.enqueueAt(due, "regular", { a: 1 })).rejects.toThrow(
      "Job already enqueued at this time with same arguments",
    );
    expect(
      await task.enqueueAt(due, "regular", { a: 1 }, "default", true),
    ).toBeUndefined();
    expect(await task.enqueueAt(due, "regular", { a: 2 })).toBe(true);
    expect(await task.enqueueIn(90_000, "regular", { a: 1 })).toBe(true);
    expect(await task.enqueueIn("120000" as any, "regular")).toBe(true);
  });

  test("delayed jobs are found by time, and by what they are", async () => {
    const due = Math.ceil(Date.now() / 1000) * 1000 + 60_000;
    await task.enqueueAt(due, "regular", { a: 1 });
    await task.enqueueAt(due + 9_000_000_000_000, "regular", { a: 1 });

    expect(await task.timestamps()).toEqual([due, due + 9_000_000_000_000]);
    expect(await task.scheduledAt("default", "regular", { a: 1 })).toEqual(
      expect.arrayContaining([due / 1000]),
    );
    expect(await task.scheduledAt("default", "regular", { a: 2 })).toEqual([]);
    const job = { class: "regular", queue: "default", args: [{ a: 1 }] };
    expect(await task.delayedAt(due)).toEqual({
      tasks: [job],
      rTimestamp: due / 1000,
    });
    expect(await task.delayedAt(due + 5000)).toEqual({
      tasks: [],
      rTimestamp: due / 1000 + 5,
    });
    expect((await task.allDelayed())[String(due)]).toEqual([job]);
  });

  test("delDelayed removes a job from all its times, and returns them in seconds", async () => {
    const due = Math.ceil(Date.now() / 1000) * 1000 + 60_000;
    await task.enqueueAt(due, "regular", { a: 1 });
    await task.enqueueAt(due + 1000, "regular", { a: 1 });
    await task.enqueueAt(due, "regular", { a: 2 });
    const removed = await task.delDelayed("default", "regular", { a: 1 });
    expect(removed.sort()).toEqual([due / 1000, due / 1000 + 1]);
    expect(Object.values(await task.allDelayed()).flat()).toHaveLength(1);
    expect(await task.delDelayed("default", "regular", { a: 1 })).toEqual([]);
  });

  test("del removes jobs with exactly these inputs", async () => {
    for (const a of [1, 1, 1, 2]) await task.enqueue("regular", { a });
    await task.enqueue("regular");
    expect(await task.del("default", "regular", { a: 1 }, 1)).toBe(1);
    expect(await task.del("default", "regular", { a: 1 })).toBe(2);
    expect(await task.del("default", "regular")).toBe(1);
    expect(await task.queued("default", 0, -1)).toHaveLength(1);
  });

  describe("inputs whose keys are in another order", () => {
    const given = { b: 2, a: { d: [{ z: 1, y: new Date(0) }], c: 3 } };
    const other = { a: { c: 3, d: [{ y: new Date(0), z: 1 }] }, b: 2 };

    /** How many jobs with inputs in another order each function finds. */
    const foundInOtherOrder = async () => {
      const due = Math.ceil(Date.now() / 1000) * 1000 + 60_000;
      await task.enqueue("regular", given);
      await task.enqueueAt(due, "regular", given);
      const second = task.enqueueAt(due, "regular", other).catch(() => "same");
      const isSame = (await second) === "same";
      return [
        isSame,
        (await task.scheduledAt("default", "regular", other)).length,
        (await task.delDelayed("default", "regular", other)).length,
        await task.del("default", "regular", other),
      ];
    };

    test("are other inputs, as in version 29", async () => {
      expect(await foundInOtherOrder()).toEqual([false, 1, 1, 0]);
      expect(await task.scheduledAt("default", "regular", given)).toHaveLength(
        1,
      );
    });

    test("are found in both orders while jobs from before tasks.sortInputs wait", async () => {
      const enqueueAll = async (a: number) => {
        const due = Math.ceil(Date.now() / 1000) * 1000 + 60_000 + a * 1000;
        for (let i = 0; i < 2; i++) await task.enqueue("regular", given);
        await task.enqueueAt(due, "regular", given);
        return due / 1000;
      };
      const before = await enqueueAll(1);
      config.tasks.sortInputs = true;
      const after = await enqueueAll(100);
      const find = (name: "scheduledAt" | "delDelayed") =>
        task[name]("default", "regular", given);
      for (const name of ["scheduledAt", "delDelayed"] as const)
        expect((await find(name)).sort()).toEqual([before, after]);
      expect(await find("scheduledAt")).toEqual([]);
      const remove = (count?: number) =>
        task.del("default", "regular", given, count);
      expect([await remove(-1), await remove(2), await remove()]).toEqual([
        1, 2, 1,
      ]);
    });

    test("are found by one query if their keys are sorted as given", async () => {
      const { queue } = api.resque;
      const query = jest.spyOn(queue, "scheduledAt");
      config.tasks.sortInputs = true;
      try {
        await task.scheduledAt("default", "regular", other);
        expect(query).toHaveBeenCalledTimes(1);
        await task.scheduledAt("default", "regular", given);
        expect(query).toHaveBeenCalledTimes(3);
      } finally {
        query.mockRestore();
      }
    });

    test("are sorted as JSON: entities of classes, and what their toJSON returns", async () => {
      class Row {
        constructor(fields: object) {
          Object.assign(this, fields);
        }
      }
      const b = { toJSON: () => ({ d: 1, c: new Row({ z: 1, y: 2 }) }) };
      const row = (inputs: object) => new Row(inputs) as unknown as TaskInputs;
      config.tasks.sortInputs = true;
      await task.enqueueIn(60_000, "regular", row({ b, a: 1 }));
      const inputs = { a: 1, b: { c: { y: 2, z: 1 }, d: 1 } };
      expect(await task.delDelayed("default", "regular", inputs)).toHaveLength(
        1,
      );
      const circle: TaskInputs = {};
      circle.self = [circle];
      await expect(task.enqueue("regular", circle)).rejects.toThrow(
        "Converting circular structure to JSON",
      );
    });

    test("are the same with tasks.sortInputs, and jobs from before it are found as they were given", async () => {
      await task.enqueueIn(60_000, "regular", { y: 1, x: 2 });
      config.tasks.sortInputs = true;
      expect(await foundInOtherOrder()).toEqual([true, 1, 1, 1]);
      await task.enqueueMany("regular", [other, given]);
      const id = await task.enqueueJob("regular", given);
      expect(id).toBeDefined();
      expect(await task.del("default", "regular", given)).toBe(2);
      expect(
        await task.delDelayed("default", "regular", { y: 1, x: 2 }),
      ).toHaveLength(1);
      const [job] = await task.queued("default", 0, -1);
      expect(JSON.stringify(job.args[0])).toBe(JSON.stringify(other));
    });
  });

  test("delByFunction removes all jobs of a task", async () => {
    await task.enqueue("regular", { a: 1 });
    await task.enqueue("other", {}, "default");
    await task.enqueue("regular", { a: 2 });
    expect(await task.delByFunction("default", "regular")).toBe(2);
    expect(await task.queued("default", 0, -1)).toHaveLength(1);
  });

  test("delQueue removes a queue", async () => {
    await task.enqueue("other", {});
    expect(await task.delQueue("otherQueue")).toBeUndefined();
    expect((await task.details()).queues).toEqual({});
  });

  test("locks are listed by key, and removed by it", async () => {
    const { connection } = api.resque.queue;
    for (const name of ["lock:lists:q:[{}]", "workerslock:x:q:[{}]"])
      await connection.store.takeLock({
        key: connection.key(name),
        seconds: 60,
      });
    const second = expect.stringMatching(/^\d{10}$/) as string;
    expect(await task.locks()).toEqual({
      "lock:lists:q:[{}]": second,
      "workerslock:x:q:[{}]": second,
    });
    expect(await task.delLock("lock:lists:q:[{}]")).toBe(1);
    expect(await task.delLock("lock:lists:q:[{}]")).toBe(0);
    expect(Object.keys(await task.locks())).toEqual(["workerslock:x:q:[{}]"]);
  });

  test("details, stats and workers of an empty system", async () => {
    expect(await task.details()).toEqual({
      queues: {},
      workers: {},
      stats: {},
      leader: null,
    });
    expect(await task.stats()).toEqual({});
    expect(await task.workers()).toEqual({});
    expect(await task.allWorkingOn()).toEqual({});
    expect(await task.workingOn("host:1", "*")).toBeNull();
    expect(await task.failedCount()).toBe(0);
    expect(await task.failed(0, -1)).toEqual([]);
    expect(await task.cleanOldWorkers(1000)).toEqual({});
    expect(await task.retryStuckJobs()).toBeUndefined();
  });

  test("details counts the jobs of each queue", async () => {
    await task.enqueue("regular", {});
    await task.enqueue("regular", {});
    await task.enqueue("other", {});
    expect((await task.details()).queues).toEqual({
      default: { length: 2 },
      otherQueue: { length: 1 },
    });
  });

  test("the action status counts what waits in all queues", async () => {
    const status = async () =>
      (await action.run("status")).resqueTotalQueueLength;
    expect(await status()).toBe(0);
    await task.enqueueMany("regular", [{ a: 1 }, { a: 2 }]);
    await task.enqueue("other", {});
    await task.enqueueIn(60_000, "other", {});
    expect(await status()).toBe(3);
  });

  test("what a worker does is shown, and a worker that is on one job for too long is cleaned up", async () => {
    const { store } = api.resque.queue.connection;
    const payload = { class: "regular", queue: "default", args: [{}] };
    const worker = workerIdentity("far:1+1", "default");
    await store.register("far", 60_000, "far");
    await store.join("far", worker, 60_000);
    await store.join("far", workerIdentity("far:1+2", "*"), 60_000);
    await task.enqueue("regular", {});
    await store.exchange({
      process: "far",
      number: 1,
      queues: ["default"],
      slots: [{ worker, outcome: NO_OUTCOME, want: true }],
    });
    expect(await task.workers()).toEqual({
      "far:1+1": "default",
      "far:1+2": "*",
    });
    const all = await task.allWorkingOn();
    expect(all["far:1+2"]).toBe("started");
    expect(all["far:1+1"]).toMatchObject({ queue: "default", payload });
    const text = await task.workingOn("far:1+1", "default");
    expect(JSON.parse(text!)).toEqual(all["far:1+1"]);

    expect(await task.cleanOldWorkers(3_600_000)).toEqual({});
    const cleaned = await task.cleanOldWorkers(-1000); // whole seconds are kept
    expect(Object.keys(cleaned)).toEqual(["far:1+1"]);
    expect(cleaned["far:1+1"]).toMatchObject({ worker: "far:1+1", payload });
    expect(await task.failedCount()).toBe(1);

    expect(await task.retryStuckJobs()).toBeUndefined();
    expect(await task.failedCount()).toBe(0);
    expect(await task.queued("default", 0, -1)).toEqual([payload]);
  });

  test("failed jobs are removed, and enqueued again", async () => {
    const { store } = api.resque.queue.connection;
    const failedAt = new Date().toString();
    const entry = (a: number) => ({
      worker: "far:1",
      queue: "default",
      payload: { class: "regular", queue: "default", args: [{ a }] },
      exception: "Error",
      error: "oh no",
      backtrace: ["at here"],
      failed_at: failedAt,
    });
    const worker = workerIdentity("far:1", "default");
    await store.register("far", 60_000, "far");
    await store.join("far", worker, 60_000);
    for (const a of [1, 2, 3])
      await store.exchange({
        process: "far",
        number: a,
        queues: ["default"],
        slots: [
          {
            worker,
            outcome: { kind: "failure", entry: JSON.stringify(entry(a)) },
            want: false,
          },
        ],
      });
    expect(await task.failedCount()).toBe(3);
    const [first, second] = await task.failed(0, 1);
    expect(first).toEqual(entry(1));
    expect(await task.removeFailed(first)).toBe(1);
    expect(await task.removeFailed(first)).toBe(0);
    expect(await task.retryAndRemoveFailed(second)).toBe(true);
    expect(await task.failedCount()).toBe(1);
    expect(await task.queued("default", 0, -1)).toEqual([second.payload]);
    await expect(task.retryAndRemoveFailed(second)).rejects.toThrow(
      "This job is not in failed queue",
    );
  });

  test("enqueueMany runs a project's plugin that has the name of the framework's own", async () => {
    class NodeResquePlugin extends Plugin {
      override async beforeEnqueue(): Promise<boolean> {
        return (this.args[0] as { a: number }).a !== 2;
      }
    }
    addTask({
      name: "plugged",
      plugins: [NodeResquePlugin],
      run: async () => null,
    });
    await task.enqueueMany("plugged", [{ a: 1 }, { a: 2 }, { a: 3 }]);
    const jobs = await task.queued("default", 0, -1);
    expect(jobs.map(({ args }) => args[0])).toEqual([{ a: 1 }, { a: 3 }]);
  });

  test("enqueueMany enqueues in order, and as many as there are", async () => {
    const inputs = Array.from({ length: 2500 }, (_, a) => ({ a }));
    expect(await task.enqueueMany("regular", inputs)).toBe(2500);
    const jobs = await task.queued("default", 0, -1);
    expect(jobs.map(({ args }) => args[0])).toEqual(inputs);
    expect(await task.enqueueMany("regular", [undefined], "named")).toBe(1);
    expect((await task.queued("named", 0, -1))[0].args).toEqual([null]);
    expect(await task.enqueueMany("regular", [])).toBe(0);
    await expect(task.enqueueMany("nothing", [{}])).rejects.toThrow(
      "task nothing not found",
    );
  });

  engine.only("redis", "as the embedded engine makes no calls", () => {
    test("enqueueMany sends few calls, each with a bounded number of bytes", async () => {
      const client = api.redis.clients.tasks as unknown as {
        sendCommand(command: { args: unknown[] }): unknown;
      };
      const sizes: number[] = [];
      const send = jest.spyOn(client, "sendCommand");
      const blob = "x".repeat(300_000);
      const inputs = Array.from({ length: 10 }, (_, a) => ({ a, blob }));
      inputs.push({ a: 10, blob: "y".repeat(1_500_000) });
      await task.enqueueMany("regular", inputs);
      for (const [{ args }] of send.mock.calls)
        sizes.push(
          args.reduce((sum: number, arg) => sum + String(arg).length, 0),
        );
      send.mockRestore();
      const large = sizes.filter((size) => size > 100_000);
      // three together, the last one alone as it is longer than a call may be
      expect(large).toHaveLength(5);
      expect(Math.max(...large.slice(0, -1))).toBeLessThan(1_100_000);
      const jobs = await task.queued("default", 0, -1);
      expect(jobs.map(({ args }) => args[0].a)).toEqual(
        inputs.map(({ a }) => a),
      );
    });
  });

  test("inputs of a unique task are the same in any order of their keys", async () => {
    addTask({ name: "single", unique: true, run: async () => null });
    const other = { b: { d: 1, c: [1, 2] }, a: 1 };
    expect(await task.enqueue("single", { a: 1, b: { c: [1, 2], d: 1 } })).toBe(
      true,
    );
    expect(await task.enqueue("single", other)).toBe(false);
    expect(await task.enqueueIn(1000, "single", other)).toBeUndefined();
    expect(await task.enqueueJob("single", other)).toBeUndefined();
    expect(await task.enqueueMany("single", [other])).toBe(0);
    // lists have an order
    expect(await task.enqueue("single", { a: 1, b: { c: [2, 1], d: 1 } })).toBe(
      true,
    );
  });

  test("an idempotency key enqueues one job, now or for later", async () => {
    const idempotencyKey = "order 7";
    const first = await task.enqueueJob(
      "regular",
      { a: 1 },
      { idempotencyKey },
    );
    expect(
      await task.enqueueJob("regular", { a: 2 }, { idempotencyKey, in: 1000 }),
    ).toBe(first);
    expect(await task.queued("default")).toHaveLength(1);
    expect(await task.timestamps()).toEqual([]);
    expect(await task.job(first!)).toMatchObject({ state: "queued" });
    const other = { idempotencyKey: "order 8" };
    expect(await task.enqueueJob("regular", { a: 1 }, other)).not.toBe(first);
    expect(await task.queued("default")).toHaveLength(2);
  });

  test("paused queues are listed and shown, and producers are not affected", async () => {
    await task.pause("default");
    await task.pause("otherQueue");
    expect(await task.enqueue("regular", {})).toBe(true);
    expect(await task.pausedQueues()).toEqual(["default", "otherQueue"]);
    expect((await task.details()).queues).toEqual({
      default: { length: 1, paused: true },
    });
    await task.resume("default");
    expect(await task.pausedQueues()).toEqual(["otherQueue"]);
    expect((await task.details()).queues).toEqual({ default: { length: 1 } });
    await task.resume("otherQueue");
  });

  test("specHelper finds and deletes what is enqueued", async () => {
    await task.enqueue("regular", { a: 1 });
    await task.enqueueIn(60_000, "regular", { a: 1 });
    await task.enqueue("regular", { a: 2 });
    const found = await specHelper.findEnqueuedTasks("regular");
    expect(found.map(({ args, timestamp }) => [args[0].a, timestamp])).toEqual([
      [1, null],
      [2, null],
      [1, expect.any(Number)],
    ]);
    await specHelper.deleteEnqueuedTasks("regular", { a: 1 });
    expect(await specHelper.findEnqueuedTasks("regular")).toHaveLength(1);
  });

  test("the queue uses the tasks connection, which stays open when it ends", async () => {
    expect(api.resque.connectionDetails).toMatchObject({
      redis: api.redis.clients.tasks,
      pkg: engine.embedded ? "ioredis-mock" : "ioredis",
    });
    expect(api.resque.queue.connection.redis).toBe(api.redis.clients.tasks);
    await api.resque.stopQueue();
    expect(await api.redis.clients.tasks.ping()).toBe("PONG");
    await api.resque.startQueue();
    expect(config.tasks.queues).toEqual(["*"]);
  });
});
