/** The spans of jobs: where they are enqueued, and where they run. */
import type { MultiWorker } from "../resque/multiWorker";
import type { Around } from "../resque/types";
import { type Tracer, tracing } from "../tracing/tracer";
import type { SpanAttributes } from "../tracing/types";

/** What is enqueued. */
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
  const { tracer } = tracing;
  if (!tracer) return send();
  const attributes: SpanAttributes = {
    ...messaging(queue, task),
    "messaging.operation.type": "send",
    "messaging.operation.name": "enqueue",
    "messaging.batch.message_count": count,
  };
  const start = { name: `enqueue ${queue}`, attributes };
  return tracer.run({ ...start, kind: "producer" }, send);
}

/** Run a job with a span around it, linked to the one that enqueued it. */
export const traceJob: Around = (job, run) => {
  const { tracer } = tracing;
  if (!tracer) return run();
  const attributes: SpanAttributes = {
    ...messaging(job.queue, job.class),
    "messaging.operation.type": "process",
    "messaging.operation.name": "process",
    "messaging.message.id": job.id,
    "actionhero.task.attempt": job.attempt ?? 1,
  };
  return tracer.run(
    {
      name: `process ${job.queue}`,
      kind: "consumer",
      attributes,
      remote: job.traceparent,
    },
    run,
  );
};

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
  const { tracer } = tracing;
  if (!tracer) return run();
  const attributes = { "actionhero.task.name": task };
  return tracer.run({ name: `task ${task}`, attributes }, run);
}

function messaging(queue: string, task: string): SpanAttributes {
  return {
    "messaging.system": "actionhero",
    "messaging.destination.name": queue,
    "actionhero.task.name": task,
  };
}
