/** Publishes messages of rooms: on the channel of the cluster, or on one per room. */
import { api } from "../api";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import {
  publishWhileSubscribed,
  addChannel,
  publishText,
  removeChannel,
} from "../redis/pubsub";
import { redis } from "../redis/redis";
import { shortText, traced } from "../tracing/tracer";
import {
  chatError,
  type ChatPayload,
  type ChatPubSubMessage,
  type ChatSender,
} from "./types";
import { jsonForClients } from "../exposure/json";

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
  return traced(
    () => spanOfSay(room),
    () => sendToRoom(sender, room, message),
  );
}

function spanOfSay(room: string) {
  const attributes = {
    "messaging.system": "actionhero",
    "messaging.operation.type": "send",
    "messaging.operation.name": "say",
    "messaging.destination.name": shortText(String(room)),
  };
  return { name: "say chat", kind: "producer" as const, attributes };
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

// --- One redis channel per room (`config.redis.chatChannelPerRoom`): a node receives only messages of rooms with
// local members. Every node of the cluster must enable it; nodes of v29 do not support it.

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
