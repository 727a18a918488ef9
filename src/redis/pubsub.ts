/** Publishes and receives the messages of the cluster, and passes each to the handler of its type. */
import type { Command, Redis } from "ioredis";
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError, toError } from "../errors";
import { textForLogging } from "../log/filters";
import { log, willLog } from "../log/log";
import { isThenable } from "../utils/promises";
import { commandTimedOut, isRefusing } from "./commands";
import { A, defineOperation } from "./script";
import { runAtomically } from "./atomic";
import type { PubSubMessage } from "./lifecycle";
import { parseObject } from "../utils/objects";

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

/**
 * Wait until published messages reach this node: at once, unless its subscriber was disconnected.
 * @throws the error of redis; AH_REDIS_TIMEOUT when it does not return in time, at once while it is known to be away
 */
export async function untilSubscribed(): Promise<void> {
  if (!subscriptions || subscriptions.isConfirmed) return;
  if (isRefusing(api.redis.clients.subscriber)) throw commandTimedOut();
  await subscriptions.confirmed();
}

/**
 * Publish only while this node is subscribed: the publishing connection may be back before the subscribed one, and
 * messages in between would not reach local members.
 * @throws ActionheroError AH_REDIS_TIMEOUT when the subscriber was disconnected meanwhile, or does not return in time
 */
export async function publishWhileSubscribed<T>(
  publish: () => Promise<T>,
): Promise<T> {
  await untilSubscribed();
  const before = subscriptions?.disconnects;
  const receivers = await publish();
  if (subscriptions?.disconnects !== before)
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
  const { channels, clients } = api.redis;
  channels.add(channel);
  await untilReady(clients.subscriber);
  await clients.subscriber.subscribe(channel);
}

export async function removeChannel(channel: string): Promise<void> {
  const { channels, clients } = api.redis;
  channels.delete(channel);
  await untilReady(clients.subscriber);
  await clients.subscriber.unsubscribe(channel);
}

/**
 * ioredis sends a subscription while redis still loads its data, after which its own check whether redis is ready fails and
 * it reconnects. A ping waits until then, for at most `operationTimeout`.
 */
async function untilReady(subscriber: Redis): Promise<void> {
  if (subscriber.status === "connect") await subscriber.ping();
}

