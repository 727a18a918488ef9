import * as winston from "winston";
import { api, loggers } from "../../src";
import { createExceptionHandlers } from "../../src/log/exceptions";

describe("exception handlers", () => {
  const logged = jest.fn();
  let others: winston.Logger[];

  beforeEach(() => {
    api.exceptionHandlers = createExceptionHandlers();
    const { levels } = winston.config.syslog;
    const logger = winston.createLogger({ level: "debug", levels });
    logger.log = logged;
    others = loggers.splice(0, Infinity, logger);
  });

  afterEach(() => {
    loggers.splice(0, Infinity, ...others);
    logged.mockReset();
  });

  const lastLine = (): [string, string, object] => {
    const [level, message, data] = logged.mock.calls.at(-1)!;
    return [message, level, data];
  };

  test("every reporter gets every error, in order", () => {
    const calls: unknown[][] = [];
    api.exceptionHandlers.reporters.push((...args) => calls.push(args));
    const error = new Error("x");
    api.exceptionHandlers.report(error, "type", "name", { a: 1 }, "warning");
    expect(calls).toEqual([[error, "type", "name", { a: 1 }, "warning"]]);
  });

  test("the console reporter describes any error with its own properties", () => {
    const error = Object.assign(new Error("custom!"), { code: "ABC" });
    api.exceptionHandlers.report(error, "custom-type", "my name", { b: 1 });
    const [message, severity, data] = lastLine();
    expect(message).toBe("Error: custom!");
    expect(severity).toBe("error");
    expect(Object.keys(data)).toEqual([
      "code",
      "type",
      "name",
      "data",
      "stack",
    ]);
    expect(data).toMatchObject({ code: "ABC", data: { b: 1 } });
  });

  test("an error that ends the process goes to stderr when there is no logger", () => {
    loggers.splice(0);
    const printed = jest.spyOn(console, "error").mockImplementation(() => {});
    try {
      api.exceptionHandlers.report(new Error("broken"), "initializer", "redis");
      expect(printed.mock.calls[0].join(" ")).toContain("broken");
      api.exceptionHandlers.report(new Error("own"), "custom", "mine");
      expect(printed).toHaveBeenCalledTimes(1);
    } finally {
      printed.mockRestore();
    }
  });

  test("uncaught errors are reported", () => {
    const handlers = api.exceptionHandlers;
    handlers.report(new Error("u"), "uncaught", "Exception", {}, "emerg");
    expect(lastLine()).toEqual([
      "Uncaught Exception",
      "emerg",
      { stack: expect.stringContaining("Error: u") },
    ]);
  });

  test("errors of initializers carry where they happened", () => {
    const error = Object.assign(new Error("i"), {
      data: { name: "x", file: "/x.js", type: "initialize" },
    });
    api.exceptionHandlers.initializer(error, "/x.js");
    expect(lastLine()).toEqual([
      "Error from Initializer",
      "alert",
      expect.objectContaining({ name: "x", file: "/x.js" }),
    ]);
  });

  test("errors of actions go to the other reporters only: the action's line has them", () => {
    const reporter = jest.fn();
    api.exceptionHandlers.reporters.push(reporter);
    const error = new Error("a");
    api.exceptionHandlers.action(error, {
      to: "ip",
      action: "x",
      params: "{}",
    });
    expect(logged).not.toHaveBeenCalled();
    expect(reporter).toHaveBeenCalledWith(
      error,
      "action",
      "action: x",
      expect.objectContaining({ to: "ip", error }),
      "alert",
    );
  });

  test("errors of tasks name queue, worker and arguments", () => {
    const task = { class: "C", args: [{ a: 1 }] };
    api.exceptionHandlers.task(new Error("t"), "q", task, "w1");
    const [message, severity, data] = lastLine();
    expect(message).toBe("Error from Task");
    expect(severity).toBe("error");
    expect(data).toMatchObject({
      name: "task:C",
      queue: "q",
      worker: "w1",
      arguments: '{"a":1}',
    });
  });

  test("a value that is not an error is reported, too", () => {
    api.exceptionHandlers.report("text" as unknown as Error, "t", "n");
    expect(lastLine()[0]).toBe("Error: text");
  });
});
