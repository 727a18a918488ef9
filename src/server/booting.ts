/** With `general.refuseUntilBooted`: clients are refused until the boot is complete, but not this process itself. */
import * as diagnostics from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { config } from "../config/config";

/** What refused clients read, on every transport. */
export const STARTING_TEXT = "the server is starting";
export const RETRY_AFTER_SECONDS = "1";

/** Node announces every socket here that this process opens to a server. */
const CHANNEL = "net.client.socket";

/** Sockets that this process opened since the boot began; undefined: no boot is going on. */
let own: Set<Socket> | undefined;

/** The servers are about to listen, and the boot goes on. */
export function beginBoot(): void {
  if (config.general?.refuseUntilBooted !== true || own) return;
  own = new Set();
  diagnostics.subscribe(CHANNEL, remember);
}

/** The boot is complete, or has failed. */
export function endBoot(): void {
  if (!own) return;
  diagnostics.unsubscribe(CHANNEL, remember);
  own = undefined;
}

export function isBooting(): boolean {
  return own !== undefined;
}

/**
 * Whether a client is to be refused: the boot goes on, and the other end of its socket is not in this process. Ask
 * when the client has sent something, or a turn of the event loop after it connected: then both ends are connected.
 */
export function isRefused(
  client: Pick<Socket, "remoteAddress" | "remotePort">,
) {
  if (!own) return false;
  const { remotePort } = client;
  const remoteAddress = withoutPrefix(client.remoteAddress);
  for (const socket of own) {
    if (
      !socket.connecting &&
      socket.localPort === remotePort &&
      withoutPrefix(socket.localAddress) === remoteAddress
    )
      return false;
  }
  return true;
}

function remember(message: unknown): void {
  const { socket } = message as { socket: Socket };
  own?.add(socket);
  const sockets = own;
  socket.once("close", () => sockets?.delete(socket));
}

/** A server for both protocols sees IPv4 clients by IPv6 addresses. */
function withoutPrefix(address: string | undefined): string | undefined {
  return address?.startsWith("::ffff:") ? address.slice(7) : address;
}
