/** Which nodes work: each one that has tasks for all nodes says so, again and again. */
import { id } from "../config/config";
import { requireQueue } from "./queueOf";

/** How often a node says that it works, in ms. */
export const PRESENCE_MS = 5_000;
/** A node that has not said so for this long does not work any more, in s. */
const LIVE_SECONDS = 20;
/** What waits for a node is kept this long after it was last seen, in s. */
const KEEP_SECONDS = 3600;

const NODE_QUEUE = /:node:(.+)$/;

/** Say that this node works. */
export async function announceNode(): Promise<void> {
  const { connection } = requireQueue();
  const { redis } = connection;
  await redis.set(connection.key("ah:node", id), "1", "EX", LIVE_SECONDS);
  await redis.set(connection.key("ah:node-seen", id), "1", "EX", KEEP_SECONDS);
  await redis.sadd(connection.key("ah:nodes"), id);
}

/** Say that this node does not work any more. */
export async function retireNode(): Promise<void> {
  const { connection } = requireQueue();
  await connection.redis.del(connection.key("ah:node", id));
  await connection.redis.srem(connection.key("ah:nodes"), id);
}

/** The ids of the nodes that work. */
export async function liveNodes(): Promise<string[]> {
  const { connection } = requireQueue();
  const { redis } = connection;
  const nodes = (await redis.smembers(connection.key("ah:nodes"))).sort();
  if (nodes.length === 0) return [];
  const signs = await redis.mget(
    ...nodes.map((node) => connection.key("ah:node", node)),
  );
  const live = nodes.filter((_, index) => signs[index] !== null);
  const gone = nodes.filter((_, index) => signs[index] === null);
  if (gone.length > 0) await redis.srem(connection.key("ah:nodes"), ...gone);
  return live;
}

/** Drop the queues of nodes that have not been seen for an hour: nobody else may run what is in there. */
export async function dropQueuesOfLostNodes(): Promise<string[]> {
  const queue = requireQueue();
  const { connection } = queue;
  const dropped: string[] = [];
  for (const name of await queue.queues()) {
    const nodeId = NODE_QUEUE.exec(name)?.[1];
    if (nodeId === undefined) continue;
    const seen = connection.key("ah:node-seen", nodeId);
    if ((await connection.redis.exists(seen)) === 1) continue;
    await queue.delQueue(name);
    dropped.push(name);
  }
  return dropped;
}
