/** Reconnects when the server is no longer a master, for example after a failover behind one address. */
import type { Redis } from "ioredis";

/** ioredis: reconnect and send the refused command again; it had no effect. */
const RECONNECT_AND_RESEND = 2;

/** Reconnect when the server refuses writes like a replica; options of the user are kept. */
export function followFailover(client: Redis): void {
  client.options.reconnectOnError ??= (error) =>
    isReadOnly(error.message) && RECONNECT_AND_RESEND;
}

/** Redis 6 and older name the script first. */
function isReadOnly(message: string): boolean {
  return /^READONLY|-READONLY/.test(message);
}