/** Users subscribe to their own channels on the same connection, so foreign messages are usually not an error. */
function receive(channel: string, raw: string): void {
  if (
    channel !== settings().general.channel &&
    !api.redis.channels.has(channel)
  )
    return;

  const message = parseObject(raw) as PubSubMessage | undefined;
  if (message?.serverToken !== settings().general.serverToken) {
    ignore("malformed, or from another cluster", channel, message);
    return;
  }
  const { messageType } = message;
  const { subscriptionHandlers } = api.redis;
  const handler = Object.hasOwn(subscriptionHandlers, messageType as string)
    ? subscriptionHandlers[messageType as string]
    : undefined;
  if (typeof handler !== "function") {
    ignore("of a type without a handler", channel, message);
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

/** Not its text, which may have the token of a cluster, and private texts. */
function ignore(
  reason: string,
  channel: string,
  message: PubSubMessage | undefined,
): void {
  if (!willLog("debug")) return;
  const messageType = textForLogging(message?.messageType);
  log(`ignored a message that is ${reason}`, "debug", { channel, messageType });
}

function report(messageType: unknown, error: unknown): void {
  log(
    `the handler of \`${String(messageType)}\` messages failed: ${String(error)}`,
    "error",
    { stack: toError(error).stack },
  );
}

// --- Restores subscriptions after a reconnect, and again if that reconnect fails: ioredis forgets those whose renewal was
// not confirmed.

/** How long after a failed attempt the next one begins, in ms, while the connection is open. */
const RETRY_MS = 1_000;

type Kind = "subscribe" | "psubscribe" | "ssubscribe";

class Subscriptions {
  /** All subscriptions that redis has confirmed, by kind. */
  private readonly wanted = new Map<Kind, Set<string>>();
  /** Whether it has confirmed all of it over the present connection. */
  isConfirmed = true;
  private renewing: Promise<void> | undefined = undefined;
  private timer: NodeJS.Timeout | undefined = undefined;
  private isEnded = false;
  /** How often the connection was lost. */
  disconnects = 0;

  constructor(private readonly client: Redis) {
    this.follow();
    client.on("close", () => {
      this.disconnects++;
      this.isConfirmed = false;
    });
    client.on("ready", () => this.keepTrying());
  }

  /** Stop renewing. */
  end(): void {
    this.isEnded = true;
    clearTimeout(this.timer);
  }

  /**
   * Resolves when all is subscribed: at once, unless the connection was lost.
   * @throws the error of redis, AH_REDIS_TIMEOUT when it does not return in time
   */
  async confirmed(): Promise<void> {
    // a renewal may have begun before the connection was lost again
    while (!this.isConfirmed && !this.isEnded) await this.renew();
  }

  private renew(): Promise<void> {
    this.renewing ??= this.askAgain().finally(() => {
      this.renewing = undefined;
    });
    return this.renewing;
  }

  private async askAgain(): Promise<void> {
    const { disconnects } = this;
    await untilReady(this.client);
    for (const [kind, names] of this.wanted)
      if (names.size > 0) await this.client[kind](...names);
    if (disconnects === this.disconnects) this.isConfirmed = true;
  }

  /** Retry until it succeeds or the connection closes; a new connection starts over. */
  private keepTrying(): void {
    clearTimeout(this.timer);
    if (this.isEnded || this.isConfirmed) return;
    this.confirmed().catch(() => {
      if (this.isEnded || this.client.status !== "ready") return;
      this.timer = setTimeout(() => this.keepTrying(), RETRY_MS).unref();
    });
  }

  /**
   * Record the subscribe commands of this connection. The embedded engine has no `sendCommand`, and never disconnects.
   */
  private follow(): void {
    const { client } = this;
    if (typeof client.sendCommand !== "function") return;
    const send = client.sendCommand.bind(client);
    client.sendCommand = (command: Command, stream) => {
      this.note(command);
      return send(command, stream);
    };
  }

  private note({ name: command, args, promise }: Command): void {
    const parts = /^([ps]?)(un)?subscribe$/.exec(command);
    if (!parts) return;
    const [, letter, isLeaving] = parts;
    const kind = `${letter}subscribe` as Kind;
    let names = this.wanted.get(kind);
    if (!names) this.wanted.set(kind, (names = new Set()));
    const update = (change: "add" | "delete") => {
      if (args.length === 0) names.clear();
      for (const name of args) names[change](String(name));
    };
    if (isLeaving) update("delete");
    // redis replies in order, so an unsubscribe sent before the confirmation wins
    const confirm = () => update(isLeaving ? "delete" : "add");
    promise.then(confirm, () => undefined); // the caller handles the error
  }
}

// --- Publishes a text at most once, and never after its deadline: a call that has failed is not delivered later. It may have
// been delivered before.

// KEYS: channel. ARGV: text. Returns how many subscribers got it.
// PUBLISH is not a write: a replica allows it. The write before it fails on a redis that refuses writes, so that a message
// that was reported as failed, and is sent again, has not been delivered. HDEL is allowed on a full redis, because it
// needs no memory.
const PUBLISH = defineOperation(`
redis.call('HDEL', ns .. 'ah:full', '')
return redis.call('PUBLISH', KEYS[1], ${A})`);

/** @returns the number of subscribers that received it */
export function publishText(
  client: Redis,
  channel: string,
  text: string,
): Promise<number> {
  return runAtomically(client, {
    script: PUBLISH,
    keys: [channel],
    args: [text],
    plain: () => client.publish(channel, text),
  });
}

/**
 * Resolves when what was published before has reached the subscribers of this process, if the engine is embedded: it
 * delivers in the next tick.
 */
export function embeddedDelivery(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
