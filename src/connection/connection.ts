/** One client, on any transport. */
import { randomBytes, randomUUID } from "node:crypto";
import { api } from "../api";
import { settings } from "../config/settings";
import {
  clearing,
  type CookieOptions,
  type CookieProtection,
  type Cookies,
  cookiesOf,
  openCookie,
} from "../cookie/cookies";
import { log } from "../log/log";
import type { Session } from "../session/session";
import { traceMiddleware, tracing } from "../tracing/tracer";
import { isThenable, waitAtMost } from "../utils/promises";
import { type ConnectionMiddleware, POSITION } from "./registry";
import { type VerbArgument, runVerb } from "./verbs";
import { notifyDisconnect, call } from "./calls";
import { setOwn } from "../utils/objects";

/** The data from which a connection is created. */
export interface ConnectionData {
  /** Default: a new UUID. */
  id?: string;
  /** Default: the id. */
  fingerprint?: string;
  messageId?: string | number;
  /** The transport: the type of the server. */
  type: string;
  /** The transport's own objects. */
  rawConnection: any;
  remotePort: number | string;
  remoteIP: string;
  /** Whether it can join chat rooms. */
  canChat: boolean;
}

/** The promise of a `destroy` that need not wait. */
export const DESTROYED = Promise.resolve();

interface Ending {
  done: Promise<void>;
  /** Stops waiting for its middleware. */
  hurry: () => void;
}

/** Connections that are being destroyed, for repeated calls and callers that cannot wait. */
const ending = new WeakMap<Connection, Ending>();

export class Connection {
  id: string;
  fingerprint: string;
  type: string;
  rawConnection: any;
  remotePort: number | string;
  remoteIP: string;
  /** The id of the current request; persistent clients may choose it. */
  messageId: string | number;
  /** ms since the epoch. */
  connectedAt: number;
  error: any;
  /** Names of the chat rooms it is in. */
  rooms: string[];
  /** Params of the next action. */
  params: { [key: string]: any };
  /** Values that middleware and actions store for this client. */
  session: { [key: string]: any };
  pendingActions: number;
  totalActions: number;
  canChat: boolean;
  destroyed: boolean;
  /** Its place in `api.connections.table`. */
  [POSITION]: number;
  // no fields of every connection: each would take a hundredth of an in-line action (bench/action.ts)
  /** Web: the methods that the routes of the path allow; only with `web.strictHttp`. */
  declare otherMethods?: string[];
  /** Web: the extension of the requested path. */
  declare extension?: string;
  declare response?: any;
  /** specHelper only: all received messages. */
  declare messages?: any[];
  /** Web: the route that the request matched. */
  declare matchedRoute?: any;
  // the three below are methods that a server adds to its connections' prototype: a field would shadow them
  /** Web: add a header to the response. */
  declare setHeader?: (key: string, value: any) => Promise<void> | void;
  /** Web: set the response's HTTP status. */
  declare setStatusCode?: (code: number) => Promise<void> | void;
  /** Web: respond with a buffer and custom headers. */
  declare pipe?: (
    buffer: string | Buffer,
    headers?: { [key: string]: string },
  ) => Promise<void> | void;

  /**
   * @param callCreateMethods run the `create` middleware (not awaited; `createAsync` awaits it)
   * @throws Error naming the property that is missing
   */
  constructor(data: ConnectionData, callCreateMethods = true) {
    checkData(data);
    this.id = data.id ?? randomUUID();
    this.fingerprint = data.fingerprint ?? this.id;
    this.type = data.type;
    this.rawConnection = data.rawConnection as unknown;
    this.remotePort = data.remotePort ?? 0;
    this.remoteIP = data.remoteIP ?? "0";
    this.messageId = data.messageId ?? "0";
    this.connectedAt = Date.now();
    this.error = null;
    this.rooms = [];
    this.params = {};
    this.session = {};
    this.pendingActions = 0;
    this.totalActions = 0;
    this.canChat = data.canChat;
    this.destroyed = false;
    this[POSITION] = -1;

    api.connections.table.add(this);
    if (callCreateMethods) {
      void Promise.resolve(runCreateMiddleware(this)).catch((error: unknown) =>
        logFailure("create middleware", this, error),
      );
    }
  }

