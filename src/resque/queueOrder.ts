/** The order in which workers poll queues. */
import type { QueueStore } from "./store/store";

type Priorities = Readonly<Record<string, number>>;

/**
 * Queues in order of preference. The given order is used; `*` means the queues that are not listed; of these, queues
 * with a priority are listed before it (above 0) or after it (below 0).
 * @param turn queues of the same priority are rotated by so many places
 */
export function queueOrder(
  given: readonly string[],
  priorities: Priorities = {},
  turn = 0,
): string[] {
  const queues = [...new Set(given.length === 0 ? ["*"] : given)];
  const at = queues.indexOf("*");
  if (at === -1) return queues;
  const groups = groupsOf(queues, priorities);
  const ordered = (isListed: (priority: number) => boolean) =>
    groups
      .filter(({ priority }) => isListed(priority))
      .flatMap((group) => rotated(group.queues, turn));
  const first = ordered((priority) => priority > 0);
  const last = ordered((priority) => priority < 0);
  queues.splice(at, 1, ...first, "*", ...last);
  return queues;
}

/** Orders of preference that take turns, so that no queue waits for another one of the same priority. */
export function queueOrders(
  given: readonly string[],
  priorities: Priorities = {},
): string[][] {
  const isOpen = given.length === 0 || given.includes("*");
  const groups = isOpen ? groupsOf(given, priorities) : [];
  const length = Math.max(1, ...groups.map(({ queues }) => queues.length));
  return Array.from({ length }, (_, turn) =>
    queueOrder(given, priorities, turn),
  );
}

interface Group {
  priority: number;
  queues: string[];
}

/** Queues that are not listed, by priority, the highest first. */
function groupsOf(listed: readonly string[], priorities: Priorities): Group[] {
  const groups = new Map<number, string[]>();
  for (const queue of Object.keys(priorities).sort(compareNames)) {
    const priority = priorities[queue]!;
    if (priority === 0 || listed.includes(queue)) continue;
    const group = groups.get(priority);
    if (group) group.push(queue);
    else groups.set(priority, [queue]);
  }
  return [...groups]
    .map(([priority, queues]) => ({ priority, queues }))
    .sort((one, other) => other.priority - one.priority);
}

function rotated(queues: readonly string[], turn: number): string[] {
  const at = turn % queues.length;
  return [...queues.slice(at), ...queues.slice(0, at)];
}

/** The queues that an order means when `known` ones exist. */
export function resolveQueues(
  order: readonly string[],
  known: readonly string[],
): string[] {
  const rest = known.filter((queue) => !order.includes(queue));
  return order.flatMap((queue) =>
    queue === "*" ? rest.sort(compareNames) : [queue],
  );
}

/** The queues that an order means at the moment. */
export async function listQueues(
  store: Pick<QueueStore, "queues">,
  order: readonly string[],
): Promise<string[]> {
  const known = order.includes("*") ? await store.queues() : [];
  return resolveQueues(order, known);
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
