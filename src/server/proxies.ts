/**
 * The client's address, scheme and host, and the limit of connections per address. Proxies report addresses in headers,
 * which clients can also send; `web.trustProxy` sets which proxies are trusted.
 */
import type { IncomingMessage } from "node:http";
import { BlockList, isIP, type Socket } from "node:net";
import { api } from "../api";
import { settings } from "../config/settings";
import type { TrustProxy, Trusts } from "../config/types";
import { ActionheroError, errorText } from "../errors";
import { log } from "../log/log";
import { RefusalLine } from "../log/refusals";
import {
  networkOf,
  parseHeadersForClientAddress,
  plainAddress,
} from "../utils/addresses";
import { remembered } from "../utils/objects";
import { isThenable } from "../utils/promises";

/** Names of networks that proxies are often in. */
const NAMED_NETWORKS: Record<string, readonly string[]> = {
  loopback: ["127.0.0.0/8", "::1/128"],
  linklocal: ["169.254.0.0/16", "fe80::/10"],
  uniquelocal: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
};

/** Longer lists of proxies are truncated: only the end was written by our own. */
const MAX_HEADER_LENGTH = 2048;

/**
 * The number of cached verdicts by address: every request checks its peer, and a list of networks takes more than a
 * microsecond.
 */
const MAX_VERDICTS = 1000;

/** A peer without an address is connected by a unix socket. */
const LOCAL = "127.0.0.1";

const trustsOf = remembered(compile);

/**
 * The compiled rule of `web.trustProxy`, cached per value; undefined if the rules of version 29 apply.
 * @throws ActionheroError AH_CONFIG when the setting is invalid
 */
export function trustedProxies(): Trusts | undefined {
  return trustsOf(settings().web.trustProxy);
}

/** Whether the peer of a socket is a trusted proxy. */
export function isTrustedPeer(remoteAddress: string | undefined): boolean {
  return trustedProxies()?.(plainAddress(remoteAddress ?? LOCAL), 0) === true;
}

/** The address and port of the client; the port is 0 where a trusted proxy does not report it. */
export function clientAddressOf(req: IncomingMessage): {
  ip: string;
  port: number | string;
} {
  const trusts = trustedProxies();
  const { remoteAddress, remotePort } = req.socket;
  if (trusts === undefined) {
    const { ip, port } = parseHeadersForClientAddress(req.headers);
    return {
      ip: ip ?? remoteAddress ?? "0.0.0.0",
      port: port ?? remotePort ?? "0",
    };
  }
  const forwarded = forwardedClient(req, trusts);
  if (forwarded) return { ip: forwarded.ip, port: forwarded.port };
  return { ip: remoteAddress ?? "0.0.0.0", port: remotePort ?? "0" };
}

/** Proxies may name the protocol of a websocket by its own scheme. */
const SCHEMES: ReadonlyMap<string, string> = new Map([
  ["http", "http"],
  ["https", "https"],
  ["ws", "http"],
  ["wss", "https"],
]);

/** `http` or `https`, as reported by a trusted proxy, else by the connection itself. */
export function schemeOf(req: IncomingMessage): string {
  if (trustedProxies() === undefined) {
    const forwarded = headerOf(req, "x-forwarded-proto");
    if (forwarded) return forwarded.split(",", 1)[0]!.trim();
  }
  const isTrusted =
    trustedProxies() !== undefined && isTrustedPeer(req.socket.remoteAddress);
  const forwarded = isTrusted && headerOf(req, "x-forwarded-proto");
  const scheme = forwarded
    ? SCHEMES.get(forwardedEntry(req, forwarded).toLowerCase())
    : undefined;
  return scheme ?? ("encrypted" in req.socket ? "https" : "http"); // TLS sockets only
}

/** The host that the client named, as a trusted proxy reports it. */
export function hostOf(req: IncomingMessage): string | undefined {
  if (trustedProxies() !== undefined) {
    const forwarded = headerOf(req, "x-forwarded-host");
    if (forwarded && isTrustedPeer(req.socket.remoteAddress))
      return forwardedEntry(req, forwarded);
  }
  return req.headers.host;
}

