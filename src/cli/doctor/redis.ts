/** Checks of the redis server of the project. */
import type { Redis } from "ioredis";
import { coerce, gte } from "semver";
import { remedyOfCertificate } from "../../environment/bootErrors";
import { toError } from "../../errors";
import {
  isRefusedDatabase,
  isRefusedWrite,
  requireDatabase,
} from "../../redis/commands";
import { isEmbedded } from "../../redis/engine";
import { tryToStore } from "../../redis/failover";
import { withTimeout } from "../../utils/promises";
import { fail, type Finding, ok, warn } from "./check";

/** How long redis may take for all commands, in ms. */
const LIMIT_MS = 5000;
/** A clock skew of more than this is reported, in ms. */
const SKEW_LIMIT_MS = 1000;
/** The oldest version with all commands that the framework uses: scripts of the task queue call LPOS. */
const OLDEST_REDIS = "6.0.6";

/** Whether redis is reachable, new enough and persistent; or the in-process engine, which production should not use. */
export async function checkRedis(
  redis: Record<string, unknown> | undefined,
  env: string,
): Promise<Finding[]> {
  if (!redis?.client) return [fail("redis", "config.redis.client is missing")];

  let client: RedisClient | undefined;
  let lastError: Error | undefined;
  try {
    client = openClient(redis, (error) => (lastError = error));
    if (isEmbedded(client)) return [embedded(env)];
    return await withTimeout(
      LIMIT_MS,
      askRedis(client),
      "AH_REDIS_TIMEOUT",
      () => `no reply within ${LIMIT_MS} ms`,
    );
  } catch (error) {
    if (isRefusedDatabase(error))
      return [fail("redis", toError(error).message)];
    const reason = (lastError ?? toError(error)).message || "refused";
    const remedy = remedyOfCertificate(reason);
    return [
      fail(
        "redis",
        `cannot be reached: ${reason}${remedy === undefined ? "" : ` (${remedy})`}`,
      ),
    ];
  } finally {
    client?.disconnect();
  }
}

function embedded(env: string): Finding {
  const message =
    "lives inside the process: cache, chat and tasks end with it and are not shared (set REDIS_URL)";
  return env === "production" ? warn("redis", message) : ok("redis", message);
}

async function askRedis(client: RedisClient): Promise<Finding[]> {
  const facts = parseInfo(await client.info());
  const version = facts.redis_version ?? "unknown";
  const findings = [
    gte(coerce(version) ?? "0.0.0", OLDEST_REDIS)
      ? ok("redis", `version ${version} answers`)
      : fail("redis", `version ${version} is older than ${OLDEST_REDIS}`),
  ];
  findings.push(...(await askForWrites(client)));
  findings.push(
    facts.aof_enabled === "1" || (await hasSnapshots(client))
      ? ok("redis persistence", "on")
      : warn(
          "redis persistence",
          "off: enqueued tasks are lost when redis restarts",
        ),
  );
  const policy = facts.maxmemory_policy;
  if (
    policy !== undefined &&
    policy !== "noeviction" &&
    facts.maxmemory !== "0"
  )
    findings.push(
      warn("redis memory", `${policy} may throw away enqueued tasks`),
    );
  findings.push(...(await askClock(client)), ...(await askKeepAlive(client)));
  return findings;
}

/** A replica, or a full redis, responds, but refuses writes. */
async function askForWrites(client: RedisClient): Promise<Finding[]> {
  try {
    await tryToStore(client);
    return [ok("redis writes", "are accepted")];
  } catch (thrown) {
    const error = toError(thrown);
    // a user without the right to write this key may have others
    if (!isRefusedWrite(error)) return [];
    return [fail("redis writes", `are refused: ${error.message}`)];
  }
}

/** Tasks follow the clock of redis, not that of this host. */
async function askClock(client: RedisClient): Promise<Finding[]> {
  const sentAt = performance.now();
  const time = await client.time?.().catch(() => undefined); // hosted servers may refuse it
  if (!time) return [];
  const tookMs = performance.now() - sentAt;
  const [seconds, microseconds] = time.map(Number) as [number, number];
  const redisMs = seconds * 1000 + microseconds / 1000;
  const skewMs = Math.round(Date.now() - tookMs / 2 - redisMs);
  if (Math.abs(skewMs) - tookMs / 2 <= SKEW_LIMIT_MS)
    return [ok("redis clock", "that of this host agrees with it")];
  const side = skewMs > 0 ? "ahead of" : "behind";
  return [
    warn(
      "redis clock",
      `that of this host is ${Math.abs(skewMs)} ms ${side} it: tasks follow the clock of redis`,
    ),
  ];
}

/** How long the connections of a host that lost its power count as open. */
async function askKeepAlive(client: RedisClient): Promise<Finding[]> {
  const [name, text] = await configOf(client, "tcp-keepalive");
  const seconds = Number(text);
  if (name !== "tcp-keepalive" || !Number.isFinite(seconds)) return [];
  return seconds > 0
    ? [ok("redis tcp-keepalive", `${seconds} s`)]
    : [
        warn(
          "redis tcp-keepalive",
          "0: connections of a host that lost its power are never closed",
        ),
      ];
}

async function configOf(client: RedisClient, name: string): Promise<string[]> {
  try {
    return await client.config("GET", name);
  } catch {
    return [];
  }
}

/** Hosted servers refuse CONFIG; most of them persist, so the check reports nothing. */
async function hasSnapshots(client: RedisClient): Promise<boolean> {
  try {
    const [, schedule = ""] = await client.config("GET", "save");
    return schedule !== "";
  } catch {
    return true;
  }
}

function parseInfo(text: string): Record<string, string | undefined> {
  return Object.fromEntries(
    text
      .split(/\r?\n/)
      .filter((line) => line.includes(":"))
      .map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1)];
      }),
  );
}

// --- One redis client by the project's settings, for commands that only inspect redis.

/** The redis commands in use here. */
interface RedisClient extends Pick<Redis, "set"> {
  info(): Promise<string>;
  config(command: "GET", setting: string): Promise<string[]>;
  /** Seconds and microseconds. */
  time?(): Promise<(string | number)[]>;
  disconnect(): void;
  on(event: "error", listener: (error: Error) => void): void;
}

/** One entry of `config.redis`. */
interface ClientConfig {
  konstructor: ((...args: unknown[]) => RedisClient) &
    (new (...args: unknown[]) => RedisClient);
  args: unknown[];
  buildNew?: boolean;
}

/**
 * A client as `config.redis.client` describes it; the caller disconnects it.
 * @param onError called for every failed attempt to connect
 */
function openClient(
  redis: Record<string, unknown>,
  onError: (error: Error) => void = () => undefined,
): RedisClient {
  const { konstructor, args, buildNew } = redis.client as ClientConfig;
  const client =
    buildNew === false ? konstructor(...args) : new konstructor(...args);
  client.on("error", onError);
  if (!isEmbedded(client)) requireDatabase(client);
  return client;
}

/** Whether these settings select the in-process engine. */
export function usesEmbeddedRedis(redis: Record<string, unknown>): boolean {
  const client = openClient(redis);
  client.disconnect();
  return isEmbedded(client);
}
