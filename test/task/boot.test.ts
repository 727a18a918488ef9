/** Jobs and the boot of the project. */
import * as path from "node:path";
import { describeOnEachEngine } from "../support/engines";
import { addTask } from "../support/taskApp";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";
import { until } from "../support/until";
import { api, config, Process, rebuildConfig, task } from "../../src/index";

const entry = JSON.stringify(path.join(repositoryRoot, "src"));

/** A database that takes 200 ms; `database` is the global that tells whether it is there. */
const DATABASE = `
const { Initializer, api } = require(${entry});
exports.Database = class extends Initializer {
  name = "database";
  async start() {
    api.workersWereThere = api.resque.multiWorker !== null;
    await new Promise((resolve) => setTimeout(resolve, 200));
    api.database = "open";
  }
};`;

describeOnEachEngine("jobs at the boot", () => {
  const project = new TemporaryProject({
    "initializers/database.js": DATABASE,
  });

  afterAll(() => {
    project.remove();
    rebuildConfig();
  });

  test("no job runs before the initializers of the project have started", async () => {
    const seen: Record<string, unknown> = {};
    const look = (name: string) =>
      addTask({
        name,
        frequency: name === "periodic" ? 3_600_000 : 0,
        run: async () => {
          seen[name] = (api as { database?: string }).database;
        },
      });
    process.env.PORT = "0";
    rebuildConfig();
    config.general.paths.initializer = [project.path("initializers")];
    Object.assign(config.tasks, {
      scheduler: true,
      minTaskProcessors: 1,
      maxTaskProcessors: 1,
    });
    const app = new Process();
    await app.initialize();
    look("waiting");
    look("delayed");
    look("periodic");
    await task.enqueue("waiting", {});
    await task.enqueueAt(1, "delayed", {});
    await app.start();
    try {
      await until(() => Object.keys(seen).length === 3);
      expect(seen).toEqual({
        waiting: "open",
        delayed: "open",
        periodic: "open",
      });
      expect(api).toMatchObject({ workersWereThere: true });
    } finally {
      await app.stop();
    }
  });
});
