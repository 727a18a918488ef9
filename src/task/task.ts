/** The base class of tasks, tasks without a class, and the types of calls by name. */
import type {
  IfKnown,
  IsOptional,
  MemberOf,
  NameIn,
} from "../action/actionTypes";
import type { DeclaredInputs, ParamsOfInputs } from "../input/types";
import { MAX_MS } from "../resque/inspect";
import type { PluginReference } from "../resque/plugin";
import type { RetryRule } from "../resque/types";
import { MAX_TIMER_MS } from "../utils/promises";
import { nextCronTime } from "./cronTimes";
import { enableFormatters, formatted } from "./validateInputs";
import { api } from "../api";
import { ActionheroError } from "../errors";
import type { Queue } from "../resque/queue";

/** The inputs of a run. */
export interface TaskInputs {
  [key: string]: any;
}

/** The context of a run, beside its inputs. */
export interface TaskContext {
  /** Aborted at the `timeout` of the task, when the process stops, and when another process takes the job over. */
  readonly signal: AbortSignal;
  /** The job's id, when it was enqueued by `task.enqueueJob`. */
  readonly id?: string;
  /** The number of this attempt, from 1; more than 1 only with `retry`. */
  readonly attempt: number;
  /** Report the progress, which `task.job(id)` returns. Ignored for jobs without an id. */
  readonly progress: (value: unknown) => Promise<void>;
}

/** The worker that runs a task: the properties that tasks may use. Workers of node-resque have them, too. */
export interface TaskWorker {
  name: string;
  queue: string;
  /** The job that runs. */
  job: any;
  /** The return value of the run; middleware and plugins may change it when it has ended. */
  result: any;
  error: any;
  [property: string]: any;
}

/** A background task, run by any worker of the cluster. */
export abstract class Task {
  /** The name by which it is enqueued. */
  name: string = undefined!; // set by the subclass; validate() says so when it is not
  /** For documentation (default: the name). */
  description: string = undefined!;
  /** The queue that its jobs wait in (default `"default"`). */
  queue = "default";
  /** The delay between the end of a run and the start of the next, in ms; 0: not recurring (default 0). */
  frequency?: number = 0;
  /** The inputs, as a table or as a Standard Schema; checked when a job is enqueued. */
  inputs?: DeclaredInputs = {};
  /** Names of middleware that runs for this task, after the global one. */
  middleware?: string[] = [];
  /** Plugins of the queue around it: names of bundled ones, or classes. */
  plugins?: PluginReference[] = [];
  /** Options by the plugin's name. */
  pluginOptions?: { [pluginName: string]: any } = {};
  /** Schedule the next run of a recurring task after a failed one (default true). */
  reEnqueuePeriodicTaskIfException?: boolean = true;

  /**
   * A cron expression (5 fields, or 6 with seconds first), instead of `frequency`. With a fixed hour, the task runs
   * once a day even when the clocks change; with an hour field that begins with `*`, it runs by elapsed time.
   */
  cron?: string;
  /** The time zone of `cron`, e.g. `"Europe/Paris"` (default: that of the process). */
  timeZone?: string;
  /** Run a failed job again; without it a job that failed is in the failed list at once. */
  retry?: RetryRule;
  /** A run that takes longer than this fails, in ms; its `signal` is aborted (default: no limit). */
  timeout?: number;
  /**
   * What happens when a run continues after its `timeout`. `"leave"`: the worker fetches the next job, and the next
   * attempt may run in parallel; `"wait"`: the worker waits until the run ends (default `"leave"`).
   */
  afterTimeout?: "leave" | "wait";
  /** Refuse a job while one with the same inputs is queued, delayed or running (default false). */
  unique?: boolean;
  /** How many of its jobs run at the same time in the whole cluster (default: no limit). */
  concurrency?: number;
  /** Workers on all queues (`"*"`) empty the queue of a higher priority first (default 0). */
  priority?: number;
  /** How many of its jobs the failed list keeps; older ones are dropped (default: all). */
  maxFailed?: number;
  /** `"any"`: one worker of the cluster runs a job; `"all"`: each node with workers runs it once (default `"any"`). */
  scope?: "any" | "all";

