import { addAction, makeConnection, useApp } from "../support/app";
import {
  ActionProcessor,
  api,
  config,
  HttpError,
  loggers,
  rebuildConfig,
} from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

useApp();

interface Line {
  level: string;
  message: string;
  fields: Record<string, any>;
}

const lines: Line[] = [];
let restore: () => void;

beforeEach(() => {
  lines.length = 0;
  const [logger] = loggers;
  const { level } = logger;
  logger.level = "debug";
  const spy = jest.spyOn(logger, "log").mockImplementation((...args: any[]) => {
    lines.push({ level: args[0], message: args[1], fields: args[2] });
    return logger;
  });
  restore = () => {
    spy.mockRestore();
    logger.level = level;
  };
});

afterEach(() => {
  restore();
  rebuildConfig();
});

async function run(
  name: string,
  params: Record<string, unknown> = {},
  connection = makeConnection(),
) {
  connection.params = { ...params, action: name };
  const data = await new ActionProcessor<any>(connection).processAction();
  return {
    data,
    line: lines.find(({ message }) => message.includes("action")),
  };
}

test("an action has one log line", async () => {
  addAction("fine", { inputs: { a: {} }, run: async () => ({ ok: true }) });
  const { line } = await run("fine", { a: 1, secret: 2 });
  expect(line).toEqual({
    level: "info",
    message: "[ action @ unit ]",
    fields: {
      to: "10.0.0.1",
      action: "fine",
      params: '{"action":"fine","apiVersion":1,"a":1}',
      duration: expect.any(Number),
      method: undefined,
      pathname: undefined,
      error: "",
      response: undefined,
    },
  });
});

test("the level of the line is the action's", async () => {
  addAction("quiet", { logLevel: "debug", run: async () => ({}) });
  expect((await run("quiet")).line!.level).toBe("debug");
});

test("lines of web requests show method and path", async () => {
  const rawConnection = { method: "GET", parsedURL: { pathname: "/api/fine" } };
  const { line } = await run(
    "fine",
    {},
    makeConnection({ type: "web", rawConnection }),
  );
  expect(line!.message).toBe("[ action @ web ]");
  expect(line!.fields).toMatchObject({ method: "GET", pathname: "/api/fine" });
});

test("long params are truncated, and secret ones hidden", async () => {
  addAction("secrets", {
    inputs: { password: {}, text: {}, list: {}, user: {} },
    run: async () => ({}),
  });
  config.general.filteredParams = ["password", "user.token", "absent.path"];
  const { line } = await run("secrets", {
    password: "p",
    text: "x".repeat(500),
    list: Array(11).fill(0),
    user: { token: "t", name: "Ada" },
  });
  expect(JSON.parse(line!.fields.params)).toEqual({
    action: "secrets",
    apiVersion: 1,
    password: "[FILTERED]",
    text: "x".repeat(100),
    list: "11 items",
    user: { token: "[FILTERED]", name: "Ada" },
  });
});

test("nested params do not fill the log", async () => {
  addAction("nested", { inputs: { a: {} }, run: async () => ({ ok: true }) });
  const { line } = await run("nested", { a: { text: "x".repeat(1e6) } });
  expect(JSON.parse(line!.fields.params)).toMatchObject({
    a: { text: "x".repeat(100) },
  });
});

