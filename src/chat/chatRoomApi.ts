/** Builds, opens and closes `api.chatRoom`, and keeps the members in redis up to date. */
import { api } from "../api";
import { logFailure, runStopStep, unlessFull } from "../redis/outages";
import {
  broadcast,
  generateMessagePayload,
  forgetRoomChannels,
} from "./broadcaster";
import {
  incomingMessage,
  incomingMessagePerConnection,
  runMiddleware,
} from "./delivery";
import { chatRoom } from "./chatRoom";
import {
  eraseMembers,
  eraseMembersOfHost,
  forEachRoom,
  KEYS,
  RoomIndex,
  client,
  createRoom,
  dataId,
  isThisServer,
  listRooms,
  listMembers,
  writeMember,
} from "./roomStore";
import type { ChatPubSubMessage, ChatRoomApi, ChatConnection } from "./types";
import type { Redis } from "ioredis";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { isCluster } from "../redis/engine";
import { leaveHere } from "./membership";

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
  await startReconciling();
}

/** End the remaining memberships, which no server has ended. */
export async function closeChat(): Promise<void> {
  const { index } = api.chatRoom;
  forgetRoomChannels();
  stopReconciling();
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
  const { client: redisClient } = api.redis.clients;
  try {
    // many rooms may take long, but an unresponsive redis must not
    if (!(await runStopStep(redisClient, () => redisClient.ping()))) return;
    await forEachRoom([...left.keys()], (room) =>
      eraseMembers(room, left.get(room)!),
    );
  } catch (error) {
    logFailure(
      redisClient,
      error,
      "members stay listed in their rooms",
      "warning",
    );
  }
}

// --- The members in redis are reconciled with the connections of this node after a start, and after an outage or data
// loss of redis.

/** The run id of redis, and that of its data, that each client saw at the last reconciliation. */
const knownRuns = new WeakMap<Redis, string>();

/** Reconcile now, and whenever redis is back. */
async function startReconciling(): Promise<void> {
  await unlessFull("create the chat rooms", () =>
    api.chatRoom.restoreMembers(),
  );
  client().on("ready", onRedisReady);
}

function stopReconciling(): void {
  client().off("ready", onRedisReady);
}

function onRedisReady(): void {
  api.chatRoom
    .restoreMembers()
    .catch((error: unknown) =>
      logFailure(
        client(),
        error,
        "cannot compare the members of rooms",
        "error",
      ),
    );
}

/**
 * Add local members that redis does not list, remove members listed for this node that do not exist here (unless
 * another process has the same id), and create the starting rooms.
 *
 * A local room that redis does not know is created again if redis has restarted or was emptied, because it has then lost
 * data; otherwise the room was destroyed while this node was disconnected, and its members here leave.
 */
async function restoreMembers(): Promise<void> {
  const hasLostData = await isAnotherRun();
  for (const room of startingRooms()) {
    log(`ensuring the existence of the chatRoom: ${room}`, "debug");
    await createRoom(room);
  }
  const known = new Set(await listRooms());
  for (const room of api.chatRoom.index.rooms) {
    if (known.has(room)) continue;
    if (hasLostData) {
      await createRoom(room);
      known.add(room);
    } else await leaveLostRoom(room);
  }
  await forEachRoom([...known], restoreRoom);
}

function startingRooms(): string[] {
  const { startingChatRooms, defaultChatRoom } = settings().general;
  const rooms = Object.keys(startingChatRooms ?? {});
  return defaultChatRoom ? [defaultChatRoom, ...rooms] : rooms;
}

async function restoreRoom(room: string): Promise<void> {
  const listed = await listMembers(room);
  const here = new Map<string, ChatConnection>();
  for (const connection of api.chatRoom.index.membersOf(room))
    here.set(connection.id, connection);

  const stale = [...listed].filter(
    ([member, { host }]) => isThisServer(host) && !here.has(member),
  );
  await eraseMembers(
    room,
    stale.map(([member]) => member),
  );
  const missing = [...here.values()].filter(
    (connection) =>
      !listed.has(connection.id) && connection.rooms.includes(room),
  );
  await Promise.all(missing.map((connection) => writeAgain(room, connection)));
}

async function writeAgain(
  room: string,
  connection: ChatConnection,
): Promise<void> {
  const details = await chatRoom.generateMemberDetails(connection);
  // it may have left while its details were generated
  if (connection.rooms.includes(room))
    await writeMember(room, connection.id, details);
}

async function leaveLostRoom(room: string): Promise<void> {
  for (const connection of [...api.chatRoom.index.membersOf(room)]) {
    try {
      await leaveHere(connection, room);
    } catch (error) {
      log(`${connection.id} is out of ${room}: ${String(error)}`, "debug");
    }
  }
}

/**
 * Whether redis is another process than at the last reconciliation, or its data was removed; true when in doubt.
 */
async function isAnotherRun(): Promise<boolean> {
  const redis = client();
  if (isCluster(redis)) return true;
  const [info, data] = await Promise.all([
    redis.info("server").catch(() => ""),
    dataId(),
  ]);
  const run = /^run_id:(\w+)/m.exec(String(info))?.[1];
  if (run === undefined) return true;
  const seen = `${run} ${data}`;
  const isKnown = knownRuns.get(redis) === seen;
  knownRuns.set(redis, seen);
  return !isKnown;
}
