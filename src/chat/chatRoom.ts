/** The exported `chatRoom`: rooms in redis, shared by all nodes. */
import { api } from "../api";
import { id } from "../config/config";
import { wordedError } from "../config/errorMessage";
import type { ErrorCode } from "../errors";
import { registerMiddleware } from "../middleware/stack";
import { localConnection, redis } from "../redis/redis";
import { joinHere, leaveHere } from "./membership";
import * as store from "./roomStore";
import { eraseMembers, isThisServer, listMembers } from "./roomStore";
import {
  chatError,
  type ChatSender,
  type MemberDetails,
  type ChatMiddleware as Middleware,
  type ChatPubSubMessage as PubSubMessage,
  type RoomStatus,
} from "./types";

/**
 * Add hooks for joins, leaves and messages, or replace those of the same name.
 * @throws Error `middleware.name is required`
 */
async function addMiddleware(middleware: Middleware): Promise<void> {
  registerMiddleware(api.chatRoom, middleware, true);
}

/** The names of all rooms. */
async function list(): Promise<string[]> {
  return store.listRooms();
}

/**
 * Create a room.
 * @returns 1
 * @throws Error "room exists"; HttpError when `general.maxChatRooms` exist
 */
async function add(room: string): Promise<number> {
  const name = await nameOf(room);
  const added = await store.createAnotherRoom(name);
  if (added !== 1) throw await chatError("connectionRoomExists", room);
  return added;
}

/**
 * Remove a room: its members are notified, and leave.
 * @throws Error "room does not exist"; or the error of a `leave` middleware; then the room remains, with the members
 * that did not leave
 */
async function destroy(room: string): Promise<void> {
  if (!(await store.hasRoom(room)))
    throw await chatError("connectionRoomNotExist", room);
  const farewell = await wordedError("connectionRoomHasBeenDeleted", room);
  await api.chatRoom.broadcast(null, room, farewell);
  await emptyRoom(room);
  await store.removeRoom(room);
  await emptyRoom(room); // members that joined in the meantime
  await store.eraseAllMembers(room);
}

/** Whether a room exists. */
async function exists(room: string): Promise<boolean> {
  return store.hasRoom(room);
}

/** The public part of a member's details; assign another function to show more. */
async function sanitizeMemberDetails(memberData: {
  id: string;
  joinedAt: number;
  [key: string]: any;
}): Promise<{ id: string; joinedAt: number; [key: string]: any }> {
  return { id: memberData.id, joinedAt: memberData.joinedAt };
}

/** The details of a member to store in redis; assign another function to store more. */
async function generateMemberDetails(connection: {
  id: string;
  [key: string]: any;
}): Promise<MemberDetails> {
  return { id: connection.id, joinedAt: Date.now(), host: id };
}

/**
 * The members of a room, of all nodes.
 * @throws Error "a room is required" or "room does not exist"
 */
async function roomStatus(room: string): Promise<RoomStatus> {
  if (!room) throw await chatError("connectionRoomRequired");
  if (!(await store.hasRoom(room)))
    throw await chatError("connectionRoomNotExist", room);
  const entries = await Promise.all(
    [...(await store.listMembers(room))].map(
      async ([member, details]) =>
        [member, await chatRoom.sanitizeMemberDetails(details)] as const,
    ),
  );
  const members = Object.fromEntries(entries);
  return { room, membersCount: entries.length, members };
}

/**
 * Make a connection a member of a room; the connection may be on any node.
 * @returns true
 * @throws Error "connection already in this room (…)", "room does not exist", what a `join` middleware throws, or
 * "RPC Timeout" when no node has the connection
 */
async function addMember(connectionId: string, room: string): Promise<true> {
  const connection = localConnection(connectionId);
  if (!connection)
    return redis.doCluster<true>(
      "api.chatRoom.addMember",
      [connectionId, room],
      connectionId,
      true,
    );
  return joinHere(connection, await nameOf(room), () =>
    chatRoom.generateMemberDetails(connection),
  );
}

