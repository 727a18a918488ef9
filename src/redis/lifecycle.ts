/** Builds, opens and closes `api.redis`. */
import { api } from "../api";
import { id } from "../config/config";
import { log } from "../log/log";
import { closeClients, connectClients, type RedisClients } from "./clients";
import { announceEngine } from "./engineNotice";
import { takeLeave } from "./leaving";
import { closeSubscription, openSubscription } from "./pubsub";
import { redis } from "./redis";
import { abandonCalls, settleCall } from "./rpc";
import { answerCall } from "./rpcTarget";
import { startWatchdog, type Watchdog } from "./watchdog";

let watchdog: Watchdog | undefined;

/**
 * Connect and subscribe.
 * @throws ActionheroError AH_REDIS_CONNECT
 */
export async function connectRedis(): Promise<void> {
  api.log = log;
  api.redis = {
    clients: {} as RedisClients,
    subscriptionHandlers: { do: answerCall, doResponse: settleCall },
    rpcCallbacks: {},
    status: { subscribed: false },
    channels: new Set(),
  };
  await connectClients(api.redis.clients);
  announceEngine(api.redis.clients.client);
  await openSubscription();
  watchdog = startWatchdog(api.redis.clients);
}

/** Announce this node to the cluster. */
export async function joinCluster(): Promise<void> {
  await redis.doCluster("api.log", [
    `actionhero member ${id} has joined the cluster`,
  ]);
}

/** Announce to the cluster that this node leaves, and close the connections. */
export async function leaveCluster(): Promise<void> {
  watchdog?.stop();
  watchdog = undefined;
  await takeLeave(api.redis.clients.client, sayGoodbye);
  abandonCalls();
  await closeClients(api.redis.clients);
}

async function sayGoodbye(): Promise<void> {
  await closeSubscription();
  await redis.doCluster("api.log", [
    `actionhero member ${id} has left the cluster`,
  ]);
}
