import Transport = require("winston-transport");
import * as winston from "winston";
import { loggerTools } from "../../src/log/loggerTools";
import { writeDirectly } from "../../src/log/directWrite";

const OwnTransport = loggerTools.ConsoleTransport;

/** A logger on our own transport, whose finished lines are kept instead of written. */
function build(options: winston.LoggerOptions = {}) {
  const lines: string[] = [];
  const transport = new OwnTransport();
  Object.assign((transport as any).output, {
    push: (line: string) => lines.push(line),
  });
  const logger = winston.createLogger({
    levels: winston.config.syslog.levels,
    format: loggerTools.jsonFormat(),
    transports: [transport],
    ...options,
  });
  return { logger, transport, lines };
}

const withoutTime = (lines: string[]) =>
  lines.map((line) => line.replace(/"timestamp":"[^"]+"/, ""));

test.each([
  [{}],
  [{ a: 1, deep: { b: [1] } }],
  [{ error: "Error: x", stack: "Error: x\n at y", level: "other" }],
])("writes what winston writes for %j", (data) => {
  const direct = build();
  const winstons = build();
  expect(writeDirectly(direct.logger, "info", "text", data)).toBe(true);
  winstons.logger.log("info", "text", { ...data });
  expect(direct.lines).toHaveLength(1);
  expect(withoutTime(direct.lines)).toEqual(withoutTime(winstons.lines));
});

test("a format that drops a line drops it", () => {
  const { logger, lines } = build({ format: winston.format(() => false)() });
  expect(writeDirectly(logger, "info", "text", {})).toBe(true);
  expect(lines).toEqual([]);
});

class Foreign extends Transport {
  override log(_info: unknown, next: () => void) {
    next();
  }
}

test.each<[string, (built: ReturnType<typeof build>) => void]>([
  ["a transport of somebody else", ({ logger }) => logger.add(new Foreign())],
  ["a listener", ({ logger }) => logger.on("data", () => undefined)],
  ["a level of the transport", ({ transport }) => (transport.level = "crit")],
  ["silence", ({ logger }) => (logger.silent = true)],
  ["default properties", ({ logger }) => (logger.defaultMeta = { a: 1 })],
  ["a spy", ({ logger }) => (logger.log = () => logger)],
  ["no transport", ({ logger }) => logger.clear()],
])("leaves the line to winston: %s", (_what, change) => {
  const built = build();
  change(built);
  expect(writeDirectly(built.logger, "info", "text", {})).toBe(false);
  expect(built.lines).toEqual([]);
});

test("so are texts that winston would put together", () => {
  const { logger } = build();
  expect(writeDirectly(logger, "info", "%s", {})).toBe(false);
  expect(writeDirectly(logger, "info", "text", { message: "more" })).toBe(
    false,
  );
});
