/** What is below the websocket's path for clients that do not upgrade. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { settings } from "../../config/settings";
import { addCorsHeaders } from "./origin";

/** The version of Primus whose wire format is spoken. */
const PRIMUS_VERSION = "8.0.9";

/** The path that websockets are on: `/primus` unless configured. */
export function websocketPath(): string {
  const { pathname } = settings().websocket.server;
  return `/${pathname.replace(/^\/+|\/+$/g, "")}`;
}

/** Whether a URL is the path, or below it. */
export function isBelow(url: string, pathname: string): boolean {
  if (!url.startsWith(pathname)) return false;
  const next = url[pathname.length];
  return next === undefined || next === "/" || next === "?" || next === "#";
}

/**
 * Answer a plain request: with a description of the server, the browser library, or a hint to upgrade.
 * @param library the source of the browser library
 * @returns false if the request is not for this server
 */
export function answerPlainRequest(
  req: IncomingMessage,
  res: ServerResponse,
  library: () => string,
): boolean {
  const pathname = websocketPath();
  const url = req.url ?? "/";
  if (!isBelow(url, pathname)) return false;
  const [path = ""] = url.slice(pathname.length).split(/[?#]/);
  addCorsHeaders(req, res);
  if (settings().web.nosniff)
    res.setHeader("X-Content-Type-Options", "nosniff");
  if (req.method === "OPTIONS") {
    res.writeHead(204).end();
    return true;
  }
  if (path === "/spec") {
    send(req, res, 200, "application/json", JSON.stringify(specOf()));
  } else if (path === "/primus.js") {
    send(req, res, 200, "text/javascript; charset=utf-8", library());
  } else {
    res.setHeader(
      "Cache-Control",
      "no-store, no-cache, must-revalidate, max-age=0",
    );
    res.setHeader("Pragma", "no-cache");
    res.setHeader("Upgrade", "websocket");
    send(req, res, 426, "text/plain", "Upgrade Required");
  }
  return true;
}

export function specOf() {
  return {
    pingInterval: settings().websocket.server.pingInterval,
    pathname: websocketPath(),
    version: PRIMUS_VERSION,
    parser: "json",
    transformer: "websockets",
  };
}

function send(
  req: IncomingMessage,
  res: ServerResponse,
  status: number,
  type: string,
  body: string,
): void {
  res.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(body),
  });
  res.end(req.method === "HEAD" ? undefined : body);
}
