/** The text of jobs and of the failed list. */
import { openArgs } from "./notes";
import type { ParsedJob } from "./types";

/** A job from its text; one that cannot be read has a class that nobody defines. */
export function parseJob(raw: string, queue: string): ParsedJob {
  let parsed: Partial<ParsedJob> | null = null;
  try {
    parsed = JSON.parse(raw) as Partial<ParsedJob> | null;
  } catch {
    // fails as an undefined class
  }
  const { args, notes } = openArgs(parsed?.args);
  const job: ParsedJob = {
    class: String(parsed?.class),
    // Ruby's jobs carry no queue
    queue: parsed?.queue ?? queue,
    args,
  };
  if (notes?.id) job.id = notes.id;
  if (notes?.attempt) job.attempt = notes.attempt;
  return job;
}

/** The entry of the failed list; the job's own text stands in it unchanged. */
export function failedEntry(
  worker: string,
  queue: string,
  raw: string,
  error: Error,
  attempts: number,
): string {
  const backtrace = error.stack ? error.stack.split("\n").slice(1) : null;
  const count = attempts > 1 ? `,"attempts":${attempts}` : "";
  return (
    `{"worker":${JSON.stringify(worker)},"queue":${JSON.stringify(queue)},` +
    `"payload":${payloadText(raw, queue)},` +
    `"exception":${JSON.stringify(error.name)},"error":${JSON.stringify(error.message)},` +
    `"backtrace":${JSON.stringify(backtrace)},"failed_at":${JSON.stringify(new Date().toString())}${count}}`
  );
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
