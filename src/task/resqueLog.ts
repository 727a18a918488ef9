/** The log lines of the queue, the scheduler and the workers. */
import { api } from "../api";
import { config } from "../config/config";
import { toError } from "../errors";
import { filterObjectForLogging } from "../log/filters";
import { log, willLog, type ActionheroLogLevel } from "../log/log";
import type { MultiWorker } from "../resque/multiWorker";
import type { Queue } from "../resque/queue";
import type { Scheduler } from "../resque/scheduler";
import type { ErrorPayload, ParsedJob } from "../resque/types";

type Levels = { [key: string]: ActionheroLogLevel | undefined };

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
  scheduler.on("error", (error) =>
    log(String(error), "error", "[api.resque.scheduler]"),
  );
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
  const line = (
    key: string,
    message: string,
    data: () => Record<string, unknown>,
  ) => {
    const level = levelOf("workerLogging", key) ?? "info";
    if (willLog(level)) log(message, level, data());
  };

  multiWorker.on("start", (workerId) =>
    line("start", "[ worker ] started", () => ({ workerId })),
  );
  multiWorker.on("end", (workerId) =>
    line("end", "[ worker ] ended", () => ({ workerId })),
  );
  multiWorker.on("pause", (workerId) =>
    line("pause", "[ worker ] paused", () => ({ workerId })),
  );
  multiWorker.on("cleaning_worker", (workerId, worker, pid) =>
    line(
      "cleaning_worker",
      `[ worker ] cleaning old worker ${worker}, (${pid})`,
      () => ({ workerId }),
    ),
  );
  multiWorker.on("job", (workerId, queue, job: ParsedJob) =>
    line("job", `[ worker ] working job ${queue}`, () => ({
      workerId,
      ...jobFields(job, queue),
    })),
  );
  multiWorker.on("reEnqueue", (workerId, queue, job: ParsedJob, plugin) =>
    line("reEnqueue", "[ worker ] reEnqueue task", () => ({
      workerId,
      plugin: JSON.stringify(plugin),
      class: job.class,
      queue,
    })),
  );
  multiWorker.on(
    "success",
    (workerId, queue, job: ParsedJob, result, duration) =>
      line("success", "[ worker ] task success", () => ({
        workerId,
        ...jobFields(job, queue),
        result: result as unknown,
        duration: duration as unknown,
      })),
  );
  multiWorker.on("failure", (workerId, queue, job, failure) =>
    api.exceptionHandlers.task(toError(failure), queue, job, workerId),
  );
  multiWorker.on("error", (error, workerId, queue, job) =>
    api.exceptionHandlers.task(toError(error), queue, job, workerId),
  );
  multiWorker.on("fenced", (workerId) =>
    log(
      "[ worker ] was silent for too long and taken for dead; its job was given to another",
      "warning",
      { workerId },
    ),
  );
  multiWorker.on("reaped", (workerId, member: string, reaped: object) =>
    log(`[ worker ] cleaned up after the dead worker ${member}`, "warning", {
      workerId,
      ...reaped,
    }),
  );
  multiWorker.on("multiWorkerAction", (verb, delay) =>
    line(
      "multiWorkerAction",
      `[ multiworker ] checked for worker status: ${verb} (event loop delay: ${delay}ms)`,
      () => ({}),
    ),
  );
  logPolls(multiWorker);
}

/** Workers tell of their polls only while someone listens. */
function logPolls(multiWorker: MultiWorker): void {
  const level = levelOf("workerLogging", "poll") ?? "info";
  if (!willLog(level)) return;
  multiWorker.on("poll", (workerId, queue) =>
    log(`[ worker ] polling ${queue}`, level, { workerId }),
  );
}

function jobFields(job: ParsedJob, queue = job.queue) {
  return { class: job.class, queue, args: argsText(job) };
}

/** Jobs of other producers may have any arguments; a log line must not fail for them. */
function argsText({ args }: ParsedJob): string {
  const inputs = args[0] as unknown;
  const shown =
    typeof inputs === "object" && inputs !== null && !Array.isArray(inputs)
      ? filterObjectForLogging(inputs)
      : inputs;
  return JSON.stringify(shown) ?? "";
}

function levelOf(
  kind: "workerLogging" | "schedulerLogging",
  key: string,
): ActionheroLogLevel | undefined {
  return (config.tasks?.[kind] as Levels | undefined)?.[key];
}
