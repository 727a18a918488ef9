/** The text of jobs and of the failed list. */
import { isWorkId } from "../log/work";
import type { JobContext } from "./encode";
import { openArgs, type JobMetadata } from "./jobMetadata";
import type { ParsedJob } from "./types";

/** Longest part of an odd class name that an error shows, in characters. */
const MAX_CLASS_LENGTH = 200;

/** A job from its text. It never throws; there is a `problem` when the job cannot be read. */
export function parseJob(
  raw: string,
  queue: string,
): { job: ParsedJob; problem?: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(raw);
  } catch (error) {
    const problem = `the job is not valid JSON: ${(error as Error).message}`;
    return { job: { class: "", queue, args: [] }, problem };
  }
  const fields = (parsed ?? {}) as { [name: string]: unknown };
  const { args, metadata } = openArgs(fields.args);
  const job: ParsedJob = {
    class: classText(fields.class),
    // jobs of Ruby have no queue
    queue: typeof fields.queue === "string" ? fields.queue : queue,
    args,
  };
  if (fields.ah) takeContext(job, fields.ah);
  if (metadata) takeMetadata(job, metadata);
  return { job };
}

/** Values that the engine would not write are left out. */
function takeMetadata(job: ParsedJob, metadata: JobMetadata): void {
  const { id, attempt } = metadata;
  if (typeof id === "string" && id !== "") job.id = id;
  if (Number.isSafeInteger(attempt) && attempt! > 0) job.attempt = attempt;
  takeContext(job, metadata);
}

function takeContext(job: ParsedJob, { request, trace }: JobContext): void {
  if (isWorkId(request)) job.requestId = request;
  if (isWorkId(trace)) job.traceparent = trace;
}

/** Other producers may write any value; an object may not be convertible to a string. */
function classText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return String(value);
  return JSON.stringify(value).slice(0, MAX_CLASS_LENGTH);
}

/** The entry of the failed list; it contains the job's text unchanged. */
export function failedEntry(
  { worker, queue, raw }: { worker: string; queue: string; raw: string },
  error: Error,
  attempts: number,
): string {
  const { stack } = error;
  const backtrace =
    typeof stack === "string" ? stack.split("\n").slice(1) : null;
  const count = attempts > 1 ? `,"attempts":${attempts}` : "";
  return (
    `{"worker":${JSON.stringify(worker)},"queue":${JSON.stringify(queue)},` +
    `"payload":${payloadText(raw, queue)},` +
    `"exception":${textOf(error.name)},"error":${textOf(error.message)},` +
    `"backtrace":${JSON.stringify(backtrace)},"failed_at":${JSON.stringify(new Date().toString())}${count}}`
  );
}

/** The thrown value may be unusual: names and messages of any type result in a readable entry. */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(String(value));
  } catch {
    return '""'; // an object without a text
  }
}

function payloadText(raw: string, queue: string): string {
  try {
    // `removeFailed` compares with what JSON.stringify writes
    const parsed = JSON.parse(raw) as object;
    return JSON.stringify("queue" in parsed ? parsed : { ...parsed, queue });
  } catch {
    return JSON.stringify(raw);
  }
}
