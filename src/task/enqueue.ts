/** Enqueues jobs, at once or delayed. */
import { api } from "../api";
import { context } from "../context/context";
import { ActionheroError } from "../errors";
import type { PluginReference } from "../resque/plugin";
import type { JobInfo } from "../resque/types";
import { tracing } from "../tracing/tracer";
import {
  requireQueue,
  requireTask,
  type JobArguments,
  type JobInputs,
  type Task,
  type TaskInputs,
  type TaskName,
} from "./task";
import { isMiddlewarePlugin } from "./jobWrapper";
import { argsOf } from "./plans";
import { resumeRecurrentTask } from "./recurrent";
import { type JobQueue, queuesOf } from "./scope";
import { traceSending } from "./report";
import { validateInputs } from "./validateInputs";

/**
 * Put a task into its queue, to run as soon as a worker is free. Names and inputs are typed by the project's `actions.gen.ts`,
 * if it has one.
 * @param args its inputs, and the queue (default: the task's own)
 * @returns false when middleware or a plugin refused it, or the task is `unique` and exists
 * @throws Error of the inputs' checks; ActionheroError AH_TASK `task <name> not found`
 */
export function enqueue<Name extends TaskName>(
  taskName: Name,
  ...args: JobArguments<Name, [queue?: string]>
): Promise<boolean>;
export async function enqueue(
  taskName: string,
  inputs?: TaskInputs,
  queue?: string,
): Promise<boolean> {
  const task = requireTask(taskName);
  const name = queue ?? task.queue;
  return traceSending({ task: taskName, queue: name }, () =>
    enqueueNow(task, name, inputs),
  );
}

async function enqueueNow(
  task: Task,
  name: string,
  inputs: TaskInputs | undefined,
): Promise<boolean> {
  const taskName = task.name;
  const args = argsOf(await validateInputs(task, inputs));
  await resumeRecurrentTask(task);
  if (task.scope !== "all") return requireQueue().enqueue(name, taskName, args);

  let isEnqueued = false;
  for (const { queue, node } of await queuesOf(task, name)) {
    const isAdded = await requireQueue().enqueue(queue, taskName, args, node);
    isEnqueued ||= isAdded;
  }
  return isEnqueued;
}

/**
 * Run a task at a time, or soon after.
 * @param timestamp ms since the epoch, text that begins with a number, or a Date; one in the past is due at once
 * @param args its inputs, the queue (default: the task's own), and `suppressDuplicateTaskError`: the same job in the
 * same second is not an error, but is enqueued once
 * @returns undefined when the job exists and that is not an error
 * @throws ActionheroError AH_TASK for an invalid time, e.g. NaN or Infinity; then nothing is enqueued
 */
export function enqueueAt<Name extends TaskName>(
  timestamp: number | string | Date,
  taskName: Name,
  ...args: JobArguments<
    Name,
    [queue?: string, suppressDuplicateTaskError?: boolean]
  >
): Promise<true | undefined>;
export function enqueueAt(
  timestamp: number | string | Date,
  taskName: string,
  inputs?: TaskInputs,
  queue?: string,
  suppressDuplicateTaskError = false,
): Promise<true | undefined> {
  return enqueueLater(taskName, inputs, queue, (target, args) =>
    requireQueue().enqueueAt(
      timestamp,
      target.queue,
      taskName,
      args,
      suppressDuplicateTaskError,
      target.node,
    ),
  );
}

/**
 * Run a task after a time, by the clock of redis.
 * @param time ms from now, or text that begins with a number; a negative one means now
 */
export function enqueueIn<Name extends TaskName>(
  time: number | string,
  taskName: Name,
  ...args: JobArguments<
    Name,
    [queue?: string, suppressDuplicateTaskError?: boolean]
  >
): Promise<true | undefined>;
export function enqueueIn(
  time: number | string,
  taskName: string,
  inputs?: TaskInputs,
  queue?: string,
  suppressDuplicateTaskError = false,
): Promise<true | undefined> {
  return enqueueLater(taskName, inputs, queue, (target, args) =>
    requireQueue().enqueueIn(
      time,
      target.queue,
      taskName,
      args,
      suppressDuplicateTaskError,
      target.node,
    ),
  );
}

async function enqueueLater(
  taskName: string,
  inputs: TaskInputs | undefined,
  queue: string | undefined,
  add: (job: JobQueue, args: unknown[]) => Promise<true | undefined>,
): Promise<true | undefined> {
  const task = requireTask(taskName);
  const name = queue ?? task.queue;
  return traceSending({ task: taskName, queue: name }, async () => {
    const args = argsOf(await validateInputs(task, inputs));
    await resumeRecurrentTask(task);
    let isEnqueued: true | undefined;
    for (const jobQueue of await queuesOf(task, name))
      isEnqueued = (await add(jobQueue, args)) ?? isEnqueued;
    return isEnqueued;
  });
}

