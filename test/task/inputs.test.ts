/** What is checked when a task is loaded, and when a job is enqueued. */
import { addTask, startTaskApp, type TaskApp } from "../support/taskApp";
import { LogLines } from "../support/logLines";
import { Worker } from "../../src/resque/worker";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { z } from "zod";
import { api, defineTask, specHelper, Task, task } from "../../src/index";

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

async function enqueued(inputs?: object): Promise<unknown> {
  await task.enqueue("checked", inputs);
  const jobs = await task.queued("default", -1, -1);
  return jobs[0].args[0];
}

describe("inputs", () => {
  test("defaults are filled in, and seen by the caller", async () => {
    addTask({
      name: "checked",
      inputs: {
        a: { default: "one" },
        b: {
          async default() {
            expect(this).toBe(api);
            return "two";
          },
        },
        c: { default: 3 },
      },
    });
    const inputs = { c: 0 };
    expect(await enqueued(inputs)).toEqual({ a: "one", b: "two", c: 0 });
    expect(inputs).toEqual({ a: "one", b: "two", c: 0 });
    expect(await enqueued()).toEqual({ a: "one", b: "two", c: 3 });
  });

  test("a task hands its frozen inputs on to another one that has defaults", async () => {
    addTask({ name: "checked", inputs: { a: { default: "one" }, c: {} } });
    addTask({
      name: "first",
      run: async (params) => {
        await task.enqueue("checked", params);
        await task.enqueueIn(1, "checked", params);
        await task.enqueueMany("checked", [params]);
        await task.enqueueJob("checked", params);
      },
    });
    const frozen = Object.freeze({ c: 3 });
    await specHelper.runFullTask("first", frozen);
    const jobs = await task.queued("default", 0, -1);
    expect(jobs.map(({ args }) => args[0])).toEqual(
      Array.from({ length: 3 }, () => ({ a: "one", c: 3 })),
    );
    expect(Object.values(await task.allDelayed()).flat()[0].args[0]).toEqual({
      a: "one",
      c: 3,
    });
    expect(frozen).toEqual({ c: 3 });
  });

  test("validators are functions of the value, or named", async () => {
    (api as any).checks = {
      short(this: unknown, value: string) {
        return value.length < 4;
      },
    };
    addTask({
      name: "checked",
      inputs: {
        word: { validator: "api.checks.short" },
        even: {
          validator: [
            (value: number) => value % 2 === 0 || `${value} is odd`,
            async function (this: unknown, value: number) {
              expect(this).toBe(api);
              if (value < 0) throw new Error("below zero");
            },
          ],
        },
      },
    });
    expect(await enqueued({ word: "abc", even: 2 })).toEqual({
      word: "abc",
      even: 2,
    });
    await expect(task.enqueue("checked", { word: "abcd" })).rejects.toThrow(
      "abcd is not a valid value for word in task checked",
    );
    await expect(task.enqueue("checked", { even: 3 })).rejects.toThrow(
      "3 is odd",
    );
    await expect(task.enqueue("checked", { even: -2 })).rejects.toThrow(
      "below zero",
    );
    await expect(task.enqueueIn(1000, "checked", { even: 3 })).rejects.toThrow(
      "3 is odd",
    );
    await expect(
      task.enqueueMany("checked", [{ even: 2 }, { even: 3 }]),
    ).rejects.toThrow("3 is odd");
    expect(await task.queued("default", 0, -1)).toHaveLength(1);
  });

  test("required inputs must not be missing", async () => {
    addTask({ name: "checked", inputs: { word: { required: true } } });
    const message = "word is a required input for task checked";
    await expect(task.enqueue("checked", {})).rejects.toThrow(message);
    await expect(task.enqueue("checked")).rejects.toThrow(message);
    await expect(task.enqueue("checked", { word: "" })).rejects.toThrow(
      message,
    );
    await expect(task.enqueueAt(1, "checked", { word: null })).rejects.toThrow(
      message,
    );
    expect(await enqueued({ word: 0 })).toEqual({ word: 0 });
  });

  test("the error is that of the first bad input, and names all of them", async () => {
    addTask({
      name: "checked",
      inputs: {
        even: { validator: (value: number) => value % 2 === 0 },
        word: { required: true },
        small: {
          validator: (value: number) => {
            if (value > 9) throw new RangeError("too large");
          },
        },
      },
    });
    const thrown = await task
      .enqueue("checked", { even: 3, small: 10 })
      .catch((error: unknown) => error);
    expect(thrown).toMatchObject({
      message: "3 is not a valid value for even in task checked",
      errors: [
        {
          path: "even",
          message: "3 is not a valid value for even in task checked",
          code: "invalid",
        },
        { path: "word", message: "word is a required input", code: "missing" },
        { path: "small", message: "too large", code: "invalid" },
      ],
    });
    const alone = await task
      .enqueue("checked", { word: "a", small: 10 })
      .catch((error: unknown) => error);
    expect(alone).toBeInstanceOf(RangeError);
    expect(alone).not.toHaveProperty("errors");
  });

  test("nothing is removed, and nothing inherited counts", async () => {
    addTask({ name: "checked", inputs: { constructor: { required: true } } });
    await expect(task.enqueue("checked", { other: 1 })).rejects.toThrow(
      "constructor is a required input for task checked",
    );
    addTask({ name: "checked", inputs: { word: {} } });
    expect(await enqueued({ other: 1 })).toEqual({ other: 1 });
  });
});

