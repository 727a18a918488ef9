/** A project of today with some files of version 3 in its folders. */
import { TemporaryProject } from "../support/temporaryProject";

const legacy = JSON.stringify(require.resolve("../../src/legacy"));
const index = JSON.stringify(require.resolve("../../src/index"));
const project = new TemporaryProject({
  "config/paths.js": `exports.DEFAULT = { general: () => ({ paths: {
    action: [__dirname + "/../actions"],
    task: [__dirname + "/../tasks"],
    initializer: [__dirname + "/../initializers"],
  } }) };`,
  // the first file of its folder, so that those after it may be of old
  "initializers/_legacy.js": `exports.Legacy = require(${legacy}).Legacy;`,
  "initializers/old.js": `exports.old = function (api, next) { api.oldRan = typeof api.cache.load; next(); };`,
  "initializers/today.js": `
    const { Initializer, api } = require(${index});
    exports.today = class extends Initializer {
      constructor() { super(); this.name = "today"; }
      async initialize() { api.todayRan = true; }
    };`,
  "actions/old.js": `exports.action = { name: "old", description: "old", inputs: { required: ["a"], optional: [] },
    run: function (api, connection, next) { connection.response.a = connection.params.a; next(connection, true); } };`,
  "actions/today.js": `
    const { Action } = require(${index});
    exports.action = class extends Action {
      constructor() { super(); this.name = "today"; this.description = "today"; }
      async run() { return { today: true }; }
    };`,
  "tasks/old.js": `exports.task = { name: "old", description: "old", frequency: 0,
    run: function (api, params, next) { next(null, params.a + 1); } };`,
});
process.env.PORT = "0";
process.env.ACTIONHERO_CONFIG = project.path("config");

import { api, Process, specHelper, task } from "../../src/index";

const app = new Process();
beforeAll(() => app.start());
afterAll(async () => {
  await app.stop();
  project.remove();
});

test("initializers of both styles run", () => {
  expect(api.oldRan).toBe("function");
  expect(api.todayRan).toBe(true);
  expect(Object.keys(app.initializers)).toEqual(
    expect.arrayContaining(["legacy", "old", "today"]),
  );
});

test("actions and tasks of both styles answer", async () => {
  expect(await specHelper.runAction("old", { a: "x" })).toMatchObject({
    a: "x",
  });
  expect(await specHelper.runAction("today")).toMatchObject({ today: true });
  expect(await task.run("old", { a: 1 })).toBe(2);
});

test("the settings of today stay: nothing of old is switched on", async () => {
  const answer: any = await specHelper.runAction("old", { a: "x", limit: "5" });
  expect(answer).not.toHaveProperty("limit");
  expect(api.params.globalSafeParams).not.toContain("limit");
});
