/** A boot warns of mistakes that only a client or a job would meet. */
process.env.PORT = "0";
process.env.ENABLE_TCP_SERVER = "false";

import { api, config, Process, rebuildConfig, task } from "../../src";
import { warnOfSettings } from "../../src/boot/mistakes";
import { LogLines } from "../support/logLines";
import { addTask } from "../support/taskApp";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const before = { ...process.env };
const framework = JSON.stringify(`${repositoryRoot}/src/index.ts`);
const project = new TemporaryProject({
  "greet.js": `
    const { Action } = require(${framework});
    exports.Greet = class extends Action {
      name = "greet";
      description = "greets";
      middleware = ["signedIm", "later"];
      async run() {}
    };`,
});
let warnings: string[];

beforeAll(async () => {
  process.env.NODE_ENV = "development";
  process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
    general: { checkSettings: true },
    web: { prot: 1 },
    tasks: { timeout: "5000", maxTaskProcessors: 0 },
  });
  rebuildConfig();
  const app = new Process();
  await app.initialize();
  await api.actions.loadFile(project.path("greet.js"));
  api.actions.middleware.signedIn = { name: "signedIn", global: false };
  addTask({ name: "mail", middleware: ["loged"] });
  await task.addMiddleware({ name: "logged", global: false });
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
      "config: tasks.timeout is a string, and must be a number",
    ]),
  );
});

test("the boot warns in no other environment, and only if configured", () => {
  const log = new LogLines("warning");
  config.general.checkSettings = false;
  warnOfSettings();
  config.general.checkSettings = true;
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
