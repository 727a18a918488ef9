/** Responds to requests with an ambiguous target or host, or a host that is not allowed. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isAllowedHost } from "../proxies";
import type { TargetFault } from "../requestTarget";
import { respondUnread } from "./discard";
import { JSON_TYPE, setPolicyHeaders } from "./headers";
import type { WebSettings } from "../../config/settings";

/** Respond to a request that `normalizeTarget` does not accept. */
export function refuseTarget(
  req: IncomingMessage,
  res: ServerResponse,
  { status, text }: TargetFault,
  { nosniff }: WebSettings,
): void {
  setPolicyHeaders(req, res, nosniff);
  respondUnread({ req, res, saidContinue: false }, () => {
    res.writeHead(status, { "content-type": JSON_TYPE, connection: "close" });
    res.end(JSON.stringify({ error: text }));
  });
}

/**
 * Redirect clients that use another host name to the first allowed one; with `strictHttp` they keep the method and
 * body (RFC 9110 section 15.4.8): after a 302 a POST becomes a GET.
 * @returns true when the request was answered with a redirect
 */
export function redirectToAllowedHost(
  req: IncomingMessage,
  res: ServerResponse,
  config: WebSettings,
): boolean {
  const allowed = config.allowedRequestHosts;
  if (isAllowedHost(req, allowed)) return false;

  // whatever does not begin with a slash would continue the name of the host
  const path = req.url === "*" ? "/" : req.url;
  const location = `${allowed[0]}${path}`;
  setPolicyHeaders(req, res, config.nosniff);
  respondUnread({ req, res, saidContinue: false }, () => {
    const isRead = req.method === "GET" || req.method === "HEAD";
    const status = config.strictHttp && !isRead ? 307 : 302;
    res.writeHead(status, { Location: location });
    res.end(`You are being redirected to ${location}\r\n`);
  });
  return true;
}
