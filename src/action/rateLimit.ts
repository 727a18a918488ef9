/** Rate limits of clients, counted across the cluster: middleware, and `config.general.rateLimit`. */
import { createHash } from "node:crypto";
import { api, IN_LINE } from "../api";
import { wordedError } from "../config/errorMessage";
import type { BaseLimit, RateLimit } from "../config/types";
import { settings } from "../config/settings";
import type { Connection } from "../connection/connection";
import { ActionheroError, errorOfText, HttpError } from "../errors";
import { registerMiddleware } from "../middleware/stack";
import { overloadedError } from "../overload/overload";
import type { ActionProcessor } from "./actionProcessor";
import { clientNetwork, userOf } from "./caller";
import { type DefinedMiddleware, defineMiddleware } from "./action";
import type { Redis } from "ioredis";
import { logFailure, noteWriteAccepted } from "../redis/outages";
import { A, B, defineOperation } from "../redis/script";
import { runAtomically } from "../redis/atomic";
import { withTimeout } from "../utils/promises";

/** The result of `by`; undefined or null selects the address. */
export type RateLimitKey = string | number | undefined | null;

/** A limit as middleware of actions. */
export interface RateLimitOptions<
  Name extends string = string,
> extends BaseLimit {
  /** The name of the middleware and of its counter: limits with the same name share a counter. */
  name: Name;
  /**
   * How callers are identified (default `"address"`): `"user"` is the `id` of `data.session.user` or
   * `connection.session.user`, and the address of clients that are not signed in; a function returns any text or number.
   */
  by?:
    | "address"
    | "fingerprint"
    | "user"
    | ((data: ActionProcessor) => RateLimitKey | Promise<RateLimitKey>);
  /** Lower runs earlier (default `config.general.defaultMiddlewarePriority`). */
  priority?: number;
}

const NAME = "rateLimit";
const KEY_PREFIX = "actionhero:rateLimit:";
/** Before the middleware of projects, unless they ask for a lower one. */
const PRIORITY = 1;

/** Names of policies are tokens of structured fields, in quotation marks. */
const POLICY_NAME = /^[\w.:/-]{1,64}$/;

const remaining = new WeakMap<Connection, number>();

/** The number of actions that this client has left; undefined without a limit. */
export function requestsRemaining(connection: Connection): number | undefined {
  return settings().general.rateLimit ? remaining.get(connection) : undefined;
}

/** The limits that count by what proxies report, by name. */
const behindProxies = new Map<string, RateLimitOptions>();

/** The limits of middleware that were made with `proxies`. */
export function limitsBehindProxies(): readonly RateLimitOptions[] {
  return [...behindProxies.values()];
}

/**
 * Middleware that limits how often a caller may run the actions that name it, on all transports and nodes together.
 * @throws ActionheroError AH_CONFIG for a limit that makes no sense
 */
export function rateLimit<const Name extends string>(
  options: RateLimitOptions<Name>,
): DefinedMiddleware<Name, void> {
  const { name, priority } = options;
  checkLimit(options, `the rate limit ${name}`);
  if (!POLICY_NAME.test(name) || name === NAME)
    throw new ActionheroError(
      "AH_CONFIG",
      `the name of a rate limit is letters, digits and _ . : / -, and not that of general.rateLimit, "${NAME}": ${JSON.stringify(name)}`,
    );
  if (options.proxies) behindProxies.set(name, options);
  return defineMiddleware({
    name,
    priority,
    preProcessor: async (data: ActionProcessor): Promise<void> => {
      const { connection } = data;
      if (connection.type === IN_LINE) return;
      const key = `${KEY_PREFIX}${name}:${await callerKey(data, options)}`;
      await countCall(connection, { name, key, limit: options });
    },
  });
}

/**
 * Count from now on, if the configuration says so.
 * @throws ActionheroError AH_CONFIG
 */
