/** The websocket client of an actionhero server, for node and for bundlers: `import ... from "actionhero/client"`. */

/** The response of the server; actions add their own properties. */
export interface ClientResponse {
  messageId?: string | number;
  context?: string;
  /** The error: a string, or the value that the server's error function returns. */
  error?: any;
  [key: string]: any;
}

/** The reply to a verb; `data` is its result. */
export interface VerbResponse<Data = any> extends ClientResponse {
  status?: string;
  data?: Data;
}

/** The details of this client's connection, from the server. */
export interface ClientDetails {
  id: string;
  fingerprint: string;
  remoteIP: string;
  remotePort: number | string;
  params: Record<string, any>;
  /** In ms since the epoch. */
  connectedAt: number;
  rooms: string[];
  totalActions: number;
  pendingActions: number;
}

export interface RoomView {
  room: string;
  membersCount: number;
  members: Record<string, { id: string; joinedAt: number }>;
}

/** A chat message of a room. */
export interface SayMessage {
  message: any;
  room: string;
  /** The id of the connection, `"0"` for the server. */
  from: string;
  context: "user";
  /** In ms since the epoch. */
  sentAt: number;
}

export interface ClientFile extends ClientResponse {
  content: string | null;
  mime: string;
  /** In bytes. */
  length: number;
  lastModified?: string;
}

export interface ClientOptions {
  /** The server's, e.g. `http://localhost:8080`. The script that a server renders has its own as the default. */
  url?: string;
  /** Where actions are found over HTTP (default `/api`). */
  apiPath?: string;
  /** The cookie that identifies the client (default `sessionID`). */
  cookieKey?: string;
  /** The timeout of a response, in ms (default 60,000; 0 for no limit). */
  requestTimeout?: number;
  /** How many requests wait for the connection to come back (default 1,000). */
  queueSize?: number;
  /** How long `connect()` waits for the connection, in ms (default 10,000; 0 for any time). */
  timeout?: number;
  /** Go on connecting when the first attempt of `connect()` fails (default true). */
  retryFirst?: boolean;
  /** How long the server may be silent, in ms (default 45,000; false for no limit). */
  pingTimeout?: number | false;
  /** Where the server takes websockets (default `/primus`). */
  pathname?: string;
  reconnect?: {
    /** The first wait, in ms, give or take a half (default 500). */
    min?: number;
    /** The longest wait, in ms (default 30,000). */
    max?: number;
    /** How much longer each wait is than the one before (default 2). */
    factor?: number;
    /** After how many attempts to give up (default never). */
    retries?: number;
    /** How long an attempt may take, in ms (default 30,000). */
    "reconnect timeout"?: number;
  };
  [key: string]: any;
}

export type ClientState =
  "disconnected" | "connected" | "reconnecting" | "timeout";

export interface ClientEvents {
  /** `connect` has succeeded. */
  connected: () => void;
  disconnected: () => void;
  /** An attempt to connect again is planned. */
  reconnecting: (progress: { attempt: number; scheduled?: number }) => void;
  /** The connection is there again, in its rooms. */
  reconnect: () => void;
  timeout: () => void;
  error: (error: Error) => void;
  /** Everything that the server sends. */
  message: (message: any) => void;
  welcome: (message: { welcome: string; context: "api" }) => void;
  say: (message: SayMessage) => void;
  alert: (message: any) => void;
  api: (message: any) => void;
}

type Callback<Response> = (response: Response) => void;

/**
 * Requests take a callback, which gets the response. Without one they return a promise; a response with an `error`
 * rejects it with an Error whose `response` is that response.
 */
export class ActionheroWebsocketClient {
  /** @param client an existing connection instead of one to `options.url` */
  constructor(options?: ClientOptions, client?: any);

  readonly options: ClientOptions;
  id: string | null;
  fingerprint: string | null;
  rooms: string[];
  state: ClientState;
  /** The number of the last request. */
  messageId: number;
  welcomeMessage: string | null;
  callbacks: Record<string, Callback<any>>;
  client: any;
  readonly externalClient: boolean;

  /**
   * Connect, and reconnect until `disconnect()`. Rejects if there is no connection after `timeout` ms; unless
   * `retryFirst` is false, the client continues to try, and emits `connected` when it succeeds.
   */
  connect(): Promise<VerbResponse<ClientDetails>>;
  connect(
    callback: (
      error: Error | null,
      details?: VerbResponse<ClientDetails>,
    ) => void,
  ): void;
  /** Disconnect permanently and leave all rooms; pending requests get an error. */
  disconnect(): void;

  /** Run an action; over HTTP while there is no connection. */
  action<Response = ClientResponse>(
    name: string,
    callback: Callback<Response>,
  ): void;
  action<Response = ClientResponse>(
    name: string,
    params?: Record<string, any>,
  ): Promise<Response>;
  action<Response = ClientResponse>(
    name: string,
    params: Record<string, any> | undefined,
    callback: Callback<Response>,
  ): void;
  /** Run `params.action` over HTTP, as `params.httpMethod` (default POST). */
  actionWeb<Response = ClientResponse>(
    params: Record<string, any>,
  ): Promise<Response>;
  actionWeb<Response = ClientResponse>(
    params: Record<string, any>,
    callback: Callback<Response>,
  ): void;

  roomAdd(room: string): Promise<VerbResponse<true>>;
  roomAdd(room: string, callback: Callback<VerbResponse<true>>): void;
  roomLeave(room: string): Promise<VerbResponse<true>>;
  roomLeave(room: string, callback: Callback<VerbResponse<true>>): void;
  roomView(room: string): Promise<VerbResponse<RoomView>>;
  roomView(room: string, callback: Callback<VerbResponse<RoomView>>): void;
  say(room: string, message: any): Promise<VerbResponse>;
  say(room: string, message: any, callback: Callback<VerbResponse>): void;
  detailsView(): Promise<VerbResponse<ClientDetails>>;
  detailsView(callback: Callback<VerbResponse<ClientDetails>>): void;
  documentation(): Promise<VerbResponse>;
  documentation(callback: Callback<VerbResponse>): void;
  /** Get a public file. */
  file(file: string): Promise<ClientFile>;
  file(file: string, callback: Callback<ClientFile>): void;
  /** Send anything that has an `event`. */
  send(args: Record<string, any>, callback?: Callback<ClientResponse>): void;

  /** Rejoin all rooms, and request `id`, `fingerprint` and the other details from the server. */
  configure(callback?: Callback<VerbResponse<ClientDetails>>): void;
  urlWithSession(): string;
  getCookie(name: string): string | undefined;

  on<Event extends keyof ClientEvents>(
    event: Event,
    listener: ClientEvents[Event],
  ): this;
  once<Event extends keyof ClientEvents>(
    event: Event,
    listener: ClientEvents[Event],
  ): this;
  removeListener<Event extends keyof ClientEvents>(
    event: Event,
    listener: ClientEvents[Event],
  ): this;
  removeAllListeners(event?: keyof ClientEvents): this;
}
