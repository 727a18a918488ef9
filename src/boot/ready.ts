/** Messages between a worker of a cluster and its primary. */
import cluster from "node:cluster";
import { waitAtMost } from "../utils/promises";

/** The ready message of process managers. */
export const READY_MESSAGE = "ready";
/** How long a primary may take to confirm the exit of a worker, in ms. */
const LEAVE_TIMEOUT_MS = 1_000;

/** Sent only to the primary of a cluster: other parents, such as jest, have their own protocol. */
export function announceReady(): void {
  if (cluster.isWorker) process.send?.(READY_MESSAGE);
}

/**
 * Before a worker exits, connections that the primary has already sent to it are given to another worker. Without
 * this, they would stay open without a response.
 */
export async function disconnectFromPrimary(): Promise<void> {
  const { worker } = cluster;
  if (!worker?.isConnected()) return;
  const left = new Promise((resolve) => worker.once("disconnect", resolve));
  worker.disconnect();
  await waitAtMost(LEAVE_TIMEOUT_MS, left);
}
