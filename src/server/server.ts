/** The base class of servers: what all transports share. */
import { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import { ActionProcessor } from "../action/actionProcessor";
import { requestOf } from "../action/caller";
import { api } from "../api";
import { settings } from "../config/settings";
import { Connection } from "../connection/connection";
import {
  call,
  type FailedCall,
  noteMessage,
  hasResponse,
} from "../connection/calls";
import { continueContext, isContextOn, joinContext } from "../context/context";
import { errorText, toError } from "../errors";
import { type TextParams, textParamsOf } from "../input/field";
import { escapeControls, escapeFields } from "../log/escape";
import { isIntended, shownToClients } from "../exposure/errors";
import { type ActionheroLogLevel, log } from "../log/log";
import { tracing } from "../tracing/tracer";
import { plainAddress } from "../utils/addresses";
import { isThenable, timerMs } from "../utils/promises";
import { newFingerprint } from "./identity";
import { schemeOf } from "./proxies";

/** The data of a connecting client. */
export interface BuildConnectionData {
  id?: string;
  fingerprint?: string;
  messageId?: string | number;
  rawConnection: any;
  remoteAddress: string;
  remotePort: number | string;
}

/** How a server treats its connections. */
export interface ServerAttributes {
  canChat?: boolean;
  logConnections?: boolean;
  logExits?: boolean;
  /** True: at once; a number: the delay in ms. */
  sendWelcomeMessage?: boolean | number;
  /** The verbs that its clients may use. */
  verbs?: readonly string[];
  [key: string]: any;
}

/** Flags that a server can set in `attributes` or on itself, with the defaults of this class: those of a chat server. */
export const FLAG_DEFAULTS = {
  canChat: true,
  logConnections: true,
  logExits: true,
  sendWelcomeMessage: true as boolean | number,
};

type ServerFlag = keyof typeof FLAG_DEFAULTS;

/** Clients of tests join rooms themselves. */
const TEST_SERVER = "testServer";

const REQUIRED_METHODS = [
  "start",
  "stop",
  "sendFile",
  "sendMessage",
  "goodbye",
] as const;

/**
 * Extend it for a custom transport. It emits `connection` (a client connected) and `actionComplete` (an action ended:
 * send the response).
 */
export abstract class Server extends EventEmitter {
  /** Its name, e.g. `"web"`; `config[type]` configures it. */
  type: string = undefined!; // set by the subclass
  verbs?: string[];
  /** `config[type]`, live. */
  config?: any;
  options?: { [key: string]: any } = {};
  attributes: ServerAttributes = {};
  // a value that a subclass sets here applies if `attributes` lacks the key (see `connectionFlag`); `declare`, because
  // with class fields the defaults could not be distinguished from values of a subclass
  declare canChat: boolean;
  declare logConnections: boolean;
  declare logExits: boolean;
  declare sendWelcomeMessage: boolean | number;
  /** Methods that every connection of this server gets; called with the connection first. */
  connectionCustomMethods: {
    [name: string]: (connection: Connection, ...args: any[]) => any;
  } = {};
  /** The object that listens. */
  server?: any;
  /** Set it while the server stops: running actions continue, and new actions of its clients are refused. */
  isDraining = false;

  /** Whether new actions of clients are refused. */
  refusesActions(): boolean {
    return this.isDraining;
  }

  /**
   * The value of a flag: from `attributes`, else the value that a subclass set. Undefined if neither sets it; the
   * defaults of this class, which are all true, are not used.
   */
  connectionFlag(name: ServerFlag): boolean | number | undefined {
    const attribute = this.attributes[name];
    if (attribute !== undefined) return attribute;
    return isOverridden(this, name) ? this[name] : undefined;
  }

  /** Prepare; nothing listens yet. */
  abstract initialize(): Promise<void>;
  /** Listen. */
  abstract start(): Promise<void>;
  /**
   * Called on all servers before the first of them is stopped, so that no server accepts clients while others wait
   * for theirs: stop listening here. `stop` follows.
   */
  beginStop?(): void;
  /** Stop listening, let running actions finish within `config.general.shutdownTimeout`, end the connections. */
  abstract stop(): Promise<void>;
  abstract sendMessage(
    connection: Connection,
    message: any,
    messageId?: string | number,
  ): Promise<void>;
  abstract sendFile(
    connection: Connection,
    error: any,
    fileStream: any,
    mime: string,
    length: number,
    lastModified: Date,
  ): Promise<void>;
  /** Close a client's transport connection. */
  goodbye?(connection: Connection): any;

  /** Whether it is to be started: `config.enabled` is true, unless a server has a rule of its own. */
  isEnabled(): boolean {
    return (this.config as { enabled?: unknown } | undefined)?.enabled === true;
  }

  /** @throws Error naming what is missing */
  validate(): void {
    if (!this.type) throw new Error("type is required for this server");
    for (const method of REQUIRED_METHODS) {
      if (typeof this[method] !== "function")
        throw new Error(
          `${method} is a required method for the server \`${this.type}\``,
        );
    }
  }

  /** For a new client: create its connection, run the middleware, log, and send the welcome message. */
  async buildConnection(data: BuildConnectionData): Promise<Connection> {
    return this.openConnection(data);
  }

  /** `buildConnection`, but synchronous when all `create` middleware is: for the hot path. */
  openConnection(data: BuildConnectionData): Connection | Promise<Connection> {
    const ConnectionClass = connectionClassFor(this);
    const connection = new ConnectionClass(
      {
        id: data.id,
        fingerprint: data.fingerprint,
        messageId: data.messageId,
        type: this.type,
        rawConnection: data.rawConnection as unknown,
        remotePort: data.remotePort,
        remoteIP: plainAddress(data.remoteAddress),
        canChat: this.connectionFlag("canChat") === true,
      },
      false,
    );
    joinContext(connection);
    try {
      const middleware = connection.runCreateMiddleware();
      if (!isThenable(middleware)) return this.introduce(connection);
      return middleware.then(
        () => this.introduce(connection),
        (error: unknown) => this.refuseConnection(connection, error),
      );
    } catch (error) {
      return this.refuseConnection(connection, error);
    }
  }

  /**
   * Join `config.general.defaultChatRoom`, if it is set and the connection can chat, and then announce the connection.
   */
  private introduce(connection: Connection): Connection | Promise<Connection> {
    const room = settings().general.defaultChatRoom;
    if (!room || !connection.canChat || this.type === TEST_SERVER)
      return this.announce(connection);
    return api.chatRoom
      .addMember(connection.id, room)
      .catch((error: unknown) =>
        this.log(`cannot join ${room}: ${errorText(error)}`, "error"),
      )
      .then(() => this.announce(connection));
  }

  /** The `create` middleware failed: destroy the connection, which runs the `destroy` middleware. */
  protected async refuseConnection(
    connection: Connection,
    error: unknown,
  ): Promise<never> {
    await connection.destroy();
    throw error;
  }

  /** Run the action that `connection.params` names; resolves when `actionComplete` was emitted. */
  processAction(connection: Connection): Promise<ActionProcessor<any>> {
    const run = () =>
      ActionProcessor.runFor(this, new ActionProcessor<any>(connection));
    return isContextOn() ? continueContext({ connection }, run) : run();
  }

  /**
   * Whether a response to a request was already sent. Called when an action with `toRender: false` fails: if no
   * response was sent, the error is. By default, a message from `connection.sendMessage` or a file counts as a
   * response.
   */
  hasAnswered(connection: Connection, messageId: string | number): boolean {
    return hasResponse(connection, messageId);
  }

  /** Whether the client sent its HTTP request over TLS, as seen by the socket or reported by a trusted proxy. */
  isTls(connection: Connection): boolean {
    const request = requestOf(connection) as IncomingMessage | undefined;
    return request !== undefined && schemeOf(request) === "https";
  }

  /**
   * The params of a request that arrived as strings, which schemas coerce. By default, those that the client set with
   * `paramAdd`.
   * @param params what `connection.params` was when the request came
   */
  textParams(_connection: Connection, params: object): TextParams {
    return textParamsOf(params);
  }

  /**
   * A method of a connection failed without a handler, and no pending action could fail with it. The error has been
   * reported. A client that waits for a file gets an error.
   */
  failCall(
    connection: Connection,
    { method, messageId, error }: FailedCall,
  ): void {
    if (method !== "sendFile" || connection.destroyed) return;
    const shown = this.errorForClient(error, "a file was not sent");
    const reply = { context: "response", error: shown };
    this.sendMessage(connection, reply, messageId).catch((failure: unknown) =>
      this.log(`cannot send an error: ${errorText(failure)}`, "error"),
    );
  }

  /**
   * The error for a client; hidden details are logged.
   * @param what the failed operation, for the log line
   * @param isLogged log it in any case
   */
  errorForClient(thrown: unknown, what: string, isLogged = false): unknown {
    const { error, id } = shownToClients(thrown);
    if (id !== undefined || isLogged) {
      const { stack } = toError(thrown);
      const facts = id === undefined ? { stack } : { errorId: id, stack };
      this.log(`${what}: ${errorText(thrown)}`, "error", facts);
    }
    return error;
  }

  /** The error for a client whose verb failed; it is logged, unless it is meant for clients. */
  failedVerb(thrown: unknown, verb: string): unknown {
    const what = `the verb \`${verb}\` failed`;
    return this.errorForClient(thrown, what, !isIntended(thrown));
  }

  /** The error for a client whose response could not be built or sent, such as one that JSON cannot express; it is logged. */
  failedResponse(thrown: unknown): unknown {
    return this.errorForClient(thrown, "cannot respond to a request", true);
  }

  /** Send the file that `connection.params.file` names. */
  async processFile(connection: Connection): Promise<void> {
    tracing.tracer?.entry()?.describe("file", { "rpc.method": "file" });
    const found = await api.staticFile.get(connection);
    await this.sendFile(
      found.connection as Connection,
      found.error,
      found.fileStream,
      found.mime,
      found.length as number,
      found.lastModified as Date,
    );
  }

  /** Allow clients further verbs than `attributes.verbs`. */
  protected allowVerbs(verbs?: readonly string[] | null): void {
    const { verbs: usual } = this.attributes;
    this.attributes.verbs = [...(usual ?? []), ...(verbs ?? [])];
  }

  /** The open connections of this server. */
  connections(): Connection[] {
    return api.connections.table
      .list()
      .filter((connection) => connection.type === this.type);
  }

  /** Log with this server's name before the message. */
  log(message: string, severity?: ActionheroLogLevel, data?: any): void {
    // most messages and data of servers hold something that a client sent
    const isFields = typeof data === "object" && data !== null;
    log(
      escapeControls(`[server: ${this.type}] ${message}`),
      severity,
      isFields ? escapeFields(data as object) : data,
    );
  }

  private announce(connection: Connection): Connection {
    this.emit("connection", connection);
    if (this.connectionFlag("logConnections") === true)
      this.log("new connection", "info", { to: connection.remoteIP });

    const sendWelcomeMessage = this.connectionFlag("sendWelcomeMessage");
    if (sendWelcomeMessage === true) this.welcome(connection);
    else if (typeof sendWelcomeMessage === "number") {
      setTimeout(() => {
        if (!connection.destroyed) this.welcome(connection);
      }, timerMs(sendWelcomeMessage)).unref();
    }
    return connection;
  }

  private welcome(connection: Connection): void {
    const { welcomeMessage: welcome, defaultChatRoom } = settings().general;
    const room = connection.rooms.find((name) => name === defaultChatRoom);
    const complain = (error: unknown) =>
      this.log(`cannot send welcome message: ${errorText(error)}`, "error");
    try {
      const sent: unknown = this.sendMessage(
        connection,
        room === undefined
          ? { welcome, context: "api" }
          : { welcome, room, context: "api" },
      );
      // a project's own server may send without a promise
      if (isThenable(sent)) sent.then(undefined, complain);
    } catch (error) {
      complain(error);
    }
  }
}

Object.assign(Server.prototype, FLAG_DEFAULTS);

// eslint-disable-next-line @typescript-eslint/unbound-method -- only compared, never called
const { processAction } = Server.prototype;

/**
 * `processAction` of a server, which a project may have replaced, for the hot path: no promise is made for the caller.
 * @param onLateError takes what a listener of `actionComplete` throws later
 * @returns a promise only if the project has replaced the method
 * @throws what a listener throws at once
 */
export function startAction(
  server: Server,
  connection: Connection,
  onLateError: (data: ActionProcessor, error: unknown) => void,
): unknown {
  if (server.processAction !== processAction)
    return server.processAction(connection);
  if (isContextOn())
    continueContext({ connection }, () =>
      startNow(server, connection, onLateError),
    );
  else startNow(server, connection, onLateError);
  return undefined;
}

function startNow(
  server: Server,
  connection: Connection,
  onLateError: (data: ActionProcessor, error: unknown) => void,
): void {
  const data = new ActionProcessor<any>(connection);
  ActionProcessor.startFor(server, data, onLateError);
}

/** Whether a member is the instance's or a subclass's, and not that of `Server`. */
function isOverridden(server: Server, name: string): boolean {
  let owner: object = server;
  while (owner !== Server.prototype) {
    if (Object.hasOwn(owner, name)) return true;
    owner = Object.getPrototypeOf(owner) as object;
  }
  return false;
}

// --- The connection class of each server: its own ways to send, and its custom methods.

interface Compiled {
  methods: Server["connectionCustomMethods"];
  names: string[];
  ConnectionClass: typeof Connection;
}

type Method = (connection: Connection, ...args: unknown[]) => unknown;

/** On the server itself, because each connection looks for it. */
const COMPILED = Symbol("compiled");

/** Built once per server, and again when its custom methods were replaced or added to. */
function connectionClassFor(server: Server): typeof Connection {
  const holder = server as { [COMPILED]?: Compiled };
  const known = holder[COMPILED];
  const methods = server.connectionCustomMethods;
  if (known?.methods === methods && hasSameNames(methods, known.names))
    return known.ConnectionClass;

  const ConnectionClass = buildClass(server);
  const names = Object.keys(methods);
  holder[COMPILED] = { methods, names, ConnectionClass };
  return ConnectionClass;
}

/** Without building a list, because this is checked for every connection. */
function hasSameNames(methods: object, names: readonly string[]): boolean {
  let i = 0;
  for (const name in methods) if (names[i++] !== name) return false;
  return i === names.length;
}

function buildClass(server: Server): typeof Connection {
  class ServerConnection extends Connection {}
  const add = (name: string, method: Method) =>
    addMethod(ServerConnection, name, (connection, ...args) =>
      call(
        connection,
        name,
        () => method(connection, ...args),
        (failedOn, failed) => server.failCall(failedOn, failed),
      ),
    );
  add("sendMessage", (connection, message) => {
    noteMessage(connection, message);
    return server.sendMessage(connection, message);
  });
  add("sendFile", (connection, path) => {
    connection.params.file = path as string;
    noteMessage(connection, undefined);
    return server.processFile(connection);
  });
  add("rotateFingerprint", (connection) => {
    const fingerprint = newFingerprint();
    return (connection.fingerprint = fingerprint);
  });
  for (const name of Object.keys(server.connectionCustomMethods)) {
    add(
      name,
      (connection, ...args) =>
        server.connectionCustomMethods[name]!(connection, ...args) as unknown,
    );
  }
  return ServerConnection;
}

/**
 * Define a method that is bound to its connection on first access, so that it can be passed as a callback: most
 * connections use few of theirs.
 */
function addMethod(
  { prototype }: typeof Connection,
  name: string,
  method: Method,
): void {
  Object.defineProperty(prototype, name, {
    configurable: true,
    get(this: Connection) {
      const bound = (...args: unknown[]) => method(this, ...args);
      if (this !== prototype) ownMethod(this, name, bound);
      return bound;
    },
    set(this: Connection, value: unknown) {
      ownMethod(this, name, value);
    },
  });
}

function ownMethod(connection: Connection, name: string, value: unknown): void {
  Object.defineProperty(connection, name, {
    configurable: true,
    writable: true,
    enumerable: false,
    value,
  });
}
