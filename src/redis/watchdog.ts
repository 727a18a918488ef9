/** Detects connections that are open but dead, for example after a power loss of the peer, and reopens them. */
import type { Redis } from "ioredis";
import { within } from "../utils/promises";
import { operationTimeout, type RedisClients } from "./clients";
import { noteSign, noteSilence } from "./connectionLog";
import { isCluster, isEmbedded } from "./engine";

/** The interval of pings per connection, unless the operation timeout is shorter, in ms. */
const INTERVAL_MS = 5_000;

export interface Watchdog {
  stop(): void;
}

/** Watch the connections; none of them uses blocking commands, for which workers have separate connections. */
export function startWatchdog(clients: RedisClients): Watchdog {
  const watched = (["client", "subscriber", "tasks"] as const)
    .map((name) => [name, clients[name]] as const)
    .filter(([, client]) => !isEmbedded(client) && !isCluster(client));
  const asked = new Set<string>();

  const timer = setInterval(
    () => {
      for (const [name, client] of watched) {
        if (asked.has(name) || client.status !== "ready") continue;
        asked.add(name);
        void check(name, client).finally(() => asked.delete(name));
      }
    },
    Math.min(INTERVAL_MS, operationTimeout()),
  );
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

async function check(name: string, client: Redis): Promise<void> {
  const timeout = operationTimeout();
  try {
    await within(timeout, client.ping(), "AH_REDIS_TIMEOUT", () => "silent");
    noteSign(client);
  } catch {
    if (client.status !== "ready") return; // it has already noticed
    noteSilence(
      client,
      `Redis connection \`${name}\` has not answered for ${timeout} ms; opening a new one`,
    );
    client.disconnect(true);
  }
}
