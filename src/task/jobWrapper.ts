/** Converts a task to a job definition for workers. */
import { api } from "../api";
import { isRedisAway } from "../errors";
import { isStandardSchema, type StandardSchema } from "../input/types";
import type { JobView } from "../resque/jobView";
import {
  Plugin,
  type PluginClass,
  type PluginReference,
} from "../resque/plugin";
import type { Job, ParsedJob } from "../resque/types";
import { traceMiddleware, tracing } from "../tracing/tracer";
import { findTask, type Task, type TaskContext, type TaskInputs } from "./task";
import type { TaskMiddleware } from "./registry";
import { isPeriodic, keepLoadedPlan } from "./plans";
import { nextRun } from "./recurrent";
import { parseInputs, withDefaults } from "./validateInputs";

/** One run at a time, and one job in total: prevents a recurring task from piling up. */
const PERIODIC_PLUGINS = ["JobLock", "QueueLock", "DelayQueueLock"];

/** The job of a task; the task itself stays as it is. */
export function wrapTask(task: Task): Job {
  keepLoadedPlan(task);
  const pluginOptions = { ...task.pluginOptions };
  const plugins: PluginReference[] = [...(task.plugins ?? [])];
  if (isPeriodic(task)) {
    if (!plugins.includes("JobLock"))
      pluginOptions.JobLock = { reEnqueue: false };
    for (const name of PERIODIC_PLUGINS)
      if (!plugins.includes(name)) plugins.push(name);
  }
  for (const name of middlewareOf(task)) plugins.push(middlewarePlugin(name));
  const { retry, timeout, afterTimeout } = task;
  const { concurrency, unique, maxFailed } = task;
  return {
    plugins,
    pluginOptions,
    perform: bodyOf(task),
    finished: isPeriodic(task) ? (view) => afterRun(task, view) : undefined,
    retry,
    timeout,
    afterTimeout,
    concurrency,
    unique,
    maxFailed,
  };
}

function middlewareOf(task: Task): string[] {
  const { middleware, globalMiddleware } = api.tasks;
  return [...globalMiddleware, ...(task.middleware ?? [])].filter((name) =>
    Object.hasOwn(middleware, name),
  );
}

function bodyOf(task: Task): Job["perform"] {
  return function perform(this: JobView, ...args: unknown[]) {
    return run(task, args, this);
  };
}

/** Schedule the next run of a recurring task when a run has succeeded or failed. */
async function afterRun(task: Task, view: JobView): Promise<void> {
  // a task that was removed from the code meanwhile ends with this run
  if (!isPeriodic(task) || !findTask(task.name)) return;
  const hasFailed = Boolean(view.error) || view.isRetried;
  const isLast = task.reEnqueuePeriodicTaskIfException === false;
  if (hasFailed && isLast)
    return view.onFinish({ do: "stopTask", task: task.name });
  // a run by hand, or a retry of a run that stopped the task above, starts the schedule again
  const isResumed =
    view.lease.worker === undefined || (isLast && (view.job.attempt ?? 1) > 1);
  const effect = await untilReply(view, () => nextRun(task, !isResumed));
  if (effect) view.onFinish(effect);
}

/**
 * Query the store; during an outage, as soon as it is over, while the run belongs to this worker. If the worker ends first, the
 * check of recurring tasks schedules the next run.
 */
async function untilReply<Reply>(
  { lease }: JobView,
  query: () => Promise<Reply>,
): Promise<Reply | undefined> {
  const reply = await lease.persist(
    async (): Promise<{ value: Reply } | { error: unknown }> => {
      try {
        return { value: await query() };
      } catch (error) {
        if (isRedisAway(error)) throw error;
        return { error };
      }
    },
  );
  if (reply && "error" in reply) throw reply.error;
  return reply?.value;
}

