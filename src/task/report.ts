/** Reports jobs: spans, where they are enqueued and where they run, and log lines. */
import type { MultiWorker } from "../resque/multiWorker";
import type { Around, ErrorPayload, ParsedJob } from "../resque/types";
import { traced, type Tracer } from "../tracing/tracer";
import type { SpanAttributes } from "../tracing/types";
import { api } from "../api";
import { settings } from "../config/settings";
import { isRedisAway, toError } from "../errors";
import { filterObjectForLogging, redactForLogging } from "../log/filters";
import { log, willLog, type ActionheroLogLevel } from "../log/log";
import { noteWriteAccepted, noteSkew, noteUnavailable } from "../redis/outages";
import { parseJob } from "../resque/jobText";
import type { RetryInfo } from "../resque/jobView";
import type { Queue } from "../resque/queue";
import type { Scheduler } from "../resque/scheduler";
import type { QueuedJob, Returned } from "../resque/store/store";

/** The job that is enqueued. */
interface Sending {
  task: string;
  queue: string;
  /** How many jobs there are; undefined: one. */
  count?: number;
}

/** Enqueue with a span around it; without tracing it is just done. */
export function traceSending<T>(
  { task, queue, count }: Sending,
  send: () => T,
): T {
  return traced(
    () => ({
      name: `enqueue ${queue}`,
      kind: "producer",
      attributes: {
        ...messaging(queue, task),
        "messaging.operation.type": "send",
        "messaging.operation.name": "enqueue",
        "messaging.batch.message_count": count,
      },
    }),
    send,
  );
}

/** Run a job with a span around it, linked to the one that enqueued it. */
export const traceJob: Around = (job, run) =>
  traced(
    () => ({
      name: `process ${job.queue}`,
      kind: "consumer",
      attributes: {
        ...messaging(job.queue, job.class),
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.message.id": job.id,
        "actionhero.task.attempt": job.attempt ?? 1,
      },
      remote: job.traceparent,
    }),
    run,
  );

/** The workers emit within the span of the job. */
export function traceFailures(tracer: Tracer, workers: MultiWorker): void {
  workers.on("failure", (_worker, _queue, _job, error) => tracer.fail(error));
  workers.on("reEnqueue", (_worker, _queue, _job, info) => {
    const { err } = info as { err?: unknown };
    if (err !== undefined) tracer.fail(err);
  });
}

/** Run a task in-line with a span around it. */
export function traceTask<T>(task: string, run: () => T): T {
  const attributes = { "actionhero.task.name": task };
  return traced(() => ({ name: `task ${task}`, attributes }), run);
}

function messaging(queue: string, task: string): SpanAttributes {
  return {
    "messaging.system": "actionhero",
    "messaging.destination.name": queue,
    "actionhero.task.name": task,
  };
}

// --- The log lines of the queue, the scheduler and the workers.

/** Errors of sockets. Like those of commands without a redis, they are in the log of the clients (src/redis), once for all. */
const NETWORK = /ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND/;

/** Reported unknown classes, bounded because producers can invent any number. */
const MOST_UNKNOWN = 100;

/** The details of `success` besides the worker and the queue; the duration is in ms. */
type Success = [job: ParsedJob, result: unknown, duration: number];

export function logQueue(queue: Queue): void {
  queue.on("error", (error) =>
    log(String(error), "error", "[api.resque.queue]"),
  );
}

export function logScheduler(scheduler: Scheduler): void {
  const level = (key: string) => levelOf("schedulerLogging", key);
  scheduler.on("start", () => log("resque scheduler started", level("start")));
  scheduler.on("end", () => log("resque scheduler ended", level("end")));
  scheduler.on("poll", () => log("resque scheduler polling", level("poll")));
  scheduler.on("leader", () =>
    log("This node is now the Resque scheduler leader", "notice"),
  );
  const outages = nodeLog().follow(scheduler, "scheduler");
  scheduler.on("error", (error: Error) => {
    if (!outages.has(error))
      log(String(error), "error", "[api.resque.scheduler]");
  });
  scheduler.on("workingTimestamp", (timestamp: string) =>
    log(
      `resque scheduler working timestamp ${timestamp}`,
      level("working_timestamp"),
    ),
  );
  scheduler.on("transferredJob", (timestamp: string, job: ParsedJob) => {
    const severity = level("transferred_job") ?? "info";
    if (willLog(severity))
      log(
        `resque scheduler enqueuing job ${timestamp}`,
        severity,
        jobFields(job),
      );
  });
  scheduler.on(
    "cleanStuckWorker",
    (workerName: string, errorPayload: ErrorPayload, delta: number) =>
      log("cleaned stuck worker", "warning", {
        workerName,
        errorPayload,
        delta,
      }),
  );
}

