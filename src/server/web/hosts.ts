/** Answers requests that name no host clearly, or one that is not allowed. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { JSON_TYPE } from "./headers";
import type { WebConfig } from "./webConfig";

/** Answer a request that `normalizeTarget` does not accept. */
export function refuseHost(res: ServerResponse): void {
  res.writeHead(400, { "content-type": JSON_TYPE, connection: "close" });
  res.end('{"error":"the request must name one host"}');
}

/**
 * Send clients that came by another name to the first allowed one.
 * @returns true when the request was answered with a redirect
 */
export function redirectToAllowedHost(
  req: IncomingMessage,
  res: ServerResponse,
  config: WebConfig,
): boolean {
  const allowed = config.allowedRequestHosts;
  if (!allowed || allowed.length === 0) return false;
  if (allowed.includes(requestedHost(req))) return false;

  const location = `${allowed[0]}${req.url}`;
  res.writeHead(302, { Location: location });
  res.end(`You are being redirected to ${location}\r\n`);
  return true;
}

function requestedHost(req: IncomingMessage): string {
  const forwarded = req.headers["x-forwarded-proto"];
  const isEncrypted = "encrypted" in req.socket; // TLS sockets only
  const scheme = forwarded ? String(forwarded) : isEncrypted ? "https" : "http";
  return `${scheme}://${req.headers.host}`;
}

/** Anything but `false` is secure, except a value that the project's config does not have at all. */
export function isSecure(config: WebConfig): boolean {
  return config.secure !== false && config.secure !== undefined;
}
