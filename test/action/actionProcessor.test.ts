import {
  addAction,
  makeConnection,
  resetMiddleware,
  useApp,
} from "../support/app";
import {
  action,
  ActionProcessor,
  ActionsStatus,
  api,
  config,
  rebuildConfig,
} from "../../src/index";

useApp();

afterEach(() => {
  resetMiddleware();
  rebuildConfig();
  api.running = true;
});

/** Run an action for a new connection. */
async function run(
  name: unknown,
  params: Record<string, unknown> = {},
  connection = makeConnection(),
): Promise<ActionProcessor<any>> {
  connection.params = { ...params, action: name };
  return new ActionProcessor<any>(connection).processAction();
}

function messageOf(data: ActionProcessor<any>): string {
  return data.response.error.message;
}

test("a server of a plugin, which has only what version 29 asked for, runs actions", async () => {
  addAction("plain", { run: async () => ({ ok: true }) });
  const connection = makeConnection();
  const { servers } = api.servers;
  const original = servers[connection.type];
  servers[connection.type] = { type: connection.type } as never;
  try {
    const { response, actionStatus } = await run("plain", {}, connection);
    expect([response.ok, actionStatus]).toEqual([true, ActionsStatus.Complete]);
    expect(connection.pendingActions).toBe(0);
  } finally {
    if (original) servers[connection.type] = original;
    else delete servers[connection.type];
  }
});

describe("the data", () => {
  test("the data starts as documented", () => {
    const connection = makeConnection({ messageId: "m1" }, { a: 1 });
    const data = new ActionProcessor(connection);
    expect({ ...data }).toEqual({
      connection,
      action: null,
      toProcess: true,
      toRender: true,
      messageId: "m1",
      params: { action: null, apiVersion: null, a: 1 },
      missingParams: [],
      validatorErrors: [],
      actionStartTime: null,
      actionTemplate: null,
      working: false,
      response: {},
      duration: null,
      actionStatus: null,
      session: {},
    });
  });

  test("two instances have the same shape, before and after they run", async () => {
    addAction("shape", { inputs: { a: {} }, run: async () => ({ b: 1 }) });
    const keys = (data: object) => Object.keys(data);
    const fresh = keys(new ActionProcessor(makeConnection()));
    expect(keys(await run("shape", { a: 1 }))).toEqual(fresh);
    expect(keys(await run("nothing"))).toEqual(fresh);
  });

  test("the data is filled while the action runs", async () => {
    let during: any;
    addAction("look", {
      inputs: { a: {} },
      run: async (data: any) => {
        during = { ...data, pending: data.getPendingActionCount() };
      },
    });
    const before = Date.now();
    const data = await run("look", { a: 1 });
    expect(during).toMatchObject({
      action: "look",
      working: true,
      pending: 1,
      params: { a: 1, action: "look", apiVersion: 1 },
    });
    expect(during.actionStartTime).toBeGreaterThanOrEqual(before);
    expect(during.actionTemplate).toBe(api.actions.actions.look[1]);
    expect(data).toMatchObject({
      working: false,
      actionStatus: ActionsStatus.Complete,
    });
    expect(data.duration).toBeGreaterThanOrEqual(0);
    expect(data.connection).toMatchObject({
      pendingActions: 0,
      totalActions: 1,
    });
  });

  test("the message id and the params are those of the time of its creation", async () => {
    addAction("snapshot", {
      inputs: { a: {} },
      run: async ({ params, messageId }: any) => ({ a: params.a, messageId }),
    });
    const connection = makeConnection({ messageId: 1 }, { a: 1 });
    const data = new ActionProcessor<any>(connection);
    connection.messageId = 2;
    connection.params.a = 2;
    await data.processAction("snapshot");
    expect(data.response).toEqual({ a: 1, messageId: 1 });
    expect(
      new ActionProcessor(makeConnection({ messageId: "" })).messageId,
    ).toBe(0);
  });
});

