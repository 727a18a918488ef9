/** Recurring tasks. */
import {
  addTask,
  removeTask,
  startTaskApp,
  type TaskApp,
} from "../support/taskApp";
import { describeOnEachEngine } from "../support/engines";
import { timed } from "../support/stopwatch";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { api, config, specHelper, task, type Task } from "../../src/index";
import { dropQueuesOfLostNodes } from "../../src/task/scope";
import { enqueueLostRecurrentTasks } from "../../src/task/recurrent";
import { Plugin } from "../../src/resque/plugin";
import { Worker } from "../../src/resque/worker";
import { workerIdentity } from "../../src/resque/store/store";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

describeOnEachEngine("periodic tasks", () => {
  let app: TaskApp;
  const runs: string[] = [];

  beforeAll(async () => {
    app = await startTaskApp();
    addTask({
      name: "periodic",
      frequency: 100,
      run: async () => {
        runs.push("periodic");
        return "ran";
      },
    });
    addTask({
      name: "failing",
      frequency: 100,
      run: async () => {
        throw new Error("always");
      },
    });
    addTask({
      name: "failingOnce",
      frequency: 100,
      reEnqueuePeriodicTaskIfException: false,
      run: async () => {
        throw new Error("once");
      },
    });
    addTask({ name: "yearly", cron: "0 0 1 1 *", run: async () => "happy" });
    addTask({ name: "regular", run: async () => "regular" });
  });

  beforeEach(async () => {
    await api.resque.queue.connection.redis.flushdb();
    runs.length = 0;
  });

  afterAll(async () => {
    await app.stop();
  });

  async function delayed(): Promise<{ [taskName: string]: number[] }> {
    const found: { [taskName: string]: number[] } = {};
    for (const [ms, jobs] of Object.entries(await task.allDelayed()))
      for (const job of jobs) (found[job.class] ??= []).push(Number(ms));
    return found;
  }

  test("all recurring tasks are enqueued at boot: those with a frequency now, others for their time", async () => {
    expect((await task.enqueueAllRecurrentTasks()).sort()).toEqual([
      "failing",
      "failingOnce",
      "periodic",
      "yearly",
    ]);
    const jobs = await task.queued("default", 0, -1);
    expect(jobs.map((job) => job.class).sort()).toEqual([
      "failing",
      "failingOnce",
      "periodic",
    ]);
    const next = new Date(new Date().getFullYear() + 1, 0, 1).getTime();
    expect(await delayed()).toEqual({ yearly: [next] });
    // a second node finds them there
    expect(await task.enqueueAllRecurrentTasks()).toEqual([]);
    expect(await task.queued("default", 0, -1)).toHaveLength(3);
    expect(await delayed()).toEqual({ yearly: [next] });
  });

  test("a calendar that was changed replaces the time that was planned", async () => {
    await task.enqueueAllRecurrentTasks();
    addTask({ name: "yearly", cron: "0 0 1 2 *", run: async () => null });
    expect(await task.enqueueAllRecurrentTasks()).toEqual(["yearly"]);
    const [time] = (await delayed()).yearly;
    expect(new Date(time).getMonth()).toBe(1);
    addTask({ name: "yearly", cron: "0 0 1 1 *", run: async () => "happy" });
  });

  test("a time zone moves the calendar", async () => {
    const at = async (timeZone: string) => {
      addTask({ name: "zoned", cron: "30 12 1 7 *", timeZone });
      await task.enqueueRecurrentTask("zoned");
      const [time] = (await delayed()).zoned;
      await task.stopRecurrentTask("zoned");
      return new Date(time).toISOString().slice(5, 16);
    };
    expect(await at("Europe/Paris")).toBe("07-01T10:30");
    expect(await at("Asia/Kolkata")).toBe("07-01T07:00");
    delete api.tasks.tasks.zoned;
  });

  test("the clock of the store decides, and a time that is a moment away is not left out", async () => {
    const due = new Date(2027, 5, 1, 3).getTime();
    const { store } = api.resque.queue.connection;
    const clock = jest.spyOn(store, "now").mockResolvedValue(due - 599);
    try {
      addTask({ name: "nightly", cron: "0 3 * * *" });
      expect(await task.enqueueAllRecurrentTasks()).toContain("nightly");
      expect((await delayed()).nightly).toEqual([due]);
      await task.stopRecurrentTask("nightly");
      await task.enqueueRecurrentTask("nightly");
      expect((await delayed()).nightly).toEqual([due]);
    } finally {
      clock.mockRestore();
      await task.stopRecurrentTask("nightly");
      removeTask("nightly");
    }
  });

  test("a calendar without a time to come is warned of and not planned, and its run is a success", async () => {
    const logged = new LogLines();
    addTask({ name: "never", cron: "0 0 30 2 *", run: async () => "fine" });
    try {
      expect(await task.enqueueAllRecurrentTasks()).not.toContain("never");
      expect(logged.at("warning", /never/)).toEqual([
        'task never is not planned: "0 0 30 2 *" has no next time',
      ]);
      expect(await specHelper.runFullTask("never", {})).toBe("fine");
      expect(await delayed()).not.toHaveProperty("never");
    } finally {
      logged.stop();
      removeTask("never");
    }
  });

  test("a planned run has the defaults, and is the same job as one that is enqueued without inputs", async () => {
    const seen: unknown[] = [];
    addTask({
      name: "counting",
      frequency: 100_000,
      inputs: {
        count: { default: 7 },
        at: { default: () => seen.length },
        other: {},
      },
      run: async (params) => seen.push(params),
    });
    try {
      await api.resque.queue.enqueue("default", "counting", [{}]);
      expect(await task.stopRecurrentTask("counting")).toBe(1);
      api.tasks.tasks.counting.inputs = { count: { default: 7 } };
      expect(await task.enqueueAllRecurrentTasks()).toContain("counting");
      expect(await task.enqueue("counting", {})).toBe(false);
      const jobs = await task.queued("default", 0, -1);
      expect(
        jobs.filter((job) => job.class === "counting").map((job) => job.args),
      ).toEqual([[{ count: 7 }]]);
      expect(await task.stopRecurrentTask("counting")).toBe(1);
      await task.enqueueRecurrentTask("counting");
      expect(await task.enqueue("counting", {})).toBe(false);
      expect(
        await task.scheduledAt("default", "counting", { count: 7 }),
      ).toHaveLength(1);
      expect(await enqueueLostRecurrentTasks(new Set())).not.toContain(
        "counting",
      );

      api.tasks.tasks.counting.inputs = {
        count: { default: 7 },
        at: { default: () => 1 },
      };
      await api.resque.queue.delLock('lock:counting:default:[{"count":7}]');
      const worker = new Worker(
        { connection: api.resque.connectionDetails, queues: ["default"] },
        api.tasks.jobs,
      );
      await worker.connect();
      await worker.performInline("counting", [{ count: 7 }]);
      await worker.end();
      expect(seen).toEqual([{ count: 7, at: 1 }]);
    } finally {
      await task.stopRecurrentTask("counting");
      removeTask("counting");
    }
  });

  test("enqueueRecurrentTask plans one run, however often it is called", async () => {
    for (let i = 0; i < 3; i++) await task.enqueueRecurrentTask("periodic");
    expect(await task.timestamps()).toHaveLength(1);
    expect((await delayed()).periodic).toHaveLength(1);
    await task.enqueueRecurrentTask("regular");
    expect(Object.keys(await delayed())).toEqual(["periodic"]);
    await expect(task.enqueueRecurrentTask("nothing")).rejects.toThrow(
      "task nothing not found",
    );
  });

  test("a run plans the next one, whether it succeeds or fails", async () => {
    expect(await specHelper.runFullTask("periodic", {})).toBe("ran");
    await expect(specHelper.runFullTask("failing", {})).rejects.toThrow(
      "always",
    );
    await expect(specHelper.runFullTask("failingOnce", {})).rejects.toThrow(
      "once",
    );
    expect(await specHelper.runFullTask("yearly", {})).toBe("happy");
    expect(Object.keys(await delayed()).sort()).toEqual([
      "failing",
      "periodic",
      "yearly",
    ]);
  });

  test("a task that is removed from the code while it runs ends with this run", async () => {
    addTask({
      name: "removed",
      frequency: 100,
      run: async () => {
        delete api.tasks.tasks.removed;
        return "the last";
      },
    });
    expect(await specHelper.runFullTask("removed", {})).toBe("the last");
    expect(await delayed()).toEqual({});
    delete api.tasks.jobs.removed;
  });

  test("five concurrent plans of one task make one run", async () => {
    await Promise.all(
      Array.from({ length: 5 }, () => specHelper.runFullTask("periodic", {})),
    );
    expect(runs).toEqual(["periodic"]);
    expect((await delayed()).periodic).toHaveLength(1);
    expect(await task.locks()).toEqual({});
  });

  test("a run that middleware drops plans the next one, too", async () => {
    await task.addMiddleware({
      name: "drop",
      global: true,
      preProcessor: () => false,
    });
    await specHelper.runFullTask("periodic", {});
    expect(runs).toEqual([]);
    expect((await delayed()).periodic).toHaveLength(1);
    expect(await task.locks()).toEqual({});
    api.tasks.middleware = {};
    api.tasks.globalMiddleware = [];
    Object.assign(api.tasks.jobs.periodic, api.tasks.jobWrapper("periodic"));
  });

  test("stopRecurrentTask takes it out of queue and schedule", async () => {
    await task.enqueue("periodic");
    await task.enqueueIn(1000, "periodic");
    expect(await task.stopRecurrentTask("periodic")).toBe(2);
    await task.enqueueAllRecurrentTasks();
    expect(await task.stopRecurrentTask("periodic")).toBe(1);
    await task.enqueueRecurrentTask("yearly");
    expect(await task.stopRecurrentTask("yearly")).toBe(1);
    expect(await task.stopRecurrentTask("regular")).toBeUndefined();
    // and can start again at once
    expect(await task.enqueueAllRecurrentTasks()).toContain("periodic");
  });

  test("a lost task is found, and enqueued when it is missing twice", async () => {
    await task.enqueueAllRecurrentTasks();
    expect(await enqueueLostRecurrentTasks(new Set())).toEqual(new Set());
    await task.delQueue("default");
    await task.delDelayed("default", "yearly", {});

    const missed = await enqueueLostRecurrentTasks(new Set());
    expect([...missed].sort()).toEqual([
      "failing",
      "failingOnce",
      "periodic",
      "yearly",
    ]);
    expect(await task.queued("default", 0, -1)).toEqual([]);
    // one is planned meanwhile, another one stopped on purpose
    await task.enqueueRecurrentTask("failing");
    await task.stopRecurrentTask("failingOnce");
    await api.resque.queue.delLock("lock:periodic:default:[{}]");
    expect(await enqueueLostRecurrentTasks(missed)).toEqual(new Set());
    const jobs = await task.queued("default", 0, -1);
    expect(jobs.map((job) => job.class)).toEqual(["periodic"]);
    expect(Object.keys(await delayed()).sort()).toEqual(["failing", "yearly"]);
  });

  test("a running task is not considered lost", async () => {
    const { store } = api.resque.queue.connection;
    const worker = workerIdentity("far:1", "*");
    await store.register("far", 60_000, "far");
    await store.join("far", worker, 60_000);
    let number = 0;
    for (const name of ["periodic", "failing", "failingOnce", "yearly"]) {
      await api.resque.queue.enqueueMany("default", name, [[{}]]);
      await store.exchange({
        process: "far",
        number: ++number,
        queues: ["default"],
        slots: [{ worker, outcome: { kind: "success" }, want: true }],
      });
      const missed = await enqueueLostRecurrentTasks(new Set());
      expect(missed.has(name)).toBe(false);
      expect(missed.size).toBe(3);
    }
  });

  test("the queues of nodes that do not return are dropped", async () => {
    const { store } = api.resque.queue.connection;
    await store.announceNode("here", ["default:node:here"], 60_000, 60_000);
    await store.announceNode("far", ["default:node:far"], 1, 1);
    for (const name of ["here", "far", "anything"])
      await api.resque.queue.enqueue(`default:node:${name}`, "regular", [{}]);
    await until(async () => (await store.liveNodes()).length === 1);
    expect(await dropQueuesOfLostNodes()).toEqual(["default:node:far"]);
    expect(Object.keys((await task.details()).queues)).toEqual([
      "default:node:anything",
      "default:node:here",
    ]);
  });

  describe("on workers", () => {
    const HOUR_MS = 3_600_000;
    const ended: string[] = [];

    beforeAll(async () => {
      Object.assign(config.tasks, {
        minTaskProcessors: 1,
        maxTaskProcessors: 1,
      });
      await api.resque.stopMultiWorker();
    });

    beforeEach(async () => {
      ended.length = 0;
      await api.resque.startMultiWorker();
      for (const event of ["success", "failure"])
        api.resque.multiWorker.on(event, (_id, _queue, job) =>
          ended.push(`${job.class} ${event}`),
        );
    });

    afterEach(async () => {
      await api.resque.stopMultiWorker();
      removeTask("one");
      api.tasks.middleware = {};
    });

    afterAll(() => {
      Object.assign(config.tasks, {
        minTaskProcessors: 0,
        maxTaskProcessors: 0,
      });
    });

    async function runOnce(definition: Partial<Task>): Promise<void> {
      addTask({ name: "one", frequency: HOUR_MS, ...definition });
      await task.enqueue("one", {});
      await until(() => ended.length === 1);
    }

    async function isLost(): Promise<boolean> {
      return (await enqueueLostRecurrentTasks(new Set())).has("one");
    }

    test("a run that takes too long plans the next one", async () => {
      let release!: () => void;
      await runOnce({
        timeout: 50,
        run: () => new Promise<void>((resolve) => (release = resolve)),
      });
      expect(ended).toEqual(["one failure"]);
      await until(async () => (await delayed()).one?.length === 1);
      const [due] = (await delayed()).one;
      expect(due - Date.now()).toBeGreaterThan(HOUR_MS - 60_000);
      release();
    });

    test("a run whose middleware throws plans the next one", async () => {
      await task.addMiddleware({
        name: "throwing",
        global: false,
        preProcessor: () => {
          throw new Error("not today");
        },
      });
      await runOnce({ middleware: ["throwing"], run: async () => null });
      expect(ended).toEqual(["one failure"]);
      await until(async () => (await delayed()).one?.length === 1);
    });

    test("a run that a plugin drops plans the next one", async () => {
      class Sunday extends Plugin {
        override beforePerform(): boolean {
          ended.push("dropped");
          return false;
        }
      }
      await runOnce({ plugins: [Sunday], run: async () => null });
      expect(ended).toEqual(["dropped"]);
      await until(async () => (await delayed()).one?.length === 1);
    });

    test("a run that is dropped beside another one plans nothing: the other one does", async () => {
      let release: (() => void) | undefined;
      const run = () => new Promise<void>((resolve) => (release = resolve));
      addTask({ name: "one", frequency: HOUR_MS, run });
      await task.enqueue("one", {});
      await until(() => release !== undefined);
      const worker = new Worker(
        { connection: api.resque.connectionDetails, queues: ["default"] },
        api.tasks.jobs,
      );
      await worker.connect();
      await worker.start();
      await api.resque.queue.enqueueMany("default", "one", [[{}]]);
      await until(async () => {
        const working = Object.values(await task.allWorkingOn());
        const running = working.filter((work) => work !== "started");
        const { length } = await task.queued("default", 0, -1);
        return length === 0 && running.length === 1;
      });
      await worker.end();
      expect(await delayed()).not.toHaveProperty("one");
      release!();
      await until(async () => (await delayed()).one?.length === 1);
    });

    test("a run that fails finally is not taken for lost, and begins anew by hand", async () => {
      let isBroken = true;
      await runOnce({
        reEnqueuePeriodicTaskIfException: false,
        run: async () => {
          if (isBroken) throw new Error("broken");
        },
      });
      expect(ended).toEqual(["one failure"]);
      await until(async () => Object.keys(await task.locks()).length === 0);
      expect(await delayed()).not.toHaveProperty("one");
      expect(await isLost()).toBe(false);
      isBroken = false;
      await task.enqueue("one", {});
      await until(async () => (await delayed()).one?.length === 1);
    });

    test("a task that is stopped while it runs does not run again", async () => {
      await runOnce({
        run: async () => {
          await task.stopRecurrentTask("one");
        },
      });
      await until(async () => Object.keys(await task.locks()).length === 0);
      expect(await delayed()).not.toHaveProperty("one");
      expect(await isLost()).toBe(false);
      await task.enqueueRecurrentTask("one");
      expect((await delayed()).one).toHaveLength(1);
    });

    test("a task of all nodes comes back after redis lost its data", async () => {
      addTask({
        name: "one",
        scope: "all",
        frequency: HOUR_MS,
        run: async () => null,
      });
      await api.resque.queue.connection.redis.flushdb();
      const missed = await enqueueLostRecurrentTasks(new Set(), true);
      expect([...missed]).toEqual(["one"]);
      const logged = new LogLines();
      expect(await enqueueLostRecurrentTasks(missed, true)).toEqual(new Set());
      logged.stop();
      expect(logged.at("warning", /which was lost/)).toEqual([
        "enqueued the periodic task one, which was lost",
      ]);
    });
  });

  test("recurring tasks run again and again on workers", async () => {
    await api.resque.stopMultiWorker();
    Object.assign(config.tasks, {
      scheduler: true,
      minTaskProcessors: 1,
      maxTaskProcessors: 1,
    });
    addTask({
      name: "failing",
      frequency: 3_600_000,
      run: async () => null,
    });
    addTask({
      name: "failingOnce",
      frequency: 3_600_000,
      run: async () => null,
    });
    try {
      await api.resque.startScheduler();
      await api.resque.startMultiWorker();
      const tookMs = await timed(async () => {
        await task.enqueueAllRecurrentTasks();
        await until(() => runs.length >= 5);
      });
      // every 100 ms, not every second
      expect(tookMs).toBeLessThan(3000);
    } finally {
      await api.resque.stopScheduler();
      await api.resque.stopMultiWorker();
    }
  });
});
