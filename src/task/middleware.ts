/** Middleware of tasks: functions around the enqueueing and running of their jobs. */
import { api } from "../api";
import { registerMiddleware, type NamedMiddleware } from "../middleware/stack";
import { rewrap } from "./registry";

/** In each function `this` is the plugin: `this.args`, `this.worker`, `this.queue`, `this.func`, `this.job`. */
export interface TaskMiddleware extends NamedMiddleware {
  /** Run for every task; otherwise for those that name it. */
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
