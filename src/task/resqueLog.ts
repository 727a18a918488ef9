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

/** How often the same error of redis is reported, in ms. */
const REPEAT_MS = 10_000;

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
  /** Workers tell only what someone listens to; telling costs as much as a small job. */
  const follow = (
    event: string,
    lineOf: (...args: any[]) => [message: string, data: object],
  ) => {
    const level = levelOf("workerLogging", event) ?? "info";
    if (!willLog(level)) return;
    multiWorker.on(event, (...args) => {
      const [message, data] = lineOf(...args);
      log(message, level, data);
    });
  };

  follow("start", (workerId) => ["[ worker ] started", { workerId }]);
  follow("end", (workerId) => ["[ worker ] ended", { workerId }]);
  follow("pause", (workerId) => ["[ worker ] paused", { workerId }]);
  follow("poll", (workerId, queue) => [
    `[ worker ] polling ${queue}`,
    { workerId },
  ]);
  follow("cleaning_worker", (workerId, worker, pid) => [
    `[ worker ] cleaning old worker ${worker}, (${pid})`,
    { workerId },
  ]);
  follow("job", (workerId, queue, job: ParsedJob) => [
    `[ worker ] working job ${queue}`,
    { workerId, ...jobFields(job, queue) },
  ]);
  follow("reEnqueue", (workerId, queue, job: ParsedJob, plugin) => [
    "[ worker ] reEnqueue task",
    { workerId, plugin: JSON.stringify(plugin), class: job.class, queue },
  ]);
  follow("success", (workerId, queue, job: ParsedJob, result, duration) => [
    "[ worker ] task success",
    { workerId, ...jobFields(job, queue), result, duration },
  ]);
  follow("multiWorkerAction", (verb, delay) => [
    `[ multiworker ] checked for worker status: ${verb} (event loop delay: ${delay}ms)`,
    {},
  ]);
  multiWorker.on("failure", (workerId, queue, job, failure) =>
    api.exceptionHandlers.task(toError(failure), queue, job, workerId),
  );
  const isRepeated = repetitions();
  multiWorker.on("error", (error, workerId, queue, job) => {
    if (job || !isRepeated(String(error)))
      api.exceptionHandlers.task(toError(error), queue, job, workerId);
  });
  multiWorker.on("fenced", (workerId, queue, job: ParsedJob | null) =>
    log(
      "[ worker ] was silent for too long and taken for dead: its job was given to another, its result is dropped",
      "warning",
      { workerId, queue, class: job?.class },
    ),
  );
  multiWorker.on("silent", (id) =>
    log(
      `[ worker ] the process ${id} is connected but gives no sign`,
      "notice",
    ),
  );
  multiWorker.on("reaped", (id, jobs: readonly { what: string }[]) =>
    log(`[ worker ] cleaned up after the dead process ${id}`, "warning", {
      requeued: jobs.filter(({ what }) => what === "requeued").length,
      failed: jobs.filter(({ what }) => what === "failed").length,
    }),
  );
}

/** Whether a text came up a moment ago: while redis is away, every attempt fails alike. */
function repetitions(): (text: string) => boolean {
  let last = "";
  let lastAt = 0;
  return (text) => {
    const now = Date.now();
    if (text === last && now - lastAt < REPEAT_MS) return true;
    last = text;
    lastAt = now;
    return false;
  };
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
