/** Wakes idle workers and schedulers of this process: by a blocking wait on redis, or at once on the embedded engine. */
import type { Socket } from "node:net";
import type { Cluster, Redis } from "ioredis";
import { disconnect } from "../redis/disconnect";
import { isCluster, keyHolders } from "../redis/engine";
import type { Connection } from "./connection";

/** One blocking wait, in seconds; the waiters' own timers are shorter or end it when they stop. */
const BLOCK_SECONDS = 1;
const RETRY_MS = 200;
/** A connection that is silent for so much longer than one wait is dead, and opened anew. */
const DEAD_AFTER_MS = 5_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What the producers of this process tell its waiters on the embedded engine. */
class EmbeddedWakeUps {
  /** Grows with each addition, so that one between a look and a wait is not missed. */
  additions = 0;
  readonly listeners = new Set<() => void>();

  tell(): void {
    this.additions++;
    for (const listener of this.listeners) listener();
  }
}

export const embeddedWakeUps = new EmbeddedWakeUps();

interface Waiter {
  keys: readonly string[];
  wake: (key?: string) => void;
}

export interface Waiting {
  /** Resolves with the wake list that had a token; undefined when the time is over or the wait was stopped. */
  done: Promise<string | undefined>;
  stop: () => void;
}

/** One blocking connection for all that wait on one client. */
export class WakeUps {
  private readonly waiters = new Set<Waiter>();
  private client?: Redis;
  private listening = false;
  private closed = false;
  private seen = 0;

  constructor(private readonly connection: Connection) {}

  /** Call it before the look at redis that decides whether to wait. */
  look(): void {
    this.seen = embeddedWakeUps.additions;
  }

  /** Wait until something was added to one of the wake lists `keys`, at most `timeoutMs`. */
  wait(keys: readonly string[], timeoutMs: number): Waiting {
    const isLate = this.closed || this.missedOne();
    let stop!: () => void;
    const done = new Promise<string | undefined>((resolve) => {
      const waiter: Waiter = {
        keys,
        wake: (key) => {
          clearTimeout(timer);
          this.waiters.delete(waiter);
          resolve(key);
        },
      };
      const ms = Math.min(Math.max(timeoutMs, 0), LONGEST_TIMER_MS);
      const timer = setTimeout(waiter.wake, isLate ? 0 : ms);
      this.waiters.add(waiter);
      stop = waiter.wake;
    });
    if (this.connection.embedded) embeddedWakeUps.listeners.add(this.wakeAll);
    else if (keys.length > 0) void this.listen();
    return { done, stop };
  }

  close(): void {
    this.closed = true;
    embeddedWakeUps.listeners.delete(this.wakeAll);
    this.wakeAll();
    if (this.client) disconnect(this.client);
    this.client = undefined;
  }

  private missedOne(): boolean {
    return this.connection.embedded && this.seen !== embeddedWakeUps.additions;
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
        const token = await takeToken(this.blockingClient(), keys);
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
      if (waiter.keys.includes(key)) return waiter.wake(key);
    }
    if (!this.closed) await this.connection.redis.rpush(key, "1");
  }

  private blockingClient(): Redis {
    if (!this.client) {
      this.client = duplicate(this.connection.redis);
      this.client.on("error", () => undefined); // the main connection reports
    }
    return this.client;
  }
}

async function takeToken(client: Redis, keys: string[]) {
  const reopening = setInterval(() => reopen(client), DEAD_AFTER_MS).unref();
  try {
    return await client.blpop(keys, BLOCK_SECONDS);
  } finally {
    clearInterval(reopening);
  }
}

/** Cut a connection that does not answer; the wait goes on over the next one. */
function reopen(client: Redis): void {
  for (const node of keyHolders(client)) {
    if (node.status === "ready")
      (node as { stream?: Socket }).stream?.destroy();
  }
}

function duplicate(client: Redis): Redis {
  const options = {
    // a check that is cut off by a stop would hold the process for two more seconds
    enableReadyCheck: false,
    // a wait that is given up here goes on at redis, and takes a token for nobody
    commandTimeout: undefined,
  };
  if (!isCluster(client)) return client.duplicate(options);
  const cluster = client as unknown as Cluster;
  const redisOptions = { ...cluster.options.redisOptions, ...options };
  return cluster.duplicate([], { redisOptions }) as unknown as Redis;
}
