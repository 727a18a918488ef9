/** The messages between the primary of a cluster (`start-cluster`) and its workers. */
import cluster from "node:cluster";
import { waitAtMost } from "../utils/promises";

/** The ready message of process managers. */
export const READY_MESSAGE = "ready";
/** How long a primary may take to confirm the exit of a worker, in ms. */
const LEAVE_TIMEOUT_MS = 1_000;

/**
 * Sent only to the primary of a cluster: other parents, such as jest, have their own protocol.
 * @param drainDelay if this process obeys `PrimaryMessage`: how long it drains before it stops, in ms
 */
export function announceReady(drainDelay?: number): void {
  if (!cluster.isWorker) return;
  if (drainDelay !== undefined)
    process.send?.({ actionhero: { drainDelay } } satisfies WorkerMessage);
  process.send?.(READY_MESSAGE);
}

/** A worker that sends this obeys its primary's messages; any other is stopped by SIGTERM. */
export interface WorkerMessage {
  actionhero: { drainDelay: number };
}

/**
 * The messages of the primary of a cluster to a worker:
 * - `join`: other workers serve its ports while it boots
 * - `leave`: stop, while other workers go on to serve its ports
 * - `stop`: drain and stop, because the whole cluster does
 * - `stop now`: the same without the drain, or end the drain
 */
export type PrimaryCommand = "join" | "leave" | "stop" | "stop now";

export interface PrimaryMessage {
  actionhero: PrimaryCommand;
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
