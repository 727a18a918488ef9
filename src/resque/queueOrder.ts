/** The order in which workers poll queues. */
import type { QueueStore } from "./store/store";

/**
 * Queues in order of preference. The given order is used; `*` means the queues that are not listed; of these, queues
 * with a priority are listed before it (above 0) or after it (below 0).
 */
export function queueOrder(
  given: readonly string[],
  priorities: Readonly<Record<string, number>> = {},
): string[] {
  const queues = [...new Set(given.length === 0 ? ["*"] : given)];
  const at = queues.indexOf("*");
  if (at === -1) return queues;
  const ranked = Object.entries(priorities)
    .filter(([queue, priority]) => priority !== 0 && !queues.includes(queue))
    .sort(([a, one], [b, other]) => other - one || compareNames(a, b));
  const first = ranked.filter(([, priority]) => priority > 0);
  const last = ranked.filter(([, priority]) => priority < 0);
  queues.splice(
    at,
    1,
    ...first.map(([queue]) => queue),
    "*",
    ...last.map(([queue]) => queue),
  );
  return queues;
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
