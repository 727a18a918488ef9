/** Detects the kind of redis of a client, and makes several commands atomic on the embedded engine. */
import type { Cluster, Redis } from "ioredis";

const EMBEDDED_CLASSES = ["RedisMock", "_RedisMock"];

/** Whether the client is the engine inside this process, where scripts are slow and lack libraries. */
export function isEmbedded(client: object): boolean {
  return EMBEDDED_CLASSES.includes(client.constructor.name);
}

/** Whether the client speaks to a Redis Cluster, where the keys of one command must lie in one slot. */
export function isCluster(client: object): boolean {
  return clusterOf(client) !== undefined;
}

/** The client, if it speaks to a Redis Cluster. */
export function clusterOf(client: object): Cluster | undefined {
  const { isCluster: flag, nodes } = client as Partial<Cluster>;
  return flag === true && typeof nodes === "function"
    ? (client as Cluster)
    : undefined;
}

/** The servers that hold keys: the masters of a Redis Cluster, else the client itself. */
export function keyHolders(client: Redis | Cluster): Redis[] {
  return clusterOf(client)?.nodes("master") ?? [client as Redis];
}

let lastWork: Promise<unknown> = Promise.resolve();

/**
 * Run `work` after all earlier work has ended. On the embedded engine this makes a sequence of plain commands
 * atomic, provided that everything that touches the same keys goes through here.
 *
 * Not for use inside another `work`: the inner one would deadlock.
 */
export function runExclusive<T>(work: () => Promise<T>): Promise<T> {
  const result = lastWork.then(work, work);
  lastWork = result.catch(() => undefined);
  return result;
}
