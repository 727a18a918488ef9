/** Builds, opens and closes `api.chatRoom`. */
import { api } from "../api";
import { logFailure, runStopStep } from "../redis/outages";
import {
  broadcast,
  forgetRoomChannels,
  generateMessagePayload,
  incomingMessage,
  incomingMessagePerConnection,
  runMiddleware,
} from "./broadcaster";
import { chatRoom } from "./chatRoom";
import { closePresence, openPresence, restoreMembers } from "./presence";
import {
  eraseMembers,
  eraseMembersOfHost,
  forEachRoom,
  KEYS,
  RoomIndex,
} from "./roomStore";
import type { ChatPubSubMessage, ChatRoomApi } from "./types";

export function createChatRoomApi(): ChatRoomApi {
  const { addMember, removeMember, roomStatus } = chatRoom;
  return {
    middleware: {},
    globalMiddleware: [],
    messageChannel: "/actionhero/chat/chat",
    keys: { ...KEYS },
    index: new RoomIndex(),
    addMember,
    removeMember,
    roomStatus,
    broadcast,
    generateMessagePayload,
    incomingMessage,
    incomingMessagePerConnection,
    runMiddleware,
    removeMembersOfHost: eraseMembersOfHost,
    restoreMembers,
  };
}

/** Start receiving messages, and create the rooms of `config.general.startingChatRooms`. */
export async function openChat(): Promise<void> {
  api.redis.subscriptionHandlers.chat = (message: ChatPubSubMessage) =>
    api.chatRoom.incomingMessage(message);
  await openPresence();
}

/** End the remaining memberships, which no server has ended. */
export async function closeChat(): Promise<void> {
  const { index } = api.chatRoom;
  forgetRoomChannels();
  closePresence();
  const left = new Map<string, string[]>();
  for (const room of [...index.rooms]) {
    const members = [...index.membersOf(room)];
    for (const member of members) {
      index.remove(room, member);
      member.rooms = member.rooms.filter((name) => name !== room);
    }
    left.set(
      room,
      members.map(({ id }) => id),
    );
  }
  if (left.size > 0) await erase(left);
}

async function erase(left: ReadonlyMap<string, string[]>): Promise<void> {
  const { client } = api.redis.clients;
  try {
    // many rooms may take long, but an unresponsive redis must not
    if (!(await runStopStep(client, () => client.ping()))) return;
    await forEachRoom([...left.keys()], (room) =>
      eraseMembers(room, left.get(room)!),
    );
  } catch (error) {
    logFailure(client, error, "members stay listed in their rooms", "warning");
  }
}
