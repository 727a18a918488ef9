/** Tells whoever started this process that it serves now. */
import cluster from "node:cluster";

/** The message that process managers wait for. */
export const READY_MESSAGE = "ready";

/** Only to the primary of a cluster: other parents (jest, for one) have their own protocol. */
export function announceReady(): void {
  if (cluster.isWorker) process.send?.(READY_MESSAGE);
}
