/** The part of connections that chat uses, its middleware, and the type of `api.chatRoom`. */
import { type ErrorName, wordedError } from "../config/errorMessage";
import { ActionheroError, toError } from "../errors";
import type {
  Hook,
  MiddlewareRegistry,
  NamedMiddleware,
} from "../middleware/stack";
import type { RoomIndex } from "./roomStore";

/** The part of a connection that chat uses. */
export interface ChatConnection {
  id: string;
  /** The type of its server, e.g. `"websocket"`. */
  type?: string;
  rooms: string[];
  canChat: boolean;
  destroyed?: boolean;
  sendMessage(message: object, verb?: string): unknown;
  destroy?(): unknown;
}

/** The sender: a connection, or the server itself (no property set). */
export type ChatSender = Partial<Pick<ChatConnection, "id" | "rooms">>;

/** Hooks for joins, leaves and messages; each may be async, and an error of `join` or `leave` prevents the change. */
export interface ChatMiddleware extends NamedMiddleware {
  /** Before `connection` becomes a member. */
  join?: Hook<(connection: any, room: string) => unknown>;
  /** Before `connection` leaves; a disconnected one leaves even if this throws. */
  leave?: Hook<(connection: any, room: string) => unknown>;
  /** Once per recipient (`connection`): returns its payload, or null to drop it. */
  say?: Hook<(connection: any, room: string, payload: any) => unknown>;
  /**
   * Once per message, on the node of its sender (`connection`): returns the payload to publish, or null to drop it.
   */
  onSayReceive?: Hook<(connection: any, room: string, payload: any) => unknown>;
}

export type ChatDirection = "join" | "leave" | "say" | "onSayReceive";

/** The `chat` message on the cluster's channel. */
export interface ChatPubSubMessage {
  messageType: "chat";
  serverToken: string;
  serverId: string | number;
  message: any;
  sentAt: number;
  connection: { id: string; room: string };
}

/** The payload for members, unless `api.chatRoom.generateMessagePayload` is replaced. */
export interface ChatPayload {
  message: any;
  room: string;
  from: string;
  context: "user";
  sentAt: number;
}

/** The details of a member in redis. */
export interface MemberDetails {
  id: string;
  /** ms since the epoch. */
  joinedAt: number;
  /** The id of the server that holds the connection. */
  host?: string;
  [key: string]: any;
}

export interface RoomStatus {
  room: string;
  membersCount: number;
  /** By connection id; members of all nodes. */
  members: Record<string, { id: string; joinedAt: number }>;
}

/** `api.chatRoom`: every function is looked up here when it is called, so users and their tests can replace each. */
export interface ChatRoomApi extends MiddlewareRegistry<ChatMiddleware> {
  /** Kept for projects that read it; messages are published on `config.general.channel`. */
  messageChannel: string;
  keys: {
    /** The set of all rooms. */
    rooms: string;
    /** The key prefix of the hash of a room's members. */
    members: string;
  };
  /** The connections of this process by room. */
  index: RoomIndex;
  addMember: (connectionId: string, room: string) => Promise<true>;
  removeMember: (
    connectionId: string,
    room: string,
    toWaitRemote?: boolean,
  ) => Promise<any>;
  roomStatus: (room: string) => Promise<RoomStatus>;
  broadcast: (
    sender: ChatSender | null | undefined,
    room: string,
    message: any,
  ) => Promise<void>;
  generateMessagePayload: (message: ChatPubSubMessage) => any;
  incomingMessage: (message: ChatPubSubMessage) => void;
  incomingMessagePerConnection: (
    connection: ChatConnection,
    payload: any,
  ) => Promise<void>;
  runMiddleware: (
    connection: any,
    room: string,
    direction: ChatDirection,
    payload?: any,
  ) => Promise<any>;
  /**
   * Remove the members of a lost server from all rooms.
   * @param host the id of the lost server
   * @returns how many there were
   */
  removeMembersOfHost: (host: string) => Promise<number>;
  /**
   * Reconcile the members that redis lists for this server with its connections, after an outage of redis, or after
   * other servers considered this one dead.
   */
  restoreMembers: () => Promise<void>;
}

declare module "../api" {
  interface Api {
    chatRoom: ChatRoomApi;
  }
}

// --- The errors of chat, with texts from `config.errors`.

/** A refusal with one of chat's texts; other return values of the user's functions are thrown unchanged. */
export async function chatError(
  name: ErrorName,
  ...args: unknown[]
): Promise<Error> {
  const text = await wordedError(name, ...args);
  return typeof text === "string"
    ? new ActionheroError("AH_CHAT", text)
    : toError(text);
}