describe("which action", () => {
  test("the apiVersion argument wins over the param", async () => {
    addAction("argument", { run: async () => ({ ran: "argument" }) });
    addAction("param", { run: async () => ({ ran: "param" }) });
    const connection = makeConnection({}, { action: "param" });
    const process = (name?: string) =>
      new ActionProcessor<any>(connection).processAction(name);
    expect((await process("argument")).response.ran).toBe("argument");
    expect((await process("")).response.ran).toBe("param");
  });

  test("lists of versions may be changed by code", async () => {
    for (const version of [1, 2, "three"])
      addAction("login", { run: async () => ({ version }) }, version as number);
    api.actions.versions.login = [1, 2];
    const version = async (apiVersion?: unknown) =>
      (await run("login", { apiVersion })).response.version;
    expect(await version()).toBe(2);
    expect(await version(1)).toBe(1);
    expect(await version("three")).toBe("three");
    expect((await run("login", { apiVersion: "three" })).params).toMatchObject({
      apiVersion: "three",
    });
    expect((await run("login")).params.apiVersion).toBe(2);
  });

  test.each([
    "nothing",
    "constructor",
    "__proto__",
    undefined,
    null,
    7,
    ["look"],
    { toString: 1 },
  ])("%p is unknown", async (name) => {
    const data = await run(name);
    expect(data.actionStatus).toBe(ActionsStatus.UnknownAction);
    expect(messageOf(data)).toBe("unknown action or invalid apiVersion");
  });

  test.each(["constructor", "__proto__", "99", { toString: 1 }, [], true])(
    "the version %p is unknown",
    async (apiVersion) => {
      const data = await run("login", { apiVersion });
      expect(data.actionStatus).toBe(ActionsStatus.UnknownAction);
    },
  );
});

describe("refusals, the first that applies", () => {
  test("the server is shutting down", async () => {
    api.running = false;
    const data = await run("nothing");
    expect(data.actionStatus).toBe(ActionsStatus.ServerShuttingDown);
    expect(messageOf(data)).toBe("the server is shutting down");
  });

  test("too many pending actions", async () => {
    addAction("any", { run: async () => ({}) });
    const connection = makeConnection();
    connection.pendingActions = config.general.simultaneousActions;
    const data = await run("nothing", {}, connection);
    expect(data.actionStatus).toBe(ActionsStatus.TooManyRequests);
    expect(messageOf(data)).toBe("you have too many pending requests");
    connection.pendingActions--;
    const allowed = await run("any", {}, connection);
    expect(allowed.actionStatus).toBe(ActionsStatus.Complete);
  });

  test("a connection type that is not for it", async () => {
    addAction("blocked", {
      blockedConnectionTypes: ["unit", "other"],
      inputs: { a: { required: true } },
      run: async () => ({}),
    });
    const data = await run("blocked");
    expect(data.actionStatus).toBe(ActionsStatus.UnsupportedServerType);
    expect(messageOf(data)).toBe(
      "this action does not support the unit connection type",
    );
  });
});

describe("params", () => {
  test("undeclared params are removed, and safe names stay", async () => {
    addAction("scrub", {
      inputs: { a: {} },
      run: async ({ params }: any) => ({ params }),
    });
    const { response } = await run("scrub", { a: 1, b: 2, file: "f" });
    expect(response.params).toEqual({
      action: "scrub",
      apiVersion: 1,
      a: 1,
      file: "f",
    });
    config.general.disableParamScrubbing = true;
    expect((await run("scrub", { b: 2 })).response.params.b).toBe(2);
  });

  test("missing params are reported before invalid ones, and only the first of each", async () => {
    addAction("checked", {
      inputs: {
        a: { required: true },
        b: { required: true },
        c: { validator: () => "c is bad" },
        d: { validator: () => "d is bad" },
      },
      run: async () => ({}),
    });
    const missing = await run("checked", { c: 1 });
    expect(missing.actionStatus).toBe(ActionsStatus.MissingParams);
    expect(missing.missingParams).toEqual(["a", "b"]);
    expect(messageOf(missing)).toBe(
      "a is a required parameter for this action",
    );
    const invalid = await run("checked", { a: 1, b: 1, c: 1, d: 1 });
    expect(invalid.actionStatus).toBe(ActionsStatus.ValidatorErrors);
    expect(invalid.validatorErrors).toEqual(["c is bad", "d is bad"]);
    expect(messageOf(invalid)).toBe("c is bad");
  });

  test("formatters and validators get the data as `this`", async () => {
    const seen: unknown[] = [];
    addAction("self", {
      inputs: {
        a: {
          formatter(this: unknown, value: unknown) {
            seen.push(this);
            return value;
          },
        },
      },
      run: async () => ({}),
    });
    const data = await run("self", { a: 1 });
    expect(seen).toEqual([data]);
  });

  test("a formatter that throws is a generic error", async () => {
    addAction("badFormat", {
      inputs: {
        a: {
          formatter: () => {
            throw new Error("bad format");
          },
        },
      },
      run: async () => ({}),
    });
    const data = await run("badFormat", { a: 1 });
    expect(data.actionStatus).toBe(ActionsStatus.GenericError);
    expect(messageOf(data)).toBe("bad format");
  });

  test("params cannot be changed by the action", async () => {
    addAction("writes", {
      inputs: { a: {} },
      run: async ({ params }: any) => {
        params.a = 2;
      },
    });
    const data = await run("writes", { a: 1 });
    expect(messageOf(data)).toMatch(
      /^Cannot assign to read only property 'a' of object/,
    );
  });
});

