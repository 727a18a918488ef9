/** The trustworthy address of a client. */
import { settings } from "../config/settings";
import type { Connection } from "../connection/connection";
import { networkOf } from "../utils/addresses";

interface Request {
  headers?: { [name: string]: string | string[] | undefined };
  socket?: { remoteAddress?: string };
}

/** Longer lists of proxies are truncated. */
const MAX_HEADER_LENGTH = 2048;

/**
 * The network that a client comes from: its IPv4 address, or the /64 of its IPv6 one.
 *
 * `connection.remoteIP` is what the first entry of `X-Forwarded-For` says, which a client can write. Here only the
 * entries that our own proxies have written count: each adds the address it was called from at the end. If
 * `web.trustProxy` is set, it alone decides, and the connection's address is one that can be trusted.
 * @param proxies how many proxies are in front of the server, without `web.trustProxy`; 0: clients connect to it
 */
export function clientNetwork(connection: Connection, proxies: number): string {
  const { trustProxy } = settings().web;
  if (trustProxy !== undefined && trustProxy !== null)
    return networkOrText(connection.remoteIP);
  const request = requestOf(connection);
  if (!request) return networkOrText(connection.remoteIP);
  const forwarded =
    proxies > 0 ? forwardedAddress(request, proxies) : undefined;
  return (
    (forwarded === undefined ? undefined : networkOf(forwarded)) ??
    networkOrText(request.socket?.remoteAddress ?? "")
  );
}

/** The HTTP request that a connection came with, if it did. */
export function requestOf({ rawConnection }: Connection): Request | undefined {
  const { req, request } = (rawConnection ?? {}) as {
    req?: Request;
    request?: Request;
  };
  const found = req ?? request;
  return found?.headers ? found : undefined;
}

function forwardedAddress(
  { headers }: Request,
  proxies: number,
): string | undefined {
  const header = headers!["x-forwarded-for"];
  const text = Array.isArray(header) ? header.join(",") : header;
  if (!text) return undefined;
  const entries = text.slice(-MAX_HEADER_LENGTH).split(",");
  return entries[Math.max(0, entries.length - proxies)];
}

/** Servers of a project may have addresses of another kind. */
function networkOrText(address: string): string {
  return networkOf(address) ?? address.slice(0, 64);
}
