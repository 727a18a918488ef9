/** Joins and leaves of the connections of this process. */
import { api, type Api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { within } from "../utils/promises";
import { logFailure } from "../redis/connectionLog";
import { type ChatConnection, chatError, type MemberDetails } from "./types";
import { closeRoomChannel, openRoomChannel } from "./broadcaster";
import {
  createAnotherRoom,
  eraseMembers,
  hasRoom,
  writeMember,
} from "./roomStore";

/** How long the leave of a closed connection waits for redis, in ms. */
const GONE_WAIT_MS = 1_000;

/** Joins and leaves in progress, by room: two concurrent ones of one connection must not both take effect. */
const moves = new WeakMap<ChatConnection, Map<string, Promise<true>>>();

/** The connection, if it belongs to this process. */
export function localConnection(id: string): ChatConnection | undefined {
  const { connections }: Partial<Api> = api;
  return connections?.table.find(id);
}

/**
 * Make a connection a member.
 * @param describe returns the details to store in redis
 * @throws Error when it is already a member, the room does not exist, or a `join` middleware throws
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
 * @throws Error when it is not a member, the room does not exist, or a `leave` middleware throws; a destroyed
 * connection, or one whose room does not exist, has left anyway
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
 * Remove a connection from a room: first locally, which cannot fail, then in redis. A closed connection does not
 * wait for an unresponsive redis, which is updated when it is back (`restoreMembers`).
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
  // the members are reconciled when redis is back
  logFailure(
    client,
    cause,
    `${connection.id} stays listed in ${room}`,
    "error",
  );
}

function movesOf(connection: ChatConnection): Map<string, Promise<true>> {
  let underWay = moves.get(connection);
  if (!underWay)
    moves.set(connection, (underWay = new Map<string, Promise<true>>()));
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
