import { isIP } from "node:net";
import * as os from "node:os";

/**
 * Number of 16-bit groups that identify an IPv6 network: a customer usually has a whole /64, with any address in it.
 */
const NETWORK_GROUPS = 4;

const MAPPED = "::ffff:";

/**
 * The part of an address that its user cannot change at will: the whole IPv4 address, or the /64 of an IPv6 address.
 * @returns undefined if it is not an IP address; a port or brackets are ignored
 */
export function networkOf(address: string): string | undefined {
  const bare = bareAddress(address.trim());
  const version = isIP(bare);
  if (version === 4) return bare;
  if (version !== 6) return undefined;
  const groups = groupsOf(bare);
  const isMapped =
    groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return ipv4Of(groups[6]!, groups[7]!);
  const network = groups.slice(0, NETWORK_GROUPS);
  return `${network.map((group) => group.toString(16)).join(":")}::/64`;
}

/** The plain form of an IPv4 address that a dual-stack socket reports as IPv6 (`::ffff:1.2.3.4`). */
export function plainAddress<Address extends string | undefined>(
  address: Address,
): Address {
  if (!address?.startsWith(MAPPED)) return address;
  const ipv4 = address.slice(MAPPED.length);
  return isIP(ipv4) === 4 ? (ipv4 as Address) : address;
}

/** Strips port, brackets and zone from `1.2.3.4:567`, `[::1]:567`, `[::1]` and `fe80::1%eth0`. */
function bareAddress(text: string): string {
  if (text.startsWith("[")) {
    const end = text.indexOf("]");
    return end === -1 ? text : text.slice(1, end);
  }
  const [beforeZone = ""] = text.split("%", 1);
  const parts = beforeZone.split(":");
  return parts.length === 2 ? parts[0]! : beforeZone;
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const before = parseGroups(head);
  if (tail === undefined) return before;
  const after = parseGroups(tail);
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  return [...before, ...zeros, ...after];
}

function parseGroups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function ipv4Of(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
}

const HOST = /^[0-9a-f:]+(?:%.+)?$/i;
const LEADING_PORT = /^[0-9]{1,5}/;

/**
 * Host and port of an IPv6 address, bare (`::1`, then port 80) or bracketed (`[::1]:8080`), also within a URI.
 * The brackets are found by search, because a regular expression would take quadratic time for many brackets.
 * @throws Error `failed to parse address` for brackets without a port or with something else inside
 */
export function parseIPv6URI(address: string): { host: string; port: number } {
  if (!address.includes("[") || !address.includes("]"))
    return { host: address, port: 80 };
  const open = address.indexOf("[");
  const close = address.indexOf("]:", open);
  const host = address.slice(open + 1, close);
  const port = LEADING_PORT.exec(address.slice(close + 2));
  if (close === -1 || !HOST.test(host) || !port)
    throw new Error("failed to parse address");
  return { host, port: parseInt(port[0], 10) };
}

interface ClientAddress {
  ip?: string;
  port?: number | string;
}

/** Proxies may also send names, such as `unknown`. */
const HOST_NAME = /^[\w.-]{1,253}$/;
const TRAILING_PORT = /^\d{1,5}$/;
const MAX_PORT = 65_535;

type Headers = Record<string, string | string[] | undefined>;

/**
 * The client's address as proxies report it: `X-Forwarded-For` (first entry), `X-Forwarded-Port`, `X-Real-IP` (takes
 * precedence). Missing parts are undefined, and so are parts that are not an IP address, host name or port number,
 * because clients can also send these headers, and the parts are logged.
 */
export function parseHeadersForClientAddress(headers: Headers): ClientAddress {
  const address: ClientAddress = { ip: undefined, port: undefined };

  const forwardedFor = first(headers["x-forwarded-for"]);
  if (forwardedFor) {
    const { ip, port } = parseForwarded(forwardedFor.split(",")[0]!.trim());
    if (ip !== undefined && isHost(ip)) address.ip = ip;
    if (port !== undefined && isPort(String(port))) address.port = port;
  }
  const port = first(headers["x-forwarded-port"]);
  if (port !== undefined && isPort(port)) address.port = port;
  const realIp = first(headers["x-real-ip"]);
  if (realIp !== undefined && isHost(realIp)) address.ip = realIp;
  return address;
}

function isHost(text: string): boolean {
  return isIP(text) !== 0 || HOST_NAME.test(text);
}

function isPort(text: string): boolean {
  return TRAILING_PORT.test(text) && Number(text) <= MAX_PORT;
}

function parseForwarded(text: string): ClientAddress {
  if (text.includes(".") || !text.includes(":")) {
    const [ip, port] = text.replace("::ffff:", "").split(":");
    return { ip: ip || undefined, port: port || undefined };
  }
  try {
    const { host, port } = parseIPv6URI(text);
    return { ip: host, port };
  } catch {
    return {}; // a forged header must not fail the request
  }
}

function first(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

/** The last IPv4 address of this machine that is not 127.0.0.1, or null. */
export function getExternalIPAddress(): string | null {
  let found: string | null = null;
  for (const addresses of Object.values(os.networkInterfaces())) {
    for (const { family, address } of addresses ?? []) {
      if (family === "IPv4" && address !== "127.0.0.1") found = address;
    }
  }
  return found;
}

/**
 * A port of a setting, which may be the text of an environment variable. An invalid one is returned as it is, for the error of
 * the listener.
 * @returns undefined for undefined, null and the empty text
 */
export function portOf(value: unknown): number | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const isDigits = typeof value === "string" && /^\d+$/.test(value);
  return isDigits ? Number(value) : (value as number);
}