export function logMultiWorker(multiWorker: MultiWorker): void {
  /** Workers emit only events with listeners, because emitting costs as much as a small job. */
  const follow = (
    event: string,
    lineOf: (...args: any[]) => [message: string, data: object],
  ) => {
    const level = levelOf("workerLogging", event) ?? "info";
    if (!willLog(level)) return;
    multiWorker.on(event, (...args: unknown[]) => {
      const [message, data] = lineOf(...args);
      log(message, level, data);
    });
  };

  follow("start", (workerId: number) => ["[ worker ] started", { workerId }]);
  follow("end", (workerId: number) => ["[ worker ] ended", { workerId }]);
  follow("pause", (workerId: number) => ["[ worker ] paused", { workerId }]);
  follow("poll", (workerId: number, queue: string) => [
    `[ worker ] polling ${queue}`,
    { workerId },
  ]);
  follow("cleaning_worker", (workerId: number, worker: string, pid: string) => [
    `[ worker ] cleaning old worker ${worker}, (${pid})`,
    { workerId },
  ]);
  follow("job", (workerId: number, queue: string, job: ParsedJob) => [
    `[ worker ] working job ${queue}`,
    { workerId, ...jobFields(job, queue) },
  ]);
  follow(
    "reEnqueue",
    (workerId: number, queue: string, job: ParsedJob, plugin: unknown) => [
      "[ worker ] reEnqueue task",
      { workerId, plugin: JSON.stringify(plugin), class: job.class, queue },
    ],
  );
  logRetries(multiWorker);
  follow("success", (workerId: number, queue: string, ...more: Success) => {
    const [job, result, duration] = more;
    return [
      "[ worker ] task success",
      {
        workerId,
        ...jobFields(job, queue),
        result: redactForLogging(result),
        duration,
      },
    ];
  });
  follow("multiWorkerAction", (verb: string, delay: number) => [
    `[ multiworker ] checked for worker status: ${verb} (event loop delay: ${delay}ms)`,
    {},
  ]);
  multiWorker.on(
    "failure",
    (workerId: number, queue: string, job: ParsedJob, failure: unknown) =>
      api.exceptionHandlers.task(toError(failure), queue, job, workerId),
  );
  const outages = nodeLog().follow(multiWorker, "workers");
  multiWorker.on(
    "error",
    (error: Error, workerId: number, queue: string, job?: ParsedJob) => {
      if (!outages.has(error))
        api.exceptionHandlers.task(error, queue, job, workerId);
    },
  );
  multiWorker.on(
    "fenced",
    (workerId: number, queue: string, job: ParsedJob | null) =>
      log(
        "[ worker ] was silent for too long and taken for dead: its job was given to another, its result is dropped",
        "warning",
        { workerId, queue, class: job?.class },
      ),
  );
  const unknown = new Set<string>();
  multiWorker.on(
    "unknown",
    (workerId: number, queue: string, job: ParsedJob) => {
      if (unknown.has(job.class) || unknown.size === MOST_UNKNOWN) return;
      unknown.add(job.class);
      log(
        `[ worker ] this process has no task ${job.class}: its jobs wait for one that has it`,
        "warning",
        { workerId, queue },
      );
    },
  );
  multiWorker.on("overlap", (workerId: number, queue: string, job: ParsedJob) =>
    log(
      `[ worker ] attempt ${job.attempt} of the task ${job.class} starts while an earlier one, whose timeout is over, still runs`,
      "warning",
      { workerId, queue },
    ),
  );
  multiWorker.on(
    "unkept",
    (workerId: number, queue: string, job: ParsedJob, reason: string) =>
      log(
        `[ worker ] job(id) will not show all of the task ${job.class}: ${reason}`,
        "warning",
        { workerId, queue, id: job.id },
      ),
  );
  multiWorker.on("repaired", (jobs: readonly Returned[]) =>
    log("[ worker ] cleaned up after workers without a process", "warning", {
      workers: jobs.map(({ member }) => member),
      ...countsOf(jobs),
    }),
  );
  multiWorker.on("silent", (id: string) =>
    log(
      `[ worker ] the process ${id} is connected but gives no sign`,
      "notice",
    ),
  );
  multiWorker.on("alone", ({ queue, raw }: QueuedJob, isOver: boolean) => {
    const name = parseJob(raw, queue).job.class;
    const state = isOver
      ? "has ended: this process fetches jobs again"
      : "runs alone, because its workers died twice: this process fetches no other job until it has ended";
    log(`[ worker ] a job of the task ${name} ${state}`, "notice", { queue });
  });
  multiWorker.on("reaped", (id: string, jobs: readonly Returned[]) =>
    log(
      `[ worker ] cleaned up after the dead process ${id}`,
      "warning",
      countsOf(jobs),
    ),
  );
}

