/** When a failed job with `retry` runs again. */
import { encode } from "./encode";
import { parseJob } from "./failure";
import type { JobView, RetryInfo } from "./jobView";
import { withMetadata, type JobMetadata } from "./jobMetadata";
import type { Effect } from "./store/store";
import type { Job, RetryRule } from "./types";
import { uniqueKey } from "./uniqueness";

const DELAY_MS = 1000;
const MAX_DELAY_MS = 3_600_000;

/** @returns undefined when there is no attempt left */
export function nextAttempt(
  view: JobView,
  { retry, unique }: Job,
): { effects: Effect[]; info: RetryInfo } | undefined {
  const { job: parsed, environment } = view;
  const attempt = parsed.attempt ?? 1;
  if (!retry || !(attempt < retry.attempts)) return undefined;
  const delay = delayBefore(retry, attempt, () => environment.random());
  const metadata: JobMetadata = { attempt: attempt + 1 };
  // without it two jobs alike would be one in the bucket of a second
  if (parsed.id) metadata.id = parsed.id;
  else metadata.salt = environment.token(4);
  if (parsed.requestId) metadata.request = parsed.requestId;
  if (parsed.traceparent) metadata.trace = parsed.traceparent;
  // hooks may have changed the arguments of this run
  const { args, queue } = parseJob(view.raw, view.queue).job;
  const raw = encode(queue, parsed.class, withMetadata(args, metadata));
  const effects: Effect[] = [{ do: "delay", queue, raw, due: { inMs: delay } }];
  if (unique)
    effects.push({
      do: "moveUnique",
      key: uniqueKey(queue, raw),
      raw,
    });
  const { attempts } = retry;
  const remainingAttempts = attempts - attempt;
  const err = view.error!;
  return {
    effects,
    info: { delay, remainingAttempts, err, attempt, attempts },
  };
}

/** The wait after attempt number `attempt`, in ms. */
export function delayBefore(
  rule: RetryRule,
  attempt: number,
  random: () => number,
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
