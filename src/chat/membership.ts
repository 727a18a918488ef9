/** Joins and leaves of the connections of this process. */
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { logFailure } from "../redis/outages";
import { embeddedDelivery } from "../redis/pubsub";
import { sleep, withTimeout } from "../utils/promises";
import { closeRoomChannel, openRoomChannel } from "./broadcaster";
import {
  createAnotherRoom,
  eraseMembers,
  hasRoom,
  writeMember,
} from "./roomStore";
import {
  type ChatConnection,
  chatError,
  type MemberDetails,
  type RoomStatus,
} from "./types";

/** How long the leave of a closed connection waits for redis, in ms. */
const GONE_WAIT_MS = 1_000;

/** Joins and leaves in progress, by room: two concurrent ones of one connection must not both take effect. */
const moves = new WeakMap<ChatConnection, Map<string, Promise<true>>>();

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
  // wait for broadcasts of the middleware: they must not reach the joining connection
  await embeddedDelivery();

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
    await withTimeout(
      GONE_WAIT_MS,
      done,
      "AH_REDIS_TIMEOUT",
      () => `redis does not respond, ${connection.id} stays listed in ${room}`,
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

// --- Replies to `roomView`. Reading a large room is expensive, and each client may ask many times a second: clients of this
// process that request the same room share a read, and reads of one room are paced.

/** The pause after a read of a room, as a multiple of the read's duration. */
const PAUSE_FACTOR = 3;
/** The longest pause, in ms: a slow redis must not delay replies further. */
const MAX_PAUSE_MS = 250;

interface Read {
  /** Settles when the next read of the room may begin. */
  readonly isOver: Promise<void>;
  /** Shared by requests that arrive during this read: it begins after them, so it sees what they did before. */
  next?: Promise<RoomStatus>;
}

/** The current read of each room, until its pause ends. */
const pendingReads = new Map<string, Read>();

/**
 * The result of `api.chatRoom.roomStatus`, read after this call. Callers share the result and must not change it.
 * @throws Error "a room is required" or "room does not exist"
 */
export function viewRoom(room: string): Promise<RoomStatus> {
  const running = pendingReads.get(room);
  if (!running) return read(room);
  return (running.next ??= running.isOver.then(() => read(room)));
}

function read(room: string): Promise<RoomStatus> {
  const begin = performance.now();
  const status = readRoom(room);
  const over = () => sleep(pauseAfter(performance.now() - begin));
  const current: Read = { isOver: status.then(over, over) };
  pendingReads.set(room, current);
  void current.isOver.then(() => {
    if (current.next === undefined) pendingReads.delete(room);
  });
  return status;
}

/** Projects may replace the function with one that throws synchronously. */
async function readRoom(room: string): Promise<RoomStatus> {
  return api.chatRoom.roomStatus(room);
}

function pauseAfter(took: number): number {
  return Math.min(took * PAUSE_FACTOR, MAX_PAUSE_MS);
}
