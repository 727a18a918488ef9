import * as path from "path";
import { useApp } from "../support/app";
import { api, config, loggers } from "../../src/index";
import { projectRoot } from "../../src/config/config";
import { TemporaryProject } from "../support/temporaryProject";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

useApp();

const project = new TemporaryProject();
const indexFile = JSON.stringify(require.resolve("../../src/index"));
const logged: { level: string; message: string }[] = [];
let unlisten: (() => void)[] = [];

beforeEach(() => {
  logged.length = 0;
  unlisten = loggers.slice(0, 1).map((logger) => {
    const { level } = logger;
    logger.level = "debug";
    const spy = jest
      .spyOn(logger, "log")
      .mockImplementation((...args: unknown[]) => {
        const [level, message] = args as [string, string];
        logged.push({ level, message });
        return logger;
      });
    return () => {
      spy.mockRestore();
      logger.level = level;
    };
  });
});

afterEach(() => {
  for (const restore of unlisten) restore();
});

afterAll(() => project.remove());

/** A file with one exported class per body. */
function write(name: string, ...bodies: string[]): string {
  const classes = bodies.map(
    (body, index) =>
      `exports.A${index} = class extends Action { constructor() { super(); ${body} } async run() { return {}; } };`,
  );
  return project.write(
    name,
    `const { Action } = require(${indexFile});\n${classes.join("\n")}`,
  );
}

function define(name: string, version: unknown = 1, extra = ""): string {
  return `this.name = "${name}"; this.description = "d"; this.version = ${JSON.stringify(version)}; ${extra}`;
}

function list(name: string) {
  return api.actions.versions[name];
}

describe("loading a file", () => {
  test("every export is an action", async () => {
    const file = write("two.js", define("one"), define("two", 3));
    await api.actions.loadFile(file);
    expect(Object.keys(api.actions.actions.one)).toEqual(["1"]);
    expect(api.actions.actions.two[3].description).toBe("d");
    expect(list("two")).toEqual([3]);
    expect(logged).toContainEqual({
      level: "debug",
      message: `action loaded: two @ v3, ${file}`,
    });
  });

  test("a module that exports a class itself is an action", async () => {
    const file = project.write(
      "alone.js",
      `const { Action } = require(${indexFile});
       module.exports = class extends Action { name = "alone"; description = "d"; run() {} };`,
    );
    await api.actions.loadFile(file);
    expect(list("alone")).toEqual([1]);
  });

  test("the default description is the name", async () => {
    await api.actions.loadFile(write("nameless.js", 'this.name = "nameless";'));
    expect(api.actions.actions.nameless[1].description).toBe("nameless");
  });

  test("the second action of a name and version replaces the first, with a warning", async () => {
    await api.actions.loadFile(write("first.js", define("twice")));
    const file = write("second.js", define("twice", 1, 'this.mark = "2nd";'));
    await api.actions.loadFile(file);
    expect(list("twice")).toEqual([1]);
    expect(api.actions.actions.twice[1]).toHaveProperty("mark", "2nd");
    expect(logged).toContainEqual({
      level: "warning",
      message: `an existing action with the same name \`twice\` will be overridden by the file ${file}`,
    });
  });

  test("with general.uniqueNames the second one is an error that names the first one", async () => {
    config.general.uniqueNames = true;
    const first = write("a.js", define("unique"));
    await api.actions.loadFile(first);
    const second = api.actions.loadFile(write("b.js", define("unique")));
    await expect(second).rejects.toThrow(
      `the action \`unique\` exists twice, also in ${path.relative(projectRoot, first)}`,
    );
    await api.actions.loadFile(write("c.js", define("unique", 2)));
    expect(list("unique")).toEqual([1, 2]);
    await api.actions.loadFile(first, true);
  });

  // that the file is read anew is shown in test/utils/loadModule.test.ts: jest does not let go of a module
  test("reloading replaces without a warning", async () => {
    const file = write("reload.js", define("again"));
    await api.actions.loadFile(file);
    const before = api.actions.actions.again[1];
    await api.actions.loadFile(file, true);
    expect(api.actions.actions.again[1]).not.toBe(before);
    expect(list("again")).toEqual([1]);
    expect(logged.map(({ level }) => level)).not.toContain("warning");
    expect(logged).toContainEqual({
      level: "info",
      message: `action reloaded: again @ v1, ${file}`,
    });
  });

  test("versions are in order of their numbers", async () => {
    for (const version of [10, 2, "1", "three", "v10", "v9"])
      await api.actions.loadFile(
        write(`v-${version}.js`, define("versioned", version)),
      );
    expect(list("versioned")).toEqual(["1", 2, 10, "three", "v9", "v10"]);
  });

  test.each([
    ["a value", "{ a: 1 }"],
    ["a helper", "() => 1"],
    ["an async helper", "async function () {}"],
    ["another class", "class {}"],
  ])("an export that is %s is named", async (_, code) => {
    const file = project.write("mixed.js", `exports.helper = ${code};`);
    jest.resetModules();
    await expect(api.actions.loadFile(file, true)).rejects.toThrow(
      "its export `helper` is no action, and such a file exports nothing else",
    );
  });

  test("errors are reported with the file, and thrown", async () => {
    const reports: unknown[][] = [];
    const reporter = (...args: unknown[]) => void reports.push(args);
    api.exceptionHandlers.reporters.push(reporter);
    try {
      const file = write("bad.js", 'this.description = "d";');
      await expect(api.actions.loadFile(file)).rejects.toThrow(
        "name is required for this action",
      );
      const broken = project.write("broken.js", "this is no code");
      await expect(api.actions.loadFile(broken)).rejects.toThrow();
      expect(reports).toHaveLength(2);
      expect(reports[0].slice(1)).toEqual([
        "initializer",
        `initializer:${file}`,
        { fullFilePath: file },
        "alert",
      ]);
    } finally {
      api.exceptionHandlers.reporters.pop();
    }
  });
});

test("postVariables are the safe names and every input of every version, each once", () => {
  api.actions.actions.inputs1 = {
    1: { name: "inputs1", inputs: { alpha: {}, beta: {} } } as never,
    2: { name: "inputs1", inputs: { beta: {}, gamma: {} } } as never,
  };
  api.actions.actions.inputs2 = { 1: { name: "inputs2" } as never };
  const variables = api.params.buildPostVariables();
  expect(api.params.postVariables).toBe(variables);
  expect(variables.slice(0, 5)).toEqual([
    "file",
    "apiVersion",
    "callback",
    "action",
    "messageId",
  ]);
  expect(variables).toEqual(expect.arrayContaining(["alpha", "beta", "gamma"]));
  expect(new Set(variables).size).toBe(variables.length);
});
