/** Joining and leaving of the connections of this process. */
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { within } from "../utils/promises";
import { logFailure } from "../redis/connectionLog";
import { chatError } from "./errors";
import { closeRoomChannel, openRoomChannel } from "./roomChannels";
import {
  createAnotherRoom,
  eraseMembers,
  hasRoom,
  writeMember,
} from "./roomStore";
import type { ChatConnection, MemberDetails } from "./types";

/** Longest time that the leaving of a connection that has gone waits for redis, in ms. */
const GONE_WAIT_MS = 1_000;

/** Joins and leaves under way, by room: two at once of one connection must not both take effect. */
const moves = new WeakMap<ChatConnection, Map<string, Promise<true>>>();

/** The connection, if this process holds it. */
export function localConnection(id: string): ChatConnection | undefined {
  const { connections } = api as unknown as {
    connections?: { table: { find(id: string): ChatConnection | undefined } };
  };
  return connections?.table.find(id);
}

/**
 * Make a connection a member.
 * @param describe what redis is to hold of it
 * @throws Error when it is one already, the room does not exist, or a `join` middleware throws
 */
export async function joinHere(
  connection: ChatConnection,
  room: string,
  describe: () => Promise<MemberDetails>,
): Promise<true> {
  if (connection.rooms.includes(room) || movesOf(connection).has(room))
    throw await chatError("connectionAlreadyInRoom", connection, room);
  return move(connection, room, () => join(connection, room, describe));
}

/**
 * End a membership.
 * @throws Error when there is none, the room does not exist, or a `leave` middleware throws; a connection that is
 * destroyed, or whose room is gone, has left all the same
 */
export async function leaveHere(
  connection: ChatConnection,
  room: string,
): Promise<true> {
  if (!connection.rooms.includes(room))
    throw await chatError("connectionNotInRoom", connection, room);
  const underWay = movesOf(connection).get(room);
  return underWay ?? move(connection, room, () => leave(connection, room));
}

async function join(
  connection: ChatConnection,
  room: string,
  describe: () => Promise<MemberDetails>,
): Promise<true> {
  if (!(await hasRoom(room))) {
    if (!settings().general.autoCreateChatRooms)
      throw await chatError("connectionRoomNotExist", room);
    await createAnotherRoom(room);
  }
  await api.chatRoom.runMiddleware(connection, room, "join");

  api.chatRoom.index.add(room, connection);
  try {
    await openRoomChannel(room);
    const details = await describe();
    if (!(await writeMember(room, connection.id, details)))
      throw await chatError("connectionRoomNotExist", room);
    if (connection.destroyed)
      throw new ActionheroError("AH_CHAT", "the connection is closed");
    connection.rooms.push(room);
    return true;
  } catch (error) {
    await forget(connection, room).catch((cause: unknown) =>
      reportLeftBehind(connection, room, cause),
    );
    throw error;
  }
}

async function leave(connection: ChatConnection, room: string): Promise<true> {
  if (!connection.destroyed && !(await hasRoom(room))) {
    await forget(connection, room);
    throw await chatError("connectionRoomNotExist", room);
  }
  try {
    await api.chatRoom.runMiddleware(connection, room, "leave");
  } catch (error) {
    if (connection.destroyed) await forget(connection, room);
    throw error;
  }
  await forget(connection, room);
  return true;
}

/**
 * Take a connection out of a room: first here, which cannot fail, then in redis. One that has gone is not kept for a
 * redis that does not answer, which is told again when it is back (`restoreMembers`).
 */
async function forget(connection: ChatConnection, room: string): Promise<void> {
  const at = connection.rooms.indexOf(room);
  if (at !== -1) connection.rooms.splice(at, 1);
  api.chatRoom.index.remove(room, connection);
  const done = Promise.all([
    eraseMembers(room, [connection.id]),
    closeRoomChannel(room),
  ]);
  if (!connection.destroyed) await done;
  else
    await within(
      GONE_WAIT_MS,
      done,
      "AH_REDIS_TIMEOUT",
      () => `redis does not answer, ${connection.id} stays listed in ${room}`,
    );
}

function reportLeftBehind(
  connection: ChatConnection,
  room: string,
  cause: unknown,
): void {
  const { client } = api.redis.clients;
  // the members are compared when redis is back
  logFailure(
    client,
    cause,
    `${connection.id} stays listed in ${room}`,
    "error",
  );
}

function movesOf(connection: ChatConnection): Map<string, Promise<true>> {
  let underWay = moves.get(connection);
  if (!underWay) moves.set(connection, (underWay = new Map()));
  return underWay;
}

async function move(
  connection: ChatConnection,
  room: string,
  change: () => Promise<true>,
): Promise<true> {
  const underWay = movesOf(connection);
  const moving = change();
  underWay.set(room, moving);
  try {
    return await moving;
  } finally {
    underWay.delete(room);
  }
}
