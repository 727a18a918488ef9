/** Publishes messages of rooms, and delivers messages from the whole cluster to local members. */
import { api } from "../api";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { jsonForClients } from "../log/exposure";
import { log } from "../log/log";
import {
  addChannel,
  publishWhileSubscribed,
  publishText,
  removeChannel,
} from "../redis/pubsub";
import { redis } from "../redis/redis";
import { shortText, traceMiddleware, tracing } from "../tracing/tracer";
import {
  type ChatConnection,
  type ChatDirection,
  chatError,
  type ChatPayload,
  type ChatPubSubMessage,
  type ChatSender,
} from "./types";

/**
 * Send a message to all members of a room, on all nodes.
 * @param sender null, or an object without `rooms`, for the server itself
 * @param message any JSON value except null; 0, false and "" are allowed
 * @throws Error when room or message are missing, the sender is not in the room, or redis is unavailable; in the
 * last case the message may have reached some members
 */
export function broadcast(
  sender: ChatSender | null | undefined,
  room: string,
  message: unknown,
): Promise<void> {
  const { tracer } = tracing;
  if (!tracer) return sendToRoom(sender, room, message);
  const attributes = {
    "messaging.system": "actionhero",
    "messaging.operation.type": "send",
    "messaging.operation.name": "say",
    "messaging.destination.name": shortText(String(room)),
  };
  return tracer.run({ name: "say chat", kind: "producer", attributes }, () =>
    sendToRoom(sender, room, message),
  );
}

async function sendToRoom(
  sender: ChatSender | null | undefined,
  room: string,
  message: unknown,
): Promise<void> {
  const connection = sender ?? {};
  if (!room || message === undefined || message === null)
    throw await chatError("connectionRoomAndMessage", connection);
  if (connection.rooms !== undefined && !connection.rooms.includes(room))
    throw await chatError("connectionNotInRoom", connection, room);

  const payload = api.chatRoom.generateMessagePayload(
    envelopeOf(message, Date.now(), connection.id || "0", room),
  ) as ChatPayload;
  const accepted = (await api.chatRoom.runMiddleware(
    connection,
    payload.room,
    "onSayReceive",
    payload,
  )) as ChatPayload | null | undefined;
  if (accepted === null || accepted === undefined) return;

  const envelope = envelopeOf(
    accepted.message as unknown,
    accepted.sentAt,
    accepted.from,
    accepted.room,
  );
  const receivers = await publishWhileSubscribed(() =>
    settings().redis.chatChannelPerRoom
      ? publishToRoom(envelope)
      : redis.publish(envelope),
  );
  if (receivers === undefined)
    throw new ActionheroError("AH_REDIS_TIMEOUT", "redis is disconnected");
}

function envelopeOf(
  message: unknown,
  sentAt: number,
  from: string,
  room: string,
): ChatPubSubMessage {
  return {
    messageType: "chat",
    serverToken: settings().general.serverToken,
    serverId: id,
    message,
    sentAt,
    connection: { id: from, room },
  };
}

/** The payload that members get for an envelope; users replace it on `api.chatRoom`. */
export function generateMessagePayload(
  envelope: ChatPubSubMessage,
): ChatPayload {
  const { sentAt, connection } = envelope;
  return {
    message: envelope.message as unknown,
    room: connection.room,
    from: connection.id,
    context: "user",
    sentAt,
  };
}

/** Handles `chat` messages: delivers the payload to every local member. */
export function incomingMessage(envelope: ChatPubSubMessage): void {
  if (typeof envelope.connection?.room !== "string") {
    const { serverId } = envelope; // not the message, which may be private
    log("ignored a malformed chat message", "debug", { serverId });
    return;
  }
  const payload = api.chatRoom.generateMessagePayload(envelope) as ChatPayload;
  const members = api.chatRoom.index.membersOf(payload.room);
  if (members.size === 0) return;

  const { incomingMessagePerConnection: deliverer } = api.chatRoom;
  const isPlain =
    deliverer === incomingMessagePerConnection && !hasMiddleware("say");
  shareEncoding(payload);
  // a copy: a slow consumer that is disconnected leaves the set
  for (const connection of [...members]) {
    if (isPlain) deliver(connection, payload);
    else deliverBy(deliverer, connection, payload).catch(report);
  }
}

