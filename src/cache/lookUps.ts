/** The look-ups of `cache.wrap` that are under way in this process. */
import type { Redis } from "ioredis";

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

export function forgetAllLookUps(client: Redis): void {
  lookUps.delete(client);
}
