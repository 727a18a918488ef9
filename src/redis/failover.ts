/** Follows failovers: behind one address, of a Sentinel, and of a Redis Cluster. */
import type { Cluster, Redis } from "ioredis";
import { isCluster } from "./engine";

/** ioredis: reconnect and send the refused command again; it had no effect. */
const RECONNECT_AND_RESEND = 2;

/** How often a Cluster is asked which master has which slots, in ms. ioredis itself asks only after an error. */
const SLOTS_REFRESH_MS = 1_000;

/** Reconnect when the server refuses writes like a replica; options of the user are kept. */
export function followFailover(client: Redis): void {
  client.options.reconnectOnError ??= (error) =>
    isReadOnly(error.message) && RECONNECT_AND_RESEND;
}

/**
 * Leave a master as soon as another one is promoted. A client that stays with a frozen or demoted one until that refuses
 * it loses what it writes there meanwhile.
 * @param args of the constructor; what they say about it is kept
 */
export function followPromotions(
  client: Redis,
  args: readonly unknown[],
): void {
  if (isCluster(client)) {
    const { options } = client as unknown as Cluster;
    options.slotsRefreshInterval ??= SLOTS_REFRESH_MS;
    return;
  }
  const isDecided = args.some(
    (arg) =>
      typeof arg === "object" && arg !== null && "failoverDetector" in arg,
  );
  // ioredis reads this after it has found the first master
  if (client.options.sentinels && !isDecided)
    client.options.failoverDetector = true;
}

/** Redis 6 and older name the script first. */
function isReadOnly(message: string): boolean {
  return /^READONLY|-READONLY/.test(message);
}
