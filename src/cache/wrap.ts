/**
 * `cache.wrap`: get a value, or compute it once for the whole cluster.
 *
 * Callers of one process share one look-up. Of several processes, the one that takes the key's computing lock runs the
 * producer; the others poll until the value exists. The lock is held under a random token and renewed while the
 * producer runs, so that it outlives slow producers and expires soon after its holder dies.
 */
import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { sleep, timerMs, withTimeout } from "../utils/promises";
import { storeTime } from "../redis/atomic";
import { logFailure } from "../redis/outages";
import { readObject } from "./objects";
import {
  CacheErrorMessages,
  cacheKey,
  computingKey,
  countLookUps,
  decodeRecord,
  encodeRecord,
  lockedError,
  lockKey,
  type LookUp,
  lookUpsOf,
  client,
  isMine,
  lockDuration,
  lockSettings,
} from "./keys";
import {
  releaseLock,
  renewLock,
  takeLock,
  writeComputed,
  type Write,
} from "./operations";

const DEFAULT_WAIT_MS = 30_000;
/** First and longest interval of polling for the value of another process, in ms. */
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 200;
/** Renewals of a computing lock per lifetime. */
const RENEWALS = 3;

export interface WrapOptions {
  /** How long the value is fresh, in ms (default: forever). */
  expireTimeMS?: number;
  /** How long after that the old value is still returned, while one caller in the cluster recomputes it, in ms (default 0). */
  staleTimeMS?: number;
  /**
   * Up to this fraction of `expireTimeMS` is subtracted at random, so that values saved together do not expire
   * together (0 to 1, default 0).
   */
  jitter?: number;
  /** How long the computing lock outlives a dead holder, in ms (default `config.general.lockDuration`). */
  lockTimeMS?: number;
  /** How long to wait while another caller, in this or another process, computes, in ms (default 30,000). */
  waitTimeMS?: number;
}

interface Plan extends Required<Omit<WrapOptions, "expireTimeMS">> {
  key: string;
  expireTimeMS: number | undefined;
  redis: Redis;
  producer: () => unknown;
}

/** The value in redis; `found` is undefined if the cache did not write it. */
interface Seen {
  text: string | null;
  found: { text: string; isFresh: boolean } | undefined;
}

/** The computed value, and the earlier value in redis. */
interface Computed {
  token: string;
  before: string | null;
  write: Write;
}

/**
 * The value of `key`, or the result of `producer`, which is then saved. All callers get it as parsed from JSON.
 * @throws the error of the producer (nothing is saved); ActionheroError AH_CACHE_LOCKED when another owner holds
 * `key` with `cache.lock`, or computes for longer than `waitTimeMS`
 */
export async function wrap<T>(
  key: string,
  options: WrapOptions,
  producer: () => T | Promise<T>,
): Promise<T> {
  const plan = planOf(key, options, producer);
  const text = await sharedLookUp(plan);
  // each caller parses its own copy, so that modifying it does not affect others
  return decodeRecord(text)?.value as T;
}

function planOf(
  key: string,
  options: WrapOptions,
  producer: () => unknown,
): Plan {
  const { jitter = 0 } = options;
  for (const name of [
    "expireTimeMS",
    "staleTimeMS",
    "lockTimeMS",
    "waitTimeMS",
  ] as const) {
    const ms = options[name];
    if (ms !== undefined && !(Number.isFinite(ms) && ms >= 0))
      throw new TypeError(`${name} of cache.wrap is a number of ms from 0`);
  }
  if (!(jitter >= 0 && jitter <= 1))
    throw new TypeError("jitter of cache.wrap is a number from 0 to 1");
  return {
    key,
    producer,
    redis: client(),
    expireTimeMS: options.expireTimeMS || undefined,
    staleTimeMS: options.staleTimeMS ?? 0,
    jitter,
    lockTimeMS: Math.max(Math.ceil(options.lockTimeMS ?? lockDuration()), 1),
    waitTimeMS: options.waitTimeMS ?? DEFAULT_WAIT_MS,
  };
}

function sharedLookUp(plan: Plan): Promise<string> {
  const ofClient = lookUpsOf(plan.redis);
  const name = cacheKey(plan.key);
  const running = ofClient.get(name);
  if (running) {
    countLookUps(1, 0);
    return share(running, plan.waitTimeMS);
  }

  let onCompute!: () => void;
  const computing = new Promise<void>((resolve) => (onCompute = resolve));
  const text = lookUp(plan, onCompute).finally(() => {
    if (ofClient.get(name) === mine) ofClient.delete(name);
  });
  const mine: LookUp = { text, computing };
  ofClient.set(name, mine);
  return text;
}

