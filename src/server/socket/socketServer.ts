/** The TCP and TLS server: clients keep a connection open, send lines, and receive lines of JSON. */
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { ActionProcessor } from "../../action/actionProcessor";
import { api } from "../../api";
import { isSocketServerEnabled, settings } from "../../config/settings";
import type { SocketServerOptions } from "../../config/types";
import { shutdownTimeLeft } from "../../config/shutdown";
import type { Connection } from "../../connection/connection";
import { connectionVerbs } from "../../connection/verbs";
import { ActionheroError, errorText, toError } from "../../errors";
import { isThenable } from "../../utils/promises";
import { clientErrorLevel, levelOf } from "../../exposure/errors";
import { messageForClients } from "../../exposure/json";
import { logDisconnect } from "../../log/refusals";
import type { StaticFileResult } from "../../staticFile/staticFile";
import { Drain } from "../drain";
import { listen } from "../listen";
import { FLAG_DEFAULTS, Server } from "../server";
import { sendEncoded, sendFound, sendRefusal, sendReply } from "./output";
import { SocketClient } from "./client";
import { Listener } from "./listener";
import type { RequestNames } from "./protocol";

/** Idle time after which the operating system probes a peer (TCP keep-alive), in ms. */
const KEEP_ALIVE_AFTER_MS = 60_000;

const GOODBYE = `${JSON.stringify({ status: "Bye", context: "api" })}\r\n`;

export class SocketServer extends Server {
  private readonly clients = new Map<Socket, SocketClient>();
  private readonly keepAlive = new KeepAlive(
    () => this.clients.values(),
    () => settings().socket,
  );
  private listener?: Listener;
  /** Settles when the last client has disconnected. */
  private stopping?: Promise<void>;
  private drain?: Drain<SocketClient>;
  private readonly names: RequestNames = {
    verbs: [],
    isAction: (name) => Object.hasOwn(api.actions.actions, name),
  };
  private readonly onHangUp = () => {
    try {
      this.reloadCertificates();
    } catch (error) {
      this.log(
        `cannot reload the certificates, the old ones stay in use: ${toError(error).message}`,
        "error",
      );
    }
  };

  constructor() {
    super();
    this.type = "socket";
    this.attributes = {
      ...FLAG_DEFAULTS,
      verbs: [...connectionVerbs, "documentation", "help"],
    };
  }

  override isEnabled(): boolean {
    return isSocketServerEnabled();
  }

  async initialize(): Promise<void> {
    this.allowVerbs(settings().socket.verbs);
    this.on("actionComplete", (data: ActionProcessor) => {
      this.completeAction(data);
    });
  }

  /** @throws ActionheroError AH_SERVER_START */
  async start(): Promise<void> {
    this.isDraining = false;
    const listener = this.createListener();
    const { bindIP, port } = this.address();
    try {
      await listen(listener.server, this.address(), {
        type: this.type,
        log: (message, severity) => this.log(message, severity),
        describe: (error) => cannotStart(bindIP, port, error),
      });
    } catch (error) {
      if (!this.mayBeLeftOut(error)) throw error;
      this.log(
        `port ${port} is in use: the TCP server was not started (set socket.port, or ENABLE_TCP_SERVER=false)`,
        "warning",
      );
      return;
    }
    this.listener = listener;
    this.server = listener.server;
    listener.server.on("error", (error) =>
      this.log(`error of the listening socket: ${errorText(error)}`, "error"),
    );
    if (settings().socket.secure) process.on("SIGHUP", this.onHangUp);
    this.keepAlive.start();
  }

  override beginStop(): void {
    const { listener } = this;
    if (!listener) return;
    this.listener = undefined;
    this.stopping = this.end(listener);
    this.stopping.catch(() => undefined); // `stop` throws it
  }

  /** Send a goodbye to every client, after its pending responses, within `general.shutdownTimeout`. */
  async stop(): Promise<void> {
    this.beginStop();
    await this.stopping;
  }

