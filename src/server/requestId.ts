/** The id of an HTTP request: the one that a trusted proxy has given it, else a new one. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { parseTraceparent } from "../tracing/tracer";
import { isTrustedPeer } from "./proxies";

/** What ids in use are made of: UUIDs, ULIDs, base64, ids of load balancers; nothing that needs escaping anywhere. */
const REQUEST_ID = /^[\w.:=+/@-]{1,128}$/;

/** `X-Request-Id` names one request, and comes before the trace of `traceparent`, which may be that of several. */
export function requestIdOf({ headers, socket }: IncomingMessage): string {
  return (
    (isTrustedPeer(socket.remoteAddress) && idFrom(headers)) || randomUUID()
  );
}

function idFrom(headers: IncomingMessage["headers"]): string | undefined {
  const id = headers["x-request-id"];
  if (typeof id === "string" && REQUEST_ID.test(id)) return id;
  return parseTraceparent(headers.traceparent)?.traceId;
}
