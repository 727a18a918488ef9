/** Receives the cluster's messages and hands each to the handler of its type. */
import type { Redis } from "ioredis";
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError, toError } from "../errors";
import { log, willLog } from "../log/log";
import { isThenable } from "../utils/promises";
import type { PubSubMessage } from "./types";

/** Longest part of an ignored message that the log shows, in characters. */
const SHOWN_LENGTH = 200;

/** Subscribers that were cut off and may not be subscribed again yet. */
const deaf = new WeakSet<Redis>();
/** How often each subscriber was cut off. */
const cuts = new WeakMap<Redis, number>();

/** Take the messages of the cluster's channel. */
export async function openSubscription(): Promise<void> {
  const { clients, status } = api.redis;
  if (status.subscribed) return;
  const { subscriber } = clients;
  subscriber.on("message", receive);
  subscriber.on("close", () => {
    deaf.add(subscriber);
    cuts.set(subscriber, (cuts.get(subscriber) ?? 0) + 1);
  });
  await subscriber.subscribe(settings().general.channel);
  status.subscribed = true;
}

/** Wait until what is published reaches this node: at once, unless its subscriber was cut off. */
export async function untilHearing(): Promise<void> {
  const { subscriber } = api.redis.clients;
  if (!deaf.has(subscriber)) return;
  await subscriber.ping(); // answered after the subscriptions, which are renewed first
  deaf.delete(subscriber);
}

/**
 * Publish only while this node is subscribed: the connection that publishes may be back before the one that listens,
 * and what redis accepts in between reaches none of the members here.
 * @throws ActionheroError AH_REDIS_TIMEOUT when the subscriber was cut off meanwhile, or does not come back in time
 */
export async function publishHeard<T>(publish: () => Promise<T>): Promise<T> {
  await untilHearing();
  const { subscriber } = api.redis.clients;
  const before = cuts.get(subscriber);
  const receivers = await publish();
  if (cuts.get(subscriber) !== before)
    throw new ActionheroError("AH_REDIS_TIMEOUT", "redis is disconnected");
  return receivers;
}

/** Take no more messages, of any channel. */
export async function closeSubscription(): Promise<void> {
  const { clients, status, channels } = api.redis;
  status.subscribed = false;
  channels.clear();
  await clients.subscriber.unsubscribe();
}

/** Take the messages of one more channel, in the same envelopes. */
export async function addChannel(channel: string): Promise<void> {
  api.redis.channels.add(channel);
  await api.redis.clients.subscriber.subscribe(channel);
}

export async function removeChannel(channel: string): Promise<void> {
  api.redis.channels.delete(channel);
  await api.redis.clients.subscriber.unsubscribe(channel);
}

/** Users subscribe to channels of their own on the same connection, so most of what is not ours is no error. */
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

/** Not only promises of this realm: what a user's library returns counts, too. */

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