describe("params that somebody else has", () => {
  beforeEach(() =>
    addAction("shared", {
      inputs: { a: { formatter: Number } },
      run: async ({ params }: any) => ({ a: params.a }),
    }),
  );

  test("stay what they are when middleware puts them there", async () => {
    const shared = { action: "shared", apiVersion: 1, a: "1" };
    action.addMiddleware({
      name: "shares",
      global: true,
      preProcessor: (data) => void (data.params = shared),
    });
    expect((await run("shared")).response).toEqual({ a: 1 });
    expect(shared.a).toBe("1");
    expect(Object.isFrozen(shared)).toBe(false);
  });

  test("stay what they are when the data gets them before it is processed", async () => {
    const shared = { action: "shared", apiVersion: 1, a: "1" };
    const data = new ActionProcessor<any>(makeConnection());
    data.params = shared;
    expect((await data.processAction()).response).toEqual({ a: 1 });
    expect(shared.a).toBe("1");
    expect(Object.isFrozen(shared)).toBe(false);
  });

  test("stay what they are on the connection", async () => {
    const connection = makeConnection();
    const { response } = await run("shared", { a: "1" }, connection);
    expect([response, connection.params]).toEqual([
      { a: 1 },
      { action: "shared", a: "1" },
    ]);
  });
});

describe("middleware", () => {
  test("middleware sees raw params before and the response after, and may change both", async () => {
    action.addMiddleware({
      name: "change",
      global: true,
      preProcessor: ({ params, session }: any) => {
        expect(params.raw).toBe("yes");
        params.a = 5;
        session.user = "Ada";
      },
      postProcessor: async ({ response }: any) => {
        response.added = true;
      },
    });
    addAction("changed", {
      inputs: { a: { formatter: (a: number) => a * 2 } },
      run: async ({ params, session }: any) => ({ a: params.a, session }),
    });
    const { response } = await run("changed", { raw: "yes" });
    expect(response).toEqual({ a: 10, session: { user: "Ada" }, added: true });
  });

  test("an error of a pre-processor prevents the action, and one of a post-processor is the error", async () => {
    const ran: string[] = [];
    addAction("guarded", {
      middleware: ["guard"],
      run: async () => void ran.push("run"),
    });
    action.addMiddleware({
      name: "guard",
      global: false,
      preProcessor: () => {
        throw new Error("before");
      },
    });
    const before = await run("guarded");
    expect([before.actionStatus, messageOf(before)]).toEqual([
      ActionsStatus.GenericError,
      "before",
    ]);
    expect(ran).toEqual([]);

    action.addMiddleware({
      name: "guard",
      global: false,
      postProcessor: async () => {
        throw new Error("after");
      },
    });
    const after = await run("guarded");
    expect([after.actionStatus, messageOf(after)]).toEqual([
      ActionsStatus.GenericError,
      "after",
    ]);
    expect(ran).toEqual(["run"]);
  });

  test("toProcess = false completes the action without run and post-processors", async () => {
    const ran: string[] = [];
    action.addMiddleware({
      name: "answers",
      global: true,
      preProcessor: (data: any) => {
        data.toProcess = false;
        data.response.early = true;
      },
      postProcessor: () => void ran.push("after"),
    });
    addAction("late", { run: async () => void ran.push("run") });
    const data = await run("late");
    expect(data.actionStatus).toBe(ActionsStatus.Complete);
    expect(data.response).toEqual({ early: true });
    expect(ran).toEqual([]);
  });

  test("local middleware that was not added is named in the error", async () => {
    addAction("lost", { middleware: ["nobody"], run: async () => ({}) });
    expect(messageOf(await run("lost"))).toBe(
      "unknown middleware `nobody` of the action `lost`",
    );
    addAction("proto", { middleware: ["toString"], run: async () => ({}) });
    expect(messageOf(await run("proto"))).toBe(
      "unknown middleware `toString` of the action `proto`",
    );
  });
});

