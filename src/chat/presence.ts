/**
 * Reconciles the members in redis with the connections of this node: after a start, and after an outage or data loss
 * of redis.
 */
import type { Redis } from "ioredis";
import { api } from "../api";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { logFailure, unlessFull } from "../redis/outages";
import { isCluster } from "../redis/engine";
import { chatRoom } from "./chatRoom";
import { leaveHere } from "./membership";
import {
  client,
  createRoom,
  eraseMembers,
  forEachRoom,
  isThisServer,
  listRooms,
  membersOf,
  writeMember,
} from "./roomStore";
import type { ChatConnection } from "./types";

/** The redis run id that each client saw at the last reconciliation. */
const knownRuns = new WeakMap<Redis, string>();

/** Reconcile now, and whenever redis is back. */
export async function openPresence(): Promise<void> {
  await unlessFull("create the chat rooms", () =>
    api.chatRoom.restoreMembers(),
  );
  client().on("ready", onRedisReady);
}

export function closePresence(): void {
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
 * A local room that redis does not know is created again if redis has restarted, because it has then lost data;
 * otherwise the room was destroyed while this node was disconnected, and its members here leave.
 */
export async function restoreMembers(): Promise<void> {
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
  const listed = await membersOf(room);
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

/** Returns true when in doubt. */
async function isAnotherRun(): Promise<boolean> {
  const redis = client();
  if (isCluster(redis)) return true;
  const info = await redis.info("server").catch(() => "");
  const run = /^run_id:(\w+)/m.exec(String(info))?.[1];
  if (run === undefined) return true;
  const isKnown = knownRuns.get(redis) === run;
  knownRuns.set(redis, run);
  return !isKnown;
}
