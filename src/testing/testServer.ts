/** The server behind the specHelper: its clients are objects that collect their messages in `messages`. */
import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import type { ActionProcessor } from "../action/actionProcessor";
import { api } from "../api";
import { serializeError } from "../config/errorMessage";
import { settings } from "../config/settings";
import type { Connection } from "../connection/connection";
import { connectionVerbs } from "../connection/verbs";
import {
  type CookieOptions,
  sealCookie,
  setCookieHeader,
} from "../cookie/cookies";
import { toError } from "../errors";
import { errorTextForClients, hasOwnJson } from "../exposure/json";
import { log } from "../log/log";
import { Server } from "../server/server";

/** Called with the response to one request. */
type ResponseCallback = (message: any, connection: Connection) => void;

/** A connection of the test server. */
export type SpecHelperConnection = Connection & {
  /** Callbacks that wait for a response, by the message id of the request. */
  actionCallbacks?: { [messageId: string]: ResponseCallback };
};

/** A file as a test receives it. */
export interface ReceivedFile {
  /** The file as text; null if it does not exist. */
  content: string | null;
  mime: string;
  /** Bytes. */
  length: number;
  error?: any;
}

/** Creates test connections: `api.specHelper`, which exists only under `NODE_ENV=test`. */
export interface SpecHelperApi {
  /** Add `messageId`, `serverInformation` and `requesterInformation` to the responses of actions (default true). */
  returnMetadata?: boolean;
  Server?: typeof TestServer;
  Connection?: { createAsync(): Promise<SpecHelperConnection> };
}

declare module "../api" {
  interface Api {
    specHelper: SpecHelperApi;
  }
}

class TestServer extends Server {
  constructor() {
    super();
    this.type = "testServer";
    this.config = { enabled: true };
    this.attributes = {
      canChat: true,
      logConnections: false,
      logExits: false,
      sendWelcomeMessage: true,
      verbs: [...connectionVerbs],
    };
    this.connectionCustomMethods = { setCookie: keepCookie };
  }

  async initialize(): Promise<void> {
    this.on("connection", (connection: SpecHelperConnection) => {
      connection.messages = [];
      connection.actionCallbacks = {};
    });
  }

  async start(): Promise<void> {
    log("loading the testServer", "info");
  }

  /**
   * Responds here and not on `actionComplete`: that event has no listener after a stop, but running actions still need
   * a response.
   */
  override async processAction(
    connection: Connection,
  ): Promise<ActionProcessor> {
    const data = await super.processAction(connection);
    await this.respond(data);
    return data;
  }

  /** Its clients have no socket that could end them. */
  async stop(): Promise<void> {
    this.isDraining = true;
    await Promise.all(
      this.connections().map((connection) => connection.destroy()),
    );
  }

  /** Store the message, and resolve the request with its id. */
  sendMessage(
    connection: SpecHelperConnection,
    message: any,
    messageId?: string | number,
  ): Promise<void> {
    // resolved when it is kept: `api.connections.apply` copies the connection after that
    return new Promise((resolve) =>
      process.nextTick(() => {
        connection.messages?.push(message);
        resolve();
        const key = String(messageId);
        const callback = connection.actionCallbacks?.[key];
        if (typeof callback !== "function") return;
        delete connection.actionCallbacks![key];
        callback(message, connection);
      }),
    );
  }

  async sendFile(
    connection: Connection,
    error: any,
    fileStream: Readable | undefined,
    mime: string,
    length: number,
  ): Promise<void> {
    const file: ReceivedFile = {
      content: null,
      mime,
      length,
      error: error as unknown,
    };
    if (!error) {
      try {
        file.content = await textOf(fileStream!);
      } catch (readError) {
        file.error = readError;
      }
    }
    await this.sendMessage(connection, file, connection.messageId);
  }

  override hasAnswered(
    { actionCallbacks }: SpecHelperConnection,
    messageId: string | number,
  ): boolean {
    return actionCallbacks?.[String(messageId)] === undefined;
  }

  override goodbye(): void {
    // nothing to end: the client is the connection
  }