  private async end(listener: Listener): Promise<void> {
    this.isDraining = true;
    this.keepAlive.stop();
    process.off("SIGHUP", this.onHangUp);

    const closed = listener.close();
    const clients = [...this.clients.values()];
    const busy = clients.filter((client) => client.isBusy).length;
    if (busy > 0) {
      this.log(
        `waiting on shutdown, there are still ${busy} connected clients waiting on a response`,
        "notice",
      );
    }
    /** The clients that leave, and whether their middleware ended in time. */
    const leaving = new Map<SocketClient, Promise<boolean>>();
    const leave = (client: SocketClient) => {
      if (!leaving.has(client)) leaving.set(client, client.leaveForStop());
    };
    const drain = new Drain<SocketClient>({
      log: (message, level) => this.log(message, level),
      timeoutMs: this.shutdownTimeout(),
      gone: Promise.all(clients.map((client) => client.closed())),
      clients: () => this.clients.values(),
      isBusy: (client) => !client.isIdle,
      end: leave,
      cut: (client) => {
        const isCut = client.isBusy;
        leave(client);
        client.endLinger();
        return isCut;
      },
    });
    this.drain = drain;
    await drain.finish();
    this.drain = undefined;
    const inTime = await Promise.all(leaving.values());
    const givenUp = inTime.filter((isInTime) => !isInTime).length;
    if (givenUp > 0)
      this.log(
        `closed ${givenUp} connections before their destroy middleware ended`,
        "warning",
      );
    listener.destroySockets(); // those still in their handshake
    await closed;
  }

  async sendMessage(
    connection: Connection,
    sent: any,
    messageId?: string | number,
  ): Promise<void> {
    const client = this.clientOf(connection);
    if (!client) return;
    const message = messageForClients(sent);
    const { context, messageId: own } = (message ?? {}) as {
      context?: unknown;
      messageId?: unknown;
    };
    if (context === "response" && own === undefined) {
      const id = messageId ?? connection.messageId;
      return sendEncoded(client, { ...(message as object), messageId: id });
    }
    return sendEncoded(client, message);
  }

  /** Send only the bytes of a file, or an error instead. */
  async sendFile(
    connection: Connection,
    error: any,
    fileStream: any,
    mime: string,
    length: number | null,
    lastModified: Date,
  ): Promise<void> {
    const client = this.clientOf(connection);
    if (!client) return;
    const found: StaticFileResult = {
      connection,
      error: error as unknown,
      fileStream: fileStream as Readable,
      mime,
      length,
      lastModified,
    };
    await sendFound(client, found, connection.messageId);
  }

  override async processFile(connection: Connection): Promise<void> {
    const client = this.clientOf(connection);
    if (!client) return;
    const { messageId } = connection;
    const work = api.staticFile
      .get(connection)
      .then((found) => sendFound(client, found, messageId));
    await client.track(work);
  }

  /** Unsent bytes of a client: chat disconnects slow consumers. */
  bufferedBytes(connection: Connection): number {
    return this.clientOf(connection)?.output.bufferedBytes ?? 0;
  }

  override goodbye(connection: Connection): void {
    this.clientOf(connection)?.output.end(GOODBYE);
  }

  /**
   * Use other certificates for new connections; open connections keep theirs. SIGHUP also calls it.
   * @param changes new `key`, `cert`, `hosts` and so on; without them, the configured files are read again
   * @throws Error for invalid certificates; the old ones stay in use
   */
  reloadCertificates(changes?: SocketServerOptions): void {
    if (!this.listener) throw new Error("the socket server is not running");
    this.listener.reloadCertificates(changes);
    this.log("reloaded the certificates", "notice");
  }

  protected override async refuseConnection(
    connection: Connection,
    error: unknown,
  ): Promise<never> {
    const client = this.clientOf(connection);
    if (client) sendRefusal(client, error);
    return super.refuseConnection(connection, error);
  }

  /** Called when no request of a client is pending any more. */
  onIdle(client: SocketClient): void {
    this.drain?.update(client);
  }

  requestNames(): RequestNames {
    this.names.verbs = this.attributes.verbs ?? [];
    return this.names;
  }

  shutdownTimeout(): number {
    return shutdownTimeLeft();
  }

  private createListener(): Listener {
    const { serverOptions, secure } = settings().socket;
    try {
      return new Listener(serverOptions, secure, {
        type: this.type,
        onClient: (socket) => this.accept(socket),
        maxConnections: () => settings().socket.maxConnections,
        log: (message, severity, data) => this.log(message, severity, data),
      });
    } catch (thrown) {
      const error = toError(thrown);
      const { bindIP, port } = this.address();
      throw new ActionheroError(
        "AH_SERVER_START",
        cannotStart(bindIP, port, error),
        { cause: error },
      );
    }
  }

  private address() {
    const { port, bindIP, bootAttempts } = settings().socket;
    return { port, bindIP, bootAttempts };
  }

  /** The server is not explicitly enabled: a second project on a developer's machine starts without it. */
  private mayBeLeftOut(error: unknown): boolean {
    return settings().socket.enabled === undefined && isPortTaken(error);
  }

