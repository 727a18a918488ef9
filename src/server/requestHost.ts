/** By which name a client came, and whether it is one of the server's. */
import type { IncomingMessage } from "node:http";
import { hostOf, schemeOf } from "./proxies";

/**
 * Whether a request came by an allowed name.
 * @param allowed `web.allowedRequestHosts`; none: all are
 */
export function isAllowedHost(
  req: IncomingMessage,
  allowed: readonly string[] | undefined,
): boolean {
  if (!allowed || allowed.length === 0) return true;
  const requested = `${schemeOf(req)}://${hostOf(req)}`.toLowerCase();
  return allowed.some((host) => host.toLowerCase() === requested);
}
