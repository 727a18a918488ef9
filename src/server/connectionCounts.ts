/** Counts the connections of each client address to this process: `general.maxConnectionsPerAddress`. */
import type { Socket } from "node:net";
import { api } from "../api";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { networkOf } from "../utils/addresses";
import { isTrustedPeer } from "./proxies";

/** The interval of log lines about a flood, in ms. */
const LOG_PAUSE_MS = 10_000;

class ConnectionCounts {
  private readonly counts = new Map<string, number>();
  private readonly known = new WeakSet<Socket>();
  private silentUntil = 0;

  /** Count a socket until it closes; false if its address has too many. */
  admit(socket: Socket): boolean {
    const limit = settings().general.maxConnectionsPerAddress;
    // a socket that is passed to its server again, after an ignored upgrade, is already counted
    if (!(limit > 0) || this.known.has(socket)) return true;
    if (isTrustedPeer(socket.remoteAddress)) return true; // it represents many clients
    const network = networkOf(socket.remoteAddress ?? "");
    if (network === undefined) return true; // a unix socket
    const count = this.counts.get(network) ?? 0;
    if (count >= limit) {
      this.warn(network, limit);
      return false;
    }
    this.known.add(socket);
    this.counts.set(network, count + 1);
    socket.once("close", () => this.release(network));
    return true;
  }

  private release(network: string): void {
    const count = this.counts.get(network)! - 1;
    if (count > 0) this.counts.set(network, count);
    else this.counts.delete(network);
  }

  private warn(to: string, limit: number): void {
    const now = performance.now();
    if (now < this.silentUntil) return;
    this.silentUntil = now + LOG_PAUSE_MS;
    log(
      `refusing connections: an address has ${limit} already (general.maxConnectionsPerAddress)`,
      "warning",
      { to },
    );
  }
}

/** All servers of a process count together. */
const countsOfServers = new WeakMap<object, ConnectionCounts>();

/**
 * Whether a client that connects may stay. Its address is that of its socket: behind a proxy, that of the proxy.
 * @returns false when its IPv4 address, or the /64 of its IPv6 one, has `general.maxConnectionsPerAddress` already
 */
export function admitConnection(socket: Socket): boolean {
  const { servers } = api;
  let counts = countsOfServers.get(servers);
  if (!counts) countsOfServers.set(servers, (counts = new ConnectionCounts()));
  return counts.admit(socket);
}