  /**
   * Do the work.
   * @param params the inputs of the job; frozen
   * @param worker who runs it
   * @returns the result, for middleware, the log and `task.job(id)`
   */
  abstract run(
    params: TaskInputs,
    worker: TaskWorker,
    context?: TaskContext,
  ): Promise<any>;

  /** @throws Error naming what is missing or wrong */
  validate?(): void {
    validateTask(this);
  }
}

// --- The checks of a task's own definition.

/** The highest `concurrency`: slots are searched one by one. */
const MOST_CONCURRENT = 1000;

/** @throws Error naming what is missing or wrong */
function validateTask(task: Task): void {
  const { name } = task;
  if (!name) throw new Error("name is required for this task");
  const of = `for the task \`${name}\``;
  if (!task.description) throw new Error(`description is required ${of}`);
  if (!task.queue) throw new Error(`queue is required ${of}`);
  if (task.frequency === undefined || task.frequency === null)
    throw new Error(`frequency is required ${of}`);
  // a run that cannot be scheduled would be taken for a lost one, and run every half minute
  if (!(Number(task.frequency) <= MAX_MS))
    throw new Error(`frequency must be a number of ms ${of}`);
  if (typeof task.run !== "function")
    throw new Error(`task \`${name}\` has no run method`);
  checkCron(task, of);
  checkRetry(task, of);
  checkNumber(task.timeout, "timeout", of, [1, MAX_TIMER_MS]);
  checkNumber(task.concurrency, "concurrency", of, [1, MOST_CONCURRENT]);
  checkNumber(task.maxFailed, "maxFailed", of, [0, Infinity]);
  if (task.priority !== undefined && !Number.isFinite(task.priority))
    throw new Error(`priority must be a number ${of}`);
  if (!["leave", "wait", undefined].includes(task.afterTimeout))
    throw new Error(`afterTimeout must be "leave" or "wait" ${of}`);
  if (!["any", "all", undefined].includes(task.scope))
    throw new Error(`scope must be "any" or "all" ${of}`);
}

function checkCron({ cron, timeZone, frequency }: Task, of: string): void {
  if (cron === undefined) return;
  if (frequency! > 0)
    throw new Error(`frequency and cron exclude each other ${of}`);
  try {
    nextCronTime(cron, timeZone, Date.now());
  } catch (error) {
    throw new Error(`cron is not valid ${of}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function checkRetry({ retry }: Task, of: string): void {
  if (retry === undefined) return;
  checkNumber(retry.attempts ?? 0, "retry.attempts", of, [1, Infinity]);
  checkNumber(retry.delay, "retry.delay", of, [0, Infinity]);
  checkNumber(retry.maxDelay, "retry.maxDelay", of, [0, Infinity]);
  if (typeof retry.jitter !== "boolean")
    checkNumber(retry.jitter, "retry.jitter", of, [0, 1]);
  if (retry.if !== undefined && typeof retry.if !== "function")
    throw new Error(`retry.if must be a function ${of}`);
  const { backoff } = retry;
  const isList =
    Array.isArray(backoff) &&
    backoff.length > 0 &&
    backoff.every((ms) => Number.isFinite(ms) && ms >= 0);
  if (
    !isList &&
    !["exponential", "fixed", undefined].includes(backoff as string)
  )
    throw new Error(
      `retry.backoff must be "exponential", "fixed" or a list of ms ${of}`,
    );
}

function checkNumber(
  value: number | undefined,
  property: string,
  of: string,
  [least, most]: [least: number, most: number],
): void {
  if (value === undefined) return;
  const isWhole = Number.isInteger(value) || property === "retry.jitter";
  if (!isWhole || value < least || value > most)
    throw new Error(
      `${property} must be ${property === "retry.jitter" ? "a number" : "a whole number"} from ${least}` +
        `${most === Infinity ? "" : ` to ${most}`} ${of}`,
    );
}

// --- Tasks without a class: the params of `run` are typed by the inputs.

/** Every property of a task; only the name is required. */
export type TaskDefinition<
  Name extends string,
  I extends DeclaredInputs,
  R,
> = Partial<Omit<Task, "name" | "inputs" | "run" | "validate">> & {
  /** The name by which it is enqueued. */
  name: Name;
  /** A Standard Schema, or a table of inputs; checked when a job is enqueued. Each run gets its output, or formatted values. */
  inputs?: I;
  run: (
    params: ParamsOfInputs<I>,
    worker: TaskWorker,
    context: TaskContext,
  ) => R | Promise<R>;
};

/** A task as `defineTask` makes it. */
export interface DefinedTask<
  Name extends string = string,
  I extends DeclaredInputs = any,
  R = any,
> extends Task {
  name: Name;
  inputs: I;
  run(params: any, worker: any, context?: any): Promise<R>;
}

/** A file below `src/tasks` exports the result, as it exports classes. */
export function defineTask<
  const Name extends string,
  const I extends DeclaredInputs = {}, // eslint-disable-line @typescript-eslint/no-empty-object-type -- no inputs
  R = unknown,
>(definition: TaskDefinition<Name, I, R>): DefinedTask<Name, I, R> {
  return new FunctionTask(definition) as never;
}

class FunctionTask extends Task {
  private readonly body: (...args: unknown[]) => unknown;

  constructor({
    run,
    ...definition
  }: TaskDefinition<string, DeclaredInputs, unknown>) {
    super();
    Object.assign(this, definition);
    this.description ??= this.name;
    this.body = run as (...args: unknown[]) => unknown;
    enableFormatters(this);
  }

  /** @throws Error when the definition has no `run`, which types exclude; also the errors of all tasks */
  override validate(): void {
    super.validate?.();
    if (typeof this.body !== "function")
      throw new Error(`task \`${this.name}\` has no run method`);
  }

  override async run(inputs: unknown, ...others: unknown[]): Promise<unknown> {
    return this.body(await formatted(this, inputs), ...others);
  }
}

