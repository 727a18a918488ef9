import { isIP } from "node:net";
import { parseIPv6URI } from "./parseIPv6URI";

export interface ClientAddress {
  ip?: string;
  port?: number | string;
}

/** Proxies may also send names, such as `unknown`. */
const HOST_NAME = /^[\w.-]{1,253}$/;
const PORT = /^\d{1,5}$/;
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
  return PORT.test(text) && Number(text) <= MAX_PORT;
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
