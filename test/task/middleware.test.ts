/** Middleware and plugins of tasks, on workers and run by hand. */
import {
  addTask,
  startTaskApp,
  succeeded,
  type TaskApp,
} from "../support/taskApp";
import { once } from "node:events";
import { describeOnEachEngine } from "../support/engines";
import { api, specHelper, task } from "../../src/index";

describeOnEachEngine("middleware of tasks", () => {
  let app: TaskApp;
  const calls: string[] = [];

  const middleware = (name: string, rest: Partial<task.TaskMiddleware>) =>
    task.addMiddleware({ name, global: false, ...rest });

  beforeAll(async () => {
    app = await startTaskApp({
      tasks: {
        queues: ["default"],
        minTaskProcessors: 1,
        maxTaskProcessors: 1,
      },
      before: () => {
        addTask({
          name: "watched",
          middleware: ["one", "two", "unknown", "constructor"],
          run: async (params: any) => {
            calls.push(`run ${JSON.stringify(params)}`);
            if (params.fail) throw new Error("it failed");
            return "ran";
          },
        });
        addTask({ name: "plain", run: async () => "plain" });
      },
    });
  });

  beforeEach(async () => {
    await api.resque.queue.connection.redis.flushdb();
    calls.length = 0;
  });

  afterEach(() => {
    api.tasks.middleware = {};
    api.tasks.globalMiddleware = [];
    for (const name of ["watched", "plain"])
      Object.assign(api.tasks.jobs[name], api.tasks.jobWrapper(name));
  });

  afterAll(async () => {
    await app.stop();
  });

  test("middleware without a name is refused", () => {
    expect(() => middleware("", {})).toThrow("middleware.name is required");
  });

  test("preEnqueue and postEnqueue run around the enqueueing", async () => {
    await middleware("one", {
      async preEnqueue() {
        expect(this.func).toBe("watched");
        expect(this.queue).toBe("parked");
        expect(this.worker).toBe(api.resque.queue);
        expect(await task.queued("parked", 0, -1)).toEqual([]);
        calls.push(`pre ${this.args[0].a}`);
      },
      async postEnqueue() {
        calls.push(
          `post ${(await api.resque.queue.queued("parked", 0, -1)).length}`,
        );
      },
    });
    expect(await task.enqueue("watched", { a: 1 }, "parked")).toBe(true);
    expect(calls.slice(0, 2)).toEqual(["pre 1", "post 1"]);
  });

  test("preEnqueue refuses with false, and fails by throwing", async () => {
    await middleware("one", { preEnqueue: () => false });
    expect(await task.enqueue("watched", {}, "parked")).toBe(false);
    await middleware("one", {
      preEnqueue() {
        throw new Error("not now");
      },
    });
    await expect(task.enqueue("watched", {}, "parked")).rejects.toThrow(
      "not now",
    );
    await middleware("one", { preEnqueue: () => undefined });
    expect(await task.enqueue("watched", {}, "parked")).toBe(true);
  });

  test("enqueueMany runs preEnqueue for each job", async () => {
    await middleware("one", {
      preEnqueue() {
        return this.args[0].a !== 2;
      },
    });
    const inputs = [{ a: 1 }, { a: 2 }, { a: 3 }];
    expect(await task.enqueueMany("watched", inputs, "parked")).toBe(2);
    const jobs = await task.queued("parked", 0, -1);
    expect(jobs.map(({ args }) => args[0].a)).toEqual([1, 3]);
  });

  test("preProcessor changes the inputs, postProcessor the result", async () => {
    await middleware("one", {
      preProcessor() {
        this.args[0].added = true;
      },
      postProcessor() {
        this.worker.result = `${this.worker.result}!`;
      },
    });
    const done = succeeded(app, "watched");
    await task.enqueue("watched", { a: 1 });
    expect(await done).toBe("ran!");
    expect(calls).toEqual(['run {"a":1,"added":true}']);
  });

  test("a job that preProcessor drops does not run and is not counted", async () => {
    await middleware("one", {
      preProcessor() {
        calls.push("dropped");
        return false;
      },
    });
    await task.enqueue("watched", {});
    const done = succeeded(app, "plain");
    await task.enqueue("plain");
    await done;
    expect(calls).toEqual(["dropped"]);
    expect(await task.failedCount()).toBe(0);
  });

  test("a preProcessor that throws fails the job", async () => {
    await middleware("one", {
      preProcessor() {
        throw new Error("bad day");
      },
    });
    const failed = once(app.events, "failure:watched");
    await task.enqueue("watched", {});
    const [, error] = await failed;
    expect(error.message).toBe("bad day");
    expect(calls).toEqual([]);
  });

  test("postProcessor sees an error, and can take it away", async () => {
    await middleware("one", {
      postProcessor() {
        calls.push(`after ${this.worker.error.message}`);
        delete this.worker.error;
      },
    });
    const done = succeeded(app, "watched");
    await task.enqueue("watched", { fail: true });
    await done;
    expect(calls).toEqual(['run {"fail":true}', "after it failed"]);
  });

  test("global middleware comes first, by priority; then that of the task, as listed", async () => {
    const note = (name: string, rest: Partial<task.TaskMiddleware> = {}) =>
      middleware(name, {
        preProcessor() {
          calls.push(name);
        },
        ...rest,
      });
    await note("two");
    await note("one");
    await note("late", { global: true, priority: 200 });
    await note("early", { global: true, priority: 10 });
    await note("same", { global: true });
    await specHelper.runFullTask("watched", {});
    expect(calls).toEqual(["early", "same", "late", "one", "two", "run {}"]);
    calls.length = 0;
    await specHelper.runFullTask("plain", {});
    expect(calls).toEqual(["early", "same", "late"]);
  });

  test("middleware that is added while workers run is used by them, and not twice", async () => {
    for (let i = 0; i < 2; i++)
      await middleware("one", {
        preProcessor() {
          calls.push("once");
        },
      });
    const done = succeeded(app, "watched");
    await task.enqueue("watched", {});
    await done;
    expect(calls).toEqual(["once", "run {}"]);
    expect(api.tasks.tasks.watched.plugins).toBeUndefined();
  });

  test("task.run checks, and runs middleware, but runTask only the task", async () => {
    await middleware("one", {
      preProcessor() {
        calls.push("pre");
      },
    });
    expect(await task.run("watched", { a: 1 })).toBe("ran");
    expect(await specHelper.runTask("watched", { a: 2 })).toBe("ran");
    expect(calls).toEqual(["pre", 'run {"a":1}', 'run {"a":2}']);
    await expect(task.run("watched", { fail: true })).rejects.toThrow(
      "it failed",
    );
    await expect(task.run("nothing")).rejects.toThrow("task nothing not found");
    expect(await task.stats()).toEqual({});
  });

  test("plugins of the queue are given by name and by class, with their options", async () => {
    const seen: unknown[] = [];
    class Own {
      static readonly made: unknown[] = [];
      constructor(
        public worker: any,
        public func: string,
        public queue: string,
        public job: any,
        public args: any[],
        public options: any,
      ) {}
      beforePerform() {
        seen.push([this.func, this.args[0], this.options]);
        return true;
      }
    }
    const logged: Error[] = [];
    addTask({
      name: "plugged",
      plugins: [Own as any, "Noop"],
      pluginOptions: {
        Own: { a: 1 },
        Noop: { logger: (error: Error) => logged.push(error) },
      },
      run: async () => {
        throw new Error("quiet");
      },
    });
    await task.run("plugged", { b: 2 });
    expect(seen).toEqual([["plugged", { b: 2 }, { a: 1 }]]);
    expect(logged.map(({ message }) => message)).toEqual(["quiet"]);
  });
});