  /** A connection whose `create` middleware has run. */
  static async createAsync(data: ConnectionData): Promise<Connection> {
    const connection = new this(data, false);
    try {
      await connection.runCreateMiddleware();
    } catch (error) {
      await connection.destroy();
      throw error;
    }
    return connection;
  }

  /** Run the `create` middleware; synchronous when all of it is. */
  runCreateMiddleware(): void | Promise<void> {
    return runCreateMiddleware(this);
  }

  /** Send a message to the client, by the connection's server. */
  sendMessage(_message: any, _verb?: string): Promise<void> {
    return call(this, "sendMessage", notImplemented) as Promise<void>;
  }

  /** Send a file below the public folders to the client, by the connection's server. */
  sendFile(_path: string): Promise<void> {
    return call(this, "sendFile", notImplemented) as Promise<void>;
  }

  /**
   * Replace the fingerprint by a new random one, at sign-in, to prevent session fixation. Over HTTP, the response
   * sets it as a cookie; the `id` of the request is unchanged. Data stored under the old fingerprint is not moved.
   * @returns the new fingerprint
   * @throws Error when the HTTP response has begun
   */
  async rotateFingerprint(): Promise<string> {
    return (this.fingerprint = randomBytes(20).toString("hex"));
  }

  /**
   * The cookies of the client's HTTP request or websocket upgrade: names and decoded values. If a name is repeated,
   * the first is used. Empty for other transports.
   */
  get cookies(): Cookies {
    return cookiesOf(this.rawConnection);
  }

  /** Projects of version 29 may keep something of their own here. */
  set cookies(cookies: Cookies) {
    setOwn(this, "cookies", cookies);
  }

  /**
   * The stored session of the client: values in redis that persist between requests. Undefined without
   * `session.enabled`. It is read before each action of the client, and written after it.
   */
  get store(): Session {
    return api.storedSessions?.of(this) as Session;
  }

  /** Projects of version 29 may keep something of their own here. */
  set store(store: Session) {
    setOwn(this, "store", store);
  }

  /**
   * The value of a cookie that the client sent.
   * @returns undefined if it is missing, or was not signed (or encrypted) under this name by this cluster
   */
  getCookie(name: string, protection?: CookieProtection): string | undefined {
    return openCookie(this.cookies, name, protection);
  }

  /**
   * Set a cookie with the response. Web only: other transports have no response that could carry it.
   * @param options attributes, and `signed` or `encrypted`; defaults: `web.cookieOptions.settings`, else the path `/`,
   * `HttpOnly`, `SameSite=Lax`, and `Secure` for clients that use TLS
   * @throws TypeError for a cookie that browsers would reject, and Error when the response has begun
   */
  setCookie(
    name: string,
    _value: string,
    _options?: CookieOptions,
  ): Promise<void> {
    return call(this, "setCookie", () => {
      throw new Error(
        `cannot set the cookie ${name}: ${this.type} has no response that carries it`,
      );
    }) as Promise<void>;
  }

  /**
   * Remove a cookie from the client.
   * @param options the `path` and `domain` with which it was set
   */
  clearCookie(name: string, options?: CookieOptions): Promise<void> {
    return this.setCookie(name, "", clearing(options));
  }

  /** Set a property; other nodes can do so through `api.connections.apply(id, "set", [key, value])`. */
  async set(key: string, value: any): Promise<void> {
    if (key === "__proto__" || key === "constructor") return;
    Object.assign(this, { [key]: value as unknown });
  }

  /**
   * Run a verb, like persistent clients.
   * @param args the arguments of the verb; `say` may have one object or list after the room (`general.sayObjects`)
   * @throws Error from `config.errors` when the verb is unknown, not allowed here, or fails
   */
  verbs(verb: string, args: VerbArgument[] | string = []): Promise<any> {
    const list = Array.isArray(args) ? [...args] : [args];
    return call(this, "verbs", () => runVerb(this, verb, list));
  }

  /** Leave all rooms, close the transport, and remove the connection; a second call waits for the first. */
  destroy(): Promise<void> {
    if (this.destroyed) return ending.get(this)?.done ?? DESTROYED;
    this.destroyed = true;
    notifyDisconnect(this);
    if (api.connections.globalMiddleware.length > 0 || this.rooms.length > 0) {
      let hurry: () => void = () => undefined;
      const hurried = new Promise<void>((resolve) => (hurry = resolve));
      const done = this.destroySlowly(hurried);
      ending.set(this, { done, hurry });
      return done;
    }
    this.finishDestroy();
    return DESTROYED;
  }

