/** Rooms and members in redis, under the keys of v29; plain commands, so that it works on every kind of redis. */
import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { api } from "../api";
import { id as serverId } from "../config/config";
import { settings } from "../config/settings";
import { HttpError } from "../errors";
import { commandClient } from "../redis/clients";
import type { ChatConnection, MemberDetails } from "./types";
import { parseObject } from "../utils/objects";

export const KEYS = {
  rooms: "actionhero:chatRoom:rooms",
  members: "actionhero:chatRoom:members:",
};

/** Batch size of operations on all rooms. */
const ROOMS_AT_A_TIME = 50;

/**
 * The redis connection that holds the rooms.
 * @throws Error before redis is initialized, and after it stopped
 */
export function client(): Redis {
  return commandClient("chatRoom");
}

function membersKey(room: string): string {
  return api.chatRoom.keys.members + room;
}

export function listRooms(): Promise<string[]> {
  return client().smembers(api.chatRoom.keys.rooms);
}

/** Key of a random id of the data in redis; a new id means that redis was emptied. */
const DATA_ID = "actionhero:chatRoom:dataId";

/** The id of the data in redis, which the first node writes that finds none. */
export async function dataId(): Promise<string> {
  const redis = client();
  const known = await redis.get(DATA_ID);
  if (known !== null) return known;
  await redis.set(DATA_ID, randomUUID(), "NX");
  return String(await redis.get(DATA_ID));
}

/** @returns 1, or 0 if the room already exists */
export function createRoom(room: string): Promise<number> {
  return client().sadd(api.chatRoom.keys.rooms, room);
}

/**
 * As `createRoom`, for rooms on request, as opposed to starting rooms.
 * @throws HttpError when `general.maxChatRooms` exist
 */
export async function createAnotherRoom(room: string): Promise<number> {
  const limit = settings().general.maxChatRooms;
  if (limit > 0 && (await countRooms()) >= limit && !(await hasRoom(room)))
    throw new HttpError(503, `too many chat rooms (limit ${limit})`);
  return createRoom(room);
}

/** The number of rooms. */
export function countRooms(): Promise<number> {
  return client().scard(api.chatRoom.keys.rooms);
}

export async function hasRoom(room: string): Promise<boolean> {
  return (await client().sismember(api.chatRoom.keys.rooms, room)) === 1;
}

/** Whether a member's `host` is this process; false while another process with this id may be alive. */
export function isThisServer(host: unknown): boolean {
  const { cluster } = api as { cluster?: { sharesId(): boolean } };
  return String(host) === String(serverId) && cluster?.sharesId() !== true;
}

/** Remove a room; later joins fail. */
export async function removeRoom(room: string): Promise<void> {
  await client().srem(api.chatRoom.keys.rooms, room);
}

/** The members of a room, of all nodes, by connection id. */
export async function listMembers(
  room: string,
): Promise<Map<string, MemberDetails>> {
  const members = new Map<string, MemberDetails>();
  const stored = await client().hgetall(membersKey(room));
  for (const [id, text] of Object.entries(stored)) {
    const details = parseObject(text) as MemberDetails | undefined;
    if (details) members.set(id, details);
  }
  return members;
}

/**
 * Store a member, if the room still exists.
 *
 * The existence of the room is checked after the write: either this check sees that the room was removed, or the
 * removal, which then reads the members, sees this member.
 * @returns false if the room no longer exists
 */
export async function writeMember(
  room: string,
  id: string,
  details: MemberDetails,
): Promise<boolean> {
  // the project's details may omit the host, which is needed to find members of a lost server
  const kept = { ...details, host: details.host ?? String(serverId) };
  await client().hset(membersKey(room), id, JSON.stringify(kept));
  if (await hasRoom(room)) return true;
  await eraseMembers(room, [id]);
  return false;
}

export async function eraseMembers(
  room: string,
  ids: readonly string[],
): Promise<void> {
  if (ids.length > 0) await client().hdel(membersKey(room), ...ids);
}

export async function eraseAllMembers(room: string): Promise<void> {
  await client().del(membersKey(room));
}

/**
 * Remove the members of `host` from all rooms.
 * @returns the number removed
 */
export async function eraseMembersOfHost(host: string): Promise<number> {
  let count = 0;
  await forEachRoom(await listRooms(), async (room) => {
    const members = await listMembers(room);
    const ids = [...members.keys()].filter(
      (id) => String(members.get(id)!.host) === host,
    );
    await eraseMembers(room, ids);
    count += ids.length;
  });
  return count;
}

/** Process all rooms in batches. */
export async function forEachRoom(
  rooms: readonly string[],
  work: (room: string) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < rooms.length; start += ROOMS_AT_A_TIME)
    await Promise.all(rooms.slice(start, start + ROOMS_AT_A_TIME).map(work));
}

// --- Index of the connections of this process by room, so that the cost of a message is proportional to its local
// recipients.
//
// The index only yields candidates: `connection.rooms` is authoritative, and delivery checks it.

const NOBODY: ReadonlySet<ChatConnection> = new Set();

export class RoomIndex {
  private readonly members = new Map<string, Set<ChatConnection>>();

  /** The rooms with at least one local member. */
  get rooms(): string[] {
    return [...this.members.keys()];
  }

  /** The connections in `room`; not a copy. */
  membersOf(room: string): ReadonlySet<ChatConnection> {
    return this.members.get(room) ?? NOBODY;
  }

  add(room: string, connection: ChatConnection): void {
    const members = this.members.get(room);
    if (members) members.add(connection);
    else this.members.set(room, new Set([connection]));
  }

  remove(room: string, connection: ChatConnection): void {
    const members = this.members.get(room);
    if (members?.delete(connection) && members.size === 0)
      this.members.delete(room);
  }
}