describe("the response", () => {
  const responseOf = async (body: (data: any) => unknown) => {
    addAction("responds", { run: body });
    return (await run("responds")).response;
  };

  test("the return value of run is merged into it", async () => {
    expect(
      await responseOf((data) => {
        data.response.a = 1;
        return { b: 2 };
      }),
    ).toEqual({ a: 1, b: 2 });
  });

  test.each([null, undefined])(
    "%p returned changes nothing",
    async (result) => {
      expect(await responseOf(() => result)).toEqual({});
    },
  );

  test("a response that is set to null or undefined is empty", async () => {
    expect(await responseOf((data) => void (data.response = null))).toEqual({});
    expect(
      await responseOf((data) => {
        data.response = undefined;
        return { a: 1 };
      }),
    ).toEqual({ a: 1 });
  });

  test("a text or a list stays the response; an error replaces it with its text", async () => {
    expect(await responseOf((data) => void (data.response = "text"))).toBe(
      "text",
    );
    const fail = (response: unknown) => (data: any) => {
      data.response = response;
      throw new Error("no");
    };
    expect(await responseOf(fail("text"))).toBe("Error: no");
    expect(await responseOf(fail([1]))).toBe("Error: no");
    expect((await responseOf(fail(null))).error.message).toBe("no");
  });

  test("with web.strictHttp, an error replaces a text or a list as an object", async () => {
    config.web.strictHttp = true;
    try {
      for (const response of ["text", [1]]) {
        const failed = await responseOf((data) => {
          data.response = response;
          throw new Error("no");
        });
        expect(Object.keys(failed)).toEqual(["error"]);
        expect(failed.error.message).toBe("no");
      }
    } finally {
      config.web.strictHttp = false;
    }
  });

  test("a frozen response gets its error, too", async () => {
    const response = await responseOf((data) => {
      data.response = Object.freeze({ a: 1 });
      throw new Error("no");
    });
    expect(response.a).toBe(1);
    expect(response.error.message).toBe("no");
  });

  test("an error that the action put there is kept, and counts as complete", async () => {
    addAction("own", {
      run: async (data: any) => void (data.response.error = "mine"),
    });
    const data = await run("own");
    expect(data.response.error).toBe("mine");
    expect(data.actionStatus).toBe(ActionsStatus.Complete);

    addAction("both", {
      run: async (data: any) => {
        data.response.error = "mine";
        throw new Error("other");
      },
    });
    const both = await run("both");
    expect(both.response.error).toBe("mine");
    expect(both.actionStatus).toBe(ActionsStatus.GenericError);
  });

  test("throwing undefined is an error, too", async () => {
    addAction("undefined", {
      run: () => Promise.reject(), // eslint-disable-line @typescript-eslint/prefer-promise-reject-errors
    });
    const data = await run("undefined");
    expect(data.actionStatus).toBe(ActionsStatus.GenericError);
    expect(messageOf(data)).toBe("undefined threw undefined");
  });

  test("run may be synchronous, and may throw synchronously", async () => {
    expect(await responseOf(() => ({ sync: true }))).toEqual({ sync: true });
    addAction("syncThrow", {
      run: () => {
        throw new Error("at once");
      },
    });
    expect(messageOf(await run("syncThrow"))).toBe("at once");
  });
});

