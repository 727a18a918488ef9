/** `ActionheroWebsocketClient` as a module: from the two sources of the script for pages. */
import type { ActionheroWebsocketClient } from "../assets/client/index";
import definePrimus from "../assets/primus.js";
import defineWebsocketClient from "../assets/websocketClient.js";

export interface WebsocketResponse {
  error?: unknown;
  data?: unknown;
  /** The reason for a missing response. */
  failure?: "CONNECTION_LOST" | "CLOSED" | "UNREACHABLE" | "UNSUPPORTED";
}

export interface WebsocketRequest {
  event: string;
  messageId?: number;
  [key: string]: unknown;
}

/** The part of `ActionheroWebsocketClient` that calls use. */
export interface WebsocketClient {
  state: string;
  rooms: string[];
  connect(): Promise<unknown>;
  disconnect(): void;
  /** @param isNumbered use a number of the client as the id, even if the params contain a `messageId` */
  send(
    request: WebsocketRequest,
    callback: (response: WebsocketResponse) => void,
    isNumbered?: boolean,
  ): void;
  /** Fail all requests that wait for the connection. */
  failWaiting(reason: Error): void;
  /** @returns whether it still waited for the connection */
  forget(messageId: number): boolean;
  roomAdd(room: string, callback: (response: WebsocketResponse) => void): void;
  roomLeave(
    room: string,
    callback: (response: WebsocketResponse) => void,
  ): void;
  roomView(room: string, callback: (response: WebsocketResponse) => void): void;
  on(event: string, listener: (argument: never) => void): void;
}

/** The default of servers: a ping every 30 s, so silence of 45 s means that the connection is lost. */
const SERVER = { pathname: "/primus", pingTimeout: 45_000 };

/** @param WebSocket the class to connect with */
export function definePageClient(
  WebSocket: unknown,
): typeof ActionheroWebsocketClient {
  return define(WebSocket) as typeof ActionheroWebsocketClient;
}

/** The same class, with the methods for `createClient` that pages do not know. */
export function defineCallClient(
  WebSocket: unknown,
): new (options: object) => WebsocketClient {
  return define(WebSocket) as new (options: object) => WebsocketClient;
}

function define(WebSocket: unknown): unknown {
  const Primus = definePrimus(WebSocket, SERVER);
  return defineWebsocketClient({
    EventEmitter: Primus.EventEmitter,
    connect: Primus.connect,
    defaults: {},
  });
}
