/** The text of jobs and of the failed list. */
import type { ParsedJob } from "./types";

/** A job from its text; one that cannot be read has a class that nobody defines. */
export function parseJob(raw: string, queue: string): ParsedJob {
  let parsed: Partial<ParsedJob> | null = null;
  try {
    parsed = JSON.parse(raw) as Partial<ParsedJob> | null;
  } catch {
    // fails below as an undefined class
  }
  // Ruby's jobs carry no queue
  return {
    class: String(parsed?.class),
    queue: parsed?.queue ?? queue,
    args: Array.isArray(parsed?.args) ? parsed.args : [],
  };
}

/** The entry of the failed list; the job's own text stands in it unchanged. */
export function failedEntry(
  worker: string,
  queue: string,
  raw: string,
  error: Error,
): string {
  const backtrace = error.stack ? error.stack.split("\n").slice(1) : null;
  return (
    `{"worker":${JSON.stringify(worker)},"queue":${JSON.stringify(queue)},` +
    `"payload":${payloadText(raw, queue)},` +
    `"exception":${JSON.stringify(error.name)},"error":${JSON.stringify(error.message)},` +
    `"backtrace":${JSON.stringify(backtrace)},"failed_at":${JSON.stringify(new Date().toString())}}`
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
