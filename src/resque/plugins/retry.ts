import { Plugin } from "../plugin";

/** A failed job runs again later, `retryLimit` times in all. */
export class Retry extends Plugin {
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

function retryKey({ func, args }: Plugin): string {
  const argsKey = args
    .map((arg) => (typeof arg === "object" ? JSON.stringify(arg) : String(arg)))
    .join("-");
  return `resque-retry:${func}:${argsKey}`.replace(/\s/, "");
}
