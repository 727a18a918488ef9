/** Builds, opens and closes `api.chatRoom`. */
import { api } from "../api";
import { log } from "../log/log";
import {
  broadcast,
  generateMessagePayload,
  incomingMessage,
  incomingMessagePerConnection,
} from "./broadcaster";
import { chatRoom } from "./chatRoom";
import { runMiddleware } from "./middleware";
import { closePresence, openPresence, restoreMembers } from "./presence";
import { forgetRoomChannels } from "./roomChannels";
import { RoomIndex } from "./roomIndex";
import { eraseMembers, eraseMembersOfHost, KEYS } from "./roomStore";
import type { ChatRoomApi } from "./types";

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

/** Take messages from now on, and make the rooms of `config.general.startingChatRooms`. */
export async function openChat(): Promise<void> {
  api.redis.subscriptionHandlers.chat = (message) =>
    api.chatRoom.incomingMessage(message);
  await openPresence();
}

/** End the memberships of connections that no server has ended. */
export async function closeChat(): Promise<void> {
  const { index } = api.chatRoom;
  forgetRoomChannels();
  try {
    closePresence();
    for (const room of index.rooms) {
      const members = [...index.membersOf(room)];
      for (const member of members) {
        index.remove(room, member);
        member.rooms = member.rooms.filter((name) => name !== room);
      }
      await eraseMembers(
        room,
        members.map(({ id }) => id),
      );
    }
  } catch (error) {
    log(`members stay listed in their rooms: ${String(error)}`, "warning");
  }
}