// --- The types of calls of tasks by name, from what `actionhero types` writes.

/** Signatures by name; empty unless a project has its `actions.gen.ts`. */
export interface TaskRegistry {} // eslint-disable-line @typescript-eslint/no-empty-object-type -- projects add to it

/** The names of tasks, if `actions.gen.ts` declares them. */
export type TaskName = NameIn<TaskRegistry>;

/** The inputs of a job of this task. */
export type JobInputs<Name> = IfKnown<
  TaskRegistry,
  MemberOf<TaskRegistry, Name, "params">,
  TaskInputs
>;

/** The inputs, which may be left out when none is required, and what follows them. */
export type JobArguments<Name, More extends unknown[]> = IfKnown<
  TaskRegistry,
  JobInputs<Name> extends infer Inputs
    ? IsOptional<Inputs> extends true
      ? [inputs?: Inputs, ...more: More]
      : [inputs: Inputs, ...more: More]
    : never,
  [inputs?: TaskInputs, ...more: More]
>;

/** The arguments after the name in `task.run`: any inputs when the type of the result is named. */
export type RunTaskArguments<Result, Name> = [Result] extends [void]
  ? JobArguments<Name, []>
  : [inputs?: TaskInputs];

/**
 * The result of a run: the type argument, or the return type of `run` if it is a task class; otherwise the type in the
 * registry.
 */
export type TaskResult<Named, Name> = [Named] extends [void]
  ? IfKnown<TaskRegistry, MemberOf<TaskRegistry, Name, "result">, any>
  : ResultOf<Named>;

type ResultOf<T> = T extends { run(...args: any[]): infer Result }
  ? Awaited<Result>
  : T;

// --- Finding a loaded task.

/** A loaded task by its name; names like `constructor` do not match. */
export function findTask(taskName: string): Task | undefined {
  const { tasks } = api.tasks;
  return Object.hasOwn(tasks, taskName) ? tasks[taskName] : undefined;
}

export function taskNotFound(taskName: string): ActionheroError {
  return new ActionheroError("AH_TASK", `task ${taskName} not found`);
}

/** @throws ActionheroError AH_TASK `task <name> not found` */
export function requireTask(taskName: string): Task {
  const task = findTask(taskName);
  if (!task) throw taskNotFound(taskName);
  return task;
}

// --- The connected queue.

/** @throws ActionheroError AH_TASK before the server was initialized and after it stopped */
export function requireQueue(): Queue {
  const queue = api.resque?.queue;
  if (!queue)
    throw new ActionheroError("AH_TASK", "the task queue is not connected");
  return queue;
}
