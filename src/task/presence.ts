/** Which nodes work: each one that has tasks for all nodes announces itself, again and again. */
import { id } from "../config/config";
import { requireQueue } from "./queueOf";

/** How often a node announces that it works, in ms. */
export const PRESENCE_MS = 5_000;
/** A node that has not done so for this long does not work any more, in ms. */
const LIVE_MS = 20_000;
/** What waits for a node is kept this long after its last announcement, in ms. */
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
