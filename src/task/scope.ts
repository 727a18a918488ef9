/** Tasks that every node runs: a queue of its own for each node. */
import { api } from "../api";
import { id } from "../config/config";
import { log } from "../log/log";
import { queuesOfNodes } from "./presence";
import type { Task } from "./task";

/** The queue that only one node works. */
export function nodeQueue(queue: string, nodeId: string): string {
  return `${queue}:node:${nodeId}`;
}

/** Where this node finds its own runs of a task. */
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

/** The queues of workers that are to work `queues`: those of this node are among them. */
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