export function addRateLimit(): void {
  const limit = settings().general.rateLimit;
  if (!limit) return;
  checkLimit(limit, "general.rateLimit");
  if (![undefined, "address", "fingerprint"].includes(limit.by))
    throw new ActionheroError(
      "AH_CONFIG",
      "general.rateLimit.by can only be 'address' or 'fingerprint'",
    );
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

/** The result of the count, by connection, for requests that were counted before their body was read. */
const counted = new WeakMap<Connection, Promise<void>>();

/**
 * Count a request before its body is read; its action does not count it again, and fails if it is one too many.
 * @returns whether the client is over its limit; undefined: nothing counts
 */
export function countBeforeBody(
  connection: Connection,
): Promise<boolean> | undefined {
  const outcome = countRequest(connection);
  if (!outcome) return undefined;
  counted.set(connection, outcome);
  return outcome.then(
    () => false,
    () => true,
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
  const outcome = counted.get(connection);
  if (!outcome) return countForAll(connection, limit);
  counted.delete(connection);
  return outcome;
}

/** Count a request for a file; only with `files` of the rate limit. */
function countFile(connection: Connection): Promise<void> | undefined {
  return settings().general.rateLimit?.files === true
    ? countRequest(connection)
    : undefined;
}

function checkLimit(
  { requests, perMs, proxies = 0, onOutage }: BaseLimit,
  what: string,
): void {
  const isCount = (value: unknown, least: number) =>
    Number.isSafeInteger(value) && (value as number) >= least;
  if (!isCount(requests, 1) || !isCount(perMs, 1) || !isCount(proxies, 0))
    throw new ActionheroError(
      "AH_CONFIG",
      `${what} needs whole numbers: requests and perMs of at least 1, proxies of at least 0`,
    );
  if (![undefined, "open", "closed"].includes(onOutage))
    throw new ActionheroError(
      "AH_CONFIG",
      `onOutage of ${what} can only be 'open' or 'closed'`,
    );
}

async function countForAll(
  connection: Connection,
  limit: RateLimit,
): Promise<void> {
  const key =
    KEY_PREFIX +
    (limit.by === "fingerprint"
      ? `f:${digest(connection.fingerprint)}`
      : clientNetwork(connection, limit.proxies ?? 0));
  await countCall(connection, { name: NAME, key, limit }, async ({ left }) => {
    remaining.set(connection, left);
    await connection.setHeader?.("X-RateLimit-Limit", limit.requests);
    await connection.setHeader?.("X-RateLimit-Remaining", left);
  });
}

/** Short, whatever the client sends. */
async function callerKey(
  data: ActionProcessor,
  { by, proxies = 0 }: RateLimitOptions,
): Promise<string> {
  const { connection } = data;
  if (by === "fingerprint") return `f:${digest(connection.fingerprint)}`;
  let key: RateLimitKey;
  if (by === "user") key = userOf(data);
  else if (typeof by === "function") key = await by(data);
  return key === undefined || key === null
    ? clientNetwork(connection, proxies)
    : `k:${digest(String(key))}`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/** The key that is counted for a client. */
interface Counted {
  name: string;
  key: string;
  limit: BaseLimit;
}

/** @throws HttpError, or what `config.errors.rateLimited` returns, for a caller over its limit */
async function countCall(
  connection: Connection,
  { name, key, limit }: Counted,
  onUse?: (use: Use) => Promise<void>,
): Promise<void> {
  const use = await count(key, limit, `the rate limit ${name}`);
  if (!use) {
    if (limit.onOutage === "closed") throw redisIsAway();
    return;
  }
  await addHeaders(connection, { name, limit, use });
  await onUse?.(use);
  if (use.isAllowed) return;
  await connection.setHeader?.("Retry-After", secondsOf(use.resetMs));
  throw await refusal(connection, limit, use.resetMs);
}

/** The fields of each limit that counts for a response: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ */
const headerFields = new WeakMap<
  Connection,
  { policies: string[]; uses: string[] }
>();

async function addHeaders(
  connection: Connection,
  { name, limit, use }: { name: string; limit: Limit; use: Use },
): Promise<void> {
  if (typeof connection.setHeader !== "function") return;
  let own = headerFields.get(connection);
  if (!own) headerFields.set(connection, (own = { policies: [], uses: [] }));
  own.policies.push(
    `"${name}";q=${limit.requests};w=${secondsOf(limit.perMs)}`,
  );
  own.uses.push(`"${name}";r=${use.left};t=${secondsOf(use.resetMs)}`);
  await connection.setHeader("RateLimit-Policy", own.policies.join(", "));
  await connection.setHeader("RateLimit", own.uses.join(", "));
}

function secondsOf(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}

async function refusal(
  connection: Connection,
  limit: Limit,
  resetMs: number,
): Promise<unknown> {
  const worded = await wordedError("rateLimited", connection, limit, resetMs);
  if (typeof worded !== "string") return worded;
  const facts = { status: 429, code: 429, expose: true };
  return Object.assign(errorOfText(worded), facts);
}

function redisIsAway(): HttpError {
  return new HttpError(
    503,
    "the server is temporarily unavailable, try again later",
    { headers: { "Retry-After": "1" } },
  );
}

// --- Verbs and files, which may be refused for the same reasons as actions.

const LEAVING = ["quit", "exit"];

/**
 * Check before a verb runs; `quit` and `exit` are always allowed.
 * @returns a promise that rejects with the client's error if the verb is refused; undefined if nothing is limited
 */
export function checkVerb(
  connection: Connection,
  verb: string,
): Promise<void> | undefined {
  if (LEAVING.includes(verb)) return undefined;
  return refuseOverload() ?? countRequest(connection);
}

/** Check before a file is sent, as `checkVerb`. */
export function checkFile(connection: Connection): Promise<void> | undefined {
  return refuseOverload() ?? countFile(connection);
}

function refuseOverload(): Promise<never> | undefined {
  const { overload } = api;
  return overload?.isOverloaded === true
    ? Promise.reject(overloadedError(overload))
    : undefined;
}

// --- The counts in redis: sliding windows that all nodes share.

/** How many calls there may be in a span of time. */
interface Limit {
  requests: number;
  /** ms. */
  perMs: number;
}

/** The used part of the limit of a caller. */
interface Use {
  isAllowed: boolean;
  /** How many more calls would be allowed now. */
  left: number;
  /** How long until there is room for more, in ms. */
  resetMs: number;
}

/** How long a call waits for redis, in ms; and how long redis is not asked again when it did not reply. */
const COUNT_WAIT_MS = 1000;
const OUTAGE_PAUSE_MS = 1000;

/** The number of slices in a window, which determines its precision. */
const SLICES = 60;

// KEYS: hash of the calls in each slice of time. ARGV: span in ms, limit.
// Returns {1 if the call is allowed, calls in the window, ms until the oldest slice leaves it}.
// A script, because calls at the same time must not all see the same count. Slices in the future were written under
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
local allowed = 0
if used < limit then
  allowed = 1
  used = used + 1
  redis.call('HINCRBY', KEYS[1], now, 1)
  redis.call('PEXPIRE', KEYS[1], span)
end
return {allowed, used, first * size + span - time}`);

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
async function count(
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
    const [allowed, used, resetMs] = await withTimeout(
      COUNT_WAIT_MS,
      ask(client, key, limit),
      "AH_REDIS_TIMEOUT",
      () => `no reply within ${COUNT_WAIT_MS} ms`,
    );
    if (outage.isOut) noteWriteAccepted(client);
    outage.isOut = false;
    const left = Math.max(0, limit.requests - used);
    return { isAllowed: allowed === 1, left, resetMs };
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

type Reply = [allowed: number, used: number, resetMs: number];

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
  const isAllowed = used < requests;
  if (isAllowed) {
    used++;
    await client.hincrby(key, String(now), 1);
    await client.pexpire(key, perMs);
  }
  return [isAllowed ? 1 : 0, used, first * size + perMs - time];
}
