/** The bundled plugins: JobLock, QueueLock, DelayQueueLock, Retry and Noop. */
import type { Connection } from "./connection";
import { lockValue, releaseLock, takeLock } from "./locks";
import { Plugin, type PluginClass } from "./plugin";

/** Locks of jobs live this long unless the options say otherwise, in s. */
const LOCK_SECONDS = 3600;
/** A worker renews its locks; one that died leaves them no longer than this, in s. */
const RENEWED_LOCK_SECONDS = 300;
/** A lock younger than this may be ahead of its job, in s. */
const YOUNG_LOCK_SECONDS = 5;
/** How far a queue is searched for the job of a lock. */
const SEARCH_LENGTH = 10_000;

let plugins: Record<string, PluginClass> | undefined;

/** Made on first use: the classes extend Plugin, whose module needs them to resolve names. */
export function bundledPlugins(): Record<string, PluginClass> {
  plugins ??= makePlugins();
  return plugins;
}

function makePlugins(): Record<string, PluginClass> {
  /** One run at a time; a second one is put off or dropped. */
  class JobLock extends Plugin {
    override async beforePerform(): Promise<boolean> {
      const { connection } = this.queueObject;
      const given = this.options.lockTimeout as number | undefined;
      const seconds = given ?? RENEWED_LOCK_SECONDS;
      const key = lockKey(this, "workerslock");
      const value = lockValue(given ?? LOCK_SECONDS);
      if (await takeLock(connection, key, value, seconds)) {
        await this.worker.holdLock(key, value, seconds);
        return true;
      }
      if (this.options.reEnqueue !== false) {
        await this.queueObject.enqueueIn(
          (this.options.enqueueTimeout as number) ?? 1001,
          this.queue,
          this.func,
          this.args,
          true,
        );
      }
      return false;
    }

    override async afterPerform(): Promise<boolean> {
      await this.worker.releaseLock(lockKey(this, "workerslock"));
      return true;
    }
  }

  /** At most once in the queue. */
  class QueueLock extends Plugin {
    override async beforeEnqueue(): Promise<boolean> {
      const { connection } = this.queueObject;
      const seconds = (this.options.lockTimeout as number) ?? LOCK_SECONDS;
      const key = lockKey(this, "lock");
      const now = Math.floor(Date.now() / 1000);
      const value = lockValue(seconds);
      if (await takeLock(connection, key, value, seconds)) return true;

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

  /** Not enqueued while it is delayed. */
  class DelayQueueLock extends Plugin {
    override async beforeEnqueue(): Promise<boolean> {
      const { queue, func, args } = this;
      const times = await this.queueObject.scheduledAt(queue, func, args);
      return times.length === 0;
    }
  }

  /** A failed job runs again later, `retryLimit` times in all. */
  class Retry extends Plugin {
    override async afterPerform(): Promise<boolean> {
      const { redis } = this.queueObject.connection;
      const [counter, failure] = [retryKey(this), `failure-${retryKey(this)}`];
      const keys = [counter, failure].map((key) =>
        this.queueObject.connection.key(key),
      ) as [string, string];
      const { error } = this.worker;
      if (!error) {
        await redis.del(...keys);
        return true;
      }
      const { retryLimit = 1, retryDelay = 5000 } = this.options as {
        retryLimit?: number;
        retryDelay?: number;
      };
      const delays = [this.options.backoffStrategy ?? retryDelay].flat();
      await redis.setnx(keys[0], -1);
      const attempt = await redis.incr(keys[0]);
      const remaining = retryLimit - attempt - 1;
      if (remaining <= 0) {
        await redis.del(...keys);
        throw error;
      }
      const delay = Number(delays[Math.min(attempt, delays.length - 1)]);
      const ttl = Math.ceil(Math.max(...delays.map(Number)) / 1000) + 3600;
      await redis.expire(keys[0], ttl);
      await redis.set(
        keys[1],
        JSON.stringify({
          failed_at: new Date()
            .toISOString()
            .slice(0, 19)
            .replace(/-/g, "/")
            .replace("T", " "),
          payload: this.args,
          exception: error.name,
          error: error.message,
          backtrace: (error.stack ?? "").split("\n").slice(1),
          worker: this.func,
          queue: this.queue,
        }),
        "EX",
        ttl,
      );
      await this.queueObject.enqueueIn(
        delay,
        this.queue,
        this.func,
        this.args,
        true,
      );
      await this.worker.countRetry({
        delay,
        remainingAttempts: remaining,
        err: error,
      });
      return true;
    }
  }

  /** A failed job counts as done. */
  class Noop extends Plugin {
    override afterPerform(): boolean {
      if (this.worker.error) {
        const logger = (this.options.logger ?? console.log) as (
          error: Error,
        ) => void;
        logger(this.worker.error);
        this.worker.error = null;
      }
      return true;
    }
  }

  return { JobLock, QueueLock, DelayQueueLock, Retry, Noop };
}

function lockKey(plugin: Plugin, kind: "lock" | "workerslock"): string {
  const { key } = plugin.options as { key?: string | (() => string) };
  if (key !== undefined)
    return typeof key === "function" ? key.apply(plugin) : key;
  return plugin.queueObject.connection.key(
    kind,
    plugin.func,
    plugin.queue,
    JSON.stringify(plugin.args),
  );
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

function retryKey({ func, args }: Plugin): string {
  const argsKey = args
    .map((arg) => (typeof arg === "object" ? JSON.stringify(arg) : String(arg)))
    .join("-");
  return `resque-retry:${func}:${argsKey}`.replace(/\s/, "");
}