  private accept(socket: Socket): void {
    const client = new SocketClient(this, socket);
    this.clients.set(socket, client);
    socket.setNoDelay(true);
    if (settings().socket.setKeepAlive)
      socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
    socket.on("end", () => client.onEnd());
    socket.on("error", (error) => this.logSocketError(client, error));
    socket.once("close", () => {
      this.clients.delete(socket);
      client.destroy();
    });
    const opened = this.openConnection({
      rawConnection: socket,
      remoteAddress: socket.remoteAddress ?? "0.0.0.0",
      remotePort: socket.remotePort ?? "0",
    });
    if (!isThenable(opened)) return this.opened(client, opened);
    opened.then(
      (connection) => this.opened(client, connection),
      (error: unknown) => {
        const message = `cannot open a connection: ${errorText(error)}`;
        logDisconnect(this, socket, message, { level: levelOf(error) });
        client.output.end(GOODBYE);
      },
    );
  }

  private opened(client: SocketClient, connection: Connection): void {
    client.open(connection);
    // while the middleware ran, the client may have disconnected, or the server may be stopping
    if (client.socket.destroyed || this.isDraining) client.destroy();
  }

  /** Send the response of an action; called for every `actionComplete`. */
  private completeAction(data: ActionProcessor): void {
    if (data.toRender !== true) return;
    const client = this.clientOf(data.connection);
    if (!client) return;
    sendReply(client, data);
  }

  private clientOf(connection: Connection): SocketClient | undefined {
    return this.clients.get(connection.rawConnection as Socket);
  }

  private logSocketError(
    client: SocketClient,
    error: NodeJS.ErrnoException,
  ): void {
    if (client.output.hasEnded) return; // it is already closing
    const what =
      error.syscall === "write" ? "socket write error" : "socket error";
    const message = `${what}: ${errorText(error)}`;
    logDisconnect(this, client.socket, message, { level: clientErrorLevel() });
  }
}

function cannotStart(
  bindIP: string | null,
  port: number | string,
  error: Error,
): string {
  return `Cannot start socket server @ ${bindIP}:${port} => ${error.message}`;
}

function isPortTaken(error: unknown): boolean {
  const { code, cause } = error as NodeJS.ErrnoException;
  return code === "EADDRINUSE" || (cause !== undefined && isPortTaken(cause));
}

// --- Keep-alive messages, and closing of idle connections.

/** The settings, in ms; 0 disables. */
export interface KeepAliveTimes {
  idleTimeout: number;
  pingInterval: number;
}

export interface KeepAliveClient {
  /** When it last sent something, by `performance.now()`. */
  readonly lastSeen: number;
  /** When it was last pinged. */
  lastPing: number;
  /** Whether requests are pending. */
  readonly isBusy: boolean;
  ping(now: number): void;
  leaveIdle(): void;
}

/** Maximum and minimum interval of the rounds, in ms. */
const MAX_TICK_MS = 1000;
const MIN_TICK_MS = 10;
/** Clients per batch. */
const SLICE = 500;

export class KeepAlive {
  private timer?: NodeJS.Timeout;
  private reading?: NodeJS.Immediate;
  private isRunning = false;

  constructor(
    private readonly clients: () => Iterable<KeepAliveClient>,
    private readonly times: () => KeepAliveTimes,
  ) {}

  start(): void {
    this.isRunning = true;
    this.schedule();
  }

  stop(): void {
    this.isRunning = false;
    clearTimeout(this.timer);
    clearImmediate(this.reading);
  }

  private schedule(): void {
    if (!this.isRunning) return;
    const { idleTimeout, pingInterval } = this.times();
    // a quarter, so that no action is late by more than that
    const wanted = Math.min(idleTimeout || Infinity, pingInterval || Infinity);
    const tick = Math.max(MIN_TICK_MS, Math.min(MAX_TICK_MS, wanted / 4));
    this.timer = setTimeout(() => this.readFirst(), tick);
    this.timer.unref();
  }

  /** Received data is read before the immediate, so a message that only waited for this process still counts. */
  private readFirst(): void {
    this.reading = setImmediate(() => void this.round());
  }

  private async round(): Promise<void> {
    const { idleTimeout, pingInterval } = this.times();
    if (idleTimeout > 0 || pingInterval > 0) {
      let count = 0;
      for (const client of this.clients()) {
        visit(client, idleTimeout, pingInterval);
        if (++count % SLICE === 0)
          await new Promise((resolve) => setImmediate(resolve));
        if (!this.isRunning) return;
      }
    }
    this.schedule();
  }
}

function visit(
  client: KeepAliveClient,
  idleTimeout: number,
  pingInterval: number,
): void {
  const now = performance.now();
  if (
    idleTimeout > 0 &&
    !client.isBusy &&
    now - client.lastSeen >= idleTimeout
  ) {
    client.leaveIdle();
    return;
  }
  if (pingInterval > 0 && now - client.lastPing >= pingInterval) {
    client.lastPing = now;
    client.ping(Date.now());
  }
}
