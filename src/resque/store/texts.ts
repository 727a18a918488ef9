/** Texts that both stores keep: records of running jobs and entries of the failed list. */
import { randomInt } from "node:crypto";
import type { JobInfo } from "../types";
import type { JobFields, QueuedJob } from "./store";

/** The queue that only one node works: it is paused with `queue`. */
export function nodeQueue(queue: string, nodeId: string): string {
  return `${queue}:node:${nodeId}`;
}

/** The bucket of a time: node-resque rounds to the nearest second, too. */
export function secondOf(dueMs: number): number {
  return Math.round(dueMs / 1000);
}

/** The job's text stands last in a record, so that it can be cut out byte for byte. */
export function recordText(
  quotedName: string,
  { queue, raw }: QueuedJob,
  runAt: string,
): string {
  return `{"worker":${quotedName},"queue":${JSON.stringify(queue)},"run_at":"${runAt}","payload":${raw}}`;
}

/** @returns undefined for a text that is not a record */
export function openRecord(record: string): QueuedJob | undefined {
  const at = record.indexOf(',"payload":');
  if (at === -1) return undefined;
  try {
    const head = JSON.parse(`${record.slice(0, at)}}`) as { queue?: unknown };
    if (typeof head.queue !== "string") return undefined;
    return { queue: head.queue, raw: record.slice(at + 11, -1) };
  } catch {
    return undefined;
  }
}

export const CRASHED = "the worker died while it ran this job";

/** The entry of a job that killed its workers. */
export function crashedEntry(
  quotedName: string,
  { queue, raw }: QueuedJob,
  date: string,
): string {
  return (
    `{"worker":${quotedName},"queue":${JSON.stringify(queue)},"payload":${raw},` +
    `"exception":"WorkerCrashed","error":"${CRASHED}","backtrace":[],` +
    `"failed_at":${JSON.stringify(date)}}`
  );
}

/** The facts about a tracked job, from the fields that are kept. */
export function jobInfoOf(
  id: string,
  fields: Readonly<Record<string, string>>,
): JobInfo | undefined {
  if (!fields.class) return undefined;
  const info: JobInfo = {
    id,
    state: fields.state as JobInfo["state"],
    class: fields.class,
    queue: fields.queue!,
    attempt: Number(fields.attempt ?? 1),
  };
  if (fields.progress) info.progress = JSON.parse(fields.progress) as unknown;
  if (fields.result) info.result = JSON.parse(fields.result) as unknown;
  if (fields.error) info.error = fields.error;
  return info;
}

/** Fields as redis keeps them: name and text in turn. */
export function flatFields(fields: JobFields): string[] {
  return Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [name, String(value)],
  );
}

/** A lock as resque has it: the second after its end; one with an owner has a number of its own behind a point. */
export function lockValue(
  nowMs: number,
  seconds: number,
  owned = false,
): string {
  const value = String(Math.floor(nowMs / 1000) + seconds + 1);
  return owned ? `${value}.${randomInt(2 ** 32)}` : value;
}

// --- Limits of both stores.

/** Deaths of workers that a job may cause before it counts as failed. After so many, it runs alone in its process. */
export const MAX_CRASHES = 2;
/** How long these deaths are counted, in s. */
export const CRASH_SECONDS = 3600;
/** How long a tracked job is stored after its last change, and an idempotency key after its use, in s; a delayed job from its due time on. */
export const KEEP_JOB_SECONDS = 86_400;
/** `unique` locks are checked against existing jobs; this expiry, in s from their due time on, only removes locks of removed classes. */
export const UNIQUE_SECONDS = 30 * 86_400;
/** How far a list is searched; a job is assumed to be in a longer one. */
export const SEARCH_LENGTH = 10_000;
/** How far a queue is searched for the run of a recurring task, job by job; the run is assumed to be in a longer one. */
export const RUN_SEARCH_LENGTH = 1000;
/** Expired processes that one renewal returns. */
export const MAX_EXPIRED = 20;
/** How long jobs are kept for a node that has not announced itself yet, in s. */
export const UNSEEN_NODE_SECONDS = 3600;
/** A job that no worker without its definition fetched for this long is no longer counted as unknown. */
export const UNKNOWN_SECONDS = 120;
/** A time that is later than it can be by more than this, in ms, was set before the clock was set back. */
export const CLOCK_SLACK_MS = 5_000;
