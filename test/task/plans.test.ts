/** Periodic tasks that a new version of the code runs in another way. */
import {
  addTask,
  removeTask,
  startTaskApp,
  type TaskApp,
} from "../support/taskApp";
import { describeOnEachEngine } from "../support/engines";
import { until } from "../support/until";
import { api, config, id, specHelper, task, type Task } from "../../src/index";
import { enqueueLostRecurrentTasks } from "../../src/task/recurrent";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const HOUR_MS = 3_600_000;
/** Tests are slow at times, hours are not. */
const MINUTES_MS = 600_000;

describeOnEachEngine("a periodic task that was changed", () => {
  let app: TaskApp;

  beforeAll(async () => {
    app = await startTaskApp();
  });

  beforeEach(async () => {
    await api.resque.queue.connection.redis.flushdb();
  });

  afterEach(() => removeTask("tick"));

  afterAll(async () => {
    await app.stop();
  });

  const store = () => api.resque.queue.connection.store;

  /** The code of one version. */
  function load(definition: Partial<Task>): void {
    addTask({ name: "tick", run: async () => "ran", ...definition });
  }

  /** A scheduler with this code starts. */
  async function boot(definition: Partial<Task>): Promise<string[]> {
    load(definition);
    return task.enqueueAllRecurrentTasks();
  }

  /** A scheduler with this code started, and a run has ended. */
  async function bootAndRun(definition: Partial<Task>): Promise<void> {
    await boot(definition);
    await task.enqueueRecurrentTask("tick");
  }

  /** Every job of the task: its queue and, when it is delayed, in how many hours it is due. */
  async function waiting(): Promise<{ queue: string; hours?: number }[]> {
    const found = await specHelper.findEnqueuedTasks("tick");
    return found.map(({ queue, timestamp }) =>
      timestamp === null
        ? { queue }
        : { queue, hours: Math.round((timestamp - Date.now()) / HOUR_MS) },
    );
  }

  test("a planned run and one by hand are the same job with tasks.sortInputs", async () => {
    config.tasks.sortInputs = true;
    const fixed = (value: unknown) => ({ default: value });
    await boot({
      frequency: HOUR_MS,
      inputs: { zone: fixed("eu"), amount: fixed(1) },
    });
    await task.enqueueIn(MINUTES_MS, "tick", {});
    const found = await specHelper.findEnqueuedTasks("tick");
    const inputs = found.map(({ args }) => JSON.stringify(args));
    expect(inputs.length).toBeGreaterThan(0);
    expect(new Set(inputs)).toEqual(
      new Set([JSON.stringify([{ amount: 1, zone: "eu" }])]),
    );
    await task.stopRecurrentTask("tick");
    expect(await specHelper.findEnqueuedTasks("tick")).toEqual([]);
  });

  test("a run that waits in its queue is not taken for the next one when a scheduler starts", async () => {
    const cron = "0 0 1 1 *";
    await boot({ cron });
    const [second] = await store().delayedSeconds();
    const [raw] = await store().delayedJobs(second);
    await store().removeDelayed(raw);
    await store().enqueue("default", [raw]); // it is due, and all workers are busy
    expect(await boot({ cron })).toEqual([]);
    expect(await waiting()).toEqual([{ queue: "default" }]);
  });

  test("a scheduler that starts for the first time right before a cron time does not drop that run", async () => {
    const nextYear = new Date(new Date().getFullYear() + 1, 0, 1).getTime();
    const clock = jest
      .spyOn(store(), "now")
      .mockResolvedValueOnce(nextYear - 1)
      .mockResolvedValue(nextYear + 1);
    try {
      expect(await boot({ cron: "0 0 1 1 *" })).toEqual(["tick"]);
    } finally {
      clock.mockRestore();
    }
    expect(await store().delayedSeconds()).toEqual([nextYear / 1000]);
  });

  describe("when the clock of the queue is set back", () => {
    let clock: jest.SpyInstance;
    beforeEach(() => {
      const now = store().now.bind(store());
      clock = jest
        .spyOn(store(), "now")
        .mockImplementation(async () => (await now()) - 2 * HOUR_MS);
    });
    afterEach(() => clock.mockRestore());

    const search = () => enqueueLostRecurrentTasks(new Set());

    /** As it was before: the next run is due an hour after a time that is two hours ahead. */
    async function bootAhead(definition: Partial<Task>): Promise<void> {
      await boot(definition);
      const [second] = await store().delayedSeconds();
      const raws = second
        ? await store().delayedJobs(second)
        : await store().jobs("default", 0, -1);
      const queued = { queue: "default", raw: raws[0] };
      await store().plan({
        task: "tick",
        remove: [queued],
        next: { ...queued, due: { inMs: 3 * HOUR_MS } },
      });
      expect(await waiting()).toEqual([{ queue: "default", hours: 3 }]);
    }

    test("its frequency counts from now on", async () => {
      await bootAhead({ frequency: HOUR_MS });
      await search();
      expect(await waiting()).toEqual([{ queue: "default", hours: 1 }]);
    });

    test("its cron time is the next one from now on", async () => {
      await bootAhead({ cron: "0 * * * *" });
      await search();
      const [next] = await waiting();
      expect(next.hours).toBeLessThan(0);
    });

    test("one that was stopped stays so", async () => {
      await bootAhead({ frequency: HOUR_MS });
      await task.stopRecurrentTask("tick");
      await search();
      expect(await waiting()).toEqual([]);
    });

    test("one that waits in its queue goes on", async () => {
      await bootAhead({ frequency: HOUR_MS });
      const [second] = await store().delayedSeconds();
      const [raw] = await store().delayedJobs(second);
      await store().removeDelayed(raw);
      await store().enqueue("default", [raw]);
      await search();
      expect(await waiting()).toEqual([{ queue: "default" }]);
    });

    test("a changed frequency counts from now on", async () => {
      await bootAhead({ frequency: HOUR_MS });
      removeTask("tick");
      await boot({ frequency: 5 * HOUR_MS });
      expect(await waiting()).toEqual([{ queue: "default", hours: 3 }]);
    });
  });

  test("its new frequency counts from the last run on", async () => {
    await bootAndRun({ frequency: HOUR_MS });
    expect(await waiting()).toEqual([{ queue: "default", hours: 1 }]);
    expect(await boot({ frequency: 5 * HOUR_MS })).toEqual(["tick"]);
    expect(await waiting()).toEqual([{ queue: "default", hours: 5 }]);
    expect(await boot({ frequency: 5 * HOUR_MS })).toEqual([]);
    expect(await waiting()).toEqual([{ queue: "default", hours: 5 }]);
  });

  test("it is due at once when its new frequency is over", async () => {
    await bootAndRun({ frequency: 900 * HOUR_MS });
    await boot({ frequency: 1 });
    const [{ timestamp }] = await specHelper.findEnqueuedTasks("tick");
    expect(timestamp! - Date.now()).toBeLessThan(MINUTES_MS);
  });

  test("it goes from a frequency to a calendar and back without a second schedule", async () => {
    await bootAndRun({ frequency: 2000 * HOUR_MS });
    const cron = "0 0 1 1 *";
    await boot({ cron });
    const next = new Date(new Date().getFullYear() + 1, 0, 1).getTime();
    const found = await specHelper.findEnqueuedTasks("tick");
    expect(found.map(({ timestamp }) => timestamp)).toEqual([next]);
    await boot({ frequency: 3 * HOUR_MS });
    expect(await waiting()).toEqual([{ queue: "default", hours: 3 }]);
  });

  test("its run moves to another queue, from the schedule and from the queue", async () => {
    await bootAndRun({ frequency: HOUR_MS });
    await boot({ frequency: HOUR_MS, queue: "other" });
    expect(await waiting()).toEqual([{ queue: "other", hours: 1 }]);
    await task.stopRecurrentTask("tick");

    await boot({ frequency: HOUR_MS, queue: "other" });
    expect(await waiting()).toEqual([{ queue: "other" }]);
    await boot({ frequency: HOUR_MS, queue: "third" });
    expect(await task.queued("other", 0, -1)).toEqual([]);
    expect(await waiting()).toEqual([{ queue: "third", hours: 1 }]);
  });

  test("its run gets the new defaults", async () => {
    await bootAndRun({ frequency: HOUR_MS, inputs: { n: { default: 1 } } });
    await boot({ frequency: HOUR_MS, inputs: { n: { default: 2 } } });
    const found = await specHelper.findEnqueuedTasks("tick");
    expect(found.map(({ args }) => args)).toEqual([[{ n: 2 }]]);
  });

  test("its run is taken out when it is not periodic any more, and comes back", async () => {
    await bootAndRun({ frequency: HOUR_MS });
    expect(await boot({ frequency: 0 })).toEqual([]);
    expect(await waiting()).toEqual([]);
    expect(await boot({ frequency: 0 })).toEqual([]);
    expect(await boot({ frequency: 2 * HOUR_MS })).toEqual(["tick"]);
    expect(await waiting()).toEqual([{ queue: "default", hours: 2 }]);
  });

  test("it is planned as it says now when it changes itself", async () => {
    await boot({ frequency: HOUR_MS });
    api.tasks.tasks.tick.frequency = 7 * HOUR_MS;
    await specHelper.runFullTask("tick", {});
    expect(await waiting()).toEqual([{ queue: "default", hours: 7 }]);
    // which is not another version
    expect(await enqueueLostRecurrentTasks(new Set())).toEqual(new Set());
    expect(await waiting()).toEqual([{ queue: "default", hours: 7 }]);
  });

  test("it is rescheduled when its file is loaded again", async () => {
    await bootAndRun({ frequency: HOUR_MS });
    load({ frequency: 9 * HOUR_MS });
    await enqueueLostRecurrentTasks(new Set());
    expect(await waiting()).toEqual([{ queue: "default", hours: 9 }]);
  });

  describe("beside an older version that still runs", () => {
    /** A scheduler of another version starts elsewhere, and lives for a while. */
    async function startNewer(liveMs: number): Promise<void> {
      const by = "newer";
      await store().plans(undefined, { by, liveMs, keepMs: HOUR_MS });
      const plan = JSON.stringify({
        queue: "other",
        inputs: {},
        frequency: 3 * HOUR_MS,
      });
      await store().plan({
        task: "tick",
        declare: { by, plan },
        remove: [{ queue: "default", raw: rawOf("default") }],
        next: {
          queue: "other",
          raw: rawOf("other"),
          due: { inMs: 3 * HOUR_MS },
        },
      });
    }

    const rawOf = (queue: string) =>
      api.resque.queue.encode(queue, "tick", [{}]);

    test("a run of the older one plans what the newer one says", async () => {
      await bootAndRun({ frequency: HOUR_MS });
      await startNewer(60_000);
      await specHelper.runFullTask("tick", {});
      expect(await waiting()).toEqual([{ queue: "other", hours: 3 }]);
    });

    test("the older one neither misses nor changes it", async () => {
      await bootAndRun({ frequency: HOUR_MS });
      await startNewer(60_000);
      for (let n = 0; n < 2; n++)
        expect(await enqueueLostRecurrentTasks(new Set(["tick"]))).toEqual(
          new Set(),
        );
      expect(await waiting()).toEqual([{ queue: "other", hours: 3 }]);
    });

    test("the older plan applies again when the newer scheduler is gone", async () => {
      await bootAndRun({ frequency: HOUR_MS });
      await startNewer(1);
      await until(async () => !(await store().plans()).tick.isLive);
      const silent = await enqueueLostRecurrentTasks(new Set());
      expect(await enqueueLostRecurrentTasks(silent)).toEqual(new Set());
      expect(await waiting()).toEqual([{ queue: "default", hours: 1 }]);
      expect((await store().plans()).tick).toMatchObject({
        by: id,
        isLive: true,
      });
    });

    test("one that was stopped stays so", async () => {
      await bootAndRun({ frequency: HOUR_MS });
      await startNewer(1);
      await task.stopRecurrentTask("tick");
      expect(await waiting()).toEqual([]);
      await until(async () => !(await store().plans()).tick.isLive);
      const silent = await enqueueLostRecurrentTasks(new Set());
      await enqueueLostRecurrentTasks(silent);
      expect(await waiting()).toEqual([]);
      expect((await store().plans()).tick).toMatchObject({ by: id });
    });

    test("the newer plan applies after an outage of redis in which no scheduler could say that it lives", async () => {
      await bootAndRun({ frequency: HOUR_MS });
      await startNewer(1);
      await until(async () => !(await store().plans()).tick.isLive);
      const silent = await enqueueLostRecurrentTasks(new Set());
      expect(silent).toEqual(new Set(["tick"]));
      const asker = { by: "newer", liveMs: 60_000, keepMs: HOUR_MS };
      await store().plans(undefined, asker);
      expect(await enqueueLostRecurrentTasks(silent)).toEqual(new Set());
      expect(await waiting()).toEqual([{ queue: "other", hours: 3 }]);
    });
  });

  describe("on a node that works", () => {
    beforeAll(async () => {
      Object.assign(config.tasks, {
        minTaskProcessors: 1,
        maxTaskProcessors: 1,
        queues: ["none"],
      });
      await api.resque.stopMultiWorker();
      await api.resque.startMultiWorker();
    });

    afterAll(async () => {
      await api.resque.stopMultiWorker();
      Object.assign(config.tasks, {
        minTaskProcessors: 0,
        maxTaskProcessors: 0,
        queues: ["*"],
      });
    });

    test("a task of all nodes is rescheduled on each of them", async () => {
      const own = `default:node:${id}`;
      await bootAndRun({ frequency: HOUR_MS, scope: "all" });
      expect(await waiting()).toEqual([{ queue: own, hours: 1 }]);
      await boot({ frequency: 4 * HOUR_MS, scope: "all" });
      expect(await waiting()).toEqual([{ queue: own, hours: 4 }]);
    });

    test("a task of all nodes becomes one of the cluster, and back", async () => {
      await bootAndRun({ frequency: HOUR_MS, scope: "all" });
      await boot({ frequency: HOUR_MS });
      expect(await waiting()).toEqual([{ queue: "default" }]);
      await boot({ frequency: HOUR_MS, scope: "all" });
      expect((await waiting()).map(({ queue }) => queue)).toEqual([
        `default:node:${id}`,
      ]);
    });
  });
});
