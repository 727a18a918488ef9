/** Jobs as text: what is written, what it carries, how it is read, and what makes two jobs the same. */
import { isWorkId } from "../log/currentWork";
import { sortKeys } from "../utils/objects";
import type { QueuedJob, QueueStore, UniqueLock } from "./store/store";
import type { Job, Jobs, ParsedJob } from "./types";
import { createHash } from "node:crypto";

/** Deleting and finding compare it byte by byte. */
export function encode(queue: string, func: string, args: any[]): string {
  return JSON.stringify({ class: func, queue, args });
}

/** A job as `encode` writes it, up to its arguments. */
const USUAL = /^\{"class":"[^"\\]*","queue":"([^"\\]*)",/;

/**
 * The text of a job that is delayed. Only its text says where it goes when it is due, so it names its queue: Ruby writes none, and
 * a job may have been found in another one.
 */
export function delayedText({ queue, raw }: QueuedJob): string {
  if (USUAL.exec(raw)?.[1] === queue) return raw;
  try {
    const job = JSON.parse(raw) as { class?: unknown; queue?: unknown };
    if (job.queue === queue) return raw;
    // the class and the queue first, and a context last, as in all texts
    return JSON.stringify({ ...{ class: job.class, queue }, ...job, queue });
  } catch {
    return raw; // unreadable: so it fails
  }
}

/** The context that a job continues: the id and the span of the work that enqueued it. */
export interface JobContext {
  request?: string;
  trace?: string;
}

/**
 * The text of a job that carries a context: its last field, behind `args`, which other programs ignore. The text without it,
 * the bare one, is what deleting and finding compare.
 */
export function withContext(raw: string, context: JobContext): string {
  // no braces within, so that the field is found from the end
  const fields = JSON.stringify(context)
    .slice(1, -1)
    .replace(/[{}]/g, (brace) => (brace === "{" ? "\\u007b" : "\\u007d"));
  return joinContext(raw, `{${fields}}`);
}

/** @param context JSON as `splitContext` returns it */
export function joinContext(bare: string, context: string | undefined): string {
  return context ? `${bare.slice(0, -1)},"ah":${context}}` : bare;
}

const CARRIED = /^([^]*\]),"ah":(\{[^{}]*\})\}$/;

/** The bare text of a job, and the JSON of the context that it carries, if any. */
export function splitContext(raw: string): { bare: string; context?: string } {
  const [, head, context] = (raw.endsWith("}}") && CARRIED.exec(raw)) || [];
  return context ? { bare: `${head}}`, context } : { bare: raw };
}

/** The definition of a class of jobs; a bare function is one without plugins. */
export function jobOf(jobs: Jobs, func: string): Job | undefined {
  const job = Object.hasOwn(jobs, func) ? jobs[func] : undefined;
  return typeof job === "function" ? { perform: job } : job;
}

// --- The metadata of a job: a last argument, so that other tools preserve it.

export interface JobMetadata {
  /** The id of a trackable job. */
  id?: string;
  /** The id of the request or job that enqueued a trackable job. */
  request?: string;
  /** The span that enqueued a job with an id. */
  trace?: string;
  /** Counts from 1. */
  attempt?: number;
  /** Distinguishes otherwise identical jobs. */
  salt?: string;
}

const KEY = "ah";

export function withMetadata(args: any[], metadata: JobMetadata): any[] {
  const plain: unknown[] = openArgs(args).args;
  if (Object.keys(metadata).length === 0) return plain;
  return [...(plain.length === 0 ? [null] : plain), { [KEY]: metadata }];
}

/** The first argument always belongs to the user. */
export function openArgs(args: unknown): {
  args: any[];
  metadata?: JobMetadata;
} {
  if (!Array.isArray(args)) return { args: [] };
  const list = args as unknown[];
  const last = list.length > 1 ? list[list.length - 1] : undefined;
  if (!isMetadata(last)) return { args: list };
  return { args: list.slice(0, -1), metadata: last[KEY] };
}

function isMetadata(value: unknown): value is { [KEY]: JobMetadata } {
  if (typeof value !== "object" || value === null) return false;
  const keys = Object.keys(value);
  const metadata = (value as { [KEY]?: unknown })[KEY];
  return (
    keys.length === 1 &&
    keys[0] === KEY &&
    typeof metadata === "object" &&
    metadata !== null
  );
}

// --- Reading jobs, and the entries of the failed list.

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

// --- Jobs that are enqueued once: what makes two of them the same.

/**
 * The lock of a job: of its queue, its class and its arguments. The order of the keys of an object does not count, nor do
 * metadata of the engine.
 */
export function uniqueKey(queue: string, raw: string): string {
  const { job } = parseJob(raw, queue);
  const text = JSON.stringify([queue, job.class, job.args], sortKeys);
  return createHash("sha1").update(text).digest("hex");
}

/** @returns undefined for a job that may be there several times */
export function uniqueLock(
  job: Job | undefined,
  jobClass: string,
  queue: string,
  raw: string,
): UniqueLock | undefined {
  if (!job?.unique) return undefined;
  return { key: uniqueKey(queue, raw), class: jobClass };
}

/** Release the lock of a job that failed without a report. One that remains is taken over by the next producer. */
export async function releaseUnique(
  store: QueueStore,
  job: QueuedJob,
): Promise<void> {
  const { queue, raw } = job;
  const lock = {
    key: uniqueKey(queue, raw),
    class: parseJob(raw, queue).job.class,
  };
  await store.releaseUnique(lock, job).catch(() => undefined);
}
