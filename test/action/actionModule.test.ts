import { addAction, resetMiddleware, useApp } from "../support/app";
import { restoreConfig } from "../support/withConfig";
import {
  action,
  ActionheroError,
  api,
  config,
  HttpError,
  specHelper,
} from "../../src/index";
import { ActionProcessor } from "../../src/action/actionProcessor";

useApp();
afterEach(resetMiddleware);

describe("addMiddleware", () => {
  test("addMiddleware refuses middleware without a name", () => {
    expect(() => action.addMiddleware({ global: true } as never)).toThrow(
      "middleware.name is required",
    );
  });

  test("global middleware is listed by priority, local only kept", () => {
    action.addMiddleware({ name: "late", global: true });
    action.addMiddleware({ name: "early", global: true, priority: 1 });
    action.addMiddleware({ name: "local", global: false });
    expect(api.actions.globalMiddleware).toEqual(["early", "late"]);
    expect(Object.keys(api.actions.middleware)).toEqual([
      "late",
      "early",
      "local",
    ]);
    expect(api.actions.middleware.late.priority).toBe(
      config.general.defaultMiddlewarePriority,
    );
  });
});

describe("run", () => {
  test("run returns the response", async () => {
    addAction("plus", {
      inputs: { a: { required: true, formatter: Number }, b: { default: 1 } },
      run: async ({ params }: any) => ({ sum: params.a + params.b }),
    });
    expect(await action.run("plus", undefined, { a: "2" })).toEqual({ sum: 3 });
  });

  test("run uses the latest version unless one is named", async () => {
    addAction("v", { run: async () => ({ v: 1 }) }, 1);
    addAction("v", { run: async () => ({ v: 2 }) }, 2);
    expect(await action.run("v")).toEqual({ v: 2 });
    expect(await action.run("v", 1)).toEqual({ v: 1 });
    expect(await action.run("v", "1", { apiVersion: 2 })).toEqual({ v: 1 });
    expect(await action.run("v", undefined, { apiVersion: 1 })).toEqual({
      v: 1,
    });
    await expect(action.run("v", 3)).rejects.toThrow(
      "unknown action or invalid apiVersion",
    );
  });

  test("params may be null", async () => {
    addAction("none", { run: async ({ params }: any) => ({ params }) });
    const { params } = await action.run("none", null!, null);
    expect(params).toEqual({ action: null, apiVersion: 1 });
  });

  test("the connection is in-line, has the given properties, and is destroyed afterwards", async () => {
    let seen: any;
    addAction("who", {
      run: async ({ connection }: any) => {
        seen = { ...connection };
        expect(api.connections.connections[connection.id]).toBe(connection);
        return {};
      },
    });
    await action.run("who", 1, {}, { session: { user: "Ada" }, extra: 1 });
    expect(seen).toMatchObject({
      type: "in-line-action",
      remotePort: "0",
      remoteIP: "0",
      canChat: false,
      session: { user: "Ada" },
      extra: 1,
    });
    expect(Object.keys(api.connections.connections)).toEqual([]);
  });

  test("connection middleware runs first and is awaited, then action middleware", async () => {
    const order: string[] = [];
    api.connections.addMiddleware({
      name: "slow",
      create: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        order.push("create");
      },
      destroy: async () => {
        order.push("destroy");
      },
    });
    action.addMiddleware({
      name: "note",
      global: true,
      preProcessor: () => void order.push("before"),
      postProcessor: () => void order.push("after"),
    });
    addAction("noted", { run: async () => void order.push("run") });
    await action.run("noted");
    expect(order).toEqual(["create", "before", "run", "after", "destroy"]);
  });

  test("create middleware that throws leaves no connection behind", async () => {
    api.connections.addMiddleware({
      name: "no",
      create: () => {
        throw new Error("no entry");
      },
    });
    await expect(action.run("plus")).rejects.toThrow("no entry");
    expect(Object.keys(api.connections.connections)).toEqual([]);
  });

  test.each([
    ["synchronous", () => undefined],
    ["async", () => new Promise((resolve) => setImmediate(resolve))],
  ])(
    "a run that fails leaves no connection behind, however its action ends: create middleware is %s",
    async (_kind, create) => {
      const broken = Object.defineProperty({}, "error", {
        get: () => {
          throw new Error("unreadable");
        },
      });
      const ended: string[] = [];
      api.connections.addMiddleware({
        name: "slow",
        create,
        destroy: ({ type }) => void ended.push(type),
      });
      const respond = (data: any) => void (data.response = broken);
      addAction("sync", { run: respond as never });
      addAction("late", { run: async (data: any) => respond(data) });
      for (const name of ["sync", "late"])
        await expect(action.run(name)).rejects.toThrow("unreadable");
      addAction("around", {
        timeout: 10_000,
        run: async (data: any) => respond(data),
      });
      await expect(action.run("around")).rejects.toThrow("unreadable");
      const properties = Object.defineProperty({}, "extra", {
        enumerable: true,
        get: () => {
          throw new Error("no extra");
        },
      });
      await expect(action.run("late", 1, {}, properties)).rejects.toThrow(
        "no extra",
      );
      expect(ended).toEqual(Array(4).fill("in-line-action"));
      expect(Object.keys(api.connections.connections)).toEqual([]);
    },
  );

  test("a processAction that a project has replaced runs the action in-line, too", async () => {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with the action
    const { processAction } = ActionProcessor.prototype;
    const names: unknown[] = [];
    jest
      .spyOn(ActionProcessor.prototype, "processAction")
      .mockImplementation(async function (this: any, ...args) {
        names.push(...args);
        await processAction.apply(this, args);
        this.response.seen = true;
        return this;
      });
    addAction("watched", { run: async () => ({ a: 1 }) });
    expect(await action.run("watched", 1)).toEqual({ a: 1, seen: true });
    expect(names).toEqual(["watched", 1]);
    jest.restoreAllMocks();
  });

  test("the response is a copy of what the action returns, or has it beside what the action put there", async () => {
    const returned = Object.freeze({ a: 1 });
    let own: unknown;
    addAction("copied", { run: async () => returned });
    addAction("merged", {
      run: async (data: any) => {
        own = data.response;
        data.response.b = 2;
        return returned;
      },
    });
    const copied = await action.run("copied");
    expect(copied).toEqual({ a: 1 });
    expect(copied).not.toBe(returned);
    const merged = await action.run("merged");
    expect(merged).toEqual({ a: 1, b: 2 });
    expect(merged).toBe(own);
  });

  test("errors are thrown as v29 words them, the original as cause", async () => {
    const original = new Error("deep");
    addAction("throws", {
      run: async () => {
        throw original;
      },
    });
    const error = await action.run("throws").catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ActionheroError);
    expect(error.code).toBe("AH_ACTION");
    expect(error.message).toBe("Error: deep");
    expect(error.cause).toBe(original);

    await expect(action.run("plus")).rejects.toThrow(
      /^Error: a is a required parameter for this action$/,
    );
  });

  describe("with errors.keepInline", () => {
    restoreConfig();
    beforeEach(() => {
      config.errors.keepInline = true;
    });

    const caught = (name: string) =>
      action.run(name).catch((thrown: unknown) => thrown);

    test("errors have the message and the status that a client gets", async () => {
      const headers = { "WWW-Authenticate": "Bearer" };
      addAction("closed", {
        run: async () => {
          throw new HttpError(401, "please sign in", { headers });
        },
      });
      addAction("broken", {
        run: async () => {
          throw new Error("deep");
        },
      });
      const error = await caught("closed");
      expect(error).toMatchObject({
        code: "AH_ACTION",
        message: "please sign in",
        status: 401,
        headers,
        cause: { status: 401 },
      });
      expect(error).toBeInstanceOf(ActionheroError);
      expect(await caught("broken")).toMatchObject({
        message: "deep",
        status: 500,
      });
      expect(await caught("plus")).toMatchObject({ status: 422 });
      expect(await caught("nothing")).toMatchObject({ status: 404 });

      config.errors.exposeMessages = "intended";
      expect(await caught("broken")).toMatchObject({
        message: expect.stringContaining("an internal error"),
        status: 500,
      });
    });

    test("an action that runs another one responds as that does", async () => {
      config.web.listErrors = true;
      addAction("outer", { run: () => action.run("plus") as never });
      addAction("outermost", { run: () => action.run("outer") as never });
      const inner = await specHelper.runAction("plus");
      const outer = await specHelper.runAction("outermost");
      expect(outer).toMatchObject({
        error: "Error: a is a required parameter for this action",
        errors: [{ path: "a", code: "missing" }],
      });
      expect(outer.errors).toEqual(inner.errors);
      expect(await caught("outermost")).toMatchObject({ status: 422 });
    });
  });

  test("errors that are objects keep their fields", async () => {
    const object = { code: 402, message: "pay first" };
    addAction("pay", {
      run: async (data: any) => void (data.response.error = object),
    });
    const error = await action.run("pay").catch((thrown) => thrown);
    expect(error.message).toBe("pay first");
    expect(error.cause).toBe(object);

    addAction("odd", {
      run: async (data: any) => void (data.response.error = { odd: true }),
    });
    await expect(action.run("odd")).rejects.toThrow('{"odd":true}');
  });

  test("a string or a list is returned unchanged", async () => {
    addAction("text", { run: async (data: any) => void (data.response = "t") });
    expect(await action.run("text")).toBe("t");
  });
});
