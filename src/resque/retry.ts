/** When a failed job with `retry` runs again. */
import { randomBytes } from "node:crypto";
import { parseJob } from "./failure";
import { withNotes, type Notes } from "./notes";
import { encode } from "./encode";
import { delayCommands } from "./steps/delay";
import type { Command } from "./steps/lua";
import type { Job, ParsedJob, RetryRule } from "./types";
import { relockCommands } from "./uniqueness";
import type { Worker } from "./worker";

const DELAY_MS = 1000;
const MAX_DELAY_MS = 3_600_000;

/** @returns undefined when there is no attempt left */
export function nextAttempt(
  worker: Worker,
  { retry, unique }: Job,
  parsed: ParsedJob,
):
  | {
      commands: Command[];
      info: { delay: number; remainingAttempts: number; err: Error };
    }
  | undefined {
  const attempt = parsed.attempt ?? 1;
  if (!retry || !(attempt < retry.attempts)) return undefined;
  const { connection } = worker;
  const delay = delayBefore(retry, attempt);
  const notes: Notes = { attempt: attempt + 1 };
  // without it two jobs alike would be one in the bucket of a second
  if (parsed.id) notes.id = parsed.id;
  else notes.salt = randomBytes(4).toString("hex");
  // hooks may have changed the arguments of this run
  const { args, queue } = parseJob(worker.raw, worker.queue);
  const raw = encode(queue, parsed.class, withNotes(args, notes));
  const commands = delayCommands(connection, Date.now() + delay, raw);
  if (unique) commands.push(...relockCommands(connection, queue, raw));
  return {
    commands,
    info: {
      delay,
      remainingAttempts: retry.attempts - attempt,
      err: worker.error!,
    },
  };
}

/** The wait after attempt number `attempt`, in ms. */
export function delayBefore(
  rule: RetryRule,
  attempt: number,
  random: () => number = Math.random,
): number {
  const { backoff = "exponential", delay = DELAY_MS } = rule;
  const full = Array.isArray(backoff)
    ? (backoff[Math.min(attempt, backoff.length) - 1] ?? delay)
    : backoff === "fixed"
      ? delay
      : delay * 2 ** (attempt - 1);
  const bounded = Math.min(full, rule.maxDelay ?? MAX_DELAY_MS);
  const jitter = rule.jitter === true ? 0.5 : Number(rule.jitter ?? 0);
  return Math.round(bounded * (1 - jitter * random()));
}
