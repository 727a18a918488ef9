/** The types of a client's calls, derived from a table of actions. */

/** The params and the response of one action. */
export interface ActionSignature {
  params: object;
  response: unknown;
}

/**
 * Any name, any params, any response: the default without a table of signatures by name, or by name and version
 * (`user:show@2`), as `npx actionhero types` writes it.
 */
export interface AnyActions {
  [name: string]: { params: Record<string, any>; response: any };
}

export type ActionName<Actions> = keyof Actions & string;

export type ParamsOf<Action> = PartOf<Action, "params", Record<string, any>>;

export type ResponseOf<Action> = PartOf<Action, "response", any>;

/** An index, because `infer` costs the compiler more. */
type PartOf<Action, Part, Unknown> = Part extends keyof Action
  ? Action[Part]
  : Unknown;

/** `(params, options)`, where `params` is optional if no param is required. */
export type CallArguments<Action> =
  object extends ParamsOf<Action>
    ? [params?: ParamsOf<Action> | undefined, options?: CallOptions]
    : string extends keyof ParamsOf<Action>
      ? [params?: ParamsOf<Action> | undefined, options?: CallOptions]
      : [params: ParamsOf<Action>, options?: CallOptions];

export type Caller<Action> = (
  ...args: CallArguments<Action>
) => Promise<ResponseOf<Action>>;

/**
 * `user:show` becomes `user.show`; names with a version are only for `call`. `Name` is limited to the names with one
 * head, so that the compiler does not evaluate the others for each call.
 */
export type NestedCallers<Actions> = string extends keyof Actions
  ? Record<string, any>
  : { [Name in keyof Actions as Head<Name>]: Branch<Actions, Name> };

type Head<Name> = Name extends `${string}@${string}`
  ? never
  : Name extends `${infer First}:${string}`
    ? Exclude<First, NoCaller>
    : Exclude<Name, NoCaller>;

/** Properties that the language reads of any object: actions of these names are only for `call`. */
type NoCaller = "then" | "toJSON" | keyof Object; // eslint-disable-line @typescript-eslint/no-wrapper-object-types -- its members

type Tail<Name> = Name extends `${string}:${infer Rest}` ? Rest : never;

type WithoutTail<Name> = Name extends `${string}:${string}` ? never : Name;

type Branch<Actions, Names extends keyof Actions> = ([
  WithoutTail<Names>,
] extends [never]
  ? unknown
  : Caller<Actions[WithoutTail<Names> & keyof Actions]>) &
  ([Tail<Names>] extends [never]
    ? unknown
    : NestedCallers<{ [Name in Names as Tail<Name>]: Actions[Name] }>);

export interface CallOptions {
  /** Aborts the call, which rejects with its reason; over HTTP the request is also cancelled. */
  signal?: AbortSignal | undefined;
  /** The timeout of the response, in ms (default: the client's); 0 for no limit. */
  timeout?: number | undefined;
  /** Additional headers, over HTTP. */
  headers?: Record<string, string> | undefined;
  /**
   * Sent as `Idempotency-Key` over HTTP, otherwise as the param `idempotencyKey`: an idempotent action runs once per key,
   * so the call may be retried. Over HTTP the client retries it like a GET.
   */
  idempotencyKey?: string | undefined;
  /**
   * A bearer token, instead of that of the client: sent as `Authorization` over HTTP, otherwise as the param `accessToken`.
   */
  accessToken?: string | null | undefined;
}

type Awaitable<Value> = Value | Promise<Value>;

/** A function is called for each call; null and undefined are no token. */
export type TokenSource = string | (() => Awaitable<string | null | undefined>);

export type HeaderSource =
  Record<string, string> | (() => Awaitable<Record<string, string>>);

/** By action: the method and the path below `apiPath`, such as `["get", "/users/:id"]`. */
export type ActionRoutes = Readonly<
  Record<string, readonly [method: string, path: string]>
>;

export interface HttpOptions {
  /** The server: `https://example.com`; an empty string in a page is the origin of the page. */
  url: string;
  /** The path of actions over HTTP (default `/api`). */
  apiPath?: string;
  /** Method and path of actions; other actions are called by POST with their name in the query. */
  routes?: ActionRoutes;
  /** Headers of each request, such as a token; a function is called each time. */
  headers?: HeaderSource;
  /** The bearer token of each call: sent as `Authorization` over HTTP, otherwise as the param `accessToken`. */
  accessToken?: TokenSource | null | undefined;
  /**
   * The name in `config.session.param` of the server (default `sessionToken`). Params of this name are refused, because
   * they would select the session.
   */
  sessionParam?: string;
  /**
   * Whether a page sends cookies to another origin (default `same-origin`). Outside of browsers, the client stores
   * cookies.
   */
  credentials?: "omit" | "same-origin" | "include";
  /** The timeout of a response, in ms (default 60,000; 0 for no limit). */
  timeout?: number;
  /** Retries of safe calls (by GET, or with an idempotency key) when the server is unavailable or busy (default 2). */
  retries?: number;
  /** Instead of the global one. */
  fetch?: typeof fetch;
}