  private async respond(data: ActionProcessor): Promise<void> {
    if (data.toRender !== true) return;
    let message: unknown;
    try {
      message = withoutErrors(await render(data));
    } catch (failure) {
      message = { error: toError(failure) }; // the project's serializer is broken
    }
    await this.sendMessage(data.connection, message, data.messageId);
  }
}

/** As a browser does: the next action of the connection finds the cookie. */
function keepCookie(
  { cookies }: Connection,
  name: string,
  value: string,
  options: CookieOptions = {},
): void {
  setCookieHeader(name, value, options, true); // throws what no browser would keep
  if (options.maxAge === 0) delete cookies[name];
  else cookies[name] = sealCookie(name, String(value), options);
}

/** The object behind `api.specHelper`. */
export function createSpecHelperApi(): SpecHelperApi {
  return {
    returnMetadata: true,
    Server: TestServer,
    Connection: { createAsync: connect },
  };
}

/** Put the test server beside the others. */
export async function startTestServer(): Promise<void> {
  const server = new (api.specHelper.Server ?? TestServer)();
  await server.initialize();
  api.servers.servers[server.type] = server;
  await server.start();
}

/**
 * The running test server.
 * @throws Error saying what is missing
 */
export function testServer(): Server {
  const server = api.servers?.servers.testServer;
  if (!server)
    throw new Error(
      "the specHelper needs a started Process, with NODE_ENV=test",
    );
  return server;
}

async function connect(): Promise<SpecHelperConnection> {
  const id = randomUUID();
  return testServer().buildConnection({
    id,
    fingerprint: id,
    rawConnection: {},
    remoteAddress: "testServer",
    remotePort: 0,
  });
}

/** A text or a list is sent as it is; to an object come the error's text and the metadata. */
async function render(data: ActionProcessor): Promise<unknown> {
  const response: unknown = data.response;
  if (typeof response === "string" || Array.isArray(response)) return response;

  const reply = (response ?? {}) as Record<string, unknown>;
  if (reply.error) reply.error = await serializeForTest(reply.error);
  if (!api.specHelper.returnMetadata) return reply;
  reply.messageId = data.messageId;
  reply.serverInformation = {
    serverName: settings().general.serverName,
    apiVersion: settings().general.apiVersion,
  };
  reply.requesterInformation = {
    id: data.connection.id,
    remoteIP: data.connection.remoteIP,
    receivedParams: { ...data.params },
  };
  return reply;
}

/** As `config.errors.serializers.servers.specHelper` says; else `Error: ` and its message. */
function serializeForTest(error: unknown): unknown {
  const { message } = error as { message?: unknown };
  const { specHelper } = settings().errors.serializers.servers;
  if (typeof specHelper !== "function" && message)
    return `Error: ${message as string}`;
  return serializeError("specHelper", error);
}

/** Decoded at the end: a character may lie across two chunks. */
async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks).toString();
}

// --- Responses for tests: values instead of JSON, but with errors as text, like clients get them.

/**
 * A value with a text in place of each Error that its plain objects and lists contain.
 * @returns the value itself where there are none; otherwise a copy of the objects on the way to them
 */
function withoutErrors(value: unknown): unknown {
  return replaceIn(value, new Map());
}

function replaceIn(value: unknown, seen: Map<object, unknown>): unknown {
  if (value instanceof Error)
    return hasOwnJson(value) ? value : errorTextForClients(value);
  if (!isWalked(value)) return value;
  if (seen.has(value)) return seen.get(value);
  seen.set(value, value); // a circle stays one
  let copy: Record<string, unknown> | undefined;
  for (const [key, item] of Object.entries(value)) {
    const replaced = replaceIn(item, seen);
    if (replaced === item) continue;
    copy ??= (Array.isArray(value) ? [...value] : { ...value }) as Record<
      string,
      unknown
    >;
    copy[key] = replaced;
  }
  seen.set(value, copy ?? value);
  return copy ?? value;
}

function isWalked(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    prototype === Object.prototype || prototype === null || Array.isArray(value)
  );
}
