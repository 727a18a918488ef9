/**
 * One redis channel per room (`config.redis.chatChannelPerRoom`): a node receives only messages of rooms with local
 * members. Every node of the cluster must enable it; nodes of v29 do not support it.
 */
import { api } from "../api";
import { settings } from "../config/settings";
import { jsonForClients } from "../exposure/json";
import { addChannel, publishText, removeChannel } from "../redis/pubsub";
import type { ChatPubSubMessage } from "./types";

/** The subscriptions of this process by room, some still in progress. */
const openings = new Map<string, Promise<void>>();

function channelOf(room: string): string {
  return `${settings().general.channel}:chat:${room}`;
}

/**
 * Publish to the nodes with members in the envelope's room.
 * @returns the number of these nodes
 */
export async function publishToRoom(
  envelope: ChatPubSubMessage,
): Promise<number> {
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
