import * as path from "path";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

type Actionhero = typeof import("../../src");

/** Load the package as a process with these variables would. */
function loadWith(variables: Record<string, string>): Actionhero {
  Object.assign(process.env, variables);
  jest.resetModules();
  return require("../../src") as Actionhero;
}

describe("config", () => {
  const before = { ...process.env };
  const argvBefore = [...process.argv];
  const projects: TemporaryProject[] = [];

  function project(files: Record<string, string>): TemporaryProject {
    const made = new TemporaryProject(files);
    projects.push(made);
    return made;
  }

  afterEach(() => {
    process.env = { ...before };
    process.argv = [...argvBefore];
    for (const made of projects.splice(0)) made.remove();
  });

  test("this repository is a project of its own", () => {
    const { config } = loadWith({});
    expect(config.general.serverName).toBe("actionhero");
    expect(config.process.projectRoot).toBe(repositoryRoot);
    expect(config.general.serverToken).toBe(
      `serverToken-${process.env.JEST_WORKER_ID}`,
    );
  });

  test("a marker at the top of an environment's block marks that block only", () => {
    const { root } = project({
      "one/a.js": "exports.test = { _toExpand: false, a: 1 };",
      "one/b.js": "exports.DEFAULT = { collection: () => ({ b: 2 }) };",
    });
    const { config } = loadWith({ ACTIONHERO_CONFIG: `${root}/one` });
    expect(config.collection).toEqual({ b: 2 });
    expect(config.a).toBe(1);
    expect(config).not.toHaveProperty("_toExpand");
  });

  test("a project below its package.json has the name and version of that", () => {
    const { root } = project({
      "package.json": '{ "name": "above", "version": "1.2.3" }',
      "api/src/config/a.js": "exports.DEFAULT = {};",
    });
    const { config } = loadWith({ PROJECT_ROOT: `${root}/api` });
    expect(config.general).toMatchObject({
      serverName: "above",
      apiVersion: "1.2.3",
    });
  });

  test("several directories add to one namespace", () => {
    const { root } = project({
      "one/a.js": "exports.DEFAULT = { collection: () => ({ a: 1, b: 1 }) };",
      "two/b.js": "exports.DEFAULT = { collection: () => ({ b: 2 }) };",
    });
    const { config } = loadWith({
      ACTIONHERO_CONFIG: `${root}/one,${root}/two`,
    });
    expect(config.collection).toEqual({ a: 1, b: 2 });
  });

  test("--config names directories, too, repeatedly and relative to the project", () => {
    const made = project({
      "one/a.js": "exports.DEFAULT = { collection: () => ({ a: 1 }) };",
      "two/b.js": "exports.DEFAULT = { collection: () => ({ b: 2 }) };",
    });
    const relative = path.relative(repositoryRoot, made.path("one"));
    process.argv = [
      ...argvBefore,
      `--config=${relative}`,
      "--config",
      made.path("two"),
    ];
    const { config } = loadWith({});
    expect(config.collection).toEqual({ a: 1, b: 2 });
  });

  describe("a configured directory that does not exist", () => {
    const hosts = [
      "jest/bin/jest.js",
      "vitest/vitest.mjs",
      "pm2/lib/Daemon.js",
    ];

    test.each(hosts)("--config of %s may be a file", (tool) => {
      const made = project({
        "package.json": '{"name":"hosted","version":"1.0.0"}',
        "tool.config.js": "module.exports = {};",
        "src/config/a.js": "exports.DEFAULT = { conventional: () => ({}) };",
        [`node_modules/${tool}`]: "",
      });
      for (const words of [
        ["--config", "tool.config.js"],
        ["--config=absent", "--config", '{"testTimeout": 1}'],
      ]) {
        process.argv = ["node", made.path(`node_modules/${tool}`), ...words];
        const { config } = loadWith({ PROJECT_ROOT: made.root });
        expect(config.conventional).toEqual({});
      }
    });

    test.each(hosts)("--config of %s counts where it is a folder", (tool) => {
      const made = project({
        "package.json": '{"name":"hosted","version":"1.0.0"}',
        "tool.config.js": "module.exports = {};",
        "own/a.js": "exports.DEFAULT = { own: () => ({}) };",
        "src/config/a.js": "exports.DEFAULT = { conventional: () => ({}) };",
        [`node_modules/${tool}`]: "",
      });
      const words = [
        "--config",
        "tool.config.js",
        "--config",
        made.path("own"),
      ];
      process.argv = ["node", made.path(`node_modules/${tool}`), ...words];
      const { config } = loadWith({ PROJECT_ROOT: made.root });
      expect([config.own, config.conventional]).toEqual([{}, undefined]);
    });

    test.each(["bin/actionhero.ts", "src/server.ts"])(
      "on the command line of our own %s it is an error that names it",
      (program) => {
        const made = project({ "file.js": "" });
        for (const name of ["absent", "file.js"]) {
          const script = path.join(repositoryRoot, program);
          process.argv = ["node", script, "--config", made.path(name)];
          expect(() => loadWith({})).toThrow(
            expect.objectContaining({
              code: "AH_CONFIG",
              message: `the config directory ${made.path(name)} does not exist (named by --config)`,
            }),
          );
        }
      },
    );

    test("in ACTIONHERO_CONFIG it is an error that names it", () => {
      const { root } = project({ "here/a.js": "" });
      expect(() =>
        loadWith({ ACTIONHERO_CONFIG: `${root}/here, ${root}/absent` }),
      ).toThrow(
        `the config directory ${root}/absent does not exist (named by ACTIONHERO_CONFIG)`,
      );
    });
  });

  test("the block of the environment is merged over DEFAULT", () => {
    const { root } = project({
      "a.js": `
        exports.DEFAULT = { thing: () => ({ a: 1, b: { c: 1, d: 1 } }) };
        exports.test = { thing: () => ({ b: { c: 2 } }) };
        exports.production = { thing: () => ({ a: 3 }) };`,
    });
    const { config } = loadWith({ ACTIONHERO_CONFIG: root });
    expect(config.thing).toEqual({ a: 1, b: { c: 2, d: 1 } });
  });

  test("a file may read a namespace that a later file defines", () => {
    const { root } = project({
      "a.js":
        "exports.DEFAULT = { first: (c) => ({ copied: c.second.value }) };",
      "b.js": "exports.DEFAULT = { second: () => ({ value: 'later' }) };",
    });
    const { config } = loadWith({ ACTIONHERO_CONFIG: root });
    expect(config.first).toEqual({ copied: "later" });
  });

  test("values derived from another file settle in the second pass", () => {
    const { root } = project({
      "a.js":
        "exports.DEFAULT = { derived: (c) => ({ name: (c.z || {}).name }) };",
      "z.js": "exports.DEFAULT = { z: () => ({ name: 'settled' }) };",
    });
    const { config } = loadWith({ ACTIONHERO_CONFIG: root });
    expect(config.derived).toEqual({ name: "settled" });
  });

  test("a file that never loads is named with its error", () => {
    const made = project({ "bad.js": "exports.DEFAULT = { x: ( };" });
    expect(() => loadWith({ ACTIONHERO_CONFIG: made.root })).toThrow(
      expect.objectContaining({
        code: "AH_CONFIG",
        message: expect.stringMatching(
          /^Unable to load configurations, errors: .*bad\.js.*SyntaxError/,
        ),
      }),
    );
  });

  test("a project without configuration is told so", () => {
    const made = project({ "package.json": '{"name":"x","version":"1.0.0"}' });
    expect(() => loadWith({ PROJECT_ROOT: made.root })).toThrow(
      "No config directory found in this project.  Did you compile your typescript project?",
    );
  });

  test("another project gets the defaults, but not the default routes", () => {
    const made = project({
      "package.json": '{"name":"my-project","version":"1.2.3"}',
      "dist/config/mine.js": "exports.DEFAULT = { mine: () => ({ a: 1 }) };",
    });
    const { config } = loadWith({ PROJECT_ROOT: made.root });
    expect(config.general.serverName).toBe("my-project");
    expect(config.general.apiVersion).toBe("1.2.3");
    expect(config.mine).toEqual({ a: 1 });
    expect(config.routes).toEqual({});
  });

  test("routes of several files add up, each once", () => {
    const route = "{ path: '/a', action: 'a' }";
    const { root } = project({
      "one/routes.js": `exports.DEFAULT = { routes: () => ({ get: [${route}] }) };`,
      "two/routes.js": `exports.DEFAULT = { routes: () => ({ get: [${route}, { path: '/b', action: 'b' }] }) };`,
    });
    const { config } = loadWith({
      PROJECT_ROOT: project({
        "package.json": '{"name":"p","version":"1.0.0"}',
      }).root,
      ACTIONHERO_CONFIG: `${root}/one,${root}/two`,
    });
    expect(config.routes).toEqual({
      get: [
        { path: "/a", action: "a" },
        { path: "/b", action: "b" },
      ],
    });
  });

  describe("overrides", () => {
    test("the variable and the argument are merged last", () => {
      process.argv = [
        ...argvBefore,
        "--ACTIONHERO_CONFIG_OVERRIDES",
        '{"general":{"welcomeMessage":"from argv"}}',
      ];
      const { config } = loadWith({
        ACTIONHERO_CONFIG_OVERRIDES:
          '{"general":{"welcomeMessage":"from env","simultaneousActions":9}}',
      });
      expect(config.general.welcomeMessage).toBe("from argv");
      expect(config.general.simultaneousActions).toBe(9);
    });

    test("config.servers.socket of before version 28 is config.socket", () => {
      const { config } = loadWith({
        ACTIONHERO_CONFIG_OVERRIDES:
          '{"servers":{"socket":{"port":7001,"delimiter":"|"},"web":"other"}}',
      });
      expect(config.socket).toMatchObject({ port: 7001, delimiter: "|" });
      expect(config.web).not.toBe("other");
    });

    test("what is not JSON stops the load", () => {
      expect(() => loadWith({ ACTIONHERO_CONFIG_OVERRIDES: "{" })).toThrow(
        /^could not parse ACTIONHERO_CONFIG_OVERRIDES: SyntaxError/,
      );
    });
  });

  test("rebuildConfig reads the environment anew, and exports are live", () => {
    const { root } = project({
      "a.js": "exports.DEFAULT = { thing: () => ({ v: process.env.THING }) };",
    });
    const actionhero = loadWith({ ACTIONHERO_CONFIG: root, THING: "1" });
    process.env.THING = "2";
    expect(actionhero.config.thing).toEqual({ v: "1" });
    actionhero.rebuildConfig();
    expect(actionhero.config.thing).toEqual({ v: "2" });
  });

  describe("id", () => {
    test("under jest it names the worker", () => {
      const { id, config } = loadWith({});
      expect(id).toBe(`test-server-${process.env.JEST_WORKER_ID}`);
      expect(config.process.id).toBe(id);
    });

    test("ACTIONHERO_TITLE and --title win", () => {
      expect(loadWith({ ACTIONHERO_TITLE: "titled" }).id).toBe("titled");
      process.argv = [...argvBefore, "--title=from-argv"];
      expect(loadWith({}).id).toBe("from-argv");
    });

    test("config.general.id names the process from the first build on", () => {
      const { root } = project({
        "a.js": "exports.DEFAULT = { general: () => ({ id: 'configured' }) };",
      });
      const worker = process.env.JEST_WORKER_ID;
      delete process.env.JEST_WORKER_ID;
      try {
        const { id, config } = loadWith({ ACTIONHERO_CONFIG: root });
        expect(id).toBe("configured");
        expect(config.process.id).toBe("configured");
      } finally {
        process.env.JEST_WORKER_ID = worker;
      }
    });

    test("otherwise it is address and pid, so that two processes are two", () => {
      const worker = process.env.JEST_WORKER_ID;
      delete process.env.JEST_WORKER_ID;
      try {
        expect(loadWith({}).id).toMatch(new RegExp(`:${process.pid}$`));
      } finally {
        process.env.JEST_WORKER_ID = worker;
      }
    });
  });
});
