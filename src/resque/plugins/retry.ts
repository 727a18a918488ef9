import { Plugin } from "../plugin";

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
    const { store } = this.queueObject.connection;
    const { worker } = this;
    const key = retryKey(this);
    const { error } = worker;
    if (!error) {
      await worker.persist(() => store.forgetRetry(key));
      return true;
    }
    const {
      retryLimit = 1,
      retryDelay = 5000,
      backoffStrategy,
    } = this.options as RetryOptions;
    const attempt = await worker.persist(() => store.countRetry(key));
    const remainingAttempts = retryLimit - attempt - 1;
    if (remainingAttempts <= 0) {
      await worker.persist(() => store.forgetRetry(key));
      throw error;
    }
    const delays = [backoffStrategy ?? retryDelay].flat().map(Number);
    const delay = delays[Math.min(attempt, delays.length - 1)]!;
    const seconds = Math.ceil(Math.max(...delays) / 1000) + SPARE_SECONDS;
    const failure = this.describe(error);
    const { queue, raw } = worker;
    worker.retryLater(
      [
        { do: "keepRetry", key, failure, seconds },
        { do: "delay", queue, raw, due: { inMs: delay } },
      ],
      { delay, remainingAttempts, err: error },
    );
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
