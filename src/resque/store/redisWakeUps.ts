/** Wakes what waits on redis, by one blocking connection for all that wait on one client. */
import type { Socket } from "node:net";
import type { Cluster, Redis } from "ioredis";
import { requireDatabase } from "../../redis/commands";
import { clusterOf, disconnect, keyHolders } from "../../redis/engine";
import { followFailover } from "../../redis/failover";
import {
  pause,
  systemEnvironment,
  type Environment,
  type Timer,
} from "../machine";
import type { Waiting } from "./store";

/** One blocking wait, in seconds; the waiters' own timers are shorter or end it when they stop. */
const BLOCK_SECONDS = 1;
const RETRY_MS = 200;
/** A connection that is silent for this much longer than one wait is considered dead, and reopened. */
const DEAD_AFTER_MS = 5_000;

interface Waiter {
  keys: readonly string[];
  wake: (isCalled: boolean) => void;
}

export class RedisWakeUps {
  private readonly waiters = new Set<Waiter>();
  private client?: Redis | Cluster;
  private listening = false;
  private users = 0;

  constructor(
    private readonly redis: Redis,
    private readonly environment: Environment = systemEnvironment,
  ) {}

  /** Wait until something was added to one of the lists `keys`, at most `timeoutMs`. */
  wait(keys: readonly string[], timeoutMs: number): Waiting {
    let stop!: () => void;
    const done = new Promise<boolean>((resolve) => {
      const waiter: Waiter = {
        keys,
        wake: (isCalled) => {
          timer.cancel();
          this.waiters.delete(waiter);
          resolve(isCalled);
        },
      };
      const timer = this.environment.after(timeoutMs, () => waiter.wake(false));
      this.waiters.add(waiter);
      stop = () => waiter.wake(false);
    });
    void this.listen();
    return { done, stop };
  }

  open(): void {
    this.users++;
  }

  /** The last waiter closes the connection. */
  close(): void {
    if (--this.users > 0) return;
    for (const waiter of [...this.waiters]) waiter.wake(false);
    if (this.client) disconnect(this.client);
    this.client = undefined;
  }

  private get closed(): boolean {
    return this.users <= 0;
  }

  private async listen(): Promise<void> {
    if (this.listening || this.closed) return;
    this.listening = true;
    while (!this.closed && this.waiters.size > 0) {
      const unique = [
        ...new Set([...this.waiters].flatMap(({ keys }) => keys)),
      ];
      try {
        const token = await this.takeToken(unique);
        if (token) await this.handOut(token[0]);
      } catch {
        // the connection was lost; it reconnects automatically, and polling continues meanwhile
        await pause(this.environment, RETRY_MS);
      }
    }
    this.listening = false;
  }

  /** One token wakes one waiter; without waiters, it is left for another process. */
  private async handOut(key: string): Promise<void> {
    for (const waiter of this.waiters)
      if (waiter.keys.includes(key)) return waiter.wake(true);
    if (!this.closed) await this.redis.rpush(key, "1");
  }

  private async takeToken(keys: string[]): Promise<[string, string] | null> {
    const client = this.blockingClient();
    let reopening: Timer | undefined;
    const watch = () => {
      reopening = this.environment.after(DEAD_AFTER_MS, () => {
        reopen(client);
        watch();
      });
    };
    watch();
    try {
      return await client.blpop(keys, BLOCK_SECONDS);
    } finally {
      reopening?.cancel();
    }
  }

  private blockingClient(): Redis | Cluster {
    if (!this.client) {
      this.client = duplicate(this.redis);
      this.client.on("error", () => undefined); // the main connection reports
    }
    return this.client;
  }
}

/** Cut a connection that does not respond; the wait continues over the next one. */
function reopen(client: Redis | Cluster): void {
  for (const node of keyHolders(client)) {
    if (node.status === "ready")
      (node as { stream?: Socket }).stream?.destroy();
  }
}

function duplicate(client: Redis): Redis | Cluster {
  const options = {
    // a check that is cut off by a stop would hold the process for two more seconds
    enableReadyCheck: false,
    // an abandoned wait continues at redis, and would consume a token that no worker gets
    commandTimeout: undefined,
  };
  const cluster = clusterOf(client);
  if (!cluster) {
    const copy = client.duplicate(options);
    requireDatabase(copy);
    followFailover(copy);
    return copy;
  }
  const redisOptions = { ...cluster.options.redisOptions, ...options };
  return cluster.duplicate([], { redisOptions });
}
