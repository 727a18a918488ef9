/** Closes connections. Reads no configuration, because the queue runs without one. */
import type { Socket } from "node:net";
import type { Cluster, Redis } from "ioredis";
import { isCluster } from "./engine";

/** Close a connection at once, in any state. */
export function disconnect(client: Redis | Cluster): void {
  if (typeof client.disconnect !== "function") return;
  // between two attempts ioredis would only cancel the next: what waits for it would go on waiting
  if (client.status === "reconnecting" && !isCluster(client))
    client.connect().catch(() => undefined);
  const { stream } = client as { stream?: Socket };
  client.disconnect();
  stream?.destroy(); // ioredis would wait for the peer to close it as well
}
