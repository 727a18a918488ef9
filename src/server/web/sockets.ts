/** The open sockets of a listener. */
import type { Socket } from "node:net";
import type { HttpServer } from "./listener";

/**
 * Those that can carry requests, by a running number. Over TLS these come to be when the handshake is done; until then
 * the plain socket is only known here, so that a stop need not wait for clients that never finish one.
 */
export class Sockets {
  readonly open: { [id: string]: Socket } = {};
  private readonly known = new WeakSet<Socket>();
  private readonly handshakes = new Map<string, Socket>();
  private count = 0;

  watch(server: HttpServer, isSecure: boolean): void {
    if (!isSecure) {
      server.on("connection", (socket: Socket) => this.add(socket));
      return;
    }
    server.on("connection", (socket: Socket) => {
      const address = addressOf(socket);
      this.handshakes.set(address, socket);
      socket.once("close", () => this.handshakes.delete(address));
    });
    server.on("secureConnection", (socket: Socket) => {
      this.handshakes.delete(addressOf(socket));
      this.add(socket);
    });
  }

  destroyHandshakes(): void {
    for (const socket of this.handshakes.values()) socket.destroy();
  }

  private add(socket: Socket): void {
    if (this.known.has(socket)) return; // handed to the server again, after an upgrade that was none
    this.known.add(socket);
    const id = String(this.count++);
    this.open[id] = socket;
    socket.once("close", () => delete this.open[id]);
  }
}

/** A TLS socket tells the same as the plain one that it lies on. */
function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