function countsOf(jobs: readonly Returned[]) {
  const count = (kind: Returned["what"]) =>
    jobs.filter(({ what }) => what === kind).length;
  return { requeued: count("requeued"), failed: count("failed") };
}

/** A retried task has failed as well; its last failure is logged with a stack. */
function logRetries(multiWorker: MultiWorker): void {
  const severity = levelOf("workerLogging", "retry") ?? "warning";
  multiWorker.on(
    "reEnqueue",
    (workerId: number, queue: string, job: ParsedJob, info: RetryInfo) => {
      const { attempt, attempts, delay, err } = info;
      // those of plugins have the line above
      if (attempts === undefined || !willLog(severity)) return;
      log(
        `[ worker ] task failed (attempt ${attempt} of ${attempts}), runs again in ${delay} ms`,
        severity,
        { workerId, ...jobFields(job, queue), error: String(toError(err)) },
      );
    },
  );
}

/** Events that several parts of the queue detect, and that this node logs once. */
class NodeLog {
  /** The parts that cannot reach the queue. */
  private readonly away = new Set<string>();
  /** The queue is unavailable for its own reason, while redis is available. */
  private isOwnOutage = false;

  /** @returns the errors that begin outages, which are not logged again */
  follow(part: MultiWorker | Scheduler, name: string): WeakSet<Error> {
    const errors = new WeakSet<Error>();
    this.away.delete(name);
    part.on("outage", (error: Error) => {
      errors.add(error);
      if (this.away.size === 0) this.outageBegan(error);
      this.away.add(name);
    });
    part.on("recovered", (ms: number) => {
      if (this.away.delete(name) && this.away.size === 0) this.outageEnded(ms);
    });
    part.on("skew", (ms: number) => noteSkew(api.redis.clients.tasks, ms));
    return errors;
  }

  private outageBegan(error: Error): void {
    const { tasks } = api.redis.clients;
    const message = "the task queue does not respond";
    this.isOwnOutage = !isRedisAway(error) && !NETWORK.test(String(error));
    if (this.isOwnOutage) log(`${message}: ${String(error)}`, "error");
    else noteUnavailable(tasks, message, error);
  }

  private outageEnded(ms: number): void {
    const message = `the task queue responds again after ${ms} ms`;
    log(message, this.isOwnOutage ? "notice" : "debug");
    if (!this.isOwnOutage) noteWriteAccepted(api.redis.clients.tasks);
  }
}

const nodeLogs = new WeakMap<object, NodeLog>();

function nodeLog(): NodeLog {
  const known = nodeLogs.get(api.resque) ?? new NodeLog();
  nodeLogs.set(api.resque, known);
  return known;
}

function jobFields(job: ParsedJob, queue = job.queue) {
  return { class: job.class, queue, args: argsText(job) };
}

/** Jobs of other producers may have any arguments; a log line must not fail for them. */
function argsText({ args }: ParsedJob): string {
  const inputs = args[0] as unknown;
  const shown: unknown =
    typeof inputs === "object" && inputs !== null && !Array.isArray(inputs)
      ? filterObjectForLogging(inputs)
      : inputs;
  return JSON.stringify(shown) ?? "";
}

function levelOf(
  kind: "workerLogging" | "schedulerLogging",
  key: string,
): ActionheroLogLevel | undefined {
  return settings().tasks[kind][key];
}
