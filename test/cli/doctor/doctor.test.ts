/** The command as a user runs it: a good project, and one for each fault that it looks for. */
import { once } from "events";
import * as net from "net";
import * as path from "path";
import { bootedChecks } from "../../../src/cli/doctor/booted";
import { checks, folderChecks } from "../../../src/cli/doctor/checks";
import type { Finding } from "../../../src/cli/doctor/check";
import { freePort } from "../../support/freePort";
import { describeOnRedis, RedisServer } from "../../support/redisServer";
import { runCli } from "../../support/runCli";
import {
  repositoryRoot,
  TemporaryProject,
} from "../../support/temporaryProject";

const framework = JSON.stringify(path.join(repositoryRoot, "src", "index.ts"));

/** An initializer with this body of `initialize`. */
const initializer = (body: string) => `
const { Initializer } = require(${framework});
exports.Database = class Database extends Initializer {
  name = "database";
  async initialize() { ${body} }
};`;

const action = (name: string) => `
const { Action } = require(${framework});
exports.Made = class Made extends Action {
  name = "${name}";
  description = "made";
  async run() {}
};`;

const definitions = {
  "dist/actions/defined.js": `
    const { defineAction } = require(${framework});
    exports.defined = defineAction({
      name: "defined", description: "made", run: async () => ({}) });`,
  "dist/tasks/defined.js": `
    const { defineTask } = require(${framework});
    exports.defined = defineTask({
      name: "defined", description: "made", run: async () => {} });`,
};

/** A project without a fault, for production. */
const good = (port: number): Record<string, string> => ({
  "package.json": JSON.stringify({ name: "good", version: "1.0.0" }),
  "dist/config/all.js": `
    const path = require("path");
    const below = (name) => [path.join(__dirname, "..", name)];
    exports.DEFAULT = {
      general: () => ({
        serverToken: "of my own",
        paths: {
          action: below("actions"),
          task: below("tasks"),
          initializer: below("initializers"),
        },
      }),
      web: () => ({ port: ${port} }),
    };`,
  "dist/actions/one.js": action("one"),
});

const addition = (text: string) => ({
  "dist/config/zz.js": `exports.DEFAULT = { ${text} };`,
});

const taken = net.createServer();
let takenPort: number;
let port: number;
beforeAll(async () => {
  port = await freePort();
  taken.listen(0);
  await once(taken, "listening");
  takenPort = (taken.address() as net.AddressInfo).port;
});
afterAll(() => taken.close());

async function doctor(
  files: Record<string, string>,
  env: Record<string, string | undefined> = {},
  args: string[] = [],
) {
  const project = new TemporaryProject({ ...good(port), ...files });
  const { stdout, stderr, exitCode } = await runCli(
    ["doctor", "--json", ...args],
    {
      cwd: project.root,
      env: {
        NODE_ENV: "production",
        ACTIONHERO_TYPESCRIPT_MODE: "false",
        REDIS_URL: undefined,
        REDIS_HOST: undefined,
        ...env,
      },
    },
  );
  project.remove();
  const findings = JSON.parse(stdout) as Finding[];
  return { findings, stderr, exitCode };
}

test("a good project has no failure; minor findings are warnings", async () => {
  const { findings, stderr, exitCode } = await doctor({
    ...definitions,
    "dist/tasks/vague.js": `exports.vague = class extends require(${framework}).Task {
      constructor() {
        super();
        Object.assign(this, { name: "vague", description: "x", frequency: 0, queue: "default" });
        this.inputs = { "~standard": { version: 1, vendor: "own", validate: (value) => ({ value }) } };
      }
      async run() {}
    };`,
    "dist/tasks/dated.js": `const { z } = require(${JSON.stringify(require.resolve("zod"))});
      exports.dated = require(${framework}).defineTask({ name: "dated", inputs: z.object({ at: z.date() }), run: async () => 1 });`,
    "dist/actions/guarded.js": `const { defineAction } = require(${framework});
      exports.guarded = defineAction({ name: "guarded", middleware: ["signedin"], run: () => ({}) });`,
    ...addition(`
      web: () => ({ prot: 1 }),
      routes: () => ({ get: [
        { path: "/:name", action: "one" },
        { path: "/two", action: "one" },
        { path: "/a/b", action: "oen" },
      ] })`),
  });
  expect(findings.filter(({ verdict }) => verdict === "fail")).toEqual([]);
  expect(findings.map(({ check }) => check)).toEqual(
    expect.arrayContaining([
      "node",
      "build",
      "config",
      "server token",
      "folders",
      "actions",
      "tasks",
      "redis",
      "web port",
      "boot",
    ]),
  );
  const listed = [...folderChecks, ...checks, ...bootedChecks].map(
    ({ name }) => name,
  );
  for (const { check } of findings)
    // such as `redis persistence`
    expect(
      listed.filter((name) => `${check} `.startsWith(`${name} `)),
    ).not.toEqual([]);
  const warnings = findings
    .filter(({ verdict }) => verdict === "warn")
    .map(({ check, message }) => `${check}: ${message}`);
  expect(warnings).toEqual(
    expect.arrayContaining([
      'setting names: web.prot is no setting: did you mean "port"?',
      "routes: GET /two is never reached: GET /:name (one) comes first",
      'routes: GET /a/b: there is no action "oen" (did you mean "one"?)',
      expect.stringContaining("keep-alive: web.keepAliveTimeout is 5000 ms"),
      "middleware: the action `guarded` in dist/actions/guarded.js names the middleware `signedin`, which does not exist",
      "schemas: the inputs of the task `dated` take what JSON cannot hold, so that clients and jobs cannot have it: at is a Date (use z.coerce.date())",
      "schemas: the inputs of the task `vague` cannot be described as a JSON Schema (its library (own) provides none): texts of all properties are not coerced",
    ]),
  );
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
});

