import type { Connection } from "../connection";
import { lockKey, lockValue, LOCK_SECONDS, takeHeldLock } from "../locks";
import { Plugin } from "../plugin";

/** A lock younger than this may be ahead of its job, in s. */
const YOUNG_LOCK_SECONDS = 5;
/** How far a queue is searched for the job of a lock. */
const SEARCH_LENGTH = 10_000;

/** At most once in the queue. */
export class QueueLock extends Plugin {
  override async beforeEnqueue(): Promise<boolean> {
    const { connection } = this.queueObject;
    const seconds = (this.options.lockTimeout as number) ?? LOCK_SECONDS;
    const key = lockKey(this, "lock");
    const now = Math.floor(Date.now() / 1000);
    const value = lockValue(seconds);
    if (await takeHeldLock(connection, { key, value, seconds })) return true;

    const expiry = parseInt((await connection.redis.get(key)) ?? "0", 10);
    const isBelieved =
      expiry >= now &&
      (expiry - seconds - 1 > now - YOUNG_LOCK_SECONDS ||
        (await isQueued(this, connection)));
    if (isBelieved) return false;
    // the job is gone, e.g. with a deleted queue
    await connection.redis.set(key, value, "EX", seconds);
    return true;
  }

  override async beforePerform(): Promise<boolean> {
    const { connection } = this.queueObject;
    await connection.redis.del(lockKey(this, "lock"));
    return true;
  }
}

async function isQueued(
  { queueObject, queue, func, args }: Plugin,
  connection: Connection,
): Promise<boolean> {
  const job = queueObject.encode(queue, func, args);
  const list = connection.key("queue", queue);
  if ((await connection.redis.scard(connection.key("timestamps", job))) > 0)
    return true;
  if (connection.embedded)
    return (await connection.redis.lrange(list, 0, SEARCH_LENGTH)).includes(
      job,
    );
  const found = await connection.redis.lpos(list, job, "MAXLEN", SEARCH_LENGTH);
  if (found !== null) return true;
  return (await connection.redis.llen(list)) > SEARCH_LENGTH;
}
