/** The parts of the queue that run in this process: `api.resque`. */
import { api } from "../api";
import { config, id } from "../config/config";
import { settings } from "../config/settings";
import { shutdownTimeLeft } from "../config/shutdown";
import { beginContext, context, isContextOn } from "../context/context";
import { ActionheroError } from "../errors";
import { log } from "../log/log";
import type { MetricsApi } from "../metrics/types";
import { isEmbedded } from "../redis/engine";
import type { JobContext } from "../resque/jobText";
import { MultiWorker, type MultiWorkerOptions } from "../resque/multiWorker";
import { Queue, type QueueOptions } from "../resque/queue";
import { Scheduler, type SchedulerOptions } from "../resque/scheduler";
import type { Around, ConnectionOptions, Jobs } from "../resque/types";
import { waitAtMost } from "../utils/promises";
import { tracing } from "../tracing/tracer";
import { findTask } from "./task";
import { isPeriodic } from "./plans";
import { queuePriorities, withOwnQueues } from "./scope";
import {
  traceFailures,
  traceJob,
  logMultiWorker,
  logQueue,
  logScheduler,
} from "./report";

export interface ResqueApi {
  /** Connected when the server is initialized. */
  queue: Queue;
  /** The workers of this process; they run only with `config.tasks.minTaskProcessors` above 0. */
  multiWorker: MultiWorker;
  scheduler: Scheduler;
  connectionDetails: ConnectionOptions;
  startQueue(): Promise<void>;
  stopQueue(): Promise<void>;
  startScheduler(): Promise<void>;
  stopScheduler(): Promise<void>;
  startMultiWorker(): Promise<void>;
  stopMultiWorker(): Promise<void>;
}

declare module "../api" {
  interface Api {
    resque: ResqueApi;
  }
}

/** The values of `config.tasks.resque_overrides`. */
interface Overrides {
  queue?: (new (options: QueueOptions, jobs: Jobs) => Queue) | null;
  multiWorker?:
    (new (options: MultiWorkerOptions, jobs: Jobs) => MultiWorker) | null;
  scheduler?: (new (options: SchedulerOptions, jobs: Jobs) => Scheduler) | null;
}

/** Added to `general.shutdownTimeout`: the time in which workers must requeue their jobs, in ms. */
const REQUEUE_MS = 3_000;
/** How long the connection of the queue may take to close, in ms. */
const LEAVE_MS = 2_000;

export function createResqueApi(): ResqueApi {
  const redis = api.redis.clients.tasks;
  return {
    queue: null!,
    multiWorker: null!,
    scheduler: null!,
    connectionDetails: {
      ...settings().tasks.connectionOptions.tasks,
      redis,
      pkg: isEmbedded(redis) ? "ioredis-mock" : "ioredis",
    },
    startQueue,
    stopQueue,
    startScheduler,
    stopScheduler,
    startMultiWorker,
    stopMultiWorker,
  };
}

/** Start the scheduler, and create the configured workers, without starting them. */
export async function prepareWork(): Promise<void> {
  const { tasks } = config;
  if (tasks && tasks.minTaskProcessors === 0 && tasks.maxTaskProcessors > 0)
    tasks.minTaskProcessors = 1;
  await api.resque.startScheduler();
  await createMultiWorker();
}

/** Start the workers that `prepareWork` created. */
export async function beginWork(): Promise<void> {
  if (settings().tasks.minTaskProcessors > 0)
    await api.resque.multiWorker.start();
}

const stops = new WeakMap<ResqueApi, Promise<void>>();

/** Stop fetching jobs; running jobs continue while the servers stop. */
export function stopFetching(): void {
  const { resque } = api;
  const parts = [resque.stopScheduler(), resque.stopMultiWorker()];
  const stop = Promise.all(
    parts.map((part) =>
      part.catch((error: unknown) =>
        log(`a part of the task queue did not stop: ${String(error)}`, "error"),
      ),
    ),
  );
  stops.set(
    resque,
    stop.then(() => undefined),
  );
}

/** Let running jobs finish within `config.general.shutdownTimeout`; unfinished jobs are requeued. */
export async function finishJobs(): Promise<void> {
  await stops.get(api.resque);
  await api.resque.stopQueue();
}

async function startQueue(): Promise<void> {
  const QueueClass = overrides().queue ?? Queue;
  const queue = new QueueClass(
    {
      connection: api.resque.connectionDetails,
      carry: settings().tasks.carryContext ? carriedContext : undefined,
    },
    api.tasks.jobs,
  );
  api.resque.queue = queue;
  logQueue(queue);
  await queue.connect();
}

/** A new job continues the context and the trace of what enqueues it; runs of recurring tasks have their own. */
function carriedContext(taskName: string): JobContext | undefined {
  const request = context()?.id;
  const trace = tracing.tracer?.traceparent();
  if (request === undefined && trace === undefined) return undefined;
  const task = findTask(taskName);
  return task && isPeriodic(task) ? undefined : { request, trace };
}

