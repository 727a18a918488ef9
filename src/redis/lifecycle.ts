/** The shape of `api.redis`, and how it is built, opened and closed. */
import type { Redis } from "ioredis";
import { api } from "../api";
import { env, id } from "../config/config";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { withTimeout } from "../utils/promises";
import {
  closeClients,
  connectClients,
  operationTimeout,
  type RedisClients,
} from "./clients";
import { noteReply, noteUnavailable, unlessFull, runStopStep } from "./outages";
import { refuseWhileAway } from "./commands";
import {
  addressOf,
  clusterOf,
  isCluster,
  isEmbedded,
  sameServer,
} from "./engine";
import { followPromotions } from "./failover";
import {
  closeSubscription,
  embeddedDelivery,
  openSubscription,
} from "./pubsub";
import { redis, abandonCalls, settleCall, handleCall } from "./redis";

/** Any message of the cluster's channel; at least `messageType` and `serverToken` are there. */
export interface PubSubMessage {
  [key: string]: any;
}

/** The message that a subscription handler gets, as published. */
export type SubscriptionHandler = (message: any) => unknown;

/** A pending call to another node. */
interface RpcCallback {
  timer: NodeJS.Timeout;
  resolve: (response: any) => void;
  reject: (error: Error) => void;
}

export interface RedisApi {
  clients: RedisClients;
  /** By `messageType`; assign one to receive messages of your own type. */
  subscriptionHandlers: { [messageType: string]: SubscriptionHandler };
  /** Pending calls, by message id. */
  rpcCallbacks: { [messageId: string]: RpcCallback };
  status: { subscribed: boolean };
  /** Subscribed channels besides `config.general.channel`. */
  channels: Set<string>;
}

declare module "../api" {
  interface Api {
    redis: RedisApi;
    /** Here so that every node can be told to log. */
    log: typeof log;
  }
}

let watchdog: Watchdog | undefined;
/** End what follows the connections. */
let leavers: (() => void)[] = [];

/**
 * Connect and subscribe.
 * @throws ActionheroError AH_REDIS_CONNECT
 */
export async function connectRedis(): Promise<void> {
  api.log = log;
  api.redis = {
    clients: {} as RedisClients,
    subscriptionHandlers: { do: handleCall, doResponse: settleCall },
    rpcCallbacks: {},
    status: { subscribed: false },
    channels: new Set(),
  };
  await connectClients(api.redis.clients);
  announceEngine(api.redis.clients.client);
  await openSubscription();
  watchdog = startWatchdog(api.redis.clients);
  const clients = Object.values(api.redis.clients);
  leavers = [followPromotions(clients), refuseCommands(clients)];
}

/** Announce this node to the cluster. */
export async function joinCluster(): Promise<void> {
  const message = `actionhero member ${id} has joined the cluster`;
  await unlessFull("announce this node", () =>
    redis.doCluster("api.log", [message]),
  );
  await embeddedDelivery();
}

/** Announce to the cluster that this node leaves, and close the connections. */
export async function leaveCluster(): Promise<void> {
  watchdog?.stop();
  watchdog = undefined;
  for (const leave of leavers.splice(0)) leave();
  await runStopStep(api.redis.clients.client, announceLeave);
  abandonCalls();
  await closeClients(api.redis.clients);
}

async function announceLeave(): Promise<void> {
  await closeSubscription();
  await redis.doCluster("api.log", [
    `actionhero member ${id} has left the cluster`,
  ]);
}

// --- Says at boot which redis this is.

function announceEngine(client: Redis): void {
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

// --- Commands for a server that has been away for `redis.operationTimeout` fail at once. The pings of the watchdog, and the
// question for the slots of a Redis Cluster, notice that it is back.

function refuseCommands(clients: readonly Redis[]): () => void {
  const ends = new Set<() => void>();
  const refuse = (ofOneServer: readonly Redis[]) => {
    const end = refuseWhileAway(ofOneServer);
    ends.add(end);
    ofOneServer[0]!.once("end", () => ends.delete(end));
  };
  const refuseNode = (node: Redis) => refuse([node]);
  const single: Redis[] = [];
  for (const client of clients) {
    const cluster = clusterOf(client);
    if (!cluster) {
      if (!isEmbedded(client)) single.push(client);
      continue;
    }
    cluster.nodes().forEach(refuseNode);
    cluster.on("+node", refuseNode);
    ends.add(() => cluster.off("+node", refuseNode));
  }
  for (const group of sameServer(single)) refuse(group);
  return () => {
    for (const end of ends) end();
  };
}

// --- Detects connections that are open but dead, for example after a power loss of the peer, and reopens them.

/** The interval of pings per connection, unless the operation timeout is shorter, in ms. */
const INTERVAL_MS = 5_000;

interface Watchdog {
  stop(): void;
}

/** Watch the connections; none of them uses blocking commands, for which workers have separate connections. */
function startWatchdog(clients: RedisClients): Watchdog {
  const watched = (["client", "subscriber", "tasks"] as const)
    .map((name) => [name, clients[name]] as const)
    .filter(
      // ioredis watches the masters of a Cluster itself, but not the one that has the subscriptions
      ([name, client]) =>
        !isEmbedded(client) && (name === "subscriber" || !isCluster(client)),
    );
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
    await withTimeout(
      timeout,
      probe(client),
      "AH_REDIS_TIMEOUT",
      () => "silent",
    );
    noteReply(client);
  } catch {
    if (client.status !== "ready") return; // it has already noticed
    noteUnavailable(
      client,
      `Redis connection \`${name}\` has not responded for ${timeout} ms; opening a new one`,
    );
    client.disconnect(true);
  }
}

/** Of a Redis Cluster, only a command for subscriptions is sent to the master that has them; this one is subscribed already. */
function probe(client: Redis): Promise<unknown> {
  return isCluster(client)
    ? client.subscribe(settings().general.channel)
    : client.ping();
}
