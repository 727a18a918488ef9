import { parseIPv6URI } from "./parseIPv6URI";

export interface ClientAddress {
  ip?: string;
  port?: number | string;
}

type Headers = Record<string, string | string[] | undefined>;

/**
 * The client's address as proxies report it: `X-Forwarded-For` (first entry), `X-Forwarded-Port`, `X-Real-IP` (wins).
 * Parts that no header tells are undefined; so is an address that cannot be parsed.
 */
export function parseHeadersForClientAddress(headers: Headers): ClientAddress {
  const address: ClientAddress = { ip: undefined, port: undefined };

  const forwardedFor = first(headers["x-forwarded-for"]);
  if (forwardedFor) {
    Object.assign(address, parseForwarded(forwardedFor.split(",")[0]!.trim()));
  }
  const port = first(headers["x-forwarded-port"]);
  if (port) address.port = port;
  const realIp = first(headers["x-real-ip"]);
  if (realIp) address.ip = realIp;
  return address;
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
    return {}; // a header that a client made up must not fail its request
  }
}

function first(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
