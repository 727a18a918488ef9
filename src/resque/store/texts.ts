/** Texts that both stores keep: records of running jobs and entries of the failed list. */
import { randomInt } from "node:crypto";
import type { JobInfo } from "../types";
import type { JobFields, QueuedJob } from "./store";

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

/** @returns undefined for a text that is no record */
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

/** What is known about a tracked job, from the fields that are kept. */
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
  if (fields.progress) info.progress = JSON.parse(fields.progress);
  if (fields.result) info.result = JSON.parse(fields.result);
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