describe("definitions", () => {
  class Complete extends Task {
    constructor() {
      super();
      this.name = "complete";
      this.description = "says everything";
    }
    async run() {
      return null;
    }
  }

  const validate = (changes: object) => () => {
    Object.assign(new Complete(), changes).validate!();
  };

  test("the defaults", () => {
    const made = new Complete();
    expect(made).toMatchObject({
      queue: "default",
      frequency: 0,
      inputs: {},
      middleware: [],
      plugins: [],
      pluginOptions: {},
      reEnqueuePeriodicTaskIfException: true,
    });
    expect(validate({})).not.toThrow();
  });

  test.each([
    [{ name: "" }, "name is required for this task"],
    [
      { description: undefined },
      "description is required for the task `complete`",
    ],
    [{ queue: "" }, "queue is required for the task `complete`"],
    [{ frequency: null }, "frequency is required for the task `complete`"],
    [{ run: undefined }, "task `complete` has no run method"],
    [
      { cron: "* * * * *", frequency: 5 },
      "frequency and cron exclude each other for the task `complete`",
    ],
    [
      { frequency: "5s" },
      /^frequency must be a number of ms for the task `complete`$/,
    ],
    [
      { frequency: Infinity },
      "frequency must be a number of ms for the task `complete`",
    ],
    [{ cron: "61 * * * *" }, /^cron is not valid for the task `complete`: /],
    [
      { cron: "* * * * *", timeZone: "Mars/Base" },
      /^cron is not valid for the task `complete`: /,
    ],
    [
      { retry: { attempts: 0 } },
      "retry.attempts must be a whole number from 1 for the task `complete`",
    ],
    [{ retry: {} }, /^retry.attempts must be/],
    [{ retry: { attempts: 2, jitter: 2 } }, /^retry.jitter must be/],
    [{ retry: { attempts: 2, backoff: [] } }, /^retry.backoff must be/],
    [{ retry: { attempts: 2, backoff: "often" } }, /^retry.backoff must be/],
    [{ retry: { attempts: 2, if: true } }, /^retry.if must be a function/],
    [{ timeout: 0 }, /^timeout must be/],
    [{ timeout: 2 ** 31 }, /^timeout must be/],
    [{ concurrency: 1.5 }, /^concurrency must be/],
    [{ maxFailed: -1 }, /^maxFailed must be/],
    [{ priority: "high" }, /^priority must be/],
    [{ scope: "some" }, /^scope must be/],
    [{ afterTimeout: "go" }, /^afterTimeout must be "leave" or "wait"/],
  ])("%j is refused", (changes, message) => {
    expect(validate(changes)).toThrow(message);
  });

  test.each([
    { cron: "*/5 * * * *", timeZone: "Europe/Paris" },
    { cron: "0 0 29 2 *" },
    { retry: { attempts: 3, backoff: [10, 20], jitter: 0.5 } },
    { retry: { attempts: 3, backoff: "exponential", delay: 0, jitter: true } },
    { timeout: 1, concurrency: 1000, maxFailed: 0, priority: -1, scope: "all" },
  ])("%j is taken", (changes) => {
    expect(validate(changes)).not.toThrow();
  });
});

describe("inputs that the queue cannot hold", () => {
  const refused = [
    [z.date(), new Date(7), /^at: .*expected date, received string/],
    [z.map(z.string(), z.int()), new Map([["a", 1]]), /^at: .*expected map/],
    [z.set(z.int()), new Set([1]), /^at: .*expected set/],
    [z.bigint(), 1n, /BigInt/],
  ] as const;

  test.each(refused)(
    "fail when the job is enqueued, and in runFullTask (%#)",
    async (schema, at, message) => {
      addTask({ name: "checked", inputs: z.object({ at: schema }) as never });
      const inputs = { at };
      const calls = [
        () => task.enqueue("checked", inputs),
        () => task.enqueueIn(1, "checked", inputs),
        () => task.enqueueJob("checked", inputs),
        () => task.enqueueMany("checked", [inputs]),
        () => specHelper.runFullTask("checked", inputs),
      ];
      for (const call of calls) await expect(call()).rejects.toThrow(message);
    },
  );

  test("a Date that the schema makes of a text is enqueued, and seen by the task", async () => {
    const seen: unknown[] = [];
    addTask({
      name: "checked",
      inputs: z.object({ at: z.coerce.date() }) as never,
      run: async ({ at }) => void seen.push(at),
    });
    expect(await enqueued({ at: new Date(7) })).toEqual({
      at: new Date(7).toISOString(),
    });
    await specHelper.runFullTask("checked", { at: new Date(7) });
    expect(seen).toEqual([new Date(7)]);
  });

  test("reach a task that runs in the process", async () => {
    const seen: unknown[] = [];
    addTask({
      name: "checked",
      inputs: z.object({ at: z.date() }) as never,
      run: async ({ at }) => void seen.push(at),
    });
    await task.run("checked", { at: new Date(7) });
    expect(seen).toEqual([new Date(7)]);
  });
});