test("every fault of a project is found at once", async () => {
  const { findings, exitCode } = await doctor(
    {
      "package.json": JSON.stringify({
        name: "bad",
        version: "1.0.0",
        engines: { node: ">=99" },
      }),
      ...addition(`
        general: () => ({ serverToken: "change-me", paths: { log: ["/proc/no/such"] } }),
        web: () => ({ port: ${takenPort}, healthPort: ${takenPort}, secure: true, serverOptions: {} }),
        health: () => ({ enabled: true }),
        metrics: () => ({ enabled: true, port: ${takenPort}, bindIP: "0.0.0.0" })`),
      "dist/actions/two.js": action("one"),
      "dist/tasks/bad.js": "throw new Error('no')",
    },
    { REDIS_URL: "redis://127.0.0.1:1" },
  );
  const failed = findings.filter(({ verdict }) => verdict === "fail");
  // a boot that is bound to fail is not tried
  expect(failed.map(({ check }) => check)).toEqual([
    "node",
    "server token",
    "certificate",
    "folders",
    "actions",
    "tasks",
    "redis",
    "web port",
    "health port",
    "metrics port",
    "ports",
    "ports",
  ]);
  expect(failed.at(-1)!.message).toBe(
    `web.port and metrics.port are both ${takenPort}`,
  );
  expect(exitCode).toBe(1);
});

describeOnRedis("a redis without the database of the project", () => {
  test("is a fault", async () => {
    const server = await new RedisServer().start();
    const { findings } = await doctor({}, { REDIS_URL: `${server.url}/99` });
    await server.stop();
    expect(findings).toContainEqual({
      verdict: "fail",
      check: "redis",
      message: "cannot select database 99: ERR DB index is out of range",
    });
    expect(findings.map(({ check }) => check)).not.toContain("boot");
  });
});

test("with --running, the ports of a project may be in use", async () => {
  const { findings, exitCode } = await doctor(
    addition(`
      web: () => ({ port: ${takenPort} }),
      metrics: () => ({ enabled: true, port: ${port}, bindIP: "0.0.0.0" })`),
    {},
    ["--running"],
  );
  expect(findings.filter(({ check }) => / port$/.test(check))).toEqual([
    {
      verdict: "ok",
      check: "web port",
      message: `${takenPort} is in use, as by a running server`,
    },
    { verdict: "ok", check: "metrics port", message: `${port} is free` },
  ]);
  expect(exitCode).toBe(0);
});

test("settings without effect are named, and options of rate limits", async () => {
  const { findings, exitCode } = await doctor({
    ...addition(`
      general: () => ({ rateLimit: { requests: 9, perMs: 9, proxies: 1 } }),
      web: () => ({ trustProxy: false })`),
    "dist/actions/limited.js": `const { defineAction, rateLimit } = require(${framework});
      const limit = rateLimit({ name: "signIn", requests: 5, perMs: 9, proxies: 2 });
      exports.limited = defineAction({ name: "limited", middleware: [limit], run: () => ({}) });`,
  });
  const found = findings.filter(({ check }) => check === "overridden");
  expect(found.map(({ verdict }) => verdict)).toEqual(["warn", "warn"]);
  expect(found.map(({ message }) => message.split(" (")[0])).toEqual([
    "general.rateLimit: proxies has no effect: web.trustProxy is set, and decides which address counts",
    "the rate limit `signIn`: proxies has no effect: web.trustProxy is set, and decides which address counts",
  ]);
  expect(exitCode).toBe(0);
});

test("settings of an environment that the DEFAULT of a later file replaces are named", async () => {
  const { findings, exitCode } = await doctor({
    "dist/config/mine.js":
      "exports.production = { session: () => ({ enabled: true }) };",
    "dist/config/session.js":
      "exports.DEFAULT = { session: () => ({ enabled: false }) };",
  });
  expect(findings).toContainEqual({
    verdict: "warn",
    check: "overridden",
    message:
      "session.enabled of `production` in dist/config/mine.js: no effect, because files are applied in the order of their names, and the DEFAULT of dist/config/session.js replaces it",
  });
  expect(exitCode).toBe(0);
});

test("a configuration that cannot be loaded is a fault", async () => {
  const { findings, exitCode } = await doctor({
    "dist/config/zz.js": "throw new Error('no')",
  });
  expect(findings).toContainEqual(
    expect.objectContaining({ verdict: "fail", check: "config" }),
  );
  expect(exitCode).toBe(1);
});

test.each([
  [
    "throws is told in three lines, as `start` tells it",
    "throw new Error('no db')",
    [
      "cannot start: no db",
      "        in dist/initializers/database.js:5:30",
      "        LOG_LEVEL=debug shows the stack",
    ],
  ],
  [
    "ends the process is a fault of the boot",
    "console.error('bye'); process.exit(0)",
    [
      "cannot start: the process ended with 0 before it had initialized",
      "        its last line: bye",
      "        LOG_LEVEL=debug shows what it did",
    ],
  ],
])("an initializer that %s", async (_, body, lines) => {
  const { findings, exitCode } = await doctor({
    "dist/initializers/database.js": initializer(body),
  });
  expect(findings).toContainEqual({
    verdict: "fail",
    check: "boot",
    message: lines.join("\n"),
  });
  expect(exitCode).toBe(1);
});
