/** The open sockets of a listener. */
import type { Socket } from "node:net";
import type { HttpServer } from "./listener";

/**
 * Open sockets that can carry requests, keyed by an incrementing id. Over TLS they exist once the handshake is done; until
 * then the plain socket below is known only here, so that a stop need not wait for clients that never finish one.
 */
export class Sockets {
  readonly open: { [id: string]: Socket } = {};
  private readonly known = new WeakSet<Socket>();
  /** Plain sockets below TLS by the client's address; on unix sockets all have the same. */
  private readonly handshakes = new Map<string, Set<Socket>>();
  private count = 0;

  watch(server: HttpServer, isSecure: boolean): void {
    if (!isSecure) {
      server.on("connection", (socket: Socket) => this.add(socket));
      return;
    }
    server.on("connection", (socket: Socket) => {
      const key = addressOf(socket);
      const sockets = this.handshakes.get(key) ?? new Set();
      this.handshakes.set(key, sockets.add(socket));
      socket.once("close", () => this.endHandshake(key, socket));
    });
    server.on("secureConnection", (socket: Socket) => {
      this.endHandshake(addressOf(socket));
      this.add(socket);
    });
  }

  destroyHandshakes(): void {
    for (const sockets of [...this.handshakes.values()])
      for (const socket of sockets) socket.destroy();
  }

  /** @param socket default: the one of this address that has received most, which excludes unfinished handshakes */
  private endHandshake(key: string, socket?: Socket): void {
    const sockets = this.handshakes.get(key);
    if (!sockets) return;
    sockets.delete(socket ?? mostRead(sockets));
    if (sockets.size === 0) this.handshakes.delete(key);
  }

  private add(socket: Socket): void {
    if (this.known.has(socket)) return; // passed to the server again, after an ignored upgrade
    this.known.add(socket);
    // node removes its own listener when the socket is handed over (upgrade, CONNECT), and there may be no other
    socket.on("error", ignore);
    const id = String(this.count++);
    this.open[id] = socket;
    socket.once("close", () => delete this.open[id]);
  }
}

function mostRead(sockets: ReadonlySet<Socket>): Socket {
  return [...sockets].reduce((most, one) =>
    one.bytesRead > most.bytesRead ? one : most,
  );
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function ignore(): void {
  // "close" follows
}
