/** Tasks that every node runs: a queue of its own for each node. */
import { api } from "../api";
import { id } from "../config/config";
import { log } from "../log/log";
import { nodeQueue } from "../resque/store/texts";
import { requireQueue, type Task } from "./task";

/** The queue of this node's runs of a task. */
export function ownQueue(task: Task): string {
  return task.scope === "all" ? nodeQueue(task.queue, id) : task.queue;
}

/** A queue that a new job goes to, and the node that it belongs to, if any. */
export interface JobQueue {
  queue: string;
  node?: string;
}

/** The queues that a new job goes to: one, or that of each node that works. */
export async function queuesOf(task: Task, queue: string): Promise<JobQueue[]> {
  if (task.scope !== "all") return [{ queue }];
  const prefix = nodeQueue(queue, "");
  const queues = await queuesOfNodes(prefix);
  if (queues.length === 0)
    log(`no node runs the task ${task.name}: it was not enqueued`, "warning");
  return queues.map((name) => ({
    queue: name,
    node: name.slice(prefix.length),
  }));
}

/** The queues of this node alone: those of the loaded tasks that are for every node. */
export function ownQueues(): string[] {
  const tasks = Object.values(api.tasks.tasks);
  const forAll = tasks.filter(({ scope }) => scope === "all");
  return [...new Set(forAll.map(ownQueue))];
}

/** The paused ones of `queues`. Pausing a queue also pauses its per-node queues. */
export function pausedOf(
  queues: readonly string[],
  paused: readonly string[],
): Set<string> {
  const forAll = Object.values(api.tasks.tasks).filter(
    (task) => task.scope === "all" && paused.includes(task.queue),
  );
  const prefixes = forAll.map((task) => nodeQueue(task.queue, ""));
  const isPaused = (name: string) =>
    paused.includes(name) || prefixes.some((one) => name.startsWith(one));
  return new Set(queues.filter(isPaused));
}

/** `queues`, with this node's own queue inserted before each one that has tasks for every node; `*` is left as it is. */
export function withOwnQueues(queues: readonly string[]): string[] {
  const list = [...queues];
  if (list.includes("*")) return list;
  for (const task of Object.values(api.tasks.tasks)) {
    const own = ownQueue(task);
    if (queues.includes(task.queue) && !list.includes(own))
      list.splice(list.indexOf(task.queue), 0, own);
  }
  return list;
}

/** The highest priority of the tasks of each queue, for workers on all queues. */
export function queuePriorities(): Record<string, number> {
  const priorities: Record<string, number> = {};
  for (const task of Object.values(api.tasks.tasks)) {
    if (task.priority === undefined) continue;
    const queue = ownQueue(task);
    const known = Object.hasOwn(priorities, queue)
      ? priorities[queue]!
      : -Infinity;
    priorities[queue] = Math.max(known, task.priority);
  }
  return priorities;
}

// --- Tracks nodes with workers: each node with tasks for all nodes announces itself periodically.

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
function queuesOfNodes(prefix: string): Promise<string[]> {
  return store().assignQueues(prefix);
}

/** Drop the queues of nodes that have not been seen for an hour: no other node may run their jobs. */
export function dropQueuesOfLostNodes(): Promise<string[]> {
  return store().removeQueuesOfLostNodes();
}

function store() {
  return requireQueue().connection.store;
}
