/** The loaded tasks, `api.tasks`, and their middleware. */
import { api } from "../api";
import { discover } from "../config/discover";
import { loadFailure, ActionheroError } from "../errors";
import { prepareInputs } from "../input/schemaPlan";
import { reportDuplicate } from "../log/duplicates";
import { log } from "../log/log";
import {
  type MiddlewareRegistry,
  type NamedMiddleware,
  registerMiddleware,
} from "../middleware/stack";
import type { Job } from "../resque/types";
import { instancesOf, loadModule, originOf, setOrigin } from "../utils/modules";
import { findTask, taskNotFound, Task } from "./task";
import { wrapTask } from "./jobWrapper";
import { unappliedIn } from "./validateInputs";
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { settings } from "../config/settings";

/** Plain objects on purpose: users and their tests change them in place. */
export interface TasksApi extends MiddlewareRegistry<TaskMiddleware> {
  tasks: { [name: string]: Task };
  /** The job definitions for workers, by the same names. */
  jobs: { [name: string]: Job };
  /** Load the tasks of one file. */
  loadFile(fullFilePath: string, reload?: boolean): Promise<void>;
  /** The job of a loaded task: its plugins, with those of its middleware, and its body. */
  jobWrapper(taskName: string): Job;
  /** Load the tasks of the project and its plugins. */
  loadTasks(reload?: boolean): Promise<void>;
}

declare module "../api" {
  interface Api {
    tasks: TasksApi;
  }
}

export function createTasksApi(): TasksApi {
  return {
    tasks: {},
    jobs: {},
    middleware: {},
    globalMiddleware: [],
    loadFile,
    jobWrapper(taskName) {
      const task = findTask(taskName);
      if (!task) throw taskNotFound(taskName);
      return wrapTask(task);
    },
    async loadTasks(reload = false) {
      for (const file of discover("tasks"))
        await api.tasks.loadFile(file, reload);
      for (const task of configuredTasks())
        register(task, "tasks.builtin", reload);
    },
  };
}

async function loadFile(fullFilePath: string, reload = false): Promise<void> {
  try {
    const exported = loadModule(fullFilePath, reload);
    for (const task of instancesOf<Task>(exported, "task")) {
      task.description ??= task.name;
      task.validate?.();
      register(task, fullFilePath, reload);
    }
  } catch (thrown) {
    const error = loadFailure(thrown, fullFilePath);
    api.exceptionHandlers?.initializer(error, fullFilePath);
    throw error;
  }
}

function register(task: Task, file: string, reload: boolean): void {
  const { tasks } = api.tasks;
  const { name } = task;
  if (Object.hasOwn(tasks, name) && !reload) {
    const earlier = originOf(tasks[name]!);
    reportDuplicate({ kind: "task", name, file, earlier, level: "crit" });
  }
  for (const gap of prepareInputs(task.inputs))
    log(`the inputs of the task \`${name}\` ${gap}`, "warning");
  for (const part of unappliedIn(task))
    log(
      `the task \`${name}\`: its input ${part}, which tables of tasks do not apply; declare all inputs as a schema`,
      "warning",
    );
  tasks[task.name] = task;
  setOrigin(task, file);
  rewrap(task.name);
  log(`task ${reload ? "(re)" : ""} loaded: ${task.name}, ${file}`, "debug");
}

/** Rebuild the job of a task; workers hold the job itself, so it is changed in place. */
function rewrap(taskName: string): void {
  const { jobs } = api.tasks;
  const known = Object.hasOwn(jobs, taskName) ? jobs[taskName] : undefined;
  jobs[taskName] = Object.assign(known ?? {}, api.tasks.jobWrapper(taskName));
}

// --- Middleware of tasks: functions around the enqueueing and running of their jobs.

/** In each function `this` is the plugin: `this.args`, `this.worker`, `this.queue`, `this.func`, `this.job`. */
export interface TaskMiddleware extends NamedMiddleware {
  /** Run for every task, even if it does not name this middleware. */
  global: boolean;
  /** Before a job is enqueued to run at once, and not for delayed jobs; `false` refuses it. */
  preEnqueue?: (this: any) => any;
  /** After a job was enqueued. */
  postEnqueue?: (this: any) => any;
  /** Before a job runs; `this.args[0]` are its inputs. `false` drops the job. */
  preProcessor?: (this: any) => any;
  /** After a job ran or failed; `this.worker.result` and `this.worker.error` may be changed. */
  postProcessor?: (this: any) => any;
}

/**
 * Add middleware for tasks, or replace the one of the same name; loaded tasks have it when this returns.
 * @throws Error `middleware.name is required`
 */
export function addMiddleware(data: TaskMiddleware): Promise<void> {
  registerMiddleware(api.tasks, data, data.global === true);
  for (const name of Object.keys(api.tasks.tasks)) rewrap(name);
  return Promise.resolve();
}

// --- Tasks that come with the framework, and are loaded when `config.tasks.builtin` names them.

// --- Removes log files that have become too large.

/**
 * Once a minute, every node checks the folders of `config.general.paths.log`, and removes files of more than
 * `config.general.maxLogFileSize` bytes. The framework's own loggers begin a new file then; one that keeps its file
 * open writes on into the removed one.
 */
class CleanLogFiles extends Task {
  constructor() {
    super();
    this.name = "cleanLogFiles";
    this.description = "Removes log files that have become too large";
    this.frequency = 60 * 1000;
    this.scope = "all";
  }

  /** @returns the paths of the removed files */
  async run(): Promise<string[]> {
    const { paths, maxLogFileSize } = settings().general;
    const removed: string[] = [];
    for (const folder of new Set(paths.log)) {
      for (const name of await namesIn(folder)) {
        const file = path.join(folder, name);
        const size = await sizeOf(file);
        if (size === undefined || size <= maxLogFileSize) continue;
        await fs.rm(file, { force: true }); // another node may have removed it first
        log(`removed the log file ${file}, which had ${size} bytes`, "notice");
        removed.push(file);
      }
    }
    return removed;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return fs.readdir(folder).catch(() => []);
}

/** Undefined for folders and links, which are ignored. */
async function sizeOf(file: string): Promise<number | undefined> {
  const stats = await fs.lstat(file).catch(() => undefined);
  return stats?.isFile() ? stats.size : undefined;
}

/** Extend them, or load them from your own file. */
export const builtinTasks = { CleanLogFiles };

/**
 * The tasks that the configuration lists, except those that the project defines itself.
 * @throws ActionheroError AH_CONFIG for an unknown name
 */
function configuredTasks(): Task[] {
  const names = settings().tasks.builtin;
  const tasks: Task[] = Object.values(builtinTasks).map((Class) => new Class());
  return names
    .map((name) => {
      const found = tasks.find((task) => task.name === name);
      if (found) return found;
      throw new ActionheroError(
        "AH_CONFIG",
        `tasks.builtin has no ${String(name)}; there are: ${tasks.map((task) => task.name).join(", ")}`,
      );
    })
    .filter(({ name }) => !Object.hasOwn(api.tasks.tasks, name));
}