/**
 * Whether an origin is this server's own: its host is compared, and a page without TLS is another site for a server with
 * TLS, because anyone on the network path can write it. A secure page may call a server that seems to have no TLS: an
 * inner proxy often reports the scheme of its own connection. Without `web.trustProxy`, `X-Forwarded-Host` is accepted
 * as well, as in version 29.
 */
export function isSameOrigin(req: IncomingMessage, origin: string): boolean {
  const [scheme, site] = origin.toLowerCase().split("://");
  if (site === undefined) return false;
  if (scheme === "http" && schemeOf(req) === "https") return false;
  if (site === hostOf(req)?.toLowerCase()) return true;
  return (
    trustedProxies() === undefined &&
    site === headerOf(req, "x-forwarded-host")?.toLowerCase()
  );
}

interface ForwardedClient {
  ip: string;
  port: number | string;
  /** How many trusted proxies have written an address, up to and including the one that wrote this. */
  hops: number;
}

/** The last address of the list that is not a trusted proxy, or the first one. */
function forwardedClient(
  req: IncomingMessage,
  trusts: Trusts,
): ForwardedClient | undefined {
  if (!trusts(plainAddress(req.socket.remoteAddress ?? LOCAL), 0))
    return undefined;
  const header = headerOf(req, "x-forwarded-for");
  if (!header) return undefined;
  const entries = header.slice(-MAX_HEADER_LENGTH).split(",");
  let client: ForwardedClient | undefined;
  for (let i = entries.length - 1, hop = 1; i >= 0; i--) {
    const entry = entries[i]!.trim();
    if (entry === "") continue; // lists may have empty elements (RFC 9110 section 5.6.1)
    const found = parseEntry(entry);
    if (!found) break; // not written by one of our proxies
    client = { ...found, hops: hop };
    if (!trusts(plainAddress(found.ip), hop++)) break;
  }
  return client;
}

/** `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]` or `[::1]:567`. */
function parseEntry(text: string): { ip: string; port: number } | undefined {
  if (isIP(text) !== 0) return { ip: text, port: 0 };
  const [, bracketed, ipv4, port = "0"] =
    /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::(\d{1,5}))?$/i.exec(text) ?? [];
  const ip = bracketed ?? ipv4;
  if (ip === undefined || isIP(ip) === 0) return undefined;
  return { ip, port: Number(port) };
}

function headerOf(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value.join(",") : value;
}

/**
 * The entry of `X-Forwarded-Proto` or `-Host` that the outermost trusted proxy wrote. Some proxies append their entry, as to
 * `X-Forwarded-For`; others replace the header.
 */
function forwardedEntry(req: IncomingMessage, list: string): string {
  if (!list.includes(",")) return list.trim();
  const entries = list
    .slice(-MAX_HEADER_LENGTH)
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  const trusts = trustedProxies();
  const hops = (trusts && forwardedClient(req, trusts)?.hops) ?? 1;
  return entries[Math.max(0, entries.length - hops)] ?? "";
}

function compile(setting: TrustProxy): Trusts | undefined {
  if (setting === undefined || setting === null) return undefined;
  if (typeof setting === "function")
    return synchronous(setting, "web.trustProxy");
  if (setting === false) return () => false;
  if (typeof setting === "string") return compileText(setting.trim());
  if (typeof setting === "number") return trustsHops(setting);
  if (Array.isArray(setting)) return inNetworks(setting as string[]);
  if (isWrapped(setting)) return synchronous(setting.trusts, "web.trustProxy");
  throw refusalOf(setting);
}

/**
 * A function of a project that decides at once. Its failures, and promises, which would count as true, are false; the first
 * one is logged as an error.
 */
export function synchronous<Args extends unknown[]>(
  decide: (...args: Args) => unknown,
  setting: string,
): (...args: Args) => boolean {
  let isReported = false;
  const refuse = (text: string): false => {
    if (!isReported) log(`${setting} ${text}`, "error");
    isReported = true;
    return false;
  };
  return (...args) => {
    try {
      const verdict = decide(...args);
      if (!isThenable(verdict)) return Boolean(verdict);
      verdict.then(undefined, () => undefined);
      return refuse("is an async function, and must return a boolean");
    } catch (error) {
      return refuse(`failed, which counts as false: ${errorText(error)}`);
    }
  };
}

