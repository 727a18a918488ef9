/** Actions, tasks and initializers of old as classes of today. */
import { addAction, useApp } from "../support/app";
import { Action, api, Initializer, specHelper, Task, task } from "../../src";
import {
  fromLegacyAction,
  fromLegacyInitializer,
  fromLegacyTask,
} from "../../src/legacy/adapter";

useApp();

type Run = (api: any, connection: any, next: any) => unknown;

async function answerOf(
  run: Run,
  params: object = {},
  more: object = {},
): Promise<any> {
  const LegacyClass = fromLegacyAction({
    name: "legacy",
    description: "of old",
    run,
    ...more,
  });
  const action = new LegacyClass();
  action.validate();
  addAction("legacy", action);
  return specHelper.runAction("legacy", params);
}

describe("fromLegacyAction", () => {
  test("gives a class with the inputs of today", () => {
    const action = new (fromLegacyAction({
      name: "one",
      inputs: { required: ["a"], optional: ["b", "callback"] },
      outputExample: { a: 1 },
      blockedConnectionTypes: ["socket"],
      version: 2,
      run: () => undefined,
    }))();
    expect(action).toBeInstanceOf(Action);
    expect(action).toMatchObject({
      name: "one",
      description: "one",
      version: 2,
      inputs: { a: { required: true }, b: { required: false } },
      outputExample: { a: 1 },
      blockedConnectionTypes: ["socket"],
    });
    action.validate();
  });

  test("inputs of today stay as they are; lists may be missing", () => {
    const inputs = { a: { required: true } };
    const run = () => undefined;
    const of = (given: object | undefined) =>
      new (fromLegacyAction({ name: "x", inputs: given, run }))();
    expect(of(inputs).inputs).toBe(inputs);
    expect(of({ required: ["a"] }).inputs).toEqual({ a: { required: true } });
    expect(of(undefined).inputs).toEqual({});
  });

  test("an invalid action is refused", () => {
    expect(() => fromLegacyAction({ name: "x" } as never)).toThrow(
      "action `x` has no run method",
    );
    expect(() => fromLegacyAction(undefined as never)).toThrow(/no run method/);
  });

  test("next may be called later, and again", async () => {
    const answer = await answerOf((_api, connection, next) => {
      setImmediate(() => {
        connection.response.a = 1;
        next(connection, true);
        next(connection, false);
      });
    });
    expect(answer).toMatchObject({ a: 1 });
  });

  test("a response of its own, and params that can be changed", async () => {
    const answer = await answerOf(
      (_api, connection, next) => {
        connection.params.a += "!";
        connection.response = { a: connection.params.a };
        next(connection, true);
      },
      { a: "x" },
      { inputs: { required: ["a"] } },
    );
    expect(answer.a).toBe("x!");
  });

  test.each([
    ["a text", "no"],
    ["an Error", new Error("no")],
    ["an object", { message: "no" }],
  ])("connection.error may be %s", async (_what, error) => {
    const answer = await answerOf((_api, connection, next) => {
      connection.error = error;
      next(connection, true);
    });
    expect(String(answer.error)).toBe("Error: no");
  });

  test("what is thrown or rejected is the error", async () => {
    const thrown = await answerOf((_api, _connection, _next) => {
      throw new Error("thrown");
    });
    expect(thrown.error).toBe("Error: thrown");
    const rejected = await answerOf(async (_api, _connection, _next) => {
      throw new Error("rejected");
    });
    expect(rejected.error).toBe("Error: rejected");
  });

  test("one that takes no next ends with its promise", async () => {
    const answer = await answerOf(async (_api: any, connection: any) => {
      await new Promise(setImmediate);
      connection.response.done = true;
    });
    expect(answer.done).toBe(true);
  });

  test("a required param that every action takes is still required", async () => {
    const run: Run = (_api, connection, next) => {
      connection.response.file = connection.params.file;
      next(connection, true);
    };
    const inputs = { inputs: { required: ["file"] } };
    expect((await answerOf(run, {}, inputs)).error).toBe(
      "Error: file is a required parameter for this action",
    );
    expect((await answerOf(run, { file: "x" }, inputs)).file).toBe("x");
  });

  test("methods of the connection work on it", async () => {
    const connection = await specHelper.buildConnection();
    const run: Run = async (_api, facade, next) => {
      if (facade.id !== connection.id) return next();
      await facade.verbs("roomAdd", ["otherRoom"]);
      facade.response.room = facade.room;
      await facade.destroy();
      next(facade, true);
    };
    await answerOf(run);
    expect(await specHelper.runAction("legacy", connection)).toMatchObject({
      room: "otherRoom",
    });
    expect(connection.destroyed).toBe(true);
    expect(api.connections.connections).not.toHaveProperty(connection.id);
  });

  test("the connection keeps what is put on it, but not the request's", async () => {
    const connection = await specHelper.buildConnection();
    const run: Run = (_api, facade, next) => {
      facade.count = (facade.count ?? 0) + 1;
      facade.response.count = facade.count;
      facade.response.id = facade.id;
      next(facade, true);
    };
    await answerOf(run);
    for (const count of [1, 2]) {
      const answer: any = await specHelper.runAction("legacy", connection);
      expect(answer).toMatchObject({ count, id: connection.id });
    }
    expect(connection).toMatchObject({ count: 2, error: null });
    await connection.destroy();
  });
});

