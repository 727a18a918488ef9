/** Builds, opens and closes `api.chatRoom`. */
import { api } from "../api";
import { config, id } from "../config/config";
import { log } from "../log/log";
import {
  broadcast,
  generateMessagePayload,
  incomingMessage,
  incomingMessagePerConnection,
} from "./broadcaster";
import { chatRoom } from "./chatRoom";
import { runMiddleware } from "./middleware";
import { forgetRoomChannels } from "./roomChannels";
import { RoomIndex } from "./roomIndex";
import {
  createRoom,
  eraseMembers,
  eraseMembersOfHost,
  KEYS,
} from "./roomStore";
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
  };
}

/** Take messages from now on, and make the rooms of `config.general.startingChatRooms`. */
export async function openChat(): Promise<void> {
  api.redis.subscriptionHandlers.chat = (message) =>
    api.chatRoom.incomingMessage(message);
  // an earlier process of this name may have ended without taking leave
  await api.chatRoom.removeMembersOfHost(String(id));
  for (const room of Object.keys(config.general.startingChatRooms ?? {})) {
    log(`ensuring the existence of the chatRoom: ${room}`, "debug");
    await createRoom(room);
  }
}

/** Strike off the connections that no server has ended. */
export async function closeChat(): Promise<void> {
  const { index } = api.chatRoom;
  forgetRoomChannels();
  try {
    for (const room of index.rooms) {
      const ids = [...index.membersOf(room)].map(({ id }) => id);
      await eraseMembers(room, ids);
    }
  } catch (error) {
    log(`members stay listed in their rooms: ${String(error)}`, "warning");
  }
}