describe("config.errors", () => {
  const errors = () => config.errors as any;

  beforeEach(() => {
    addAction("needs", {
      inputs: { a: { required: true }, b: { validator: () => "bad b" } },
      blockedConnectionTypes: ["blockedType"],
      run: async () => {
        throw new Error("thrown");
      },
    });
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  test.each([
    ["genericError", "needs", { a: 1 }, {}],
    ["unknownAction", "nothing", {}, {}],
    ["unsupportedServerType", "needs", {}, { type: "blockedType" }],
    ["missingParams", "needs", {}, {}],
    ["invalidParams", "needs", { a: 1, b: 1 }, {}],
  ])("%s words its error", async (key, name, params, connection) => {
    const calls: unknown[][] = [];
    jest.spyOn(errors(), key).mockImplementation(async (...args) => {
      calls.push(args);
      return { code: key, args: args.length };
    });
    const data = await run(name, params, makeConnection(connection));
    expect(data.response.error).toEqual({
      code: key,
      args: calls[0].length,
    });
    expect(calls[0][0]).toBe(data);
  });

  test("each status gets the error of its function", async () => {
    const seen: Record<string, unknown> = {};
    jest.spyOn(errors(), "missingParams").mockImplementation((_, missing) => {
      seen.missing = missing;
      return "a text";
    });
    jest.spyOn(errors(), "invalidParams").mockImplementation((_, invalid) => {
      seen.invalid = invalid;
      return new Error("an error");
    });
    jest.spyOn(errors(), "genericError").mockImplementation((data: any, e) => {
      seen.generic = e;
      data.response.requestId = 7;
      return e;
    });
    expect(messageOf(await run("needs"))).toBe("a text");
    expect(messageOf(await run("needs", { a: 1, b: 1 }))).toBe("an error");
    const generic = await run("needs", { a: 1 });
    expect(generic.response.requestId).toBe(7);
    expect(seen).toMatchObject({ missing: ["a"], invalid: ["bad b"] });
    expect((seen.generic as Error).message).toBe("thrown");
  });

  test("the functions for a stopping server and for pending actions are used", async () => {
    jest.spyOn(errors(), "tooManyPendingActions").mockReturnValue("slow down");
    jest.spyOn(errors(), "serverShuttingDown").mockReturnValue("bye");
    const busy = makeConnection();
    busy.pendingActions = 100;
    expect(messageOf(await run("needs", {}, busy))).toBe("slow down");
    api.running = false;
    expect(messageOf(await run("needs"))).toBe("bye");
  });

  test("a missing function has a default; the error of a function that throws is used", async () => {
    const saved = errors().unknownAction;
    try {
      delete errors().unknownAction;
      expect(messageOf(await run("nothing"))).toBe(
        "unknown action or invalid apiVersion",
      );
      errors().unknownAction = () => {
        throw new Error("cannot word it");
      };
      expect(messageOf(await run("nothing"))).toBe("cannot word it");
    } finally {
      errors().unknownAction = saved;
    }
  });
});

test("pending actions are limited, and counted down however they end", async () => {
  addAction("fails", {
    run: async () => {
      throw new Error("no");
    },
  });
  const connection = makeConnection();
  for (let i = 0; i < 10; i++) await run("fails", {}, connection);
  expect(connection.pendingActions).toBe(0);
  expect(connection.totalActions).toBe(10);
});

test.each<[string, () => object]>([
  [
    "has only a getter for its error",
    () => ({
      get error() {
        return undefined;
      },
      a: 1,
    }),
  ],
  ["is frozen", () => Object.freeze({ a: 1 })],
  [
    "has a getter that throws",
    () => ({
      get error() {
        throw new Error("mine");
      },
    }),
  ],
])(
  "a response that %s does not keep the client from the error",
  async (_, make) => {
    addAction("odd", {
      run: async (data: ActionProcessor<any>) => {
        data.response = make();
        throw new Error("no");
      },
    });
    const connection = makeConnection();
    const data = await run("odd", {}, connection);
    expect(messageOf(data)).toBe("no");
    expect(connection.pendingActions).toBe(0);
  },
);