test("the name of an action is truncated, and an object as a name shows no secrets", async () => {
  const max = config.logger.maxLogStringLength;
  const long = await run("x".repeat(10 * max));
  expect(long.line!.fields.action).toBe("x".repeat(max));

  lines.length = 0;
  config.general.filteredParams = ["password"];
  const action = { password: "p4ss", rest: "y".repeat(10 * max) };
  const { line } = await run(action as never);
  expect(line!.fields.action).toMatch(/^{"password":"\[FILTERED\]","rest":"y+/);
  expect(line!.fields.action).toHaveLength(max);
  expect(JSON.stringify(line)).not.toContain("p4ss");
  expect(JSON.stringify(line).length).toBeLessThan(8 * max + 2000);
});

test("the line has the response if configured, without its secrets", async () => {
  config.general.enableResponseLogging = true;
  config.general.filteredResponse = () => ["token"];
  addAction("answers", { run: async () => ({ token: "t", ok: 1 }) });
  const { line } = await run("answers");
  expect(JSON.parse(line!.fields.response)).toEqual({
    token: "[FILTERED]",
    ok: 1,
  });
});

test("params that JSON cannot represent do not prevent the line", async () => {
  const circle: any = {};
  circle.circle = circle;
  addAction("circle", { inputs: { circle: {} }, run: async () => ({ ok: 1 }) });
  expect((await run("circle", { circle })).data.response).toEqual({ ok: 1 });
});

describe("errors", () => {
  beforeEach(() => {
    addAction("fails", {
      run: async () => {
        throw Object.assign(new Error("it failed"), { code: "E1", extra: [1] });
      },
    });
  });

  test("an error is logged with text, stack and own properties, at the level error", async () => {
    const { line } = await run("fails");
    expect(line!.level).toBe("error");
    expect(line!.fields).toMatchObject({
      action: "fails",
      error: "Error: it failed",
      code: "E1",
      extra: [1],
      stack: expect.stringContaining("report.test"),
    });
    expect(line!.fields).not.toHaveProperty("message");
  });

  test("a thrown value that is not an Error is shown as JSON", async () => {
    addAction("object", {
      inputs: { a: { default: 1, validator: () => ({ code: 7 }) } },
      run: async () => ({}),
    });
    expect((await run("object")).line!.fields.error).toBe('{"code":7}');
  });

  test("a project can format the line itself", async () => {
    (config.errors.serializers as any).actionProcessor = (error: Error) => ({
      errorFields: { mine: error.message },
      logLevel: "alert",
    });
    const { line } = await run("fails");
    expect(line!.level).toBe("alert");
    expect(line!.fields).toMatchObject({ mine: "it failed", error: "" });
    (config.errors.serializers as any).actionProcessor = () => ({
      errorFields: {},
    });
    lines.length = 0;
    expect((await run("fails")).line!.level).toBe("error");
  });

  test("a format that throws does not prevent the response", async () => {
    (config.errors.serializers as any).actionProcessor = () => {
      throw new Error("no format");
    };
    const { data } = await run("fails");
    expect(data.response.error.message).toBe("it failed");
    expect(data.connection.pendingActions).toBe(0);
    expect(lines.map(({ message }) => message)).toContain(
      "cannot report the action `fails`",
    );
  });

  test("errors go to the reporters, and those of unknown actions only if configured", async () => {
    const reports: any[][] = [];
    api.exceptionHandlers.reporters.push((...args) => void reports.push(args));
    try {
      const { data } = await run("fails");
      expect(reports).toHaveLength(1);
      const [error, type, name, objects, severity] = reports[0];
      expect(error).toBe(data.response.error);
      expect([type, name, severity]).toEqual([
        "action",
        "action: fails",
        "alert",
      ]);
      expect(objects).toMatchObject({
        to: "10.0.0.1",
        action: "fails",
        params: expect.any(String),
        duration: expect.any(Number),
        error,
      });

      await run("nothing");
      expect(reports).toHaveLength(1);
      (config.errors as any).reportUnknownActions = true;
      await run("nothing");
      expect(reports).toHaveLength(2);
    } finally {
      api.exceptionHandlers.reporters.pop();
    }
  });

  test("applyDefaultErrorLogLineFormat is available to custom formats", () => {
    const data = new ActionProcessor(makeConnection());
    const formatted = data.applyDefaultErrorLogLineFormat(new Error("x"));
    expect(formatted.logLevel).toBe("error");
    expect(formatted.errorFields).toMatchObject({ error: "Error: x" });
  });
});

test("no line is built when no logger takes the level", async () => {
  const levels = loggers.map(({ level }) => level);
  const read = jest.fn();
  try {
    for (const logger of loggers) logger.level = "crit";
    const { line } = await run("fine", {
      a: { toJSON: () => read() as unknown },
    });
    expect(line).toBeUndefined();
    expect(read).not.toHaveBeenCalled();
  } finally {
    loggers.forEach((logger, index) => (logger.level = levels[index]));
  }
});

describe("errors of clients", () => {
  const fail = (error: Error) => () => Promise.reject(error);
  const signIn = new HttpError(401, "please sign in", {
    headers: { "WWW-Authenticate": "Bearer" },
    cause: new Error("no token"),
  });

  beforeEach(() => {
    addAction("signIn", { run: fail(signIn) });
    addAction("strict", {
      inputs: { a: { required: true }, b: { validator: () => "b is wrong" } },
      run: async () => ({}),
    });
    addAction("broken", {
      inputs: { a: { validator: (value: any) => value.b.c } },
      run: async () => ({}),
    });
    addAction("crash", { run: fail(new Error("crash")) });
  });

  test("are errors with a stack, as in version 29", async () => {
    const { line } = await run("signIn");
    expect(line).toMatchObject({
      level: "error",
      fields: { error: "Error: please sign in", expose: true },
    });
    expect(line!.fields.stack).toContain("at ");
  });

  test.each([
    ["signIn", {}, "Error: please sign in", 401],
    ["strict", {}, "Error: a is a required parameter for this action", 422],
    ["strict", { a: 1, b: 1 }, "Error: b is wrong", 418],
    ["nothing", {}, "Error: unknown action or invalid apiVersion", 404],
  ])(
    "have another level, and no stack: %s %j",
    async (name, params, error, status) => {
      config.errors.clientErrorLogLevel = "info";
      config.web.errorStatus = { invalidParams: 418 };
      const { line } = await run(name, params);
      expect(line!.level).toBe("info");
      expect(line!.fields).toMatchObject({ error, status });
      expect(Object.keys(line!.fields)).not.toEqual(
        expect.arrayContaining(["stack"]),
      );
      expect(line!.fields).not.toHaveProperty("headers");
      if (name === "signIn") expect(line!.fields.cause).toBe("Error: no token");
    },
  );

  test.each([
    ["crash", {}, "Error: crash"],
    ["broken", { a: 1 }, expect.stringMatching(/^TypeError: /)],
  ])("are not those of the server: %s", async (name, params, error) => {
    config.errors.clientErrorLogLevel = "info";
    const { line } = await run(name, params);
    expect(line).toMatchObject({ level: "error", fields: { error } });
    expect(line!.fields.stack).toContain("at ");
  });
});

test.each([
  ['{"action":"echo","params":{"password":"S3CRET"}', "[FILTERED]"],
  ["password=S3CRET", "password[FILTERED]"],
  ["nope", "nope"],
])(
  "a name that no action has keeps what may be a param out of the log: %s",
  async (name, shown) => {
    config.general.filteredParams = ["password"];
    const { line } = await run(name);
    expect(line!.fields.action).toBe(shown);
    expect(JSON.stringify(line!.fields)).not.toContain("S3CRET");
    config.general.filteredParams = [];
    expect((await run(name)).data.action).toBe(name);
  },
);