export interface EnqueueOptions {
  /** Default: the task's own. */
  queue?: string;
  /** When to run it, in ms since the epoch or as a Date (default: now). */
  at?: number | Date;
  /** The delay before it runs, in ms. */
  in?: number;
  /** A second call with the same key, until a day after the job is due, enqueues nothing, and returns the id of the first job. */
  idempotencyKey?: string;
}

/**
 * Enqueue a trackable job: `job(id)` returns its progress, state and result.
 * @returns its id; undefined when the task is `unique` and exists, or when middleware or a plugin refused it (they are asked
 * only for jobs without `at` and `in`)
 * @throws Error of the inputs' checks; ActionheroError AH_TASK `task <name> not found`, or for a task of all nodes
 */
export function enqueueJob<Name extends TaskName>(
  taskName: Name,
  ...args: JobArguments<Name, [options?: EnqueueOptions]>
): Promise<string | undefined>;
export async function enqueueJob(
  taskName: string,
  inputs?: TaskInputs,
  options: EnqueueOptions = {},
): Promise<string | undefined> {
  const task = requireTask(taskName);
  if (task.scope === "all")
    throw new ActionheroError(
      "AH_TASK",
      `task ${taskName} runs on all nodes: it has no single job`,
    );
  const queue = options.queue ?? task.queue;
  return traceSending({ task: taskName, queue }, async () => {
    const args = argsOf(await validateInputs(task, inputs));
    await resumeRecurrentTask(task);
    const { at, in: inMs, idempotencyKey } = options;
    const id = await requireQueue().enqueueTracked(queue, taskName, args, {
      at,
      in: inMs,
      idempotencyKey,
      requestId: context()?.id,
      traceparent: tracing.tracer?.traceparent(),
    });
    tracing.tracer?.set({ "messaging.message.id": id });
    return id;
  });
}

/** The facts about a job of `enqueueJob`, which are kept for a day after its last change. */
export function job(id: string): Promise<JobInfo | undefined> {
  return requireQueue().job(id);
}

// --- Enqueues many jobs in few round trips.

/** Bundled plugins with hooks around the enqueueing. */
const ENQUEUE_PLUGINS = ["QueueLock", "DelayQueueLock"];

/**
 * Enqueue many jobs of one task, 1,000 or 1 MB in one round trip. All inputs are checked before the first job is
 * enqueued. After an error of redis, a part of the jobs may be enqueued. Jobs of `unique` tasks, and of tasks with middleware or plugins for `enqueue`, are enqueued one by one.
 * @param queue default: the task's own
 * @returns the number of enqueued jobs; middleware or plugins refused the others
 * @throws Error of the inputs' checks; ActionheroError AH_TASK `task <name> not found`
 */
export function enqueueMany<Name extends TaskName>(
  taskName: Name,
  inputsOfJobs: readonly (JobInputs<Name> | undefined)[],
  queue?: string,
): Promise<number>;
export async function enqueueMany(
  taskName: string,
  inputsOfJobs: readonly (TaskInputs | undefined)[],
  queue?: string,
): Promise<number> {
  const task = requireTask(taskName);
  const name = queue ?? task.queue;
  const sending = { task: taskName, queue: name, count: inputsOfJobs.length };
  return traceSending(sending, async () => {
    const argsOfJobs: unknown[][] = [];
    for (const inputs of inputsOfJobs)
      argsOfJobs.push(argsOf(await validateInputs(task, inputs)));

    await resumeRecurrentTask(task);
    let enqueued = 0;
    for (const jobQueue of await queuesOf(task, name))
      enqueued += await addAll(task, jobQueue, argsOfJobs);
    return enqueued;
  });
}

async function addAll(
  task: Task,
  { queue, node }: JobQueue,
  argsOfJobs: unknown[][],
): Promise<number> {
  if (!isJudgedOneByOne(task)) {
    await requireQueue().enqueueMany(queue, task.name, argsOfJobs, node);
    return argsOfJobs.length;
  }
  let enqueued = 0;
  for (const args of argsOfJobs)
    if (await requireQueue().enqueue(queue, task.name, args, node)) enqueued++;
  return enqueued;
}

function isJudgedOneByOne(task: Task): boolean {
  if (task.unique) return true;
  const { middleware, globalMiddleware, jobs } = api.tasks;
  const names = [...globalMiddleware, ...(task.middleware ?? [])];
  const judges = names.some(
    (name) =>
      Object.hasOwn(middleware, name) &&
      (middleware[name]!.preEnqueue || middleware[name]!.postEnqueue),
  );
  const plugins = jobs[task.name]?.plugins ?? [];
  return judges || plugins.some(isEnqueuePlugin);
}

function isEnqueuePlugin(plugin: PluginReference): boolean {
  if (typeof plugin === "string") return ENQUEUE_PLUGINS.includes(plugin);
  if (isMiddlewarePlugin(plugin)) return false; // checked by the functions of the middleware
  const { prototype } = plugin as { prototype: object };
  return "beforeEnqueue" in prototype || "afterEnqueue" in prototype;
}
