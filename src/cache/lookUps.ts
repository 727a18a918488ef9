/** The look-ups of `cache.wrap` in progress in this process, and the total count. */
import type { Redis } from "ioredis";
import { api } from "../api";
import { tracing } from "../tracing/tracer";

export interface LookUp {
  text: Promise<string>;
  /** Resolves when the computation begins. */
  computing: Promise<void>;
}

/** By client and redis key: all callers share the result of one look-up. */
const lookUps = new WeakMap<Redis, Map<string, LookUp>>();

export function lookUpsOf(client: Redis): Map<string, LookUp> {
  let ofClient = lookUps.get(client);
  if (!ofClient) lookUps.set(client, (ofClient = new Map()));
  return ofClient;
}

/** The objects have changed: later callers must not get a value computed from the earlier state. */
export function forgetLookUps(
  client: Redis,
  cacheKeys: readonly string[],
): void {
  const ofClient = lookUps.get(client);
  if (!ofClient || ofClient.size === 0) return;
  for (const key of cacheKeys) ofClient.delete(key);
}

/** For `api.metrics`, which belongs to a higher layer. */
interface Measures {
  metrics?: { watch?: { cache(hits: number, misses: number): void } };
}

export function countLookUps(hits: number, misses: number): void {
  (api as Measures).metrics?.watch?.cache(hits, misses);
  tracing.tracer?.set({
    "actionhero.cache.hits": hits,
    "actionhero.cache.misses": misses,
  });
}

export function forgetAllLookUps(client: Redis): void {
  lookUps.delete(client);
}