/** Async, so that a project's function that throws for one member does not keep the message from the others. */
async function deliverBy(
  deliverer: typeof incomingMessagePerConnection,
  connection: ChatConnection,
  payload: ChatPayload,
): Promise<void> {
  await deliverer(connection, payload);
}

/** Deliver a payload to one connection, if it is in the room and the `say` middleware does not drop it. */
export async function incomingMessagePerConnection(
  connection: ChatConnection,
  payload: ChatPayload,
): Promise<void> {
  const { room } = payload;
  if (!isMember(connection, room)) return;
  try {
    const own = (await api.chatRoom.runMiddleware(
      connection,
      room,
      "say",
      payload,
    )) as object | null | undefined;
    if (own === null || own === undefined) return;
    if (!isMember(connection, room)) return; // it may have left while the middleware ran
    // an unchanged payload is shared by all members, so it is encoded once
    send(connection, isSame(own, payload) ? payload : own);
  } catch (error) {
    log(String(error), "warning", {
      messagePayload: payload,
      connection: connection.id,
    });
  }
}

function deliver(connection: ChatConnection, payload: ChatPayload): void {
  if (isMember(connection, payload.room)) send(connection, payload);
}

function isMember(connection: ChatConnection, room: string): boolean {
  return (
    connection.canChat === true &&
    connection.destroyed !== true &&
    connection.rooms.includes(room)
  );
}

function send(connection: ChatConnection, payload: object): void {
  const transport = transportOf(connection);
  if (transport) sendWithinLimit(transport, connection, payload);
  else sendMessage(connection, { ...payload }); // this server may modify the message
}

function sendMessage(connection: ChatConnection, payload: object): void {
  try {
    const sending = connection.sendMessage(payload, "say");
    if (sending instanceof Promise) sending.catch(report);
  } catch (error) {
    report(error);
  }
}

function report(error: unknown): void {
  log(`sending a chat message failed: ${String(error)}`, "warning");
}

/** Only primitive values count as unchanged: an object may have been modified inside. */
function isSame(own: object, shared: object): boolean {
  const entries = Object.entries(shared) as [string, unknown][];
  if (Object.keys(own).length !== entries.length) return false;
  return entries.every(([key, value]) => {
    const isFixed = typeof value !== "object" || value === null;
    return isFixed && value === (own as Record<string, unknown>)[key];
  });
}

// --- Limits the memory of a slow consumer: its chat messages come from others, who do not wait for it.

/**
 * Implemented by servers with a backlog limit. The method implies two things: the server reports how many bytes wait
 * for a client, and its `sendMessage` does not modify the message, so that all members can share one object (see
 * `encodeOnce`). Members of other servers each get a copy, without a limit.
 */
export interface ChatTransport {
  /**
   * The bytes that the server has accepted for the connection but not yet passed to the operating system, including
   * bytes that it holds until the end of the tick. Called twice per delivery.
   */
  bufferedBytes(connection: any): number;
}

/** Bytes of chat messages that wait for each connection; absent means 0. */
const bytesWaiting = new WeakMap<ChatConnection, number>();

/** The server of a connection, if it has a backlog limit. */
function transportOf(connection: ChatConnection): ChatTransport | undefined {
  const { servers } = api as {
    servers?: { servers: Record<string, Partial<ChatTransport>> };
  };
  const server = servers?.servers[connection.type ?? ""];
  return typeof server?.bufferedBytes === "function"
    ? (server as ChatTransport)
    : undefined;
}

/**
 * Send to a member, or disconnect it if too many chat messages already wait for it.
 *
 * Replies and files wait in the same buffer and have their own, larger limit; here, only bytes that chat has added
 * since the buffer was last empty count.
 */
function sendWithinLimit(
  transport: ChatTransport,
  connection: ChatConnection,
  payload: object,
): void {
  const before = transport.bufferedBytes(connection);
  const ours =
    before > 0 ? Math.min(bytesWaiting.get(connection) ?? 0, before) : 0;
  const limit = settings().general.chatBacklogLimit;
  if (limit > 0 && ours > limit) return disconnect(connection, ours, limit);

  sendMessage(connection, payload);
  const added = Math.max(transport.bufferedBytes(connection) - before, 0);
  if (ours + added > 0) bytesWaiting.set(connection, ours + added);
  else bytesWaiting.delete(connection);
}

