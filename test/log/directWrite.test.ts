import * as fc from "fast-check";
import Transport = require("winston-transport");
import * as winston from "winston";
import { escapeFields, escapeOwnFields } from "../../src/log/escape";
import { loggerTools } from "../../src/log/loggerTools";
import { writeDirectly } from "../../src/log/log";

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
  expect(
    writeDirectly(direct.logger, { level: "info", message: "text" }, data),
  ).toBe(true);
  winstons.logger.log("info", "text", { ...data });
  expect(direct.lines).toHaveLength(1);
  expect(withoutTime(direct.lines)).toEqual(withoutTime(winstons.lines));
});

const { consoleFormat, jsonFormat } = loggerTools;
const formats: [string, () => winston.Logform.Format][] = [
  ["text", () => consoleFormat()],
  ["quoted text", () => consoleFormat({ quote: true })],
  ["JSON", () => jsonFormat()],
  ["JSON with fields", () => jsonFormat({ id: "node" })],
];

const fields = fc.dictionary(
  fc.constantFrom(
    ...["to", "action", "params", "error", "stack", "count", 'a "b"', "id"],
    ...["level", "timestamp"],
  ),
  fc.oneof(
    fc.string({ unit: "grapheme-composite" }),
    fc.constantFrom("\u0085", "a\nb", "\u2028", "\x7f", "x=1", '"q"', ""),
    fc.integer(),
    fc.constantFrom(null, undefined, true),
    fc.array(fc.string(), { maxLength: 2 }),
  ),
);

describe.each(formats)("our own format, %s", (_name, format) => {
  const direct = build({ format: format() });
  const winstons = build({ format: format() });
  const lastOf = ({ lines }: typeof direct) =>
    lines.at(-1)?.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/, "time");

  test("gives the line that winston's way gives", () => {
    fc.assert(
      fc.property(fields, (data) => {
        const line = { level: "info", message: "text" };
        expect(writeDirectly(direct.logger, line, data)).toBe(true);
        winstons.logger.log("info", "text", { ...data });
        expect(lastOf(direct)).toBe(lastOf(winstons));
      }),
    );
  });

  test("gives the same line where fields are known to be escaped", () => {
    fc.assert(
      fc.property(fields, (data) => {
        const line = { level: "info", message: "text" };
        writeDirectly(winstons.logger, line, escapeFields(data));
        const own: Record<string, unknown> = { ...data };
        const isEscaped = escapeOwnFields(own);
        expect(own).toEqual(escapeFields(data));
        writeDirectly(direct.logger, { ...line, isEscaped }, own);
        expect(lastOf(direct)).toBe(lastOf(winstons));
      }),
    );
  });
});

test("a format that drops a line drops it", () => {
  const { logger, lines } = build({ format: winston.format(() => false)() });
  expect(writeDirectly(logger, { level: "info", message: "text" }, {})).toBe(
    true,
  );
  expect(lines).toEqual([]);
});

class Foreign extends Transport {
  override log(_info: unknown, next: () => void) {
    next();
  }
}

class More extends OwnTransport {
  override log(info: unknown, next: () => void) {
    super.log!(info, next);
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
  [
    "a transport that does more than ours",
    ({ logger }) => logger.clear().add(new More()),
  ],
])("leaves the line to winston: %s", (_what, change) => {
  const built = build();
  change(built);
  expect(
    writeDirectly(built.logger, { level: "info", message: "text" }, {}),
  ).toBe(false);
  expect(built.lines).toEqual([]);
});

test("so are texts that winston would put together", () => {
  const { logger } = build();
  expect(writeDirectly(logger, { level: "info", message: "%s" }, {})).toBe(
    false,
  );
  expect(
    writeDirectly(
      logger,
      { level: "info", message: "text" },
      { message: "more" },
    ),
  ).toBe(false);
});
