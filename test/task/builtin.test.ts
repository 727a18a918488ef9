/** The tasks that come with the framework. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { startTaskApp, type TaskApp } from "../support/taskApp";
import { until } from "../support/until";
import {
  api,
  builtinTasks,
  config,
  Process,
  rebuildConfig,
  task,
} from "../../src/index";

let folder: string;
let app: TaskApp | undefined;

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "builtin-tasks-"));
});
afterEach(async () => {
  // each run has planned the next, which the next test would wait for
  if (Object.hasOwn(api.tasks.tasks, "cleanLogFiles"))
    await task.stopRecurrentTask("cleanLogFiles");
  await app?.stop();
  app = undefined;
  fs.rmSync(folder, { recursive: true });
});

function write(name: string, bytes: number): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, "x".repeat(bytes));
  return file;
}

async function start(tasks: object): Promise<void> {
  app = await startTaskApp({
    tasks: { builtin: ["cleanLogFiles"], ...tasks },
    before: () => {
      config.general.paths.log = [folder, path.join(folder, "nothing")];
      config.general.maxLogFileSize = 100;
    },
  });
}

test("no task is loaded unless the configuration names it", async () => {
  app = await startTaskApp();
  expect(Object.keys(api.tasks.tasks)).toEqual(["runAction"]);
});

test("cleanLogFiles removes what is too large, and nothing else", async () => {
  await start({});
  const large = write("large.log", 101);
  const small = write("small.log", 100);
  const outside = write("elsewhere", 1000);
  fs.mkdirSync(path.join(folder, "logs"));
  const target = path.join(folder, "logs", "kept.log");
  fs.renameSync(outside, target);
  fs.symlinkSync(target, path.join(folder, "link.log"));

  expect(await task.run("cleanLogFiles")).toEqual([large]);
  expect(fs.existsSync(large)).toBe(false);
  for (const kept of [small, target, path.join(folder, "link.log")])
    expect(fs.existsSync(kept)).toBe(true);
  expect(await task.run("cleanLogFiles")).toEqual([]);
});

test("cleanLogFiles is recurring on this node", async () => {
  const { frequency, scope } = new builtinTasks.CleanLogFiles();
  expect([frequency, scope]).toEqual([60_000, "all"]);
  const large = write("large.log", 101);
  await start({ scheduler: true, minTaskProcessors: 1, maxTaskProcessors: 1 });
  await until(() => !fs.existsSync(large), 25_000);
});

test("a task of the project with the same name replaces it", async () => {
  const file = path.join(folder, "cleanLogFiles.js");
  fs.writeFileSync(
    file,
    `exports.Own = class { constructor() { Object.assign(this, {
      name: "cleanLogFiles", description: "own", queue: "default", frequency: 0, inputs: {} }); }
      validate() {} async run() { return "own"; } };`,
  );
  rebuildConfig();
  config.general.paths.task = [folder];
  config.tasks.builtin = ["cleanLogFiles"];
  const own = new Process();
  await own.start();
  expect(await task.run("cleanLogFiles")).toBe("own");
  await own.stop();
  rebuildConfig();
});

test("an unknown name fails the boot", async () => {
  await expect(start({ builtin: ["nothing"] })).rejects.toThrow(
    "tasks.builtin has no nothing; there are: cleanLogFiles",
  );
  rebuildConfig();
});