function disconnect(
  connection: ChatConnection,
  ours: number,
  limit: number,
): void {
  log(
    `disconnecting ${connection.id}, a slow consumer: ${ours} bytes of chat messages are waiting (limit ${limit})`,
    "warning",
    { type: connection.type, rooms: connection.rooms },
  );
  bytesWaiting.delete(connection);
  Promise.resolve(connection.destroy?.()).catch((error: unknown) =>
    log(`disconnecting ${connection.id} failed: ${String(error)}`, "error"),
  );
}

// --- Runs the users' chat hooks.

/** Whether any middleware has a function for this direction. */
function hasMiddleware(direction: ChatDirection): boolean {
  const { globalMiddleware, middleware } = api.chatRoom;
  for (const name of globalMiddleware) {
    if (typeof middleware[name]?.[direction] === "function") return true;
  }
  return false;
}

/**
 * Run the hooks of one direction in the order of their priorities.
 * @param payload the message; each hook gets the result of the previous one, starting with a copy
 * @returns the last payload; null if a hook returned nothing, which ends the chain
 */
export async function runMiddleware(
  connection: ChatConnection | object,
  room: string,
  direction: ChatDirection,
  payload?: any,
): Promise<any> {
  let current: unknown = payload ? { ...payload } : undefined;
  for (const name of [...api.chatRoom.globalMiddleware]) {
    const middleware = api.chatRoom.middleware[name];
    if (typeof middleware?.[direction] !== "function") continue;
    const { tracer } = tracing;
    const call = (given: unknown): unknown =>
      middleware[direction]!(connection, room, given);
    const changed: unknown = await (tracer
      ? traceMiddleware(tracer, { name, phase: direction }, () => call(current))
      : call(current));
    if (!payload) continue;
    if (changed === null || changed === undefined) return null;
    current = changed;
  }
  return payload ? current : payload;
}

// --- Encoding a chat message once per transport instead of once per member.
//
// All members that get the same message get the *same object* through `connection.sendMessage`. A transport that
// encodes with `encodeOnce(message, "its name", encode)` encodes such an object for its first member and gets the
// same bytes for all others; any other message is encoded each time, because it may have changed.

/** The encoded forms of each message with several recipients, by transport. */
const encodedForms = new WeakMap<object, Map<string, unknown>>();

/** Mark an object as immutable from now on, and about to be sent to many. */
export function shareEncoding<T extends object>(message: T): T {
  encodedForms.set(message, new Map());
  return message;
}

/**
 * The encoded form of a message.
 * @param transport names the form, e.g. `"websocket"`; one name, one form
 * @param encode creates the form; the result must not be modified afterwards, because others send it too
 */
export function encodeOnce<T, M extends object>(
  message: M,
  transport: string,
  encode: (message: M) => T,
): T {
  const forms = encodedForms.get(message);
  if (!forms) return encode(message);
  if (!forms.has(transport)) forms.set(transport, encode(message));
  return forms.get(transport) as T;
}

// --- One redis channel per room (`config.redis.chatChannelPerRoom`): a node receives only messages of rooms with local
// members. Every node of the cluster must enable it; nodes of v29 do not support it.

/** The subscriptions of this process by room, some still in progress. */
const openings = new Map<string, Promise<void>>();

function channelOf(room: string): string {
  return `${settings().general.channel}:chat:${room}`;
}

/**
 * Publish to the nodes with members in the envelope's room.
 * @returns the number of these nodes
 */
async function publishToRoom(envelope: ChatPubSubMessage): Promise<number> {
  const channel = channelOf(envelope.connection.room);
  return publishText(
    api.redis.clients.client,
    channel,
    jsonForClients(envelope),
  );
}

/** Subscribe to a room; awaited before a join is confirmed, so that the member misses no message. */
export async function openRoomChannel(room: string): Promise<void> {
  if (!settings().redis.chatChannelPerRoom) return;
  let opening = openings.get(room);
  if (!opening) {
    opening = addChannel(channelOf(room));
    openings.set(room, opening);
    opening.catch(() => openings.delete(room));
  }
  await opening;
}

/** Unsubscribe, unless a member remains. */
export async function closeRoomChannel(room: string): Promise<void> {
  if (!openings.has(room) || api.chatRoom.index.membersOf(room).size > 0)
    return;
  openings.delete(room);
  await removeChannel(channelOf(room));
}

/** Forget all subscriptions, after they were ended or the connections to redis were lost. */
export function forgetRoomChannels(): void {
  openings.clear();
}