async function stopQueue(): Promise<void> {
  const queue = api.resque.queue as Queue | null;
  await waitAtMost(LEAVE_MS, queue?.end());
}

async function startScheduler(): Promise<void> {
  const { tasks } = settings();
  if (!tasks.scheduler) return;
  checkSettings();
  const SchedulerClass = overrides().scheduler ?? Scheduler;
  const scheduler = new SchedulerClass(
    {
      connection: api.resque.connectionDetails,
      timeout: tasks.timeout,
      leaderLockTimeout: leadSeconds(),
      stuckWorkerTimeout: tasks.stuckWorkerTimeout,
      retryStuckJobs: tasks.retryStuckJobs,
    },
    api.tasks.jobs,
  );
  api.resque.scheduler = scheduler;
  logScheduler(scheduler);
  await scheduler.connect();
  await scheduler.start();
}

async function stopScheduler(): Promise<void> {
  const scheduler = api.resque.scheduler as Scheduler | null;
  await scheduler?.end();
}

async function startMultiWorker(): Promise<void> {
  await createMultiWorker();
  await beginWork();
}

async function createMultiWorker(): Promise<void> {
  const { tasks } = settings();
  checkSettings();
  const MultiWorkerClass = overrides().multiWorker ?? MultiWorker;
  const multiWorker = new MultiWorkerClass(
    {
      connection: api.resque.connectionDetails,
      queues: withOwnQueues(await configuredQueues()),
      priorities: queuePriorities(),
      node: id,
      timeout: tasks.timeout,
      checkTimeout: tasks.checkTimeout,
      minTaskProcessors: tasks.minTaskProcessors,
      maxTaskProcessors: mostTaskProcessors(),
      maxEventLoopDelay: tasks.maxEventLoopDelay,
      heartbeatTimeout: tasks.heartbeatTimeout,
      stuckWorkerTimeout: tasks.stuckWorkerTimeout,
      unknownJobs: tasks.unknownJobs,
      unknownJobTimeout: tasks.unknownJobTimeout,
      shutdownTimeout: settings().general.shutdownTimeout,
      around: aroundJobs(),
    },
    api.tasks.jobs,
  );
  api.resque.multiWorker = multiWorker;
  logMultiWorker(multiWorker);
  const { metrics } = api as { metrics?: MetricsApi };
  metrics?.watch?.workers(multiWorker);
  if (tracing.tracer) traceFailures(tracing.tracer, multiWorker);
}

function aroundJobs(): Around | undefined {
  if (tracing.tracer)
    return (job, run) => inContext(job, () => traceJob(job, run));
  return isContextOn() ? inContext : undefined;
}

/** A job that carries a context continues the id of what enqueued it; any other job gets a new id. */
const inContext: Around = ({ class: task, requestId }, run) =>
  beginContext({ task, id: requestId }, run);

async function stopMultiWorker(): Promise<void> {
  const multiWorker = api.resque.multiWorker as MultiWorker | null;
  if (!multiWorker) return;
  const shutdownTimeout = shutdownTimeLeft();
  if (multiWorker instanceof MultiWorker)
    multiWorker.options.shutdownTimeout = shutdownTimeout;
  await waitAtMost(shutdownTimeout + REQUEUE_MS, multiWorker.stop());
}

/** @throws ActionheroError AH_CONFIG that names a setting which would only fail, or wait for nothing, later */
function checkSettings(): void {
  for (const [name, value] of Object.entries(config.tasks ?? {}))
    if (Number.isNaN(value))
      throw new ActionheroError(
        "AH_CONFIG",
        `config.tasks.${name} is NaN, not a number`,
      );
  const { unknownJobs } = settings().tasks;
  if (!["fail", "wait"].includes(unknownJobs))
    throw new ActionheroError(
      "AH_CONFIG",
      `config.tasks.unknownJobs is "fail" or "wait", not ${unknownJobs}`,
    );
}

/** `maxTaskProcessors`, and not less than `minTaskProcessors`. */
function mostTaskProcessors(): number {
  const { minTaskProcessors: min, maxTaskProcessors: max } = settings().tasks;
  if (!(min > max)) return max;
  log(
    `config.tasks.maxTaskProcessors (${max}) is below minTaskProcessors (${min}): ${min} task processors run`,
    "warning",
  );
  return min;
}

/** `config.tasks.queues`: a list, or a function that finds it. As with the workers, one name is a list of one. */
export async function configuredQueues(): Promise<string[]> {
  const { queues } = settings().tasks;
  const list = typeof queues === "function" ? await queues() : queues;
  return [list ?? "*"].flat().map(String);
}

/**
 * The expiry of the leadership, in s: `heartbeatTimeout`, but at least three polls, because the leader renews it once
 * per poll.
 */
function leadSeconds(): number {
  const { heartbeatTimeout, timeout } = settings().tasks;
  return Math.ceil(Math.max(heartbeatTimeout, 3 * timeout) / 1000);
}

function overrides(): Overrides {
  return settings().tasks.resque_overrides;
}
