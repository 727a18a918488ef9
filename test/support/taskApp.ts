/** A started server for tests of tasks, with tasks that are put there by hand. */
import { EventEmitter, once } from "node:events";

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES ??= "";

import {
  api,
  config,
  Process,
  rebuildConfig,
  type Task,
} from "../../src/index";

/** Tells of jobs that ended: `success` and `failure`, with the name of the task. */
export interface TaskApp {
  process: Process;
  /** Emits `<event>:<task>` for each worker event that has a job: `success`, `failure`, `reEnqueue`. */
  events: EventEmitter;
  stop(): Promise<void>;
}

export interface TaskAppOptions {
  /** Settings over those of `config.tasks`. */
  tasks?: Partial<typeof config.tasks> & { [key: string]: unknown };
  /** Settings over those of `config.redis`. */
  redis?: { [key: string]: unknown };
  /** Settings over those of `config.general`. */
  general?: { [key: string]: unknown };
  /** Added before the server starts. */
  before?: () => void;
}

/** Start a server whose workers run; `add` tasks before or after. */
export async function startTaskApp({
  tasks = {},
  redis = {},
  general = {},
  before,
}: TaskAppOptions = {}): Promise<TaskApp> {
  rebuildConfig();
  Object.assign(config.tasks, tasks);
  Object.assign(config.redis, redis);
  Object.assign(config.general, general);
  const process = new Process();
  await process.initialize();
  before?.();
  await process.start();
  const events = new EventEmitter().setMaxListeners(0);
  for (const event of ["success", "failure", "reEnqueue"])
    api.resque.multiWorker.on(event, (_id, _queue, job, ...details) =>
      events.emit(`${event}:${job.class}`, job, ...details),
    );
  return {
    process,
    events,
    async stop() {
      await process.stop();
      rebuildConfig();
    },
  };
}

/** Put a task there as users' tests do: a plain object. */
export function addTask(definition: Partial<Task> & { name: string }): void {
  api.tasks.tasks[definition.name] = {
    description: definition.name,
    queue: "default",
    frequency: 0,
    ...definition,
  } as Task;
  api.tasks.jobs[definition.name] = api.tasks.jobWrapper(definition.name);
}

export function removeTask(name: string): void {
  delete api.tasks.tasks[name];
  delete api.tasks.jobs[name];
}

/** Wait until a job of a task ended with success; its result. */
export async function succeeded(app: TaskApp, name: string): Promise<any> {
  const [, result] = await once(app.events, `success:${name}`);
  return result;
}