/** Jobs of other producers may have no inputs, or several; omitted ones are `null` in the queue. */
function run(task: Task, args: unknown[], worker: JobView): unknown {
  const [given, ...others] = args;
  const { inputs } = task;
  if (isStandardSchema(inputs))
    return runWith(parsed(task, inputs, given), task, others, worker);
  return isPeriodic(task)
    ? runWith(completed(task, given), task, others, worker)
    : call(task, [given ?? {}, ...others, worker, contextOf(worker)]);
}

async function runWith(
  inputs: Promise<unknown>,
  task: Task,
  others: unknown[],
  worker: JobView,
): Promise<unknown> {
  const ready = await inputs;
  return call(task, [ready ?? {}, ...others, worker, contextOf(worker)]);
}

function call(task: Task, args: unknown[]): unknown {
  return (task.run as (...args: unknown[]) => unknown).apply(task, args);
}

/** The output of the schema. */
async function parsed(task: Task, schema: StandardSchema, given: unknown) {
  return Object.freeze(await parseInputs(task, schema, given as TaskInputs));
}

/** Recurring tasks with a table of inputs get its defaults; the job of a planned run contains only the constant ones. */
async function completed(task: Task, given: unknown): Promise<unknown> {
  if (typeof given !== "object" || Object.keys(task.inputs ?? {}).length === 0)
    return given;
  return Object.freeze(await withDefaults(task, given ?? {}));
}

// --- Middleware as the queue knows it: one plugin each.

type Hook = "preEnqueue" | "postEnqueue" | "preProcessor" | "postProcessor";

const middlewarePlugins = new WeakSet<object>();

/** Whether a plugin of a job runs a middleware. */
export function isMiddlewarePlugin(plugin: PluginReference): boolean {
  return typeof plugin !== "string" && middlewarePlugins.has(plugin);
}

/** The plugin for a middleware name, which is looked up at each run because it may be replaced. */
function middlewarePlugin(name: string): PluginClass {
  class NodeResquePlugin extends Plugin {
    override beforeEnqueue(): Promise<boolean> {
      return callHook(this, name, "preEnqueue");
    }

    override afterEnqueue(): Promise<boolean> {
      return callHook(this, name, "postEnqueue");
    }

    override beforePerform(): Promise<boolean> {
      return callHook(this, name, "preProcessor");
    }

    override afterPerform(): Promise<boolean> {
      return callHook(this, name, "postProcessor");
    }
  }
  middlewarePlugins.add(NodeResquePlugin);
  return NodeResquePlugin;
}

async function callHook(plugin: Plugin, name: string, hook: Hook) {
  const known: { [name: string]: TaskMiddleware } = api.tasks.middleware;
  const method = known[name]?.[hook];
  if (typeof method !== "function") return true;
  const { tracer } = tracing;
  const runHook = (): unknown => method.call(plugin);
  const done = tracer
    ? traceMiddleware(tracer, { name, phase: hook }, runHook)
    : runHook();
  return (await done) !== false;
}

// --- The context of a task, passed in addition to its inputs.

/** The context of the job that a worker runs; without a worker, of a run by hand. */
export function contextOf(worker?: JobView): TaskContext {
  return new RunContext(worker);
}

class RunContext implements TaskContext {
  private readonly job?: ParsedJob | null;
  private kept?: AbortSignal;

  constructor(private readonly worker?: JobView) {
    this.job = worker?.job;
  }

  get id(): string | undefined {
    return this.job?.id;
  }

  get attempt(): number {
    return this.job?.attempt ?? 1;
  }

  /** Created at the first access: most tasks do not use it. */
  get signal(): AbortSignal {
    this.kept ??= this.signalNow();
    return this.kept;
  }

  /** Tasks take it out of the context, so it does not need its `this`. */
  get progress(): (value: unknown) => Promise<void> {
    return async (value) => {
      if (!this.isOver) await this.worker?.progress(value);
    };
  }

  private signalNow(): AbortSignal {
    if (!this.worker) return new AbortController().signal;
    return this.isOver ? AbortSignal.abort() : this.worker.signal;
  }

  /** A task that continues after its timeout is no longer the current job of its worker. */
  private get isOver(): boolean {
    return this.worker?.isOver === true;
  }
}
