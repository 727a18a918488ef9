/**
 * One redis channel per room (`config.redis.chatChannelPerRoom`): a node hears only of rooms that it has members in.
 * Every node of the cluster must have it on, and nodes of v29 cannot.
 */
import { api } from "../api";
import { settings } from "../config/settings";
import { jsonForClients } from "../log/clientJson";
import { publishText } from "../redis/publish";
import { addChannel, removeChannel } from "../redis/pubsub";
import type { ChatPubSubMessage } from "./types";

/** The subscriptions of this process, some still under way, by room. */
const openings = new Map<string, Promise<void>>();

function channelOf(room: string): string {
  return `${settings().general.channel}:chat:${room}`;
}

/**
 * Publish to the nodes with members in the envelope's room.
 * @returns how many there are
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

/** Listen to a room; awaited before a member hears that it is in, so that it misses nothing. */
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

/** Listen no more, unless somebody is there still. */
export async function closeRoomChannel(room: string): Promise<void> {
  if (!openings.has(room) || api.chatRoom.index.membersOf(room).size > 0)
    return;
  openings.delete(room);
  await removeChannel(channelOf(room));
}

/** Forget all subscriptions; redis has been told, or its connections are gone. */
export function forgetRoomChannels(): void {
  openings.clear();
}