describe("formatters in a table of inputs", () => {
  const sum = defineTask({
    name: "checked",
    inputs: {
      n: {
        required: true as const,
        formatter: (value: unknown, key: string) =>
          key === "n" ? Number(value) : NaN,
        validator: (value: unknown) => typeof value === "number" && value > 0,
      },
      more: {
        default: "3,4",
        formatter: [
          async (list: string) => list.split(","),
          "api.formats.numbers",
        ],
      },
      none: { formatter: () => "never" },
    },
    run: (params) => ({
      sum: params.n + 1,
      params,
      isFrozen: Object.isFrozen(params),
    }),
  });
  const result = {
    sum: 3,
    params: { n: 2, more: [3, 4] },
    isFrozen: true,
  };

  beforeAll(() => {
    (api as any).formats = { numbers: (list: string[]) => list.map(Number) };
    api.tasks.tasks.checked = sum;
    api.tasks.jobs.checked = api.tasks.jobWrapper("checked");
  });

  afterAll(() => {
    delete (api as any).formats;
  });

  test("run for `task.run`, and for the helpers of tests, which fill in no defaults", async () => {
    const given = { n: "2" };
    expect(await task.run("checked", given)).toEqual(result);
    expect(given).toEqual({ n: "2", more: "3,4" });
    const bare = { ...result, params: { n: 2 } };
    expect(await specHelper.runFullTask("checked", { n: "2" })).toEqual(bare);
    expect(await specHelper.runTask("checked", { n: "2" })).toEqual(bare);
  });

  test("run in a worker, and the queue holds what was given", async () => {
    expect(await enqueued({ n: "2" })).toEqual({ n: "2", more: "3,4" });
    const worker = new Worker(
      { connection: api.resque.connectionDetails, queues: ["default"] },
      api.tasks.jobs,
    );
    await worker.connect();
    const ended = once(worker, "success");
    await worker.start();
    const [, , seen] = await ended;
    await worker.end();
    expect(seen).toEqual(result);
  });

  test("run before validators and the check of what is required", async () => {
    await expect(task.enqueue("checked", { n: "-2" })).rejects.toThrow(
      "-2 is not a valid value for n in task checked",
    );
    await expect(task.enqueue("checked", {})).rejects.toThrow(
      "n is a required input for task checked",
    );
    expect(await task.queued("default", 0, -1)).toEqual([]);
  });

  test("a formatter that throws refuses the job", async () => {
    await expect(task.enqueue("checked", { n: "2", more: 5 })).rejects.toThrow(
      "split is not a function",
    );
  });

  test("do not run for a class, as in version 29", async () => {
    class Classic extends Task {
      override name = "classic";
      override description = "classic";
      override inputs = {
        n: {
          formatter: Number,
          validator: (value: unknown) => value === "2",
        },
      };
      override async run(params: object) {
        return params;
      }
    }
    api.tasks.tasks.classic = new Classic();
    api.tasks.jobs.classic = api.tasks.jobWrapper("classic");
    expect(await task.run("classic", { n: "2" })).toEqual({ n: "2" });
  });

  test("a schema or a file in such a table is named by a warning", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "ah-inputs-"));
    const file = path.join(folder, "nested.js");
    const index = JSON.stringify(path.resolve(__dirname, "../../src/index"));
    fs.writeFileSync(
      file,
      `const { defineTask, file } = require(${index});
      exports.nested = defineTask({ name: "nested", inputs: { address: { schema: { zip: {} } }, picture: file(), a: {} }, run: () => 1 });`,
    );
    const logs = new LogLines("warning");
    try {
      await api.tasks.loadFile(file);
    } finally {
      logs.stop();
      fs.rmSync(folder, { recursive: true });
    }
    const rest =
      ", which tables of tasks do not apply; declare all inputs as a schema";
    expect(logs.at("warning", /nested/)).toEqual([
      `the task \`nested\`: its input address has a schema${rest}`,
      `the task \`nested\`: its input picture has a file rule${rest}`,
    ]);
  });
});
