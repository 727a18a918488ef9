/** Builds, opens and closes `api.redis`. */
import { api } from "../api";
import { id } from "../config/config";
import { toError } from "../errors";
import { log } from "../log/log";
import { within } from "./bounded";
import { closeClients, connectClients, type RedisClients } from "./clients";
import { announceEngine } from "./engineNotice";
import { closeSubscription, openSubscription } from "./pubsub";
import { redis } from "./redis";
import { abandonCalls, settleCall } from "./rpc";
import { answerCall } from "./rpcTarget";
import { startWatchdog, type Watchdog } from "./watchdog";

/** Longest time that taking leave of the other nodes may take, in ms. */
const LEAVE_TIMEOUT_MS = 1_000;

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

/** Tell the cluster that this node is there. */
export async function joinCluster(): Promise<void> {
  await redis.doCluster("api.log", [
    `actionhero member ${id} has joined the cluster`,
  ]);
}

/** Tell the cluster that this node leaves, and close the connections. */
export async function leaveCluster(): Promise<void> {
  watchdog?.stop();
  watchdog = undefined;
  try {
    await within(
      LEAVE_TIMEOUT_MS,
      takeLeave(),
      "AH_REDIS_TIMEOUT",
      () => "redis does not answer",
    );
  } catch (error) {
    log(`left without notice: ${toError(error).message}`, "debug");
  }
  abandonCalls();
  await closeClients(api.redis.clients);
}

async function takeLeave(): Promise<void> {
  await closeSubscription();
  await redis.doCluster("api.log", [
    `actionhero member ${id} has left the cluster`,
  ]);
}
