/** By which name a client came, and whether it is one of the server's. */
import type { IncomingMessage } from "node:http";

/** `http` or `https`, as a proxy in front says, else as the client came. */
export function schemeOf(req: IncomingMessage): string {
  const forwarded = req.headers["x-forwarded-proto"];
  if (forwarded) return String(forwarded).split(",", 1)[0]!.trim();
  return "encrypted" in req.socket ? "https" : "http"; // TLS sockets only
}

/**
 * Whether a request came by an allowed name.
 * @param allowed `web.allowedRequestHosts`; none: all are
 */
export function isAllowedHost(
  req: IncomingMessage,
  allowed: readonly string[] | undefined,
): boolean {
  if (!allowed || allowed.length === 0) return true;
  const requested = `${schemeOf(req)}://${req.headers.host}`.toLowerCase();
  return allowed.some((host) => host.toLowerCase() === requested);
}
