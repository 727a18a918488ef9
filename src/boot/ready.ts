/** What a worker of a cluster and its primary tell each other. */
import cluster from "node:cluster";
import { waitAtMost } from "../utils/promises";

/** The message that process managers wait for. */
export const READY_MESSAGE = "ready";
/** How long a primary may take to see a worker off, in ms. */
const LEAVE_TIMEOUT_MS = 1_000;

/** Only to the primary of a cluster: other parents (jest, for one) have their own protocol. */
export function announceReady(): void {
  if (cluster.isWorker) process.send?.(READY_MESSAGE);
}

/**
 * Before a worker exits: connections that the primary has sent on their way to it, before it knew, are given to another
 * worker. Those of a worker that just exits are answered by nobody, and stay open.
 */
export async function takeLeave(): Promise<void> {
  const { worker } = cluster;
  if (!worker?.isConnected()) return;
  const left = new Promise((resolve) => worker.once("disconnect", resolve));
  worker.disconnect();
  await waitAtMost(LEAVE_TIMEOUT_MS, left);
}