/**
 * End a membership; the connection may be on any node.
 * @param toWaitRemote wait until another node has done it
 * @returns true
 * @throws Error "connection not in this room (…)", "room does not exist", what a `leave` middleware throws, or
 * "RPC Timeout" when no node has the connection
 */
async function removeMember(
  connectionId: string,
  room: string,
  toWaitRemote = true,
): Promise<any> {
  const connection = localConnection(connectionId);
  if (!connection)
    return redis.doCluster(
      "api.chatRoom.removeMember",
      [connectionId, room],
      connectionId,
      toWaitRemote,
    );
  return leaveHere(connection, room);
}

/**
 * Say something to all members of a room.
 * @param connection the sender, who must be in the room; null or `{}` for the server itself
 * @throws Error "both room and message are required" or "connection not in this room (…)"
 */
async function broadcast(
  connection: ChatSender | null | undefined,
  room: string,
  message: any,
): Promise<void> {
  return api.chatRoom.broadcast(connection, room, message);
}

/** Names are text; a number in a request is taken as one. */
async function nameOf(room: unknown): Promise<string> {
  if (typeof room === "string" && room !== "") return room;
  if (typeof room === "number") return String(room);
  throw await chatError("connectionRoomRequired");
}

/** An object, so that its functions can be replaced. */
export const chatRoom = {
  client: store.client,
  addMiddleware,
  list,
  add,
  destroy,
  exists,
  sanitizeMemberDetails,
  generateMemberDetails,
  roomStatus,
  addMember,
  removeMember,
  broadcast,
};

// eslint-disable-next-line @typescript-eslint/no-namespace -- types that users reach as `chatRoom.ChatMiddleware`
export namespace chatRoom {
  export type ChatMiddleware = Middleware;
  export type ChatPubSubMessage = PubSubMessage;
}

// --- Makes all members of a room leave it, on all nodes.

/** Errors that mean that a listed member does not exist: no node replies for it, or it is not a member. */
const NOBODY_THERE: (ErrorCode | undefined)[] = ["AH_RPC_TIMEOUT", "AH_CHAT"];

interface Failure {
  member: string;
  error: Error & { code?: ErrorCode };
}

/**
 * Make all members leave; members for which no node replies are removed from the list.
 * @throws the error of a `leave` middleware, after the others have left
 */
async function emptyRoom(room: string): Promise<void> {
  const members = await listMembers(room);
  const here: string[] = [];
  const elsewhere: string[] = [];
  const lost: string[] = [];
  for (const [member, { host }] of members) {
    if (localConnection(member)) here.push(member);
    else if (isThisServer(host)) lost.push(member);
    else elsewhere.push(member);
  }

  // the first local member is also removed through the channel, so that it gets the earlier messages of the room
  const failures = [
    ...(await failuresOf([...here.slice(0, 1), ...elsewhere], (member) =>
      removeByCall(member, room),
    )),
    ...(await failuresOf(here.slice(1), (member) =>
      api.chatRoom.removeMember(member, room),
    )),
  ];
  const isListedOnly = ({ error }: Failure) =>
    NOBODY_THERE.includes(error.code);
  lost.push(...failures.filter(isListedOnly).map(({ member }) => member));
  await eraseMembers(room, lost);

  const refusal = failures.find((failure) => !isListedOnly(failure));
  if (refusal) throw refusal.error;
}

function removeByCall(member: string, room: string): Promise<unknown> {
  const method = "api.chatRoom.removeMember";
  return redis.doCluster(method, [member, room], member, true);
}

async function failuresOf(
  members: readonly string[],
  remove: (member: string) => Promise<unknown>,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  await Promise.all(
    members.map((member) =>
      remove(member).catch((error: Failure["error"]) => {
        failures.push({ member, error });
      }),
    ),
  );
  return failures;
}
