import { Plugin } from "../plugin";
import { delayCommands } from "../steps/delay";
import type { Command } from "../steps/lua";

/** Counters outlive the longest wait by this, in s. */
const SPARE_SECONDS = 3600;

interface RetryOptions {
  retryLimit?: number;
  retryDelay?: number;
  backoffStrategy?: number | number[] | null;
}

/** A failed job runs again later, `retryLimit` times in all. */
export class Retry extends Plugin {
  override async afterPerform(): Promise<boolean> {
    const { connection } = this.queueObject;
    const { redis } = connection;
    const counter = connection.key(retryKey(this));
    const failure = connection.key(`failure-${retryKey(this)}`);
    const { error } = this.worker;
    if (!error) {
      await redis.del(counter, failure);
      return true;
    }
    const {
      retryLimit = 1,
      retryDelay = 5000,
      backoffStrategy,
    } = this.options as RetryOptions;
    await redis.setnx(counter, -1);
    const attempt = await redis.incr(counter);
    const remainingAttempts = retryLimit - attempt - 1;
    if (remainingAttempts <= 0) {
      await redis.del(counter, failure);
      throw error;
    }
    const delays = [backoffStrategy ?? retryDelay].flat().map(Number);
    const delay = delays[Math.min(attempt, delays.length - 1)]!;
    const seconds = Math.ceil(Math.max(...delays) / 1000) + SPARE_SECONDS;
    const commands: Command[] = [
      ["EXPIRE", counter, seconds],
      ["SET", failure, this.describe(error), "EX", seconds],
      ...delayCommands(connection, Date.now() + delay, this.worker.raw),
    ];
    this.worker.retryLater(commands, { delay, remainingAttempts, err: error });
    return true;
  }

  private describe(error: Error): string {
    return JSON.stringify({
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
    });
  }
}

function retryKey({ func, args }: Plugin): string {
  const argsKey = args
    .map((arg) => (typeof arg === "object" ? JSON.stringify(arg) : String(arg)))
    .join("-");
  return `resque-retry:${func}:${argsKey}`.replace(/\s/, "");
}
