/** The spans of HTTP requests. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { api } from "../../api";
import type { Connection } from "../../connection/connection";
import { context } from "../../context/context";
import type { RouteType } from "../../route/tables";
import {
  shortText,
  type Tracer,
  knownMethod,
  OTHER_METHOD,
} from "../../tracing/tracer";
import type { SpanAttributes } from "../../tracing/types";
import { clientAddressOf, hostOf, isTrustedPeer, schemeOf } from "../proxies";
import { plainAddress } from "../../utils/addresses";
import { splitUrl } from "../requestTarget";
import type { WebRequest } from "./webRequest";

/** Longest path in an attribute, in characters. */
const MAX_PATH = 1024;

/** Handle a request with a span around it, which ends with the response. */
export function traceRequest(
  tracer: Tracer,
  req: IncomingMessage,
  res: ServerResponse,
  handle: () => void,
): void {
  const { method = "", headers, socket } = req;
  const known = knownMethod(method);
  const isTrusted = isTrustedPeer(socket.remoteAddress);
  const opened = tracer.open({
    name: nameOf(known),
    kind: "server",
    attributes: requestAttributes(req, known),
    // clients could join their requests to the traces of others
    remote: isTrusted ? headers.traceparent : undefined,
    state: isTrusted ? String(headers.tracestate ?? "") : undefined,
  });
  res.once("close", () => {
    const { statusCode, headersSent } = res;
    if (headersSent)
      opened.span.setAttribute("http.response.status_code", statusCode);
    // a client that left before its response has no status
    if (!headersSent) tracer.failAs("client_left", opened.span);
    else if (statusCode >= 500) tracer.failAs(String(statusCode), opened.span);
    opened.end();
  });
  tracer.withSpan(opened, handle);
}

/** The route of a request is found. */
export function traceRoute(
  tracer: Tracer,
  { params, matchedRoute }: Connection,
  { method, target, config }: WebRequest,
): void {
  const { path } = (matchedRoute ?? {}) as Partial<RouteType>;
  const action: unknown = params.action;
  const isKnown =
    typeof action === "string" && Object.hasOwn(api.actions.actions, action);
  const below = path ?? (isKnown ? `/${action}` : undefined);
  if (below === undefined) return;
  const prefix = `/${config.urlPathForActions ?? ""}`;
  const { pathname } = target;
  const isPrefixed = pathname === prefix || pathname.startsWith(`${prefix}/`);
  const route = isPrefixed && prefix !== "/" ? `${prefix}${below}` : below;
  const name = `${nameOf(knownMethod(method))} ${route}`;
  tracer.entry()?.describe(name, { "http.route": route });
}

function nameOf(method: string): string {
  return method === OTHER_METHOD ? "HTTP" : method;
}

function requestAttributes(
  req: IncomingMessage,
  known: string,
): SpanAttributes {
  const { method = "", url = "/", headers, socket, httpVersion } = req;
  const [, address, port] = /^(.*?)(?::(\d+))?$/.exec(hostOf(req) ?? "") ?? [];
  return {
    "http.request.method": known,
    "http.request.method_original":
      known === OTHER_METHOD ? shortText(method) : undefined,
    // without the query, which may hold secrets
    "url.path": splitUrl(url).pathname.slice(0, MAX_PATH),
    "url.scheme": schemeOf(req),
    "server.address": address ? shortText(address) : undefined,
    "server.port": port === undefined ? undefined : Number(port),
    "client.address": shortText(plainAddress(clientAddressOf(req).ip)),
    "network.peer.address": socket.remoteAddress,
    "network.protocol.version": httpVersion,
    "user_agent.original": headers["user-agent"]?.slice(0, 256),
    "actionhero.transport": "web",
    "actionhero.request.id": context()?.id,
  };
}
