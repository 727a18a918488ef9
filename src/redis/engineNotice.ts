/** Says at boot which redis this is. */
import type { Redis } from "ioredis";
import { env } from "../config/config";
import { log } from "../log/log";
import { addressOf } from "./connectionLog";
import { isCluster, isEmbedded } from "./engine";

export function announceEngine(client: Redis): void {
  if (!isEmbedded(client)) {
    log(`redis: ${describe(client)}`, "notice");
    return;
  }
  const isProduction = env === "production";
  log(
    "redis: in-process engine, shared with no other process and empty at each start " +
      "(set REDIS_URL or REDIS_HOST to use a server)",
    isProduction ? "warning" : "notice",
  );
}

function describe(client: Redis): string {
  if (isCluster(client)) return "a Redis Cluster";
  const { sentinels, name, db } = client.options;
  if (sentinels) return `master \`${name}\` of a Sentinel, db ${db ?? 0}`;
  return `${addressOf(client) ?? "a client of your own"}, db ${db ?? 0}`;
}