/** Bounded, because the producer may wait for this very caller, if it requests the key that it computes. */
async function share({ text, computing }: LookUp, waitMs: number) {
  await Promise.race([computing, text]);
  const { locked } = CacheErrorMessages;
  return withTimeout(waitMs, text, "AH_CACHE_LOCKED", () => locked);
}

async function lookUp(plan: Plan, onCompute: () => void): Promise<string> {
  const deadline = performance.now() + plan.waitTimeMS;
  const token = randomUUID();
  for (let pause = FIRST_PAUSE_MS; ; pause = longer(pause)) {
    const { found } = await look(plan);
    if (pause === FIRST_PAUSE_MS) countLookUps(found ? 1 : 0, found ? 0 : 1);
    if (found?.isFresh) return found.text;
    if (await takeComputingLock(plan, token)) {
      if (found) return refresh(plan, token, found.text);
      onCompute();
      return compute(plan, token);
    }
    if (found) return found.text;
    if (performance.now() >= deadline) throw lockedError();
    await sleep(Math.min(pause, Math.max(deadline - performance.now(), 1)));
  }
}

function longer(pause: number): number {
  return Math.min(pause * 2, LONGEST_PAUSE_MS);
}

/** Takes the lock; after an error, the lock may have been taken, so it is released at once. */
async function takeComputingLock(plan: Plan, token: string): Promise<boolean> {
  const { redis, lockTimeMS } = plan;
  const lock = computingKey(plan.key);
  try {
    return await takeLock(redis, lock, token, lockTimeMS);
  } catch (error) {
    releaseLock(redis, lock, token).catch(() => undefined); // it expires
    throw error;
  }
}

async function look({ redis, key }: Plan): Promise<Seen> {
  const [holder, text = null] = await readObject(
    redis,
    lockKey(key),
    cacheKey(key),
  );
  if (!isMine(holder)) throw lockedError();
  const record = decodeRecord(text);
  if (!record) return { text, found: undefined };
  const { freshUntil = Infinity } = record;
  return {
    text,
    found: { text: text!, isFresh: storeTime(redis) < freshUntil },
  };
}

/**
 * Return the stale value immediately, and recompute it in the background; a failure is logged, and the next caller
 * retries.
 */
function refresh(plan: Plan, token: string, stale: string): string {
  const message = `cannot refresh the cached value of ${plan.key}`;
  compute(plan, token).catch((error: unknown) =>
    logFailure(plan.redis, error, message, "error"),
  );
  return stale;
}

/** Run the producer under the lock that `token` holds, save, free the lock. */
async function compute(plan: Plan, token: string): Promise<string> {
  const { redis, lockTimeMS } = plan;
  const lock = computingKey(plan.key);
  const renew = () =>
    void renewLock(redis, lock, token, lockTimeMS).catch(() => undefined); // the next one may find redis again
  const renewal = setInterval(
    renew,
    timerMs(Math.max(lockTimeMS / RENEWALS, 1)),
  );
  renewal.unref();
  let isReachable = false;
  try {
    // another process may have saved between the read and the lock
    const before = await look(plan);
    isReachable = true;
    if (before.found?.isFresh) return before.found.text;
    const write = writeOf(plan, await plan.producer());
    isReachable = await store(plan, { token, before: before.text, write });
    return write.text;
  } finally {
    clearInterval(renewal);
    const released = releaseLock(redis, lock, token).catch(() => undefined); // it expires
    if (isReachable) await released;
  }
}

function writeOf(plan: Plan, value: unknown): Write {
  const { key, redis, staleTimeMS } = plan;
  const freshMs = freshTime(plan);
  const isKeptStale = freshMs !== undefined && staleTimeMS > 0;
  return {
    lock: lockKey(key),
    entry: cacheKey(key),
    text: encodeRecord(
      value,
      isKeptStale ? storeTime(redis) + freshMs : undefined,
    ),
    lifetimeMs: freshMs === undefined ? 0 : Math.ceil(freshMs + staleTimeMS),
  };
}

/**
 * Save the value, unless the lock was lost (it expired and another process may have computed a newer value, or
 * `cache.destroy` released it) or the object has changed since.
 * @returns whether redis replied; the callers get their value all the same
 */
async function store(
  plan: Plan,
  { token, before, write }: Computed,
): Promise<boolean> {
  const owner = lockSettings.lockName();
  try {
    await writeComputed(plan.redis, {
      ...write,
      computingLock: computingKey(plan.key),
      token,
      owner,
      before,
    });
    return true;
  } catch (error) {
    const message = `cannot save the computed value of ${plan.key}`;
    logFailure(plan.redis, error, message, "warning");
    return false;
  }
}

/** How long a value saved now is fresh, in ms. */
function freshTime({ expireTimeMS, jitter }: Plan): number | undefined {
  if (expireTimeMS === undefined) return undefined;
  return Math.max(Math.ceil(expireTimeMS * (1 - jitter * Math.random())), 1);
}
