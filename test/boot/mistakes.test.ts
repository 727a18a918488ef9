/** A boot warns of mistakes that only a client or a job would meet. */
import * as path from "node:path";
import * as winston from "winston";

process.env.PORT = "0";
process.env.ENABLE_TCP_SERVER = "false";

import {
  api,
  config,
  loggers,
  Process,
  projectRoot,
  rebuildConfig,
  route,
  task,
} from "../../src";
import { checkSettings, warnOfSettings } from "../../src/boot/mistakes";
import { stopTimeout } from "../../src/environment/env";
import { LogLines } from "../support/logLines";
import { addTask } from "../support/taskApp";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const before = { ...process.env };
const framework = JSON.stringify(`${repositoryRoot}/src/index.ts`);
const project = new TemporaryProject({
  "greet.js": `
    const { Action } = require(${framework});
    exports.Greet = class extends Action {
      name = "greet";
      description = "greets";
      middleware = ["signedIm", "later"];
      route = "get /open/:id(^a";
      inputs = { "user.name": {} };
      async run() {}
    };`,
});
let warnings: string[];

beforeAll(async () => {
  process.env.NODE_ENV = "development";
  process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
    general: {
      checkSettings: true,
      rateLimit: { requests: 9, perMs: 9, proxies: 1 },
    },
    web: { prot: 1, trustProxy: false },
    tasks: { maxTaskProcessors: 0 },
    routes: { get: [{ path: "/a.b/:file.:type", action: "status" }] },
  });
  rebuildConfig();
  const app = new Process();
  await app.initialize();
  await api.actions.loadFile(project.path("greet.js"));
  api.actions.middleware.signedIn = { name: "signedIn", global: false };
  addTask({ name: "mail", middleware: ["loged"] });
  route.registerRoute("get", "/two/:lat-:lng", "status");
  route.registerRoute("all", "/suffix/:id.json", "status");
  route.registerRoute("get", "/users/:user.name", "greet");
  route.registerRoute("get", "/good/v:user-id/:ä(^[a:.]$)/:größe", "status");
  await task.addMiddleware({ name: "logged", global: false });
  api.routes.loadRoutes();
  const log = new LogLines("warning");
  app.startInitializers.push(async () => {
    api.actions.middleware.later = { name: "later", global: false };
  });
  await app.start();
  warnings = log.at("warning", /./);
  log.stop();
  await app.stop();
});

afterAll(() => {
  process.env = { ...before };
  rebuildConfig();
  project.remove();
});

test("in development, the boot warns of invalid settings", () => {
  expect(warnings).toEqual(
    expect.arrayContaining([
      'config: web.prot is no setting: did you mean "port"?',
    ]),
  );
});

test("the boot warns of settings without effect", () => {
  expect(warnings.filter((line) => line.includes("no effect"))).toEqual([
    "config: general.rateLimit: proxies has no effect: web.trustProxy is set, and decides which address counts (that of the socket, so that all clients of a proxy share one: set TRUST_PROXY)",
  ]);
});

describe("a value that is not accepted", () => {
  const overridden = (checks: boolean) => {
    process.env.NODE_ENV = "production";
    process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
      general: { checkSettings: checks, serverToken: "a secret" },
      web: { csrf: "true" },
      session: { ttl: 0 },
    });
    rebuildConfig();
  };
  const CSRF =
    'web.csrf is "true", and must be a boolean or "all" (ACTIONHERO_CONFIG_OVERRIDES)';
  const TTL =
    "session.ttl is 0, and must be a number above 0 (ACTIONHERO_CONFIG_OVERRIDES)";

  test("ends the boot before anything is initialized", async () => {
    overridden(true);
    const app = new Process();
    await expect(app.start()).rejects.toMatchObject({
      code: "AH_CONFIG",
      message: `${CSRF}; ${TTL}`,
    });
    expect(app.state).toBe("idle");
  });

  test("names the variable of the environment that has it", async () => {
    overridden(true);
    delete process.env.ACTIONHERO_CONFIG_OVERRIDES;
    process.env.HEALTH_PORT = "nine";
    rebuildConfig();
    config.general.checkSettings = true;
    config.web.healthPort = process.env.HEALTH_PORT; // as in new projects
    await expect(new Process().start()).rejects.toMatchObject({
      message:
        'web.healthPort is "nine", and must be a port, from 0 to 65535 (HEALTH_PORT)',
      data: undefined,
    });
    delete process.env.HEALTH_PORT;
  });

  test("is not a level of the framework, whatever levels the loggers have", () => {
    overridden(true);
    delete process.env.ACTIONHERO_CONFIG_OVERRIDES;
    rebuildConfig();
    config.general.checkSettings = true;
    // without `levels`, winston's are those of npm, which have "warn" for "warning"
    const own = loggers.splice(0, loggers.length, winston.createLogger());
    try {
      expect(checkSettings).not.toThrow();
    } finally {
      loggers.splice(0, loggers.length, ...own);
    }
  });

  test("a stop timeout with a unit ends the boot: 30s is not 30 ms", async () => {
    overridden(true);
    delete process.env.ACTIONHERO_CONFIG_OVERRIDES;
    process.env.ACTIONHERO_SHUTDOWN_TIMEOUT = "30s";
    rebuildConfig();
    config.general.checkSettings = true;
    await expect(new Process().start()).rejects.toMatchObject({
      message: 'ACTIONHERO_SHUTDOWN_TIMEOUT must be a number of ms, not "30s"',
    });
    expect(stopTimeout()).toBe(30_000);
    process.env.ACTIONHERO_SHUTDOWN_TIMEOUT = "200";
    expect(stopTimeout()).toBe(200);
    delete process.env.ACTIONHERO_SHUTDOWN_TIMEOUT;
  });

  test("is a warning without general.checkSettings, in every environment", () => {
    overridden(false);
    const log = new LogLines("warning");
    checkSettings();
    expect(log.at("warning", /config:/)).toEqual([
      `config: ${CSRF}`,
      `config: ${TTL}`,
    ]);
    log.stop();
  });
});

test("the boot warns in no other environment, and only if configured", () => {
  const log = new LogLines("warning");
  config.general.checkSettings = false;
  warnOfSettings();
  process.env.NODE_ENV = "production";
  rebuildConfig();
  warnOfSettings();
  expect(log.at("warning", /config:/)).toEqual([]);
  log.stop();
});

test("the boot warns of unknown middleware, with the file and a suggestion", () => {
  const found = warnings.filter((line) => line.includes("middleware"));
  expect(found).toEqual([
    expect.stringMatching(
      /^the action `greet` in .*greet\.js names the middleware `signedIm`, which does not exist \(did you mean "signedIn"\?\)$/,
    ),
    'the task `mail` names the middleware `loged`, which does not exist (did you mean "logged"?)',
  ]);
});

test("of routes whose variables have names that no action reads, once each", () => {
  const end = "all text after the first colon of a part is the name";
  const file = path.relative(projectRoot, project.path("greet.js"));
  const odd = (where: string, name: string) =>
    `the route ${where} is not what it seems: its variable is named "${name}": ${end}`;
  expect(warnings.filter((line) => line.startsWith("the route "))).toEqual([
    odd("`all /suffix/:id.json`", "id.json"),
    odd("`get /a.b/:file.:type` of config/routes", "file.:type"),
    odd("`get /two/:lat-:lng`", "lat-:lng"),
    odd(`\`get /open/:id(^a\` in ${file}`, "id(^a"),
  ]);
});
