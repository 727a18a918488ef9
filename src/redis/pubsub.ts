/** Receives the cluster's messages and passes each to the handler of its type. */
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError, toError } from "../errors";
import { log, willLog } from "../log/log";
import { isThenable } from "../utils/promises";
import { Subscriptions } from "./subscriptions";
import type { PubSubMessage } from "./types";

/** Longest part of an ignored message that the log shows, in characters. */
const SHOWN_LENGTH = 200;

let subscriptions: Subscriptions | undefined;

/** Subscribe to the cluster's channel. */
export async function openSubscription(): Promise<void> {
  const { clients, status } = api.redis;
  if (status.subscribed) return;
  const { subscriber } = clients;
  subscriber.on("message", receive);
  subscriptions = new Subscriptions(subscriber);
  await subscriber.subscribe(settings().general.channel);
  status.subscribed = true;
}

/** Wait until published messages reach this node: at once, unless its subscriber was disconnected. */
export async function untilHearing(): Promise<void> {
  await subscriptions?.confirmed();
}

/**
 * Publish only while this node is subscribed: the publishing connection may be back before the subscribed one, and
 * messages in between would not reach local members.
 * @throws ActionheroError AH_REDIS_TIMEOUT when the subscriber was disconnected meanwhile, or does not return in time
 */
export async function publishHeard<T>(publish: () => Promise<T>): Promise<T> {
  await untilHearing();
  const before = subscriptions?.cuts;
  const receivers = await publish();
  if (subscriptions?.cuts !== before)
    throw new ActionheroError("AH_REDIS_TIMEOUT", "redis is disconnected");
  return receivers;
}

/** Unsubscribe from all channels. */
export async function closeSubscription(): Promise<void> {
  const { clients, status, channels } = api.redis;
  status.subscribed = false;
  channels.clear();
  subscriptions?.end();
  subscriptions = undefined;
  await clients.subscriber.unsubscribe();
}

/** Subscribe to another channel with the same envelopes. */
export async function addChannel(channel: string): Promise<void> {
  api.redis.channels.add(channel);
  await api.redis.clients.subscriber.subscribe(channel);
}

export async function removeChannel(channel: string): Promise<void> {
  api.redis.channels.delete(channel);
  await api.redis.clients.subscriber.unsubscribe(channel);
}

/** Users subscribe to their own channels on the same connection, so foreign messages are usually not an error. */
function receive(channel: string, raw: string): void {
  if (
    channel !== settings().general.channel &&
    !api.redis.channels.has(channel)
  )
    return;

  const message = parse(raw);
  if (message?.serverToken !== settings().general.serverToken) {
    ignore("malformed or of another cluster", channel, raw);
    return;
  }
  const { messageType } = message;
  const { subscriptionHandlers } = api.redis;
  const handler = Object.hasOwn(subscriptionHandlers, messageType as string)
    ? subscriptionHandlers[messageType as string]
    : undefined;
  if (typeof handler !== "function") {
    ignore("of a type that nobody handles", channel, raw);
    return;
  }
  try {
    const result = handler(message);
    if (isThenable(result))
      result.then(undefined, (error: unknown) => report(messageType, error));
  } catch (error) {
    report(messageType, error);
  }
}

function parse(raw: string): PubSubMessage | undefined {
  try {
    const message: unknown = JSON.parse(raw);
    return typeof message === "object" && message !== null
      ? message
      : undefined;
  } catch {
    return undefined;
  }
}

function ignore(reason: string, channel: string, raw: string): void {
  if (!willLog("debug")) return;
  const start = raw.slice(0, SHOWN_LENGTH);
  log(`ignored a message that is ${reason}`, "debug", { channel, start });
}

function report(messageType: unknown, error: unknown): void {
  log(
    `the handler of \`${String(messageType)}\` messages failed: ${String(error)}`,
    "error",
    { stack: toError(error).stack },
  );
}
