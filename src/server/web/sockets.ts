/** The open sockets of a listener. */
import type { Socket } from "node:net";
import type { HttpServer } from "./listener";

/** Node names the plain socket below a TLS socket only so; addresses are not there on unix sockets. */
type Layered = Socket & { _parent?: Socket };

/**
 * Those that can carry requests, by a running number. Over TLS these come to be when the handshake is done; until then
 * the plain socket is only known here, so that a stop need not wait for clients that never finish one.
 */
export class Sockets {
  readonly open: { [id: string]: Socket } = {};
  private readonly known = new WeakSet<Socket>();
  private readonly handshakes = new Set<Socket>();
  private count = 0;

  watch(server: HttpServer, isSecure: boolean): void {
    if (!isSecure) {
      server.on("connection", (socket: Socket) => this.add(socket));
      return;
    }
    server.on("connection", (socket: Socket) => {
      this.handshakes.add(socket);
      socket.once("close", () => this.handshakes.delete(socket));
    });
    server.on("secureConnection", (socket: Layered) => {
      if (socket._parent) this.handshakes.delete(socket._parent);
      this.add(socket);
    });
  }

  destroyHandshakes(): void {
    for (const socket of this.handshakes) socket.destroy();
  }

  private add(socket: Socket): void {
    if (this.known.has(socket)) return; // handed to the server again, after an upgrade that was none
    this.known.add(socket);
    // node's own listener goes when the socket is handed over (upgrade, CONNECT), and nobody else may have one
    socket.on("error", ignore);
    const id = String(this.count++);
    this.open[id] = socket;
    socket.once("close", () => delete this.open[id]);
  }
}

function ignore(): void {
  // "close" follows
}
