/** Who calls an action: the trustworthy address of the client, and the identity that another client cannot forge. */
import { settings } from "../config/settings";
import type { Connection } from "../connection/connection";
import { networkOf } from "../utils/addresses";
import { createHash } from "node:crypto";
import type { ActionProcessor } from "./actionProcessor";

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

// --- The verified identity of a caller.

/**
 * The id of the user that middleware has set: that of `data.session.user` or of `connection.session.user`.
 * @returns undefined for a client that is not signed in
 */
export function userOf({
  session,
  connection,
}: Pick<ActionProcessor, "session" | "connection">):
  string | number | undefined {
  return idOf(session as Sessionlike) ?? idOf(connection.session);
}

/**
 * An identity that another client cannot forge: the user, else the stored session, else the token, else the
 * fingerprint if the server created it.
 * @returns undefined for an unidentified caller
 */
export function callerOf(data: ActionProcessor): string | undefined {
  const { connection } = data;
  const user = userOf(data);
  if (user !== undefined) return `user:${user}`;
  const { store } = connection as { store?: { id?: unknown } }; // a project may keep its own there
  if (typeof store?.id === "string") return `session:${store.id}`;
  const token = requestOf(connection)?.headers?.authorization;
  if (typeof token === "string" && token !== "")
    return `token:${createHash("sha256").update(token).digest("hex")}`;
  return isFingerprintOurs(connection)
    ? `fingerprint:${connection.fingerprint}`
    : undefined;
}

type Sessionlike = { user?: { id?: unknown } | null } | null | undefined;

function idOf(session: Sessionlike): string | number | undefined {
  const id = session?.user?.id;
  return typeof id === "string" || typeof id === "number" ? id : undefined;
}

/** Clients of TCP are given theirs; browsers bring it, and only a signed one is known to be one of ours. */
function isFingerprintOurs({ type }: Connection): boolean {
  if (type === "socket") return true;
  return (
    (type === "web" || type === "websocket") &&
    settings().web.fingerprintOptions.signed === true
  );
}
