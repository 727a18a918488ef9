/** Detects the kind of redis of a client, and makes several commands atomic on the embedded engine. */
import type { Socket } from "node:net";
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

/** `host:port`; undefined when there is no one address (Sentinel, Cluster). */
export function addressOf(client: Redis): string | undefined {
  const options = client.options as Partial<Redis["options"]> | undefined;
  if (!options?.host || options.sentinels) return undefined;
  return options.path ?? `${options.host}:${options.port}`;
}

/** Group clients by their server: an address, or the master of a Sentinel. */
export function sameServer(clients: readonly Redis[]): Redis[][] {
  const groups = new Map<string, Redis[]>();
  for (const client of clients) {
    const { sentinels, name } = client.options;
    const key = JSON.stringify([addressOf(client), sentinels, name]);
    groups.set(key, [...(groups.get(key) ?? []), client]);
  }
  return [...groups.values()];
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

// --- Data in the memory of this process instead of an embedded redis, shared by all clients of the same embedded data.

/** ioredis-mock's record of a data space, which clients of one address share. */
interface SharedData {
  has(key: string): boolean;
  set(key: string, value: string): void;
}

interface EmbeddedClient extends Redis {
  context: { data: SharedData };
}

const spaces = new WeakMap<object, Map<string, unknown>>();

/**
 * The data under `name` in the space of an embedded client.
 * @param create is given a function that returns true once after each `flushdb` or `flushall` of any of these clients
 */
export function memoryOf<Kept>(
  client: Redis,
  name: string,
  create: (isFlushed: () => boolean) => Kept,
): Kept {
  const data = sharedDataOf(client);
  const kept = spaces.get(data) ?? new Map<string, unknown>();
  spaces.set(data, kept);
  let found = kept.get(name) as Kept | undefined;
  if (found === undefined) {
    found = create(flushDetector(data, name));
    kept.set(name, found);
  }
  return found;
}

function sharedDataOf(client: Redis): SharedData {
  return (client as EmbeddedClient).context.data;
}

/** A flush removes this key together with all others. */
function flushDetector(data: SharedData, name: string): () => boolean {
  const marker = `ah:memory:${name}`;
  data.set(marker, "1");
  return () => {
    if (data.has(marker)) return false;
    data.set(marker, "1");
    return true;
  };
}

// --- Closes connections. Reads no configuration, because the queue runs without one.

/** Close a connection at once, in any state. */
export function disconnect(client: Redis | Cluster): void {
  if (typeof client.disconnect !== "function") return;
  // between attempts, disconnect() only cancels the next one; queued commands would never settle
  if (client.status === "reconnecting" && !isCluster(client))
    client.connect().catch(() => undefined);
  const { stream } = client as { stream?: Socket };
  client.disconnect();
  stream?.destroy(); // ioredis would wait for the peer to close it as well
}

/**
 * Replace the open connection, to a Redis Cluster all of them, by new ones. In other states ioredis is about to open one, and
 * may never connect again if it is disturbed.
 */
export function reopen(client: Redis | Cluster): void {
  if (client.status !== "connect" && client.status !== "ready") return;
  const open = clusterOf(client)?.nodes() ?? [client as Redis];
  client.disconnect(true);
  // ioredis would wait for the peers; a late end of an old connection would also remove the new one from a Cluster
  for (const { stream } of open) stream?.destroy();
}
