/** Tracks nodes with workers: each node with tasks for all nodes announces itself periodically. */
import { id } from "../config/config";
import { requireQueue } from "./queueOf";

/** The interval of announcements, in ms. */
export const PRESENCE_MS = 5_000;
/** A node without an announcement for this long, in ms, is considered inactive. */
const LIVE_MS = 20_000;
/** How long jobs for a node are kept after its last announcement, in ms. */
const KEEP_MS = 3_600_000;

/**
 * Announce that this node works.
 * @param queues its own, which no other node works
 */
export async function announceNode(queues: readonly string[]): Promise<void> {
  await store().announceNode(id, queues, LIVE_MS, KEEP_MS);
}

/** Announce that this node does not work any more. */
export async function retireNode(): Promise<void> {
  await store().retireNode(id);
}

/** The queues `<prefix><node>` of the nodes that work, which no other node works. */
export function queuesOfNodes(prefix: string): Promise<string[]> {
  return store().assignQueues(prefix);
}

/** Drop the queues of nodes that have not been seen for an hour: nobody else may run what is in there. */
export function dropQueuesOfLostNodes(): Promise<string[]> {
  return store().removeQueuesOfLostNodes();
}

function store() {
  return requireQueue().connection.store;
}
