/** Publishes messages of rooms, and delivers messages from the whole cluster to local members. */
import { api } from "../api";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { log } from "../log/log";
import { publishHeard } from "../redis/pubsub";
import { redis } from "../redis/redis";
import { shortText, tracing } from "../tracing/tracer";
import { sendWithinLimit, transportOf } from "./backlog";
import { chatError } from "./errors";
import { hasMiddleware } from "./middleware";
import { shareEncoding } from "./payload";
import { publishToRoom } from "./roomChannels";
import type {
  ChatConnection,
  ChatPayload,
  ChatPubSubMessage,
  ChatSender,
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
  if (!tracer) return publish(sender, room, message);
  const attributes = {
    "messaging.system": "actionhero",
    "messaging.operation.type": "send",
    "messaging.operation.name": "say",
    "messaging.destination.name": shortText(String(room)),
  };
  return tracer.run({ name: "say chat", kind: "producer", attributes }, () =>
    publish(sender, room, message),
  );
}

async function publish(
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
  const receivers = await publishHeard(() =>
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
    log("ignored a malformed chat message", "debug", { envelope });
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
    else Promise.resolve(deliverer(connection, payload)).catch(report);
  }
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
  if (transport) sendWithinLimit(transport, connection, payload, sendMessage);
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
