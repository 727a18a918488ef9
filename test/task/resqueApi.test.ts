/** The start and stop of queue, scheduler and workers, their settings, and their log lines. */
import {
  addTask,
  removeTask,
  startTaskApp,
  succeeded,
  type TaskApp,
} from "../support/taskApp";
import * as winston from "winston";
import { describeOnEachEngine } from "../support/engines";
import { timed } from "../support/stopwatch";
import { until } from "../support/until";
import { api, config, loggers, specHelper, task, Task } from "../../src/index";
import { MultiWorker } from "../../src/resque/multiWorker";
import { Queue } from "../../src/resque/queue";
import { Scheduler } from "../../src/resque/scheduler";
import { NO_OUTCOME, workerIdentity } from "../../src/resque/store/store";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

interface Line {
  level: string;
  message: string;
  [field: string]: unknown;
}

/** A logger of all levels that keeps its lines. */
function keepLines(): { lines: Line[]; stop: () => void } {
  const lines: Line[] = [];
  const logger = winston.createLogger({
    level: "debug",
    levels: winston.config.syslog.levels,
    format: winston.format((info) => {
      lines.push({ ...info } as unknown as Line);
      return false;
    })(),
    transports: [new winston.transports.Console()],
  });
  loggers.push(logger);
  return {
    lines,
    stop: () => {
      loggers.splice(loggers.indexOf(logger), 1);
    },
  };
}

/** The arguments of the next event of the workers. */
function nextEvent(event: string): Promise<any[]> {
  return new Promise((resolve) => {
    api.resque.multiWorker.once(event, (...args) => resolve(args));
  });
}

