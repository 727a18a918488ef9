/** Wakes idle workers and schedulers of this process: by a blocking wait on redis, or by events on the embedded engine. */
import { EventEmitter } from "node:events";
import type { Redis } from "ioredis";
import type { Connection } from "./connection";

/** The longest wait, which is how late jobs of producers without wake-ups can start, in ms. */
const LONGEST_WAIT_MS = 1000;
const RETRY_MS = 200;

/** Tells waiters in this process about additions to the embedded engine. */
export const embeddedWakeUps = new EventEmitter().setMaxListeners(0);

interface Waiter {
  keys: string[];
  wake: () => void;
}

/** One blocking connection for all that wait on one client. */
export class WakeUps {
  private readonly waiters = new Set<Waiter>();
  private client?: Redis;
  private listening = false;
  private closed = false;

  constructor(private readonly connection: Connection) {
    if (connection.embedded) embeddedWakeUps.on("added", this.wakeAll);
  }

  /**
   * Wait until something was added to one of the wake lists `keys`, at most `timeoutMs`.
   * @returns a promise, and the function that ends the wait early
   */
  wait(
    keys: string[],
    timeoutMs: number,
  ): { done: Promise<void>; stop: () => void } {
    let stop!: () => void;
    const done = new Promise<void>((resolve) => {
      const waiter: Waiter = {
        keys,
        wake: () => {
          clearTimeout(timer);
          this.waiters.delete(waiter);
          resolve();
        },
      };
      const timer = setTimeout(
        waiter.wake,
        Math.max(0, Math.min(timeoutMs, 2 ** 31 - 1)),
      );
      this.waiters.add(waiter);
      stop = waiter.wake;
    });
    if (!this.connection.embedded && keys.length > 0) void this.listen();
    return { done, stop };
  }

  close(): void {
    this.closed = true;
    embeddedWakeUps.off("added", this.wakeAll);
    this.wakeAll();
    this.client?.disconnect();
    this.client = undefined;
  }

  private readonly wakeAll = () => {
    for (const waiter of [...this.waiters]) waiter.wake();
  };

  private async listen(): Promise<void> {
    if (this.listening || this.closed) return;
    this.listening = true;
    while (!this.closed && this.waiters.size > 0) {
      const keys = [...new Set([...this.waiters].flatMap(({ keys }) => keys))];
      try {
        const token = await this.blockingClient().blpop(
          ...(keys as [string]),
          LONGEST_WAIT_MS / 1000,
        );
        if (token) await this.handOut(token[0]);
      } catch {
        // the connection was lost; it comes back by itself, and polling goes on meanwhile
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
    this.listening = false;
  }

  /** One token wakes one waiter; with none left it is for another process. */
  private async handOut(key: string): Promise<void> {
    for (const waiter of this.waiters) {
      if (waiter.keys.includes(key)) return waiter.wake();
    }
    if (!this.closed) await this.connection.redis.rpush(key, "1");
  }

  private blockingClient(): Redis {
    if (!this.client) {
      this.client = this.connection.redis.duplicate();
      this.client.on("error", () => undefined); // the main connection reports
    }
    return this.client;
  }
}
