/** `config.general.rateLimit`: how much a client may ask for in a span of time, counted by the whole cluster. */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { api } from "../api";
import { settings } from "../config/settings";
import type { RateLimit } from "../config/settingTypes";
import { wordedError } from "../config/errorMessage";
import type { Connection } from "../connection/connection";
import { ActionheroError } from "../errors";
import { registerMiddleware } from "../middleware/stack";
import { logFailure, noteAnswer } from "../redis/connectionLog";
import { A, defineOperation } from "../redis/operationScript";
import { runStep } from "../redis/step";
import { within } from "../utils/promises";
import type { ActionProcessor } from "./actionProcessor";
import { clientNetwork } from "./clientAddress";
import { withoutStack } from "./status";

/** What a client has used of its limit. */
interface Use {
  count: number;
  /** How long until it begins anew, in ms. */
  resetMs: number;
}

const NAME = "rateLimit";
const KEY_PREFIX = "actionhero:rateLimit:";
/** Before the middleware of projects, unless they ask for a lower one. */
const PRIORITY = 1;

/** How long an action waits for redis before it runs uncounted, in ms; and how long redis is not asked again then. */
const COUNT_WAIT_MS = 1000;
const OUTAGE_PAUSE_MS = 1000;

/** The actions that the server runs for itself. */
const IN_LINE = "in-line-action";

// KEYS: counter. ARGV: span in ms. Returns {count, ms until the counter goes}.
// One step, because a counter that was left without an end would refuse its client for ever.
const COUNT = defineOperation(`
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ${A})
  left = tonumber(${A})
end
return {count, left}`);

const remaining = new WeakMap<Connection, number>();

/** How many actions this client has left; undefined when nobody counts. */
export function requestsRemaining(connection: Connection): number | undefined {
  return settings().general.rateLimit ? remaining.get(connection) : undefined;
}

/**
 * Count from now on, if the configuration says so.
 * @throws ActionheroError AH_CONFIG
 */
export function addRateLimit(): void {
  const limit = settings().general.rateLimit;
  if (!limit) return;
  checkSettings(limit);
  registerMiddleware(
    api.actions,
    {
      name: NAME,
      global: true,
      priority: PRIORITY,
      preProcessor: ({ connection }: ActionProcessor) =>
        countRequest(connection),
    },
    true,
  );
}

/**
 * Count something that a client asks for: an action, whether it exists or not, or a verb.
 * @returns a promise that rejects with the code 429 for a client that has used up its limit; undefined: nothing counts
 */
export function countRequest(
  connection: Connection,
): Promise<void> | undefined {
  const limit = settings().general.rateLimit;
  if (!limit || connection.type === IN_LINE) return undefined;
  return admit(connection, limit);
}

/** The same for a file, which counts with `files` only. */
export function countFile(connection: Connection): Promise<void> | undefined {
  return settings().general.rateLimit?.files === true
    ? countRequest(connection)
    : undefined;
}

function checkSettings({ requests, perMs, by, proxies = 0 }: RateLimit): void {
  const isCount = (value: unknown, least: number) =>
    Number.isSafeInteger(value) && (value as number) >= least;
  if (!isCount(requests, 1) || !isCount(perMs, 1) || !isCount(proxies, 0))
    throw new ActionheroError(
      "AH_CONFIG",
      "general.rateLimit needs whole numbers: requests and perMs of at least 1, proxies of at least 0",
    );
  if (![undefined, "address", "fingerprint"].includes(by))
    throw new ActionheroError(
      "AH_CONFIG",
      "general.rateLimit.by can only be 'address' or 'fingerprint'",
    );
}

/** Whether redis is away, as far as one client of it knows; while it is, everybody is let in. */
interface Outage {
  isOut: boolean;
  askAgainAt: number;
}

const outages = new WeakMap<Redis, Outage>();

async function admit(connection: Connection, limit: RateLimit): Promise<void> {
  const use = await count(keyOf(connection, limit), limit.perMs);
  if (!use) return;
  const left = Math.max(0, limit.requests - use.count);
  remaining.set(connection, left);
  await connection.setHeader?.("X-RateLimit-Limit", limit.requests);
  await connection.setHeader?.("X-RateLimit-Remaining", left);
  if (use.count <= limit.requests) return;
  const seconds = Math.max(1, Math.ceil(use.resetMs / 1000));
  await connection.setHeader?.("Retry-After", seconds);
  throw await refusal(connection, limit, use.resetMs);
}

async function count(key: string, perMs: number): Promise<Use | undefined> {
  const { client } = api.redis.clients;
  const outage = outageOf(client);
  if (outage.isOut) {
    if (Date.now() < outage.askAgainAt) return undefined;
    // one asks; those that come meanwhile do not wait with it
    outage.askAgainAt = Date.now() + COUNT_WAIT_MS + OUTAGE_PAUSE_MS;
  }
  try {
    const use = await within(
      COUNT_WAIT_MS,
      countOne(client, key, perMs),
      "AH_REDIS_TIMEOUT",
      () => `no answer within ${COUNT_WAIT_MS} ms`,
    );
    if (outage.isOut) noteAnswer(client);
    outage.isOut = false;
    return use;
  } catch (error) {
    outage.askAgainAt = Date.now() + OUTAGE_PAUSE_MS;
    if (!outage.isOut)
      logFailure(client, error, "general.rateLimit is not in force", "error");
    outage.isOut = true;
    return undefined;
  }
}

function outageOf(client: Redis): Outage {
  let outage = outages.get(client);
  if (!outage) outages.set(client, (outage = { isOut: false, askAgainAt: 0 }));
  return outage;
}

async function countOne(
  client: Redis,
  key: string,
  perMs: number,
): Promise<Use> {
  const [count, resetMs] = await runStep<[number, number]>(client, {
    script: COUNT,
    keys: [key],
    args: [perMs],
    plain: () => countPlainly(client, key, perMs),
  });
  return { count, resetMs };
}

async function countPlainly(
  client: Redis,
  key: string,
  perMs: number,
): Promise<[number, number]> {
  const count = await client.incr(key);
  const left = await client.pttl(key);
  if (left >= 0) return [count, left];
  await client.pexpire(key, perMs);
  return [count, perMs];
}

/** Short, whatever the client sends. */
function keyOf(connection: Connection, { by, proxies = 0 }: RateLimit): string {
  if (by !== "fingerprint")
    return KEY_PREFIX + clientNetwork(connection, proxies);
  const hash = createHash("sha256").update(connection.fingerprint);
  return `${KEY_PREFIX}f:${hash.digest("hex").slice(0, 32)}`;
}

async function refusal(
  connection: Connection,
  limit: RateLimit,
  resetMs: number,
): Promise<unknown> {
  const worded = await wordedError("rateLimited", connection, limit, resetMs);
  if (typeof worded !== "string") return worded;
  return Object.assign(withoutStack(worded), { code: 429 });
}
