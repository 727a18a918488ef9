/** With `general.refuseUntilBooted`: clients are refused until the boot is complete, but not this process itself. */
import cluster from "node:cluster";
import * as diagnostics from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { settings } from "../config/settings";
import { plainAddress } from "../utils/addresses";

/** The error for refused clients, on every transport. */
export const STARTING_TEXT = "the server is starting";

/** Node announces every socket here that this process opens to a server. */
const CHANNEL = "net.client.socket";

/** How long a worker of a cluster holds a client at most, in ms, and how many clients it holds. */
const HOLD_MS = 10_000;
const MAX_HELD = 1_000;

/** Sockets that this process opened since the boot began; undefined outside of a boot. */
let ownSockets: Set<Socket> | undefined;

/** Clients that wait for the end of the boot. */
const heldClients = new Set<(isServed: boolean) => void>();
let mayHold = true;

/** The servers are about to listen, while the boot continues. */
export function beginBoot(): void {
  if (!settings().general.refuseUntilBooted || ownSockets) return;
  ownSockets = new Set();
  diagnostics.subscribe(CHANNEL, remember);
}

/** The boot has failed: what has started stops, and clients are refused until it has. */
export function failBoot(): void {
  mayHold = false;
  release(false);
}

/** The boot is complete, or what had started has stopped. */
export function endBoot(): void {
  if (!ownSockets) return;
  diagnostics.unsubscribe(CHANNEL, remember);
  ownSockets = undefined;
  mayHold = true;
  release(true);
}

export function isBooting(): boolean {
  return ownSockets !== undefined;
}

/**
 * Serve a client now, hold it, or refuse it. Workers of a cluster hold it, because another worker could have served it.
 * Call it after the client's first bytes, or one turn of the event loop after it connected: only then are connections of
 * this process to itself recognized.
 */
export function serveWhenBooted(
  client: Pick<Socket, "remoteAddress" | "remotePort">,
  serve: () => void,
  refuse: () => void,
): void {
  if (!ownSockets || isOwn(client, ownSockets)) serve();
  else if (cluster.isWorker && mayHold && heldClients.size < MAX_HELD)
    hold(serve, refuse);
  else refuse();
}

function hold(serve: () => void, refuse: () => void): void {
  const end = (isServed: boolean) => {
    clearTimeout(timer);
    heldClients.delete(end);
    if (isServed) serve();
    else refuse();
  };
  const timer = setTimeout(end, HOLD_MS, false).unref();
  heldClients.add(end);
}

function release(isServed: boolean): void {
  for (const end of [...heldClients]) end(isServed);
}

/** Whether the other end of the client's socket is in this process. */
function isOwn(
  client: Pick<Socket, "remoteAddress" | "remotePort">,
  sockets: ReadonlySet<Socket>,
): boolean {
  const { remotePort } = client;
  const remoteAddress = plainAddress(client.remoteAddress);
  for (const socket of sockets) {
    if (
      !socket.connecting &&
      socket.localPort === remotePort &&
      plainAddress(socket.localAddress) === remoteAddress
    )
      return true;
  }
  return false;
}

function remember(message: unknown): void {
  const { socket } = message as { socket: Socket };
  ownSockets?.add(socket);
  const sockets = ownSockets;
  socket.once("close", () => sockets?.delete(socket));
}