describe("fromLegacyTask", () => {
  async function resultOf(run: any): Promise<any> {
    const task_ = new (fromLegacyTask({ name: "old", run }))();
    task_.validate!();
    api.tasks.tasks.old = task_;
    api.tasks.jobs.old = api.tasks.jobWrapper("old");
    return task.run("old", { a: 1 });
  }

  test("gives a class of today", () => {
    const made = new (fromLegacyTask({
      name: "old",
      description: "of old",
      scope: "all",
      frequency: 1000,
      run: () => undefined,
    }))();
    expect(made).toBeInstanceOf(Task);
    expect(made).toMatchObject({
      name: "old",
      description: "of old",
      scope: "all",
      frequency: 1000,
      queue: "default",
    });
    expect(() => fromLegacyTask({ name: "x" } as never)).toThrow(
      "task `x` has no run method",
    );
  });

  test("its result, its error, and params that can be changed", async () => {
    const changed = await resultOf((_api: any, params: any, next: any) => {
      params.a++;
      next(null, params.a);
    });
    expect(changed).toBe(2);
    expect(await resultOf((_a: any, _p: any, next: any) => next("one"))).toBe(
      "one",
    );
    expect(await resultOf(async () => "not told")).toBeUndefined();
    const failing = (_api: any, _params: any, next: any) =>
      next(new Error("failed"));
    await expect(resultOf(failing)).rejects.toThrow("failed");
  });
});

describe("fromLegacyInitializer", () => {
  const run = async (legacy: any) => {
    const initializer = new (fromLegacyInitializer("old", legacy))();
    expect(initializer).toBeInstanceOf(Initializer);
    initializer.validate();
    await initializer.initialize!();
  };

  test("waits for next, or for a promise", async () => {
    await run((given: any, next: any) => {
      given.ran = "called back";
      setImmediate(() => next());
    });
    expect((api as any).ran).toBe("called back");
    await run(async (given: any) => {
      await new Promise(setImmediate);
      given.ran = "resolved";
    });
    expect((api as any).ran).toBe("resolved");
  });

  test("fails with what it throws, rejects with, or gives to next", async () => {
    await expect(
      run((_api: any, _next: any) => {
        throw new Error("thrown");
      }),
    ).rejects.toThrow("thrown");
    await expect(
      run(async () => Promise.reject(new Error("no"))),
    ).rejects.toThrow("no");
    await expect(
      run((_api: any, next: any) => next(new Error("told"))),
    ).rejects.toThrow("told");
  });
});
