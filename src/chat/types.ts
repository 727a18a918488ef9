/** What chat needs to know of connections, what its users give it, and the shape of `api.chatRoom`. */
import type {
  Hook,
  MiddlewareRegistry,
  NamedMiddleware,
} from "../middleware/stack";
import type { RoomIndex } from "./roomIndex";

/** The part of a connection that chat uses. */
export interface ChatConnection {
  id: string;
  /** The server it came through, e.g. `"websocket"`. */
  type?: string;
  rooms: string[];
  canChat: boolean;
  destroyed?: boolean;
  sendMessage(message: object, verb?: string): unknown;
  destroy?(): unknown;
}

/** Who says something: a connection, or the server itself (nothing of it set). */
export type ChatSender = Partial<Pick<ChatConnection, "id" | "rooms">>;

/** Hooks into joining, leaving and talking; each may be async, and what `join` or `leave` throws prevents it. */
export interface ChatMiddleware extends NamedMiddleware {
  /** Before `connection` becomes a member. */
  join?: Hook<(connection: any, room: string) => unknown>;
  /** Before `connection` is no longer a member; one that is disconnected goes, whatever this throws. */
  leave?: Hook<(connection: any, room: string) => unknown>;
  /** Once per recipient (`connection`): the payload it gets, or null for none. */
  say?: Hook<(connection: any, room: string, payload: any) => unknown>;
  /** Once per message, where its sender (`connection`) is: the payload to publish, or null for none. */
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

/** What a member receives, unless `api.chatRoom.generateMessagePayload` is replaced. */
export interface ChatPayload {
  message: any;
  room: string;
  from: string;
  context: "user";
  sentAt: number;
}

/** What redis holds of a member. */
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
  /** Kept for projects that read it; messages travel on `config.general.channel`. */
  messageChannel: string;
  keys: {
    /** The set of all rooms. */
    rooms: string;
    /** Before the room's name: the hash of its members. */
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
   * Remove the members that a server has left behind, from all rooms.
   * @param host the id of a server that is no more
   * @returns how many there were
   */
  removeMembersOfHost: (host: string) => Promise<number>;
  /**
   * Compare the members that redis lists for this server with those that are here, and correct the list: for when
   * redis was away, or others took this server for dead.
   */
  restoreMembers: () => Promise<void>;
}

declare module "../api" {
  interface Api {
    chatRoom: ChatRoomApi;
  }
}
