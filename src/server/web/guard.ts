/** Refuses connections before the HTTP server handles them. */
import type { Socket } from "node:net";
import { admitConnection } from "../connectionCounts";
import type { HttpServer } from "./listener";

const BODY = '{"error":"too many connections"}';
const REFUSAL = [
  "HTTP/1.1 429 Too Many Requests",
  "Content-Type: application/json; charset=utf-8",
  `Content-Length: ${BODY.length}`,
  "Retry-After: 1",
  "Connection: close",
  "",
  BODY,
].join("\r\n");

/** How long a refused client may take to read the reason, in ms; and how many may do so at once. */
const LINGER_MS = 1_000;
const MAX_LINGERING = 64;

type Listener = (socket: Socket) => void;

/** Pass only sockets that `admitConnection` accepts to the existing listeners of a server. */
export function guardConnections(server: HttpServer, isSecure: boolean): void {
  const listeners = server.listeners("connection") as Listener[];
  const refusal = new Refusal(isSecure);
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    if (!admitConnection(socket)) return refusal.send(socket);
    for (const listener of listeners) listener.call(server, socket);
  });
}

class Refusal {
  private lingering = 0;

  /** @param isSecure the client expects TLS, and could not read a text */
  constructor(private readonly isSecure: boolean) {}

  send(socket: Socket): void {
    socket.on("error", ignore);
    if (this.isSecure || this.lingering >= MAX_LINGERING) {
      socket.destroy();
      return;
    }
    this.lingering++;
    // closing a socket with unread bytes would reset it and discard sent bytes
    socket.resume();
    socket.end(REFUSAL);
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once("end", () => socket.destroy());
    socket.once("close", () => {
      clearTimeout(timer);
      this.lingering--;
    });
  }
}

function ignore(): void {
  // the client is being refused
}
