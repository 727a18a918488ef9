/** Loading tasks from files: the project's, and those of its plugins. */
import * as path from "path";
import { rebuildConfig, api, config, Process } from "../../src/index";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const entry = JSON.stringify(path.join(repositoryRoot, "src"));

const file = (name: string, more = "") => `
const { Task } = require(${entry});
exports.A = class extends Task {
  name = ${JSON.stringify(name)};
  ${more}
  async run() { return ${JSON.stringify(name)}; }
};`;

let project: TemporaryProject;

beforeEach(() => {
  process.env.PORT = "0";
  project = new TemporaryProject();
  rebuildConfig();
  config.general.paths.task = [project.path("tasks")];
});

afterEach(() => {
  project.remove();
  rebuildConfig();
});

test("the framework's own task is runAction, and it runs actions", async () => {
  config.general.paths.task = [path.join(repositoryRoot, "tasks")];
  const app = new Process();
  await app.start();
  try {
    expect(Object.keys(api.tasks.tasks)).toEqual(["runAction"]);
    const { runAction } = api.tasks.tasks;
    expect(runAction).toMatchObject({ queue: "default", frequency: 0 });
    const run = (params: object) => runAction.run(params, undefined!);
    expect(
      (await run({ action: "randomNumber", version: 1 })).randomNumber,
    ).toEqual(expect.any(Number));
    await expect(run({ action: "cacheTest", params: {} })).rejects.toThrow(
      "key is a required parameter for this action",
    );
  } finally {
    await app.stop();
  }
});

test("every export below the folders is a task; specs and types are left out", async () => {
  project.write("tasks/one.js", file("one", 'queue = "special";'));
  project.write(
    "tasks/deep/er/two.js",
    `${file("two")}\nexports.B = class extends exports.A { name = "three"; };`,
  );
  project.write("tasks/one.test.js", "throw new Error('a test was loaded')");
  project.write("tasks/one.d.ts", "throw new Error('types were loaded')");
  await new Process().initialize();
  expect(Object.keys(api.tasks.tasks).sort()).toEqual(["one", "three", "two"]);
  expect(Object.keys(api.tasks.jobs).sort()).toEqual(["one", "three", "two"]);
  expect(api.tasks.tasks.one).toMatchObject({
    queue: "special",
    description: "one",
  });
  await api.resque.stopQueue();
});

test("two tasks of one name are an error with general.uniqueNames, else the later one counts", async () => {
  project.write("tasks/a.js", file("same"));
  project.write("tasks/b.js", file("same", "mark = 2;"));
  config.general.uniqueNames = true;
  await expect(new Process().initialize()).rejects.toThrow(
    "the task `same` exists twice, also in ",
  );
  config.general.uniqueNames = false;
  await new Process().initialize();
  expect(api.tasks.tasks.same).toHaveProperty("mark", 2);
  await api.resque.stopQueue();
});

test("plugins bring tasks, unless they are switched off", async () => {
  project.write("plugin/tasks/fromPlugin.js", file("fromPlugin"));
  project.write("plugin/dist/tasks/compiled.js", file("compiled"));
  project.write("plugin/tasks/source.ts", "throw new Error('not compiled')");
  project.write("quiet/tasks/quiet.js", file("quiet"));
  project.write("tasks/own.js", file("own"));
  config.plugins = {
    plugin: { path: project.path("plugin") },
    quiet: { path: project.path("quiet"), tasks: false },
  };
  await new Process().initialize();
  expect(Object.keys(api.tasks.tasks)).toEqual([
    "own",
    "fromPlugin",
    "compiled",
  ]);
  await api.resque.stopQueue();
});

test("a name that comes twice belongs to the later file, and loading again replaces it where it is", async () => {
  project.write("tasks/a.js", file("same", 'queue = "a";'));
  project.write("tasks/b.js", file("same", 'queue = "b";'));
  await new Process().initialize();
  expect(api.tasks.tasks.same.queue).toBe("b");
  const before = { task: api.tasks.tasks.same, job: api.tasks.jobs.same };
  await api.tasks.loadFile(project.path("tasks/a.js"), true);
  expect(api.tasks.tasks.same.queue).toBe("a");
  expect(api.tasks.tasks.same).not.toBe(before.task);
  // workers hold the job
  expect(api.tasks.jobs.same).toBe(before.job);
  await api.tasks.loadTasks(true);
  expect(api.tasks.tasks.same.queue).toBe("b");
  await api.resque.stopQueue();
});

test.each([
  ["no task", "exports.A = class {};", /its export `A` is no task/],
  ["a task without a name", file(""), /name is required for this task/],
  ["a broken file", "throw new Error('broken')", /broken/],
  [
    "an invalid cron",
    file("x", 'cron = "often";'),
    /cron is not valid for the task `x`/,
  ],
])("%s ends the boot", async (_what, text, message) => {
  project.write("tasks/wrong.js", text);
  const reports: unknown[] = [];
  const app = new Process();
  const failed = app.initialize();
  failed.catch(() => reports.push(1));
  await expect(failed).rejects.toThrow(message);
});

test("jobWrapper wraps by name, and leaves the task as it is", async () => {
  project.write(
    "tasks/a.js",
    file("often", 'frequency = 50; plugins = ["QueueLock"];'),
  );
  await new Process().initialize();
  for (let i = 0; i < 2; i++) {
    const job = api.tasks.jobWrapper("often");
    expect(job.plugins).toEqual(["QueueLock", "JobLock", "DelayQueueLock"]);
    expect(job.pluginOptions).toEqual({ JobLock: { reEnqueue: false } });
  }
  expect(api.tasks.tasks.often.plugins).toEqual(["QueueLock"]);
  expect(api.tasks.tasks.often.pluginOptions).toEqual({});
  expect(() => api.tasks.jobWrapper("constructor")).toThrow(
    "task constructor not found",
  );
  await api.resque.stopQueue();
});
