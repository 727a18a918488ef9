import * as fs from "fs";
import { TemporaryProject } from "../support/temporaryProject";

type Actionhero = typeof import("../../src");

const events = (globalThis as { bootEvents?: string[] }).bootEvents ?? [];
(globalThis as { bootEvents?: string[] }).bootEvents = events;

/** An initializer that notes its phases in `globalThis.bootEvents`. */
function noting(name: string, body = "", priorities = ""): string {
  return `
    module.exports = class {
      constructor() {
        this.name = "${name}";
        this.loadPriority = this.startPriority = this.stopPriority = 1000;
        ${priorities}
      }
      validate() {}
      async initialize() { globalThis.bootEvents.push("initialize ${name}"); }
      async start() { globalThis.bootEvents.push("start ${name}"); }
      async stop() { globalThis.bootEvents.push("stop ${name}"); }
      ${body}
    };`;
}

describe("Process", () => {
  const before = { ...process.env };
  let project: TemporaryProject;

  function load(
    initializers: Record<string, string>,
    overrides: Record<string, unknown> = {},
  ): Actionhero {
    project = new TemporaryProject({
      "package.json": '{"name":"booted","version":"1.0.0"}',
    });
    for (const [name, source] of Object.entries(initializers))
      project.write(`initializers/${name}.js`, source);
    process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
      general: {
        paths: {
          initializer: [project.path("initializers")],
          pid: [project.path("pids")],
        },
      },
      ...overrides,
    });
    jest.resetModules();
    return require("../../src") as Actionhero;
  }

  beforeEach(() => {
    events.length = 0;
  });

  afterEach(() => {
    process.env = { ...before };
    project.remove();
  });

  test("runs the phases in order of priority; equal ones in order of file", async () => {
    const { Process } = load({
      a: noting("a", "", "this.stopPriority = 2000;"),
      b: noting("b"),
      c: noting("c", "", "this.loadPriority = 990;"),
    });
    const server = new Process();
    await server.start();
    await server.stop();
    expect(events).toEqual([
      "initialize c",
      "initialize a",
      "initialize b",
      "start a",
      "start b",
      "start c",
      "stop b",
      "stop c",
      "stop a",
    ]);
  });

  test("the booleans of a process follow its state, and api.running lasts from start to the end of stop", async () => {
    const { Process, api } = load({ a: noting("a") });
    const server = new Process();
    expect(api.process).toBe(server);
    expect(server).toMatchObject({ state: "idle", running: false });
    await server.initialize();
    expect(server).toMatchObject({ initialized: true, running: false });
    await server.start();
    expect(server).toMatchObject({ started: true, running: true });
    expect(api.running).toBe(true);
    const stopping = server.stop();
    expect(server).toMatchObject({ running: false, shuttingDown: true });
    expect(api.running).toBe(true);
    await stopping;
    expect(server).toMatchObject({ stopped: true, shuttingDown: false });
    expect(api.running).toBe(false);
  });

  test("concurrent calls share one start and one stop", async () => {
    const { Process } = load({ a: noting("a") });
    const server = new Process();
    const first = server.start();
    expect(server.start()).toBe(first);
    await first;
    await server.start();
    const stop = server.stop();
    expect(server.stop()).toBe(stop);
    await stop;
    expect(events).toEqual(["initialize a", "start a", "stop a"]);
  });

  test("a stop during the start waits for it, then stops", async () => {
    const { Process } = load({ a: noting("a") });
    const server = new Process();
    const start = server.start();
    await server.initialize();
    await new Promise((resolve) => setImmediate(resolve));
    const stop = server.stop("changed my mind");
    await start;
    await stop;
    expect(server.state).toBe("stopped");
    expect(server.stopReasons).toEqual(["changed my mind"]);
  });

  test("can start again after a stop, with new initializers", async () => {
    const { Process } = load({ a: noting("a") });
    const server = new Process();
    await server.start();
    await server.stop();
    await server.start();
    await server.stop();
    expect(events.filter((event) => event === "start a")).toHaveLength(2);
    expect(server.startCount).toBe(1);
  });

  test("restart reads the configuration again", async () => {
    const actionhero = load({ a: noting("a") });
    const server = new actionhero.Process();
    await server.start();
    const configBefore = actionhero.config;
    await server.restart();
    expect(actionhero.config).not.toBe(configBefore);
    expect(server.state).toBe("running");
    await server.stop();
  });

  test("writes the pid file at start and removes it at stop", async () => {
    const { Process, id } = load({ a: noting("a") });
    const file = project.path(`pids/actionhero-${id}`);
    const server = new Process();
    await server.start();
    expect(fs.readFileSync(file, "ascii")).toBe(String(process.pid));
    await server.stop();
    expect(fs.existsSync(file)).toBe(false);
  });

  test("of two initializers with one name only the later runs", async () => {
    const { Process } = load({
      a: noting("same").replace("initialize same", "initialize first"),
      b: noting("same"),
    });
    const server = new Process();
    await server.initialize();
    expect(events).toEqual(["initialize same"]);
  });

  describe("failures", () => {
    let reported: jest.SpyInstance;

    beforeEach(() => {
      reported = jest.spyOn(console, "error").mockImplementation(() => {});
    });

    afterEach(() => reported.mockRestore());

    test("an initializer that fails to load ends the boot, naming file and phase", async () => {
      const { Process } = load({
        a: noting("a", "async initialize() { throw new Error('boom'); }"),
      });
      const failure = await new Process().start().catch((e: unknown) => e);
      expect(failure).toMatchObject({
        message: "boom",
        code: "FATAL_ACTIONHERO_ERROR",
        data: {
          name: "a",
          file: project.path("initializers/a.js"),
          type: "initialize",
        },
      });
    });

    test("a broken file is named", async () => {
      const { Process } = load({ a: "class {" });
      const failure = await new Process().initialize().catch((e: unknown) => e);
      expect(failure).toMatchObject({
        name: "SyntaxError",
        data: { file: project.path("initializers/a.js"), type: "load" },
      });
    });

    test("a file without exports is named", async () => {
      const { Process } = load({ a: "" });
      await expect(new Process().initialize()).rejects.toThrow(
        `no exported initializers found in ${project.path("initializers/a.js")}`,
      );
    });

    test("an initializer that fails to start stops the started ones", async () => {
      const { Process, api } = load({
        a: noting("a"),
        b: noting("b", "async start() { throw new Error('no port'); }"),
      });
      const server = new Process();
      await expect(server.start()).rejects.toThrow("no port");
      expect(events).toContain("stop a");
      expect(server.state).toBe("stopped");
      expect(api.running).toBe(false);
    });

    test("one stop that fails does not keep the others from stopping", async () => {
      const { Process } = load({
        a: noting("a", "async stop() { throw new Error('stuck'); }"),
        b: noting("b"),
      });
      const server = new Process();
      await server.start();
      await expect(server.stop()).rejects.toThrow("stuck");
      expect(events).toContain("stop b");
      expect(server.state).toBe("stopped");
    });

    test("a plugin whose path is missing ends the boot", async () => {
      const { Process } = load(
        {},
        { plugins: { gone: { path: "/not/there", initializers: false } } },
      );
      await expect(new Process().initialize()).rejects.toThrow(
        "plugin path does not exist: /not/there",
      );
    });
  });

  test("plugins bring initializers, old and compiled layout, unless switched off", async () => {
    const plugin = new TemporaryProject({
      "initializers/old.js": noting("old"),
      "dist/initializers/compiled.js": noting("compiled"),
    });
    const load1 = load({}, { plugins: { p: { path: plugin.root } } });
    await new load1.Process().initialize();
    expect(events).toEqual(["initialize old", "initialize compiled"]);

    events.length = 0;
    project.remove();
    const load2 = load(
      {},
      { plugins: { p: { path: plugin.root, initializers: false } } },
    );
    await new load2.Process().initialize();
    expect(events).toEqual([]);
    plugin.remove();
  });

  test("flattenOrderedInitializer orders numerically", () => {
    const { Process } = load({});
    expect(
      new Process().flattenOrderedInitializer({
        10: ["c"],
        9: ["a", "b"],
      }),
    ).toEqual(["a", "b", "c"]);
  });
});
