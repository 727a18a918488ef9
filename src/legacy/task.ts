/** Tasks of the style of version 3: `{ name, description, scope, frequency, run(api, params, next) }`. */
import { api } from "../api";
import { Task, type TaskInputs } from "../task/task";
import { untilNext, type Next } from "./callbacks";

export interface LegacyTask {
  name: string;
  description?: string;
  /** One node or every node (default `"any"`). */
  scope?: "any" | "all";
  /** ms between two runs; 0: never by itself (default 0). */
  frequency?: number;
  /** `next()` ends it, `next(error)` with an error; anything else that it is given is the result. */
  run: (api: any, params: any, next: Next) => unknown;
  [property: string]: any;
}

/**
 * A class of today for a task of old.
 * @throws Error for an invalid task
 */
export function fromLegacyTask(legacy: LegacyTask): new () => Task {
  if (typeof legacy?.run !== "function")
    throw new Error(`task \`${legacy?.name}\` has no run method`);

  const { run, ...settings } = legacy;
  return class extends Task {
    constructor() {
      super();
      Object.assign(this, settings);
      this.description = legacy.description ?? legacy.name;
    }

    override async run(params: TaskInputs): Promise<unknown> {
      const outcome = await untilNext(
        (next) => run.call(legacy, api, { ...params }, next), // those of today are frozen
        run.length > 2,
      );
      const error: unknown = outcome.find((value) => value instanceof Error);
      if (error) throw error as Error;
      return outcome.at(-1) as unknown;
    }
  };
}
