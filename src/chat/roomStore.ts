/** Rooms and members in redis, under the keys of v29; plain commands, so that it works on every kind of redis. */
import type { Redis } from "ioredis";
import { api } from "../api";
import { id as serverId } from "../config/config";
import { settings } from "../config/settings";
import { HttpError } from "../errors";
import { commandClient } from "../redis/clients";
import type { MemberDetails } from "./types";

export const KEYS = {
  rooms: "actionhero:chatRoom:rooms",
  members: "actionhero:chatRoom:members:",
};

/** How many rooms are looked into at a time when all are. */
const ROOMS_AT_A_TIME = 50;

/** @throws Error when there is no connection to redis */
export function client(): Redis {
  return commandClient("chatRoom");
}

function membersKey(room: string): string {
  return api.chatRoom.keys.members + room;
}

export function listRooms(): Promise<string[]> {
  return client().smembers(api.chatRoom.keys.rooms);
}

/** @returns 1, or 0 when it was there already */
export function createRoom(room: string): Promise<number> {
  return client().sadd(api.chatRoom.keys.rooms, room);
}

/**
 * The same for rooms that somebody asks for, and not those that have to be there.
 * @throws HttpError when there are `general.maxChatRooms`
 */
export async function createAnotherRoom(room: string): Promise<number> {
  const limit = settings().general.maxChatRooms;
  if (limit > 0 && (await countRooms()) >= limit && !(await hasRoom(room)))
    throw new HttpError(503, `too many chat rooms (limit ${limit})`);
  return createRoom(room);
}

/** How many rooms there are. */
export function countRooms(): Promise<number> {
  return client().scard(api.chatRoom.keys.rooms);
}

export async function hasRoom(room: string): Promise<boolean> {
  const found: unknown = await client().sismember(
    api.chatRoom.keys.rooms,
    room,
  );
  return found === 1 || found === "true";
}

/** Whether a member's `host` is this process; false while another one with this id may be alive. */
export function isThisServer(host: unknown): boolean {
  const { cluster } = api as { cluster?: { sharesId(): boolean } };
  return String(host) === String(serverId) && cluster?.sharesId() !== true;
}

/** From here on nobody can join. */
export async function removeRoom(room: string): Promise<void> {
  await client().srem(api.chatRoom.keys.rooms, room);
}

/** The members of a room, of all nodes, by connection id. */
export async function membersOf(
  room: string,
): Promise<Map<string, MemberDetails>> {
  const members = new Map<string, MemberDetails>();
  const stored = await client().hgetall(membersKey(room));
  for (const [id, text] of Object.entries(stored)) {
    const details = parse(text);
    if (details) members.set(id, details);
  }
  return members;
}

/**
 * Write a member down, if the room is still there.
 *
 * The room is looked for after the writing: either this sees that the room went, or who removes the room (and then
 * reads the members) sees this member.
 * @returns false when the room is gone
 */
export async function writeMember(
  room: string,
  id: string,
  details: MemberDetails,
): Promise<boolean> {
  // details that the project makes may leave out the host, which is how members of a lost server are found
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
 * Erase the members that `host` has written, in all rooms.
 * @returns how many there were
 */
export async function eraseMembersOfHost(host: string): Promise<number> {
  let count = 0;
  await forEachRoom(await listRooms(), async (room) => {
    const members = await membersOf(room);
    const ids = [...members.keys()].filter(
      (id) => String(members.get(id)!.host) === host,
    );
    await eraseMembers(room, ids);
    count += ids.length;
  });
  return count;
}

/** Do something with all rooms, with some at a time. */
export async function forEachRoom(
  rooms: readonly string[],
  work: (room: string) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < rooms.length; start += ROOMS_AT_A_TIME)
    await Promise.all(rooms.slice(start, start + ROOMS_AT_A_TIME).map(work));
}

function parse(text: string): MemberDetails | undefined {
  try {
    const details: unknown = JSON.parse(text);
    return typeof details === "object" && details !== null
      ? (details as MemberDetails)
      : undefined;
  } catch {
    return undefined; // written by something else
  }
}
