/** Builds, checks and closes the redis connections of this process: `client`, `subscriber` and `tasks`. */
import type { Redis } from "ioredis";
import { api } from "../api";
import type { RedisEntry } from "../config/settingTypes";
import { settings } from "../config/settings";
import { within } from "../utils/promises";
import { markFailures } from "./away";
import { ConnectionLog } from "./connectionLog";
import { disconnect, isCluster, isEmbedded } from "./engine";
import { boundSentinels, followFailover } from "./failover";
import { deferLua } from "./lazyLua";
import { Patience, reach } from "./reach";
import { shareTimeouts } from "./sharedTimeouts";

/** The connections, by the names that `config.redis` gives them. */
export interface RedisClients {
  [name: string]: Redis;
  /** Commands and publishing. */
  client: Redis;
  /** Subscriptions only. */
  subscriber: Redis;
  /** The task queue. */
  tasks: Redis;
}

const NAMES = ["client", "subscriber", "tasks"] as const;
/** Idle time after which the operating system probes the peer. */
const KEEP_ALIVE_MS = 15_000;

/** How long ioredis waits at most, by default, before it asks again whether redis has loaded its data, in ms. */
const LOADING_WAIT_MS = 10_000;
/** The same for our connections: the time that redis estimates is usually too long. */
const LOADING_RETRY_MS = 500;
/** How long one operation on redis may take, in ms. */
export function operationTimeout(): number {
  return settings().redis.operationTimeout;
}

/**
 * The client for commands.
 * @param user the feature that needs it, for the error
 */
export function commandClient(user: string): Redis {
  const client = api.redis?.clients.client;
  if (!client) throw new Error(`redis not connected, ${user} cannot be used`);
  return client;
}

/**
 * Create all connections and wait until they respond.
 * @throws ActionheroError AH_REDIS_CONNECT after `config.redis.connectTimeout` ms, or at once when redis refuses us
 */
export async function connectClients(clients: RedisClients): Promise<void> {
  const connectionLog = new ConnectionLog(operationTimeout());
  const patience = new Patience(settings().redis.connectTimeout);
  deferLua();
  try {
    for (const name of NAMES) {
      const client = build(name, connectionLog);
      clients[name] = client;
      await reach(name, client, patience);
    }
  } catch (error) {
    for (const client of Object.values(clients)) disconnect(client);
    throw error;
  }
}

function build(name: string, connectionLog: ConnectionLog): Redis {
  const { konstructor, args, buildNew } = settings().redis[
    name as (typeof NAMES)[number]
  ] as RedisEntry;

  if (buildNew !== true) {
    const client = (konstructor as (args: unknown) => Redis)(args);
    if (!isEmbedded(client)) markFailures(client);
    connectionLog.followErrors(name, client);
    return client;
  }
  const Konstructor = konstructor as new (...args: unknown[]) => Redis;
  const client = new Konstructor(...boundSentinels(args ?? []));
  boundWaits(client);
  connectionLog.follow(name, client);
  return client;
}

/** Without these, an unresponsive redis would block its callers forever; options of the user are kept. */
function boundWaits(client: Redis): void {
  if (isEmbedded(client)) return;
  markFailures(client);
  if (!isCluster(client)) {
    followFailover(client);
    return bound(client);
  }
  // a Cluster creates its connections from then on
  client.on("+node", bound);
}

function bound(client: Redis): void {
  const { options } = client;
  options.commandTimeout ??= operationTimeout();
  options.keepAlive ||= KEEP_ALIVE_MS;
  if (options.maxLoadingRetryTime === LOADING_WAIT_MS)
    options.maxLoadingRetryTime = LOADING_RETRY_MS;
  shareTimeouts(client);
}

/** Disconnect from redis; connections that do not respond within `config.redis.stopTimeout` ms are closed. */
export async function closeClients(clients: RedisClients): Promise<void> {
  const grace = settings().redis.stopTimeout;
  await Promise.all(Object.values(clients).map((one) => close(one, grace)));
}

async function close(client: Redis, grace: number): Promise<void> {
  if (client.status === "end") return;
  if (typeof client.quit !== "function") return disconnect(client);
  try {
    const leave = Promise.resolve(client.quit());
    await within(
      grace,
      leave,
      "AH_REDIS_TIMEOUT",
      () => "redis did not close the connection",
    );
    if (client.status === "reconnecting") disconnect(client); // there is no connection to quit
  } catch {
    disconnect(client);
  }
}