describeOnEachEngine("api.resque", (engine) => {
  describe("start and stop", () => {
    let app: TaskApp;

    beforeAll(async () => {
      app = await startTaskApp();
    });

    beforeEach(async () => {
      await api.resque.queue.connection.redis.flushdb();
    });

    afterAll(async () => {
      await app.stop();
    });

    test("no worker starts in tests unless it is configured", () => {
      expect(config.tasks).toMatchObject({
        scheduler: false,
        minTaskProcessors: 0,
        maxTaskProcessors: 0,
        timeout: 100,
        checkTimeout: 50,
        maxEventLoopDelay: 5,
        stuckWorkerTimeout: 3_600_000,
        retryStuckJobs: false,
      });
      expect(api.resque.scheduler).toBeNull();
      expect(api.resque.multiWorker.running).toBe(false);
      expect(api.resque.multiWorker.workers).toEqual([]);
    });

    test("outside of tests, the scheduler and up to ten processors work", () => {
      const { DEFAULT } = require("../../config/tasks");
      expect(DEFAULT.tasks(config)).toMatchObject({
        scheduler: true,
        minTaskProcessors: 1,
        maxTaskProcessors: 10,
        queues: ["*"],
        timeout: 5000,
        checkTimeout: 500,
        heartbeatTimeout: 30_000,
        unknownJobs: "fail",
        unknownJobTimeout: 600_000,
        resque_overrides: { queue: null, multiWorker: null, scheduler: null },
        connectionOptions: { tasks: {} },
      });
    });

    test("stopping what does not run is harmless, and so is stopping twice", async () => {
      await api.resque.stopScheduler();
      await api.resque.stopMultiWorker();
      config.tasks.scheduler = true;
      config.tasks.minTaskProcessors = 1;
      config.tasks.maxTaskProcessors = 2;
      for (let i = 0; i < 2; i++) {
        await api.resque.startScheduler();
        await api.resque.startMultiWorker();
        expect(Object.keys(await task.workers()).length).toBeGreaterThan(0);
        await until(async () => (await task.details()).leader !== null);
        for (let j = 0; j < 2; j++) {
          await api.resque.stopScheduler();
          await api.resque.stopMultiWorker();
        }
        expect(await task.workers()).toEqual({});
        expect((await task.details()).leader).toBeNull();
      }
    });

    test("the workers can stop and start again, and their number be changed while they run", async () => {
      config.tasks.minTaskProcessors = 1;
      config.tasks.maxTaskProcessors = 1;
      await api.resque.startMultiWorker();
      const { multiWorker } = api.resque;
      await multiWorker.stop();
      await multiWorker.start();
      expect(multiWorker.workers).toHaveLength(1);
      multiWorker.options.minTaskProcessors = 3;
      multiWorker.options.maxTaskProcessors = 3;
      await until(() => multiWorker.workers.length === 3);
      expect(multiWorker.options.connection.redis).toBe(
        api.redis.clients.tasks,
      );
      await api.resque.stopMultiWorker();
    });

    test("a minimum of task processors above the maximum runs, with one warning", async () => {
      const { lines, stop } = keepLines();
      config.tasks.minTaskProcessors = 2;
      config.tasks.maxTaskProcessors = 1;
      await api.resque.startMultiWorker();
      await until(() => api.resque.multiWorker.workers.length === 2);
      await api.resque.stopMultiWorker();
      stop();
      const warnings = lines.filter(({ level }) => level === "warning");
      expect(warnings.map(({ message }) => message)).toEqual([
        "config.tasks.maxTaskProcessors (1) is below minTaskProcessors (2): 2 task processors run",
      ]);
    });

    test("the list of queues can be a function", async () => {
      config.tasks.queues = async () => ["high", "low"];
      config.tasks.minTaskProcessors = 1;
      await api.resque.startMultiWorker();
      expect(api.resque.multiWorker.workers[0].queues).toEqual(["high", "low"]);
      expect(Object.values(await task.workers())).toEqual(["high,low"]);
      await api.resque.stopMultiWorker();
    });

    test.each(["timeout", "heartbeatTimeout", "maxTaskProcessors"] as const)(
      "a setting that is NaN is named: %s",
      async (name) => {
        config.tasks[name] = NaN;
        const message = `config.tasks.${name} is NaN, not a number`;
        config.tasks.scheduler = true;
        await expect(api.resque.startScheduler()).rejects.toThrow(message);
        await expect(api.resque.startMultiWorker()).rejects.toThrow(message);
      },
    );

    test.each<[unknown, string[]]>([
      ["high", ["high"]],
      [async () => "high", ["high"]],
      [() => ["high", 5], ["high", "5"]],
    ])("queues that are not a list of texts: %p", async (queues, expected) => {
      config.tasks.queues = queues as string[];
      config.tasks.minTaskProcessors = 1;
      await api.resque.startMultiWorker();
      expect(api.resque.multiWorker.workers[0].queues).toEqual(expected);
      await api.resque.stopMultiWorker();
    });

    test("the settings for unknown jobs reach the workers", async () => {
      config.tasks.unknownJobs = "wait";
      config.tasks.unknownJobTimeout = 5;
      await api.resque.startMultiWorker();
      expect(api.resque.multiWorker.options).toMatchObject({
        unknownJobs: "wait",
        unknownJobTimeout: 5,
      });
      await api.resque.stopMultiWorker();
      config.tasks.unknownJobs = "later" as "wait";
      await expect(api.resque.startMultiWorker()).rejects.toThrow(
        'config.tasks.unknownJobs is "fail" or "wait", not later',
      );
    });

    test("custom classes replace the framework's", async () => {
      const made: string[] = [];
      class OwnQueue extends Queue {
        constructor(options: any, jobs: any) {
          super(options, jobs);
          expect(jobs).toBe(api.tasks.jobs);
          made.push("queue");
        }
      }
      class OwnWorker extends MultiWorker {
        constructor(options: any, jobs: any) {
          super(options, jobs);
          expect(options.queues).toEqual(["*"]);
          made.push("multiWorker");
        }
      }
      class OwnScheduler extends Scheduler {
        constructor(options: any, jobs: any) {
          super(options, jobs);
          expect(options.connection).toBe(api.resque.connectionDetails);
          made.push("scheduler");
        }
      }
      config.tasks.scheduler = true;
      config.tasks.resque_overrides = {
        queue: OwnQueue,
        multiWorker: OwnWorker,
        scheduler: OwnScheduler,
      };
      await api.resque.stopQueue();
      await api.resque.startQueue();
      await api.resque.startScheduler();
      await api.resque.startMultiWorker();
      expect(made).toEqual(["queue", "scheduler", "multiWorker"]);
      expect(api.resque.queue).toBeInstanceOf(OwnQueue);
      await api.resque.stopScheduler();
      await api.resque.stopMultiWorker();
    });

    test("a configuration made for version 29 lacks keys", async () => {
      for (const key of [
        "resque_overrides",
        "retryStuckJobs",
        "heartbeatTimeout",
        "connectionOptions",
      ])
        delete (config.tasks as any)[key];
      Object.assign(config.tasks, {
        scheduler: true,
        minTaskProcessors: 1,
        maxTaskProcessors: 1,
        workerLogging: {},
        schedulerLogging: {},
      });
      try {
        addTask({ name: "simple", run: async () => "done" });
        await api.resque.startScheduler();
        await api.resque.startMultiWorker();
        const done = nextEvent("success");
        await task.enqueueIn(1, "simple");
        expect((await done)[3]).toBe("done");
      } finally {
        await api.resque.stopScheduler();
        await api.resque.stopMultiWorker();
      }
    });
  });

  describe("workers of a started server", () => {
    let app: TaskApp;
    let kept: ReturnType<typeof keepLines>;

    beforeAll(async () => {
      kept = keepLines();
      app = await startTaskApp({
        tasks: {
          scheduler: true,
          minTaskProcessors: 0, // one, as the maximum is not 0
          maxTaskProcessors: 2,
        },
        before: () => {
          addTask({
            name: "work",
            run: async (params: any) => ({ got: params.a }),
          });
          addTask({
            name: "fail",
            run: async () => {
              throw new Error("no luck");
            },
          });
          addTask({ name: "gone", run: async () => "ran" });
        },
      });
    });

    beforeEach(() => {
      kept.lines.length = 0;
    });

    afterAll(async () => {
      await app.stop();
      kept.stop();
    });

    const lineOf = (message: string | RegExp) =>
      until(() =>
        kept.lines.find((line) =>
          typeof message === "string"
            ? line.message === message
            : message.test(line.message),
        ),
      );

    test("maxTaskProcessors above 0 starts workers", () => {
      expect(config.tasks.minTaskProcessors).toBe(1);
      expect(api.resque.multiWorker.running).toBe(true);
    });

    test("a job is logged with its inputs and its result", async () => {
      config.general.filteredParams = ["secret"];
      const done = succeeded(app, "work");
      await task.enqueue("work", { a: 5, secret: "hush" });
      expect(await done).toEqual({ got: 5 });
      const args = '{"a":5,"secret":"[FILTERED]"}';
      expect(await lineOf("[ worker ] working job default")).toMatchObject({
        level: "debug",
        workerId: expect.any(Number),
        class: "work",
        queue: "default",
        args,
      });
      expect(await lineOf("[ worker ] task success")).toMatchObject({
        level: "info",
        workerId: expect.any(Number),
        class: "work",
        queue: "default",
        args,
        result: { got: 5 },
        duration: expect.any(Number),
      });
    });

    test("a task that is put into api.tasks while the workers run is run", async () => {
      class Late extends Task {
        override name = "late";
        override description = "added at run time";
        override async run() {
          return "ran";
        }
      }
      api.tasks.tasks.late = new Late();
      api.tasks.jobs.late = api.tasks.jobWrapper("late");
      const done = succeeded(app, "late");
      await task.enqueue("late", {});
      expect(await done).toBe("ran");
      removeTask("late");
    });

    test("a failure goes to the exception reporters and to the failed list", async () => {
      const reports: unknown[][] = [];
      const reporter = (...args: unknown[]) => reports.push(args);
      api.exceptionHandlers.reporters.push(reporter as any);
      await task.enqueue("fail", { a: 1 });
      await until(async () => (await task.failedCount()) === 1);
      api.exceptionHandlers.reporters.pop();
      const [error, type, name, objects, severity] = reports[0] as any;
      expect(error.message).toBe("no luck");
      expect([type, name, severity]).toEqual(["task", "task:fail", "error"]);
      expect(objects).toMatchObject({
        queue: "default",
        task: { class: "fail", queue: "default", args: [{ a: 1 }] },
        workerId: expect.any(Number),
      });
      expect(await lineOf("Error from Task")).toMatchObject({
        level: "error",
        name: "task:fail",
        queue: "default",
        arguments: '{"a":1}',
        stack: expect.stringContaining("no luck"),
      });
      const [failed] = await task.failed(0, -1);
      expect(failed).toMatchObject({
        queue: "default",
        payload: { class: "fail", queue: "default", args: [{ a: 1 }] },
        exception: "Error",
        error: "no luck",
      });
      expect(failed.backtrace![0]).toMatch(/^\s+at /);
      expect(Date.parse(failed.failed_at)).toBeGreaterThan(Date.now() - 60_000);
      await task.removeFailed(failed);
    });

    test("a task that was removed from the code while its job was queued fails, and can be run again when it is back", async () => {
      const saved = { task: api.tasks.tasks.gone, job: api.tasks.jobs.gone };
      await api.resque.stopMultiWorker();
      await task.enqueue("gone", { a: 1 });
      removeTask("gone");
      await api.resque.startMultiWorker();
      await until(async () => (await task.failedCount()) === 1);
      const [failed] = await task.failed(0, -1);
      expect(failed.error).toBe('No job defined for class "gone"');
      expect(failed.payload.args).toEqual([{ a: 1 }]);

      api.tasks.tasks.gone = saved.task;
      api.tasks.jobs.gone = saved.job;
      await api.resque.stopMultiWorker();
      await api.resque.startMultiWorker();
      const done = nextEvent("success");
      expect(await task.retryAndRemoveFailed(failed)).toBe(true);
      expect((await done)[3]).toBe("ran");
      expect(await task.failedCount()).toBe(0);
    });

    test("a job whose workers died twice runs alone, and the log says when it begins and when it has ended", async () => {
      const { store } = api.resque.queue.connection;
      await api.resque.stopMultiWorker();
      addTask({ name: "suspect", run: async () => "ran" });
      await api.resque.queue.enqueue("default", "suspect", [{}]);
      for (const process of ["first", "second"]) {
        await store.register(process, 0, "gone");
        const worker = workerIdentity(`${process}:1`, "default");
        await store.join(process, worker, 0);
        const slots = [{ worker, outcome: NO_OUTCOME, want: true }];
        await store.exchange({
          process,
          number: 1,
          queues: ["default"],
          slots,
        });
        expect(await store.reap(process, 0)).toMatchObject([
          { what: "requeued" },
        ]);
      }
      await api.resque.startMultiWorker();
      const fields = { level: "notice", queue: "default" };
      expect(
        await lineOf(/task suspect runs alone, because its workers died twice/),
      ).toMatchObject(fields);
      expect(await lineOf(/task suspect has ended/)).toMatchObject(fields);
      removeTask("suspect");
    });

    test("a task that is not there yet waits for a process that has it, and the log says so once", async () => {
      const { multiWorker } = api.resque;
      for (const worker of multiWorker.workers)
        worker.options.unknownJobs = "wait";
      try {
        for (let n = 0; n < 2; n++)
          await api.resque.queue.enqueue("default", "fresh", [{ n }]);
        await lineOf(/this process has no task fresh: its jobs wait/);
        await until(
          async () =>
            (await specHelper.findEnqueuedTasks("fresh")).length === 2,
        );
        const lines = kept.lines.filter(({ message }) => /fresh/.test(message));
        expect(lines.map(({ level }) => level)).toEqual(["warning"]);
        addTask({ name: "fresh", run: async (params: any) => params.n });
        const done = [nextEvent("success")];
        done.push(done[0].then(() => nextEvent("success")));
        expect((await Promise.all(done)).map((args) => args[3]).sort()).toEqual(
          [0, 1],
        );
      } finally {
        for (const worker of multiWorker.workers)
          worker.options.unknownJobs = "fail";
        removeTask("fresh");
      }
    });

    test("jobs of other producers have any arguments, and none", async () => {
      const { connection } = api.resque.queue;
      for (const args of ["[]", "[null]", '["text",2]', "[[1,2]]"]) {
        const done = nextEvent("success");
        const raw = `{"class":"work","args":${args}}`;
        if (engine.embedded) await connection.store.enqueue("default", [raw]);
        else {
          await connection.redis.rpush(connection.key("queue:default"), raw);
          await connection.redis.sadd(connection.key("queues"), "default");
        }
        expect((await done)[3]).toEqual({ got: undefined });
      }
      expect(await task.failedCount()).toBe(0);
    });

    test("listeners that throw break no job", async () => {
      const broken = () => {
        throw new Error("a listener's own");
      };
      api.resque.multiWorker.on("job", broken);
      await task.enqueue("work", { a: 7 });
      expect((await nextEvent("success"))[3]).toEqual({
        got: 7,
      });
      api.resque.multiWorker.off("job", broken);
    });

    test("inputs are frozen while the task runs", async () => {
      addTask({
        name: "work",
        run: async (params: any) => Object.isFrozen(params),
      });
      await api.resque.stopMultiWorker();
      await api.resque.startMultiWorker();
      await task.enqueue("work", { a: 7 });
      expect((await nextEvent("success"))[3]).toBe(true);
    });

    test("starting and stopping is logged", async () => {
      await api.resque.stopScheduler();
      await api.resque.stopMultiWorker();
      expect((await lineOf("resque scheduler ended")).level).toBe("info");
      expect(await lineOf("[ worker ] ended")).toMatchObject({
        level: "info",
        workerId: expect.any(Number),
      });
      await api.resque.startScheduler();
      await api.resque.startMultiWorker();
      expect((await lineOf("resque scheduler started")).level).toBe("info");
      expect((await lineOf("[ worker ] started")).level).toBe("info");
      expect((await lineOf(/is now the Resque scheduler leader/)).level).toBe(
        "notice",
      );
      expect((await lineOf("resque scheduler polling")).level).toBe("debug");
      expect((await lineOf("[ worker ] paused")).level).toBe("debug");
      expect(
        (await lineOf(/^\[ multiworker \] checked for worker status: . \(/))
          .level,
      ).toBe("debug");
    });
  });

  describe("shutdown", () => {
    let release: () => void;
    let hasBegun: boolean;
    let app: TaskApp;

    const startSlow = async (shutdownTimeout: number) => {
      hasBegun = false;
      app = await startTaskApp({
        tasks: { minTaskProcessors: 1, maxTaskProcessors: 1 },
        before: () => {
          config.general.shutdownTimeout = shutdownTimeout;
          addTask({
            name: "slow",
            run: () =>
              new Promise((resolve) => {
                release = () => resolve("released");
                hasBegun = true;
              }),
          });
        },
      });
      await api.resque.queue.connection.redis.flushdb();
      await api.resque.stopMultiWorker();
      await api.resque.startMultiWorker();
      await task.enqueue("slow", { a: 1 });
      await until(() => hasBegun);
    };

    test("a stop waits for a running job", async () => {
      await startSlow(10_000);
      const done = nextEvent("success");
      const stopped = app.stop();
      release();
      expect((await done)[3]).toBe("released");
      await stopped;
    });

    test("a job that takes longer than the stop is requeued", async () => {
      await startSlow(100);
      const tookMs = await timed(() => api.resque.stopMultiWorker());
      expect(tookMs).toBeLessThan(3000);
      release();
      expect(await task.queued("default", 0, -1)).toEqual([
        { class: "slow", queue: "default", args: [{ a: 1 }] },
      ]);
      expect(await task.workers()).toEqual({});
      await app.stop();
    });
  });
});
