/** Calls over a websocket, through `ActionheroWebsocketClient`. */
import {
  unsent,
  messageParams,
  type Reply,
  type Call,
  type Send,
  ActionError,
  ClientError,
  OwnFailure,
} from "./call";
import {
  CallLimit,
  Events,
  untilConnected,
  type Connection,
  type StartedCall,
} from "./connection";
import { hasFiles } from "./multipart";
import type { CreateClientOptions } from "./types";
import type { ActionheroWebsocketClient } from "../assets/client/index";
import definePrimus from "../assets/primus.js";
import defineWebsocketClient from "../assets/websocketClient.js";

/** @param upload calls with files go over HTTP */
export function websocketConnection(
  url: string,
  options: CreateClientOptions,
  { WebSocket, upload }: { WebSocket: unknown; upload: Send },
): Connection {
  const Client = defineCallClient(WebSocket);
  const { pathname, queueSize, reconnect } = options;
  const client = new Client({
    url: url.replace(/^ws/, "http"),
    timeout: 0,
    requestTimeout: 0, // calls have deadlines of their own
    ...(pathname !== undefined && { pathname }),
    ...(queueSize !== undefined && { queueSize }),
    ...(reconnect !== undefined && { reconnect }),
  });
  const events = new Events();
  const limit = new CallLimit(options);
  client.on("connected", () => events.emit("connected"));
  client.on("reconnect", () => events.emit("connected"));
  client.on("disconnected", () => events.emit("disconnected"));
  client.on("error", (error: Error) => {
    if (!(error instanceof OwnFailure)) return events.emit("error", error);
    const cause = error.cause as Error;
    events.emit("error", cause);
    failAll(cause, () => client.failWaiting(cause));
  });
  client.on("message", (message: { context?: string }) => {
    if (message?.context !== "response") events.receive(message);
  });

  let isOpen = false;
  /** A better reason for failing the waiting requests than that of the client. */
  let reason: Error | undefined;
  const failureOf = (response: WebsocketResponse): Error | undefined => {
    const { error } = response;
    const failure = ownFailure(response);
    if (failure && reason) return reason;
    if (failure) return new ClientError(failure, String(error));
    return error === undefined ? undefined : new ActionError(response);
  };
  client.on("end", () => (isOpen = false)); // the server ended the connection permanently: the next call reconnects
  const open = () => {
    if (isOpen) return;
    isOpen = true;
    client.connect().catch(() => undefined);
  };

  const failAll = (why: Error, fail: () => void) => {
    reason = why;
    fail();
    reason = undefined;
    events.fail(why);
  };

  const ask = (
    start: (callback: (response: WebsocketResponse) => void) => void,
  ) => {
    open();
    return new Promise<WebsocketResponse>((resolve, reject) =>
      start((response) => {
        const failure = failureOf(withoutClass(response));
        if (failure) reject(failure);
        else resolve(response);
      }),
    );
  };

  return {
    events,
    get state() {
      if (client.state === "connected") return "connected";
      return isOpen ? "connecting" : "disconnected";
    },
    send: (call) => {
      if (hasFiles(call.params)) return upload(call);
      return limit.run(call, (resolve, reject) => {
        open();
        return sendAction(client, call, { failureOf, events, resolve, reject });
      });
    },
    connect: () => {
      open();
      if (client.state === "connected") return Promise.resolve();
      return untilConnected(events, options.timeout);
    },
    close: () => {
      isOpen = false;
      const closed = new ClientError("CLOSED", "the client is closed");
      limit.fail(closed);
      failAll(closed, () => client.disconnect());
    },
    verb: async (name, room) => {
      const verb = name as "roomAdd" | "roomLeave" | "roomView";
      return (await ask((callback) => client[verb](room, callback))).data;
    },
    say: async (room, message) => {
      await ask((callback) =>
        client.send({ event: "say", room, message }, callback),
      );
    },
  };
}

/** The mark of responses that the connection made itself: not enumerable, unlike a field of this name in a server's JSON. */
function ownFailure(
  response: WebsocketResponse,
): WebsocketResponse["failure"] | undefined {
  const isField = Object.prototype.propertyIsEnumerable.call(
    response,
    "failure",
  );
  return isField ? undefined : response.failure;
}

/** Errors of verbs begin with the class of the error over a websocket, and nowhere else. */
function withoutClass(response: WebsocketResponse): WebsocketResponse {
  const { error } = response;
  if (typeof error !== "string" || ownFailure(response)) return response;
  return { ...response, error: error.replace(/^Error: /, "") };
}

function sendAction(
  client: WebsocketClient,
  call: Call,
  {
    failureOf,
    events,
    resolve,
    reject,
  }: {
    failureOf: (response: WebsocketResponse) => Error | undefined;
    events: Events;
    resolve: (reply: Reply) => void;
    reject: (reason: Error) => void;
  },
): StartedCall {
  const { name, signal } = call;
  const request: WebsocketRequest = {
    event: "action",
    params: { ...messageParams(call), action: name },
  };
  const settle = (response: WebsocketResponse) => {
    if (ownFailure(response)) reject(failureOf(response)!);
    else resolve({ body: response });
  };
  client.send(request, settle, true);
  const id = request.messageId!;
  return {
    withdraw: () =>
      client.withdraw(id) ? unsent(signal, events.lastError) : undefined,
    forget: () => client.forget(id),
  };
}

// --- `ActionheroWebsocketClient` as a module, made of the two sources of the script for pages.

interface WebsocketResponse {
  error?: unknown;
  data?: unknown;
  /** The reason for a missing response. */
  failure?: "CONNECTION_LOST" | "CLOSED" | "UNREACHABLE" | "UNSUPPORTED";
}

interface WebsocketRequest {
  event: string;
  messageId?: number;
  [key: string]: unknown;
}

/** The part of `ActionheroWebsocketClient` that calls use. */
interface WebsocketClient {
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
  withdraw(messageId: number): boolean;
  forget(messageId: number): void;
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

/** The client class, with the methods for `createClient` that pages do not know. */
function defineCallClient(
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
