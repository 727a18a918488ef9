/** The look-ups of `cache.wrap` that are under way in this process, and the count of all. */
import type { Redis } from "ioredis";
import { api } from "../api";

export interface LookUp {
  text: Promise<string>;
  /** Resolves when it begins to compute. */
  computing: Promise<void>;
}

/** By client and redis key: what one finds out, all callers get. */
const lookUps = new WeakMap<Redis, Map<string, LookUp>>();

export function lookUpsOf(client: Redis): Map<string, LookUp> {
  let ofClient = lookUps.get(client);
  if (!ofClient) lookUps.set(client, (ofClient = new Map()));
  return ofClient;
}

/** The objects have changed: who asks from now on must not get what was computed from the state before. */
export function forgetLookUps(
  client: Redis,
  cacheKeys: readonly string[],
): void {
  const ofClient = lookUps.get(client);
  if (!ofClient || ofClient.size === 0) return;
  for (const key of cacheKeys) ofClient.delete(key);
}

/** For `api.metrics`, which a layer above has. */
interface Measures {
  metrics?: { watch?: { cache(hits: number, misses: number): void } };
}

export function countLookUps(hits: number, misses: number): void {
  (api as Measures).metrics?.watch?.cache(hits, misses);
}

export function forgetAllLookUps(client: Redis): void {
  lookUps.delete(client);
}
