/**
 * Watches the sockets of `upgrade` and `CONNECT` requests, and refuses unclaimed ones: node neither reads nor closes a
 * socket after it has emitted `upgrade` or `connect`.
 */
import {
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { settings } from "../config/settings";

const TAKE_MS = 10_000;

type HandOver = "upgrade" | "connect";

const watches = new WeakSet<object>();

interface HandOverOptions {
  /** Whether responses to earlier requests of a connection are still to come. */
  isBusy: (socket: Socket) => boolean;
  /** How long a listener may take to use a socket, in ms (default 10 s). */
  takeMs?: number;
}

/**
 * Respond with a 404 on sockets that no listener uses within `takeMs`: none has written to them or added a listener.
 * While an event has no other listener, node handles its requests as usual.
 */
export function watchHandOvers(server: Server, options: HandOverOptions): void {
  const watch = (_req: IncomingMessage, socket: Socket) =>
    watchSocket(socket, options);
  watches.add(watch);
  server.on("newListener", (event: string, listener: unknown) => {
    if (!isHandOver(event) || listener === watch) return;
    if (!server.listeners(event).includes(watch)) server.on(event, watch);
  });
  server.on("removeListener", (event: string) => {
    if (isHandOver(event) && !hasOtherTakers(server, undefined, event))
      server.off(event, watch);
  });
}

/** Whether anyone beside `own` listens for the sockets of an event. */
export function hasOtherTakers(
  server: Server,
  own: object | undefined,
  event: HandOver = "upgrade",
): boolean {
  return server
    .listeners(event)
    .some((listener) => listener !== own && !watches.has(listener));
}

/** Whether a socket no longer belongs to the HTTP server. */
export function isHandedOver(socket: Socket): boolean {
  return sockets.get(socket)?.isOut === true;
}

/** The HTTP server continues with a socket that it had handed over. */
export function takeBack(socket: Socket): void {
  sockets.get(socket)?.end();
}

function isHandOver(event: string): event is HandOver {
  return event === "upgrade" || event === "connect";
}

function watchSocket(
  socket: Socket,
  { isBusy, takeMs = TAKE_MS }: HandOverOptions,
): void {
  const watched = sockets.get(socket) ?? new HandedSocket(socket);
  sockets.set(socket, watched);
  watched.begin(takeMs, isBusy(socket));
}

/** A connection may be handed over more than once: see `serveWithoutUpgrade`. */
const sockets = new WeakMap<Socket, HandedSocket>();

class HandedSocket {
  isOut = false;
  private timer: NodeJS.Timeout | undefined;
  /** More bytes than these were written by the listener that took the socket. */
  private bytesWritten = 0;
  private listeners = 0;

  constructor(private readonly socket: Socket) {
    socket.once("close", () => this.end());
  }

  begin(takeMs: number, isBusy: boolean): void {
    this.end();
    this.isOut = true;
    this.bytesWritten = isBusy ? Infinity : this.socket.bytesWritten;
    this.listeners = this.countListeners();
    this.timer = setTimeout(() => this.refuseIfLeft(), takeMs).unref();
  }

  end(): void {
    clearTimeout(this.timer);
    this.isOut = false;
  }

  private refuseIfLeft(): void {
    const { socket } = this;
    const isTaken =
      socket.bytesWritten > this.bytesWritten ||
      socket.readableFlowing !== null ||
      this.countListeners() > this.listeners;
    if (!isTaken) refuseSocket(socket, 404, "there is nothing to upgrade to");
  }

  private countListeners(): number {
    const { socket } = this;
    return (
      socket.listenerCount("readable") +
      socket.listenerCount("error") +
      socket.listenerCount("close")
    );
  }
}

/** Node's response that is being written, if any: the next one takes its place before it closes. */
type Answering = Duplex & { _httpMessage?: ServerResponse | null };

/** A client that did not wait for its responses gets them; it repeats its last request on another connection. */
export function endAfterResponses(socket: Answering): void {
  const { _httpMessage: response } = socket;
  if (response) response.once("close", () => endAfterResponses(socket));
  else socket.end();
}

// --- Responds to requests whose socket node's HTTP server has handed over: there is no response object for them.

/** How long a refused client may take to read why, in ms. */
const REFUSAL_MS = 5_000;

/** Respond with an HTTP status and a text, and end the socket. */
export function refuseSocket(
  socket: Duplex,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): void {
  const lines = Object.entries({
    "Content-Type": "text/plain",
    ...(settings().web.nosniff && { "X-Content-Type-Options": "nosniff" }),
    ...headers,
    Connection: "close",
    "Content-Length": String(Buffer.byteLength(body)),
  }).map(([name, value]) => `${name}: ${value.replace(/[\r\n]/g, " ")}\r\n`);
  // a status that has no name of its own has the space before it all the same (RFC 9112 section 4)
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
  socket.on("error", () => undefined);
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS).unref();
  socket.once("close", () => clearTimeout(timer));
  socket.once("finish", () => socket.destroy());
  socket.end(`${head}${lines.join("")}\r\n${body}`);
}
