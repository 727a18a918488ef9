/** Counts calls in sliding windows that all nodes share, in redis. */
import type { Redis } from "ioredis";
import { api } from "../api";
import { logFailure, noteWriteAccepted } from "../redis/outages";
import { A, B, defineOperation } from "../redis/script";
import { runAtomically } from "../redis/step";
import { within } from "../utils/promises";

/** How many calls there may be in a span of time. */
export interface Limit {
  requests: number;
  /** ms. */
  perMs: number;
}

/** What a caller has used of its limit. */
export interface Use {
  isAdmitted: boolean;
  /** How many more calls would be admitted now. */
  left: number;
  /** How long until there is room for more, in ms. */
  resetMs: number;
}

/** How long a call waits for redis, in ms; and how long redis is not asked again when it did not answer. */
const COUNT_WAIT_MS = 1000;
const OUTAGE_PAUSE_MS = 1000;

/** The number of slices in a window, which determines its precision. */
const SLICES = 60;

// KEYS: hash of the calls in each slice of time. ARGV: span in ms, limit.
// Returns {1 if the call is admitted, calls in the window, ms until the oldest slice leaves it}.
// One step, because calls at the same time must not all see the same count. Slices in the future were written under
// another setting, and are deleted.
const COUNT = defineOperation(`
local span, limit = tonumber(${A}), tonumber(${B})
local size = math.max(1, math.ceil(span / ${SLICES}))
local now = math.floor(time / size)
local used, first = 0, now
local slices = redis.call('HGETALL', KEYS[1])
for i = 1, #slices, 2 do
  local slice = tonumber(slices[i])
  if slice > now or slice * size + span <= time then
    redis.call('HDEL', KEYS[1], slices[i])
  else
    used = used + tonumber(slices[i + 1])
    first = math.min(first, slice)
  end
end
local admitted = 0
if used < limit then
  admitted = 1
  used = used + 1
  redis.call('HINCRBY', KEYS[1], now, 1)
  redis.call('PEXPIRE', KEYS[1], span)
end
return {admitted, used, first * size + span - time}`);

/** Whether redis is away, as far as one client of it knows. */
interface Outage {
  isOut: boolean;
  /** On the clock of `performance.now`, which the system's clock does not move. */
  askAgainAt: number;
}

const outages = new WeakMap<Redis, Outage>();

/**
 * Count a call.
 * @param what the subject of the log line `... cannot be counted`
 * @returns undefined while redis is away
 */
export async function count(
  key: string,
  limit: Limit,
  what: string,
): Promise<Use | undefined> {
  const { client } = api.redis.clients;
  const outage = outageOf(client);
  if (outage.isOut) {
    if (performance.now() < outage.askAgainAt) return undefined;
    // one call probes redis; concurrent calls do not wait for it
    outage.askAgainAt = performance.now() + COUNT_WAIT_MS + OUTAGE_PAUSE_MS;
  }
  try {
    const [admitted, used, resetMs] = await within(
      COUNT_WAIT_MS,
      ask(client, key, limit),
      "AH_REDIS_TIMEOUT",
      () => `no answer within ${COUNT_WAIT_MS} ms`,
    );
    if (outage.isOut) noteWriteAccepted(client);
    outage.isOut = false;
    const left = Math.max(0, limit.requests - used);
    return { isAdmitted: admitted === 1, left, resetMs };
  } catch (error) {
    outage.askAgainAt = performance.now() + OUTAGE_PAUSE_MS;
    if (!outage.isOut)
      logFailure(client, error, `${what} cannot be counted`, "error");
    outage.isOut = true;
    return undefined;
  }
}

function outageOf(client: Redis): Outage {
  let outage = outages.get(client);
  if (!outage)
    outages.set(client, (outage = { isOut: false, askAgainAt: -Infinity }));
  return outage;
}

type Reply = [admitted: number, used: number, resetMs: number];

function ask(client: Redis, key: string, limit: Limit): Promise<Reply> {
  return runAtomically<Reply>(client, {
    script: COUNT,
    keys: [key],
    args: [limit.perMs, limit.requests],
    plain: () => countPlainly(client, key, limit),
  });
}

async function countPlainly(
  client: Redis,
  key: string,
  { perMs, requests }: Limit,
): Promise<Reply> {
  const time = Date.now();
  const size = Math.max(1, Math.ceil(perMs / SLICES));
  const now = Math.floor(time / size);
  let used = 0;
  let first = now;
  for (const [field, calls] of Object.entries(await client.hgetall(key))) {
    const slice = Number(field);
    if (slice > now || slice * size + perMs <= time) {
      await client.hdel(key, field);
      continue;
    }
    used += Number(calls);
    first = Math.min(first, slice);
  }
  const isAdmitted = used < requests;
  if (isAdmitted) {
    used++;
    await client.hincrby(key, String(now), 1);
    await client.pexpire(key, perMs);
  }
  return [isAdmitted ? 1 : 0, used, first * size + perMs - time];
}
