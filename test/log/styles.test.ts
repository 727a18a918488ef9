/** Styles in place of a level: seen on the console, and in no file. */
import * as fs from "node:fs";
import { inStyles, stylesOf, type LogStyle } from "../../src/log/loggerTools";
import { TemporaryProject } from "../support/temporaryProject";

const ALL: LogStyle[] = [
  "bold",
  "italic",
  "underline",
  "inverse",
  "white",
  "grey",
  "black",
  "blue",
  "cyan",
  "green",
  "yellow",
  "red",
  "magenta",
  "rainbow",
  "zebra",
  "zalgo",
];

/** Without escape sequences and combining characters. */
const bare = (text: string) => text.replace(/\u001b\[\d+m|\p{M}/gu, ""); // eslint-disable-line no-control-regex

test.each(ALL)("%s changes how a text looks, and not the text", (style) => {
  expect(stylesOf(style)).toEqual([style]);
  const text = "a text of emoji 🙂 and words";
  const shown = inStyles(text, [style]);
  expect(shown).not.toBe(text);
  expect(bare(shown)).toBe(text);
});

test("all styles can be combined", () => {
  expect(bare(inStyles("text", ALL))).toBe("text");
  expect(inStyles("x", ["bold", "red"])).toBe(
    "\u001b[31m\u001b[1mx\u001b[22m\u001b[39m",
  );
});

test.each(["info", "nonsense", "constructor", "__proto__", "", 5, null, []])(
  "%j is not a style",
  (severity) => {
    expect(stylesOf(severity)).toBeUndefined();
  },
);

describe("log", () => {
  const before = { ...process.env };
  let project: TemporaryProject;

  beforeEach(() => {
    project = new TemporaryProject();
    project.write(
      "config/logger.js",
      `const { format } = require(${JSON.stringify(require.resolve("winston"))});
       const logger = (format, name, level) => (config, tools) => ({
         level, format: tools[format](),
         levels: { error: 0, info: 1, debug: 2 },
         transports: [new tools.FileTransport({ filename: ${JSON.stringify(project.path("log"))} + "/" + name })] });
       exports.DEFAULT = { logger: () => ({ loggers: [
         logger("consoleFormat", "console", "info"), logger("jsonFormat", "json", "info"), logger("jsonFormat", "errors", "error") ] }) };
       exports.test = {};`,
    );
    process.env.ACTIONHERO_CONFIG = project.path("config");
    process.env.FORCE_COLOR = "1";
    jest.resetModules();
  });
  afterEach(() => {
    process.env = { ...before };
    project.remove();
  });

  const lines = (name: string) =>
    fs
      .readFileSync(project.path(`log/${name}`), "utf8")
      .trim()
      .split("\n");

  test("a style is the level info, coloured on the console only", async () => {
    const { log } =
      require("../../src/log/log") as typeof import("../../src/log/log");
    const { flushLogs } =
      require("../../src/log/loggerTools") as typeof import("../../src/log/loggerTools");
    log("good 100%", "green");
    log("both", ["bold", "red"], { a: 1, message: "other", level: "debug" });
    log("text", "red", "no object");
    log("unknown", "nonsense");
    await flushLogs();
    const [green, both, text, unknown] = lines("console");
    expect(green).toMatch(/: \u001b\[32mgood 100%\u001b\[39m\s*$/); // eslint-disable-line no-control-regex
    expect(both).toContain("\u001b[31m\u001b[1mboth\u001b[22m\u001b[39m a=1");
    expect(text).toMatch(/: \u001b\[31mtext\u001b\[39m\s*$/); // eslint-disable-line no-control-regex
    expect(unknown).toMatch(/: unknown\s*$/);
    const json = lines("json").map((line) => JSON.parse(line));
    expect(json.map(({ timestamp: _, ...line }) => line)).toEqual([
      { level: "info", message: "good 100%" },
      { a: 1, level: "info", message: "both" },
      { level: "info", message: "text" },
      { level: "info", message: "unknown" },
    ]);
    expect(fs.existsSync(project.path("log/errors"))).toBe(false);
  });
});
