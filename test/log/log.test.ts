import * as fs from "fs";
import { wantsColors } from "../../src/log/sinks";
import { RUN_TYPESCRIPT_TEXT } from "../support/sources";
import { TemporaryProject } from "../support/temporaryProject";
import { hasTerminal, Terminal } from "../support/terminal";

type Log = typeof import("../../src/log/log");
type Filters = typeof import("../../src/log/filters");
type Tools = typeof import("../../src/log/loggerTools");

describe("log", () => {
  const before = { ...process.env };
  let project: TemporaryProject;

  /** Loads the modules with one file logger at `level`, and the config overrides given. */
  function load(
    overrides: Record<string, unknown> = {},
    level = "info",
  ): Log & Filters & Tools {
    project.write(
      "config/logger.js",
      `const winston = require(${JSON.stringify(require.resolve("winston"))});
       exports.DEFAULT = { logger: () => ({ loggers: [
         (config, { jsonFormat, FileTransport }) => ({
           level: "${level}", levels: winston.config.syslog.levels, format: jsonFormat(),
           transports: [new FileTransport({ filename: "${project.path("log/out.log")}" })] }) ] }) };
       exports.test = {};`,
    );
    process.env.ACTIONHERO_CONFIG = project.path("config");
    process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify(overrides);
    jest.resetModules();
    return {
      ...(require("../../src/log/log") as Log),
      ...(require("../../src/log/filters") as Filters),
      ...(require("../../src/log/loggerTools") as Tools),
    };
  }

  function written(): Record<string, unknown>[] {
    return fs
      .readFileSync(project.path("log/out.log"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  beforeEach(() => {
    project = new TemporaryProject();
  });

  afterEach(() => {
    process.env = { ...before };
    project.remove();
  });

  test("writes message, level, time and the properties of data", async () => {
    const { log, flushLogs } = load();
    log("hello", "notice", { a: 1, deep: { b: 2 } });
    await flushLogs();
    expect(written()).toEqual([
      {
        message: "hello",
        level: "notice",
        a: 1,
        deep: { b: 2 },
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      },
    ]);
  });

  test("leaves out data that is not an object, and treats an unknown level as info", async () => {
    const { log, flushLogs } = load();
    log("one", "info", "a string");
    log("two", "silly");
    await flushLogs();
    expect(written()).toMatchObject([
      { message: "one", level: "info" },
      { message: "two", level: "info" },
    ]);
  });

  test("levels below the logger's are not formatted, and willLog says so", async () => {
    const { log, willLog, flushLogs } = load({}, "warning");
    expect(willLog("error")).toBe(true);
    expect(willLog("info")).toBe(false);
    const costly = { toJSON: jest.fn(() => ({})) };
    log("quiet", "debug", costly);
    log("loud", "crit");
    await flushLogs();
    expect(costly.toJSON).not.toHaveBeenCalled();
    expect(written()).toMatchObject([{ message: "loud", level: "crit" }]);
  });

  test("logger.redact keeps fields out of every line, whatever they lie in", async () => {
    const redact = ["**.*password*", "headers.cookie"];
    const { log, flushLogs } = load({ logger: { redact } });
    const error = Object.assign(new Error("refused"), {
      config: { headers: { a: 1 }, password: "secret" },
    });
    const fields = {
      user: { newPassword: "secret" },
      headers: { cookie: "c" },
    };
    log("fields", "info", fields);
    log("an error", "error", error);
    log("a field", "error", { error });
    log("a cause", "error", new Error("outer", { cause: error }));
    log("a text", "info", "password");
    log("nothing of that kind", "info", { a: { b: 1 } });
    await flushLogs();
    expect(written()).toMatchObject([
      {
        user: { newPassword: "[FILTERED]" },
        headers: { cookie: "[FILTERED]" },
      },
      {
        message: "an error refused",
        stack: error.stack,
        config: { headers: { a: 1 }, password: "[FILTERED]" },
      },
      { error: { config: { headers: { a: 1 }, password: "[FILTERED]" } } },
      { message: "a cause outer" },
      { message: "a text" },
      { a: { b: 1 } },
    ]);
    expect(JSON.stringify(written())).not.toContain("secret");
    expect(JSON.stringify([fields, error])).toContain("secret"); // the caller's own objects stay what they are
  });

  test("data that JSON cannot show still gives a line", async () => {
    const { log, flushLogs } = load();
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    log("circular", "info", {
      circular,
      requestId: "r",
      count: 1,
      long: "x".repeat(1000),
    });
    await flushLogs();
    expect(written()[0]).toEqual({
      level: "info",
      message: "circular",
      timestamp: expect.any(String),
      requestId: "r",
      count: 1,
      unprintable: expect.stringContaining("circular"),
    });
  });

  test("an error among the fields has its text, stack, cause and properties", async () => {
    const { log, flushLogs } = load({ logger: { redact: ["**.password"] } });
    const cause = Object.assign(new Error("inner"), { password: "p" });
    const error = Object.assign(new Error("outer", { cause }), { status: 4 });
    const circular = new Error("circular");
    circular.cause = circular;
    log("one", "error", { error, list: [new TypeError("x")] });
    log("two", "error", { error: new AggregateError([error], "many") });
    log("three", "error", { circular });
    await flushLogs();
    const shown = {
      ...{ name: "Error", message: "outer", stack: error.stack, status: 4 },
      cause: {
        ...{ name: "Error", message: "inner", stack: cause.stack },
        password: "[FILTERED]",
      },
    };
    expect(written()).toMatchObject([
      { error: shown, list: [{ name: "TypeError", message: "x" }] },
      { error: { message: "many", errors: [shown] } },
      { message: "three", unprintable: expect.stringContaining("circular") },
    ]);
  });

  test("where values are redacted, a message that is an error or an object is a text, without its secrets", async () => {
    const { log, flushLogs } = load({ logger: { redact: ["**.password"] } });
    const secret = { password: "s3cret" };
    const error = Object.assign(new Error("failed", { cause: secret }), secret);
    const messages: unknown[] = [error, [secret], secret, 5, null, undefined];
    const fail = () => {
      throw new Error("a getter");
    };
    messages.push(
      Object.defineProperty(new Error("x"), "stack", { get: fail }),
      new Proxy({}, { ownKeys: fail }),
    );
    for (const message of messages) log(message as string, "error", { id: 1 });
    await flushLogs();
    const lines = written();
    expect(JSON.stringify(lines)).not.toContain("s3cret");
    expect(lines).toMatchObject([
      { message: "Error: failed", stack: error.stack, id: 1 },
      { message: expect.stringContaining("FILTERED"), id: 1 },
      { message: expect.stringContaining("FILTERED"), id: 1 },
      { message: "5" },
      { message: "null" },
      { message: "undefined" },
      { message: "cannot be shown: Error: a getter", id: 1 },
      { message: "cannot be shown: Error: a getter", id: 1 },
    ]);
  });

  test("an error with a circular property keeps its text and stack", async () => {
    const { log, flushLogs } = load();
    const error = new TypeError("of a request");
    const request = { error };
    Object.assign(error, { request });
    log("failed", "error", { error, stack: error.stack });
    await flushLogs();
    const stack = expect.stringContaining("log.test.ts");
    expect(written()[0]).toMatchObject({
      message: "failed",
      error: { name: "TypeError", message: "of a request", stack },
      stack,
      unprintable: expect.stringContaining("circular"),
    });
  });

  test.each([[undefined], [null], [5], [{ a: 1 }], [new Error("x")]])(
    "a message that is not a text, %p, throws nothing",
    async (message) => {
      const { log, flushLogs } = load();
      log(message as unknown as string, "error");
      log(message as unknown as string, "error", { id: 1 });
      await flushLogs();
      expect(written()).toMatchObject([{ level: "error" }, { id: 1 }]);
    },
  );

  test.each([
    ["with", { logger: { redact: ["**.password"] } }],
    ["without", {}],
  ])(
    "fields that throw when they are read leave the message, %s redaction",
    async (_case, overrides) => {
      const { log, flushLogs } = load(overrides);
      const fail = () => {
        throw new Error("a getter");
      };
      log("getter", "info", Object.defineProperty({}, "x", { get: fail, enumerable: true })); // prettier-ignore
      log("proxy", "info", { deep: new Proxy({}, { ownKeys: fail }) });
      await flushLogs();
      const unprintable = "cannot be shown: Error: a getter";
      expect(written()).toMatchObject([
        { message: "getter", unprintable },
        { message: "proxy", unprintable },
      ]);
    },
  );

  test("a builder may return a logger or its options, which get defaults", () => {
    jest.resetModules();
    const { loggers } = require("../../src/log/log") as Log;
    expect(loggers).toHaveLength(2);
  });

  test("with logger.format json, the lines on stdout are JSON documents with the time, the level and the id of the process", () => {
    process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
      logger: { format: "json" },
    });
    jest.resetModules();
    const { loggers } = require("../../src/log/log") as Log;
    const { id } = require("../../src/config/config") as { id: string };
    const [{ format }] = loggers;
    const info = { level: "info", message: "hello", a: 1 };
    const done = format.transform(info, format.options) as unknown;
    const line = (done as Record<symbol, string>)[Symbol.for("message")];
    expect(JSON.parse(line)).toEqual({
      ...{ level: "info", message: "hello", a: 1, id },
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
    expect(line).not.toContain("\n");
  });

  describe("the console format", () => {
    const line = (tools: Tools) => {
      const info = tools.loggerTools.consoleFormat().transform({
        level: "info",
        message: "hello",
        a: 1,
        empty: "",
        none: null,
        list: [1, 2],
        object: { a: { b: [1] } },
      }) as unknown as Record<symbol, string>;
      return info[Symbol.for("message")];
    };

    test("appends key=value, each with a space; plain without colours", () => {
      delete process.env.FORCE_COLOR;
      expect(process.stdout.isTTY).toBeFalsy();
      expect(line(load())).toMatch(
        /^\S+Z - info: hello a=1 list=1,2 object={"a":{"b":\[1\]}} $/,
      );
    });

    test("colours the level where FORCE_COLOR asks for it", () => {
      process.env.FORCE_COLOR = "1";
      expect(line(load())).toMatch(
        // eslint-disable-next-line no-control-regex -- colours are control characters
        /^\S+Z - \u001b\[32minfo\u001b\[39m: hello a=1 /,
      );
    });

    if (hasTerminal)
      test("colours the level at a terminal", async () => {
        const tools = require.resolve("../../src/log/loggerTools");
        const script = project.write(
          "print.ts",
          `import { loggerTools } from ${JSON.stringify(tools)};
           const info = { level: "info", message: "hello" };
           loggerTools.consoleFormat().transform(info);
           console.log(JSON.stringify(info[Symbol.for("message")]));`,
        );
        const terminal = new Terminal(
          `"${process.execPath}" ${RUN_TYPESCRIPT_TEXT} "${script}"`,
          {
            cwd: project.root,
            env: { FORCE_COLOR: undefined, NO_COLOR: undefined },
          },
        );
        await terminal.shows(/ - \\u001b\[32minfo\\u001b\[39m: hello /);
        await terminal.close();
      }, 60_000);

    test.each([
      [true, {}, true],
      [false, {}, false],
      [true, { NO_COLOR: "1" }, false],
      [true, { NO_COLOR: "" }, true], // the convention: empty counts as not set
      [true, { TERM: "dumb" }, false],
      [false, { FORCE_COLOR: "1" }, true],
      [false, { FORCE_COLOR: "" }, true],
      [true, { FORCE_COLOR: "0" }, false],
      [true, { FORCE_COLOR: "false" }, false],
      [true, { FORCE_COLOR: "1", NO_COLOR: "1" }, true],
    ])("a terminal: %s, %j: colours: %s", (isTerminal, env, expected) => {
      expect(wantsColors(isTerminal, env)).toBe(expected);
    });

    test("quotes what has spaces, stacks included, when asked to", () => {
      const { loggerTools } = load();
      const info = loggerTools.consoleFormat({ quote: true }).transform({
        level: "error",
        message: "m",
        plain: "a",
        error: "Error: x to=10.0.0.1",
        stack: 'Error: x" to=10.0.0.1\n    at run (a.ts:1:1)',
      }) as unknown as Record<symbol, string>;
      expect(info[Symbol.for("message")]).toMatch(
        / m plain=a error="Error: x to=10\.0\.0\.1" stack="Error: x\\" to=10\.0\.0\.1\n {4}at run \(a\.ts:1:1\)" $/,
      );
    });

    test("cuts what is megabytes long, however it is logged", () => {
      const { loggerTools } = load();
      const text = "x\u0085".repeat(5_000_000);
      const formats = [loggerTools.consoleFormat(), loggerTools.jsonFormat()];
      for (const format of formats) {
        for (const fields of [
          { message: text },
          { message: "m", error: text },
          { message: "m", stack: text },
          { message: "m", data: { deep: [text] } },
          { message: "m", data: Array(100_000).fill("short") },
        ]) {
          const info = format.transform({ level: "info", ...fields });
          const line = (info as unknown as Record<symbol, string>)[
            Symbol.for("message")
          ];
          expect(line.length).toBeLessThan(600 * 1024);
          if (line.startsWith("{"))
            expect(JSON.parse(line)).toMatchObject({ level: "info" });
        }
      }
    });

    test("an action without an error has no field of it, also in JSON", () => {
      const { loggerTools } = load();
      const lineOf = (error: string) => {
        const info = loggerTools.jsonFormat().transform({
          level: "info",
          message: "m",
          error,
        }) as unknown as Record<symbol, string>;
        return JSON.parse(info[Symbol.for("message")]) as object;
      };
      expect(lineOf("")).not.toHaveProperty("error");
      expect(lineOf("Error: x")).toMatchObject({ error: "Error: x" });
    });

    test("survives values without a prototype", () => {
      const { loggerTools } = load();
      const info = loggerTools.consoleFormat().transform({
        level: "debug",
        message: "m",
        bare: Object.create(null) as object,
      }) as unknown as Record<symbol, string>;
      expect(info[Symbol.for("message")]).toContain("bare={} ");
    });

    test("shows objects as JSON of a limited length, and what has a text of its own as that", () => {
      const { loggerTools } = load();
      const circle: Record<string, unknown> = Object.create(null);
      circle.self = circle;
      const info = loggerTools.consoleFormat().transform({
        level: "info",
        message: "m",
        objects: [{ a: "x\u0085" }],
        circle,
        error: new Error("an error"),
        long: { text: "x".repeat(100_000) },
      }) as unknown as Record<symbol, string>;
      const line = info[Symbol.for("message")];
      expect(line).toContain(
        'objects=[{"a":"x\\u0085"}] circle=[object Object] error=Error: an error long={"text":"xxx',
      );
      expect(line).toMatch(/xxx\.\.\. $/);
      expect(line.length).toBeLessThan(2_000);
    });
  });

  describe("filters", () => {
    test("cut strings, count long arrays, keep plain objects", () => {
      const { filterObjectForLogging } = load();
      const long = "x".repeat(200);
      expect(
        filterObjectForLogging({
          long,
          list: Array.from({ length: 11 }, (_, i) => i),
          short: [1, 2],
          deep: { long },
          number: 1,
          nothing: undefined,
        }),
      ).toEqual({
        long: "x".repeat(100),
        list: "11 items",
        short: [1, 2],
        deep: { long },
        number: 1,
      });
    });

    test("replace secrets at any depth, without touching the source", () => {
      const { filterObjectForLogging } = load({
        general: { filteredParams: ["password", "user.token", "missing.x"] },
      });
      const params = { password: "p", user: { token: "t", name: "n" } };
      expect(filterObjectForLogging(params)).toEqual({
        password: "[FILTERED]",
        user: { token: "[FILTERED]", name: "n" },
      });
      expect(params.user.token).toBe("t");
    });

    test("the list may be a function, asked when a line is made", () => {
      const { filterObjectForLogging } = load();
      const { config } = require("../../src/config/config") as {
        config: { general: Record<string, unknown> };
      };
      config.general.filteredParams = () => ["secret"];
      expect(filterObjectForLogging({ secret: 1 })).toEqual({
        secret: "[FILTERED]",
      });
    });

    test("responses have a list of their own, and errors become their message", () => {
      const { filterResponseForLogging } = load({
        general: { filteredResponse: ["key"] },
      });
      expect(
        filterResponseForLogging({ key: "k", error: new Error("oh no") }),
      ).toEqual({ key: "[FILTERED]", error: "oh no" });
    });
  });
});
