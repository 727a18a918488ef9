/** What a client does when the server it speaks to is no master any more, as after a failover behind one address. */
import type { Redis } from "ioredis";

/** ioredis: connect anew and send the refused command again; it has had no effect. */
const RECONNECT_AND_RESEND = 2;

/** Reconnect when the server refuses writes as a replica does; what the user set stays. */
export function followFailover(client: Redis): void {
  client.options.reconnectOnError ??= (error) =>
    isReadOnly(error.message) && RECONNECT_AND_RESEND;
}

/** Redis 6 and older name the script first. */
function isReadOnly(message: string): boolean {
  return /^READONLY|-READONLY/.test(message);
}