  private async destroySlowly(hurried: Promise<void>): Promise<void> {
    for (const middleware of globalMiddleware()) {
      if (typeof middleware.destroy !== "function") continue;
      try {
        const done: unknown = callMiddleware(this, middleware, "destroy");
        if (isThenable(done)) await Promise.race([done, hurried]);
      } catch (error) {
        logFailure("destroy middleware", this, error);
      }
    }
    await Promise.all(this.rooms.map((room) => this.leave(room)));
    this.finishDestroy();
  }

  private async leave(room: string): Promise<void> {
    try {
      await chatRooms()?.removeMember(this.id, room);
    } catch (error) {
      logFailure("leaving a room", this, error);
    }
  }

  private finishDestroy(): void {
    const server = api.servers?.servers[this.type];
    if (server?.connectionFlag?.("logExits") === true)
      server.log("connection closed", "info", { to: this.remoteIP });
    try {
      const done: unknown = server?.goodbye?.(this);
      if (isThenable(done))
        done.then(undefined, (error: unknown) =>
          logFailure("goodbye", this, error),
        );
    } catch (error) {
      logFailure("goodbye", this, error);
    }
    api.connections.table.remove(this);
  }
}

/**
 * Destroy a connection. If its `destroy` middleware takes longer than `timeoutMs`, continue without waiting: it leaves its
 * rooms and says goodbye in any case.
 * @returns whether it ended in time
 */
export async function endWithin(
  connection: Connection,
  timeoutMs: number,
): Promise<boolean> {
  const done = connection.destroy();
  const isInTime = await waitAtMost(timeoutMs, done);
  if (!isInTime) {
    ending.get(connection)?.hurry();
    await done;
  }
  return isInTime;
}

/** Chat is a lower layer, but is looked up at each use, because users replace and spy on its functions. */
function chatRooms() {
  return (
    api as {
      chatRoom?: {
        removeMember(connectionId: string, room: string): Promise<unknown>;
      };
    }
  ).chatRoom;
}

function notImplemented(): never {
  throw new Error("not implemented");
}

function checkData(data: ConnectionData): void {
  // a project's server may accept ids from its clients
  if (data.id === "__proto__")
    throw new Error("__proto__ cannot be the id of a connection");
  demand(data.type, "type");
  demand(data.rawConnection, "rawConnection");
  if (settings().general.enforceConnectionProperties) {
    demand(data.remotePort, "remotePort");
    demand(data.remoteIP, "remoteIP");
  }
}

function demand(value: unknown, property: keyof ConnectionData): void {
  if (value === undefined || value === null || value === "")
    throw new Error(
      `${property} is required to create a new connection object`,
    );
}

function* globalMiddleware(): Generator<ConnectionMiddleware> {
  const { middleware, globalMiddleware: names } = api.connections;
  for (const name of [...names]) {
    if (Object.hasOwn(middleware, name)) yield middleware[name]!;
  }
}

function runCreateMiddleware(connection: Connection): void | Promise<void> {
  if (api.connections.globalMiddleware.length === 0) return;
  return continueCreate(connection, globalMiddleware());
}

function continueCreate(
  connection: Connection,
  rest: Generator<ConnectionMiddleware>,
): void | Promise<void> {
  for (let next = rest.next(); !next.done; next = rest.next()) {
    if (typeof next.value.create !== "function") continue;
    const done: unknown = callMiddleware(connection, next.value, "create");
    if (isThenable(done))
      return Promise.resolve(done).then(() => continueCreate(connection, rest));
  }
}

function callMiddleware(
  connection: Connection,
  middleware: ConnectionMiddleware,
  phase: "create" | "destroy",
): unknown {
  const { tracer } = tracing;
  if (!tracer) return middleware[phase]!(connection);
  return traceMiddleware(
    tracer,
    { name: middleware.name, phase },
    () => middleware[phase]!(connection) as unknown,
  );
}

function logFailure(
  phase: string,
  connection: Connection,
  error: unknown,
): void {
  log(`error in ${phase} of a connection`, "error", {
    connectionId: connection.id,
    error: String(error),
    stack: (error as Error | undefined)?.stack,
  });
}
