/** The types of a client's calls, made from a table of actions. */

/** What one action takes and answers. */
export interface ActionSignature {
  params: object;
  response: unknown;
}

/** Signatures by name, or by name and version (`user:show@2`); `npx actionhero types` writes one for a project. */
export type ActionTable = object;

/** Any name, any params, any response: what a client without a table has. */
export interface AnyActions {
  [name: string]: { params: Record<string, any>; response: any };
}

export type ActionName<Actions> = keyof Actions & string;

export type ParamsOf<Action> = Action extends { params: infer Params }
  ? Params
  : Record<string, any>;

export type ResponseOf<Action> = Action extends { response: infer Response }
  ? Response
  : any;

/** Keys that have to be given; `never` for an action that needs no params. */
type RequiredKeys<Params> = {
  [Key in keyof Params]-?: object extends Pick<Params, Key> ? never : Key;
}[keyof Params];

/** `(params, options)`, of which `params` may be left out when none is required. */
export type CallArguments<Action> = [RequiredKeys<ParamsOf<Action>>] extends [
  never,
]
  ? [params?: ParamsOf<Action> | undefined, options?: CallOptions]
  : string extends keyof ParamsOf<Action>
    ? [params?: ParamsOf<Action> | undefined, options?: CallOptions]
    : [params: ParamsOf<Action>, options?: CallOptions];

export type Caller<Action> = (
  ...args: CallArguments<Action>
) => Promise<ResponseOf<Action>>;

/**
 * `user:show` becomes `user.show`; names with a version are only for `call`. `Name` stands for all names of one head, so that
 * no call makes the compiler look at those of other heads.
 */
export type NestedCallers<Actions> = string extends keyof Actions
  ? Record<string, any>
  : { [Name in keyof Actions as Head<Name>]: Branch<Actions, Name> };

type Head<Name> = Name extends `${string}@${string}`
  ? never
  : Name extends `${infer First}:${string}`
    ? First
    : Name;

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
  /** Ends the wait: the call rejects with its reason; over HTTP the request is cancelled, too. */
  signal?: AbortSignal | undefined;
  /** How long the answer may take, in ms (default that of the client); 0 for any time. */
  timeout?: number | undefined;
  /** More headers, over HTTP. */
  headers?: Record<string, string> | undefined;
  /**
   * Sent as `Idempotency-Key` over HTTP: an action that takes it does its work once, so that the call may be tried again
   * as those by GET are.
   */
  idempotencyKey?: string | undefined;
}

type Awaitable<Value> = Value | Promise<Value>;

export type HeaderSource =
  Record<string, string> | (() => Awaitable<Record<string, string>>);

/** By action: the method and the path below `apiPath`, such as `["get", "/users/:id"]`. */
export type ActionRoutes = Readonly<
  Record<string, readonly [method: string, path: string]>
>;

export interface HttpOptions {
  /** The server: `https://example.com`; an empty text in a page is where the page came from. */
  url: string;
  /** Where actions are found over HTTP (default `/api`). */
  apiPath?: string;
  /** How actions are asked for; others are asked for by POST with their name in the query. */
  routes?: ActionRoutes;
  /** Sent with each request, such as a token; a function is asked each time. */
  headers?: HeaderSource;
  /** Whether a page sends cookies to another origin (default `same-origin`). Outside of pages the client keeps them. */
  credentials?: "omit" | "same-origin" | "include";
  /** How long an answer may take, in ms (default 60,000; 0 for any time). */
  timeout?: number;
  /** How often what is safe is tried again when the server is away or busy: GET, or with an idempotency key (default 2). */
  retries?: number;
  /** Instead of the global one. */
  fetch?: typeof fetch;
}

export interface CreateClientOptions extends HttpOptions {
  /** Where the server takes websockets (default `/primus`). */
  pathname?: string;
  /** How many calls wait for the connection to come back (default 1,000). */
  queueSize?: number;
  /** The waits between attempts to connect, in ms: the first (default 500) and the longest (default 30,000). */
  reconnect?: { min?: number; max?: number };
  /** Instead of the global one, or of that of the package ws in node. */
  WebSocket?: unknown;
  /** For `tls://`: what `tls.connect` takes. */
  tls?: object;
}

/** Messages by room; any without it. */
export type RoomTable = object;

type MessageIn<Rooms, Room> = Room extends keyof Rooms ? Rooms[Room] : any;

export type RoomName<Rooms> = [keyof Rooms] extends [never]
  ? string
  : keyof Rooms & string;

/** What somebody said in a room. */
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
  /** Be in a room, also after the connection was lost and came back, until `leave`. */
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
  /** The connection is there, for the first time or again; it is in its rooms. */
  connected: () => void;
  disconnected: () => void;
  /** All that the server sends and no call waits for. */
  message: (message: any) => void;
  /** Why an attempt to connect failed. */
  error: (error: Error) => void;
}

export interface HttpClientMethods<Actions> {
  /**
   * Run an action.
   * @param name of the action, or name and version: `user:show@2`
   * @throws {ActionError} when the server answers with an error
   * @throws {ClientError} when it does not answer
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
  /** Connect now; calls do it by themselves. Over HTTP it does nothing. */
  connect(): Promise<void>;
  /** Close for good; what waits for an answer fails. */
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