export interface CreateClientOptions extends HttpOptions {
  /** The path of websockets (default `/primus`). */
  pathname?: string;
  /**
   * `store.token` of the session to use, sent with each call over a websocket or TCP; refused over HTTP, which has cookies. A
   * connection has one session, so that users of a gateway need a client each.
   */
  sessionToken?: TokenSource | null | undefined;
  /**
   * Calls in progress on a websocket or TCP connection (default 5, as `general.simultaneousActions` of the server, which
   * refuses more); others wait for their turn.
   */
  simultaneousCalls?: number;
  /** Calls that may wait for a reconnect, or for their turn (default 1,000). */
  queueSize?: number;
  /** The delays between attempts to connect, in ms: the first (default 500) and the longest (default 30,000). */
  reconnect?: { min?: number; max?: number };
  /** Replaces the global class, or that of the package ws in node. */
  WebSocket?: unknown;
  /** Options of `tls.connect`, for `tls://`; refused for `https://` and `wss://`. */
  tls?: object;
}

/** @typeParam RoomMap messages by room; any without it */
type MessageIn<RoomMap, Room> = Room extends keyof RoomMap
  ? RoomMap[Room]
  : any;

export type RoomName<RoomMap> = [keyof RoomMap] extends [never]
  ? string
  : keyof RoomMap & string;

/** A chat message. */
export interface RoomMessage<Message = any> {
  message: Message;
  room: string;
  /** The id of the connection; `"0"` for the server. */
  from: string;
  /** In ms since the epoch. */
  sentAt: number;
}

export interface RoomView {
  room: string;
  membersCount: number;
  members: Record<string, { id: string; joinedAt: number }>;
}

export interface Rooms<Table> {
  /** Join a room until `leave`, and rejoin it after each reconnect. */
  join<Room extends RoomName<Table>>(room: Room): Promise<void>;
  leave<Room extends RoomName<Table>>(room: Room): Promise<void>;
  view<Room extends RoomName<Table>>(room: Room): Promise<RoomView>;
  say<Room extends RoomName<Table>>(
    room: Room,
    message: MessageIn<Table, Room>,
  ): Promise<void>;
  /** @returns a function that ends it */
  on<Room extends RoomName<Table>>(
    room: Room,
    listener: (message: RoomMessage<MessageIn<Table, Room>>) => void,
  ): () => void;
}

export type ConnectionState = "disconnected" | "connecting" | "connected";

export interface ConnectionEvents {
  /** The connection is open, for the first time or again, and in its rooms. */
  connected: () => void;
  disconnected: () => void;
  /** Messages of the server that no call waits for. */
  message: (message: any) => void;
  /** The error of a failed attempt to connect. */
  error: (error: Error) => void;
}

export interface HttpClientMethods<Actions> {
  /**
   * Run an action.
   * @param name of the action, or name and version: `user:show@2`
   * @throws {ActionError} when the server responds with an error
   * @throws {ClientError} when it does not respond
   */
  call<Name extends ActionName<Actions>>(
    name: Name,
    ...args: CallArguments<Actions[Name]>
  ): Promise<ResponseOf<Actions[Name]>>;
}

export interface ClientMethods<
  Actions,
  Table,
> extends HttpClientMethods<Actions> {
  readonly rooms: Rooms<Table>;
  readonly state: ConnectionState;
  /** Connect now; otherwise the first call connects. Does nothing over HTTP. */
  connect(): Promise<void>;
  /** Close permanently; pending calls fail. */
  close(): void;
  /** @returns a function that ends it */
  on<Event extends keyof ConnectionEvents>(
    event: Event,
    listener: ConnectionEvents[Event],
  ): () => void;
}

export type HttpClient<Actions> = HttpClientMethods<Actions> &
  Omit<NestedCallers<Actions>, keyof HttpClientMethods<Actions>>;

export type Client<Actions, Table> = ClientMethods<Actions, Table> &
  Omit<NestedCallers<Actions>, keyof ClientMethods<Actions, Table>>;
