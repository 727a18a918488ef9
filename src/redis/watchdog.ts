/** Notices connections that are open but dead, such as one whose other side lost its power, and opens them anew. */
import type { Redis } from "ioredis";
import { within } from "../utils/promises";
import { operationTimeout, type RedisClients } from "./clients";
import { noteSign, noteSilence } from "./connectionLog";
import { isCluster, isEmbedded } from "./engine";

/** How often each connection is asked for a sign of life, unless operations may not take as long, in ms. */
const INTERVAL_MS = 5_000;

export interface Watchdog {
  stop(): void;
}

/** Watch the connections; none of them waits in a blocking command, workers have others for that. */
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
    if (client.status !== "ready") return; // it has noticed by itself
    noteSilence(
      client,
      `Redis connection \`${name}\` has not answered for ${timeout} ms; opening a new one`,
    );
    client.disconnect(true);
  }
}