/** New projects have the setting from TRUST_PROXY. */
function refusalOf(value: unknown): Error {
  const variable = process.env.TRUST_PROXY?.includes(String(value))
    ? " (TRUST_PROXY)"
    : "";
  const error = new ActionheroError(
    "AH_CONFIG",
    `web.trustProxy${variable} has ${String(value)}, and must be false, a number of hops (1 for one proxy), networks such as 10.0.0.0/8 or loopback, or a function`,
  );
  return Object.assign(error, { data: { config: "web" } });
}

function isWrapped(setting: unknown): setting is { trusts: Trusts } {
  return typeof (setting as { trusts?: unknown }).trusts === "function";
}

function compileText(text: string): Trusts {
  if (text === "" || text === "false") return () => false;
  if (/^\d+$/.test(text)) return trustsHops(Number(text));
  return inNetworks(text.split(","));
}

function trustsHops(hops: number): Trusts {
  if (!Number.isSafeInteger(hops) || hops < 0) throw refusalOf(hops);
  return (_address, hop) => hop < hops;
}

function inNetworks(names: readonly string[]): Trusts {
  const list = new BlockList();
  for (const name of names) addNetwork(list, String(name).trim());
  const verdicts = new Map<string, boolean>();
  return (address) => {
    let verdict = verdicts.get(address);
    if (verdict === undefined) {
      if (verdicts.size >= MAX_VERDICTS) verdicts.clear();
      verdicts.set(address, (verdict = isInside(list, address)));
    }
    return verdict;
  };
}

function isInside(list: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 4 ? "ipv4" : "ipv6");
}

function addNetwork(list: BlockList, name: string): void {
  if (Object.hasOwn(NAMED_NETWORKS, name)) {
    for (const network of NAMED_NETWORKS[name]!) addNetwork(list, network);
    return;
  }
  const [address = "", bits] = name.split("/");
  const version = isIP(address);
  const max = version === 4 ? 32 : 128;
  const prefix = bits === undefined ? max : Number(bits);
  if (version === 0 || bits === "" || !(prefix >= 0 && prefix <= max))
    throw refusalOf(name);
  list.addSubnet(address, Math.trunc(prefix), version === 4 ? "ipv4" : "ipv6");
}

/**
 * The origin of an entry of `web.allowedRequestHosts`: `https://example.org` as it is; `example.org` has the scheme of
 * the request.
 */
export function originOfHost(entry: string, scheme: string): string {
  const host = entry.trim().replace(/\/+$/, "");
  return host.includes("://") ? host : `${scheme}://${host}`;
}

/**
 * Whether the host of a request is allowed.
 * @param allowed `web.allowedRequestHosts`; an empty list allows every host
 */
export function isAllowedHost(
  req: IncomingMessage,
  allowed: readonly string[] | undefined,
): boolean {
  if (!allowed || allowed.length === 0) return true;
  const scheme = schemeOf(req);
  const requested = withoutDefaultPort(`${scheme}://${hostOf(req)}`);
  return allowed.some(
    (host) => withoutDefaultPort(originOfHost(host, scheme)) === requested,
  );
}

/** Scheme and host in lower case; `https://host:443` is `https://host` (RFC 3986 section 6.2.3). */
function withoutDefaultPort(origin: string): string {
  const lower = origin.toLowerCase();
  const port = lower.startsWith("https:") ? ":443" : ":80";
  return lower.endsWith(port) ? lower.slice(0, -port.length) : lower;
}

// --- The connections of each client address to this process: `general.maxConnectionsPerAddress`.

class ConnectionCounts {
  private readonly counts = new Map<string, number>();
  private readonly known = new WeakSet<Socket>();
  private readonly refusals = new RefusalLine();

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
    if (this.refusals.count() === 0) return;
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
 * Whether a client that connects may stay. Its address is that of its socket: behind a proxy, that of the proxy. The
 * addresses of trusted proxies (`web.trustProxy`) and unix sockets have no limit.
 * @returns false when its IPv4 address, or the /64 of its IPv6 one, has `general.maxConnectionsPerAddress` already
 */
export function admitConnection(socket: Socket): boolean {
  const { servers } = api;
  let counts = countsOfServers.get(servers);
  if (!counts) countsOfServers.set(servers, (counts = new ConnectionCounts()));
  return counts.admit(socket);
}
