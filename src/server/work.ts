/** Runs the work of one client message in its context and its trace span. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Connection } from "../connection/connection";
import { beginContext, context, isContextOn } from "../context/context";
import { parseTraceparent, tracing } from "../tracing/tracer";
import { isTrustedPeer } from "./proxies";

/** The method of a message, until it is known what it asks for. */
const UNKNOWN = "_OTHER";

/** Whether contexts or traces are enabled; check it before building data for them. */
export function isWorkFollowed(): boolean {
  return isContextOn() || tracing.tracer !== undefined;
}

/** Do what a message asks for. Its span ends with it. */
export function beginMessage<T>(connection: Connection, work: () => T): T {
  return beginContext({ connection }, () => inSpan(connection, work));
}

function inSpan<T>(connection: Connection, work: () => T): T {
  const { tracer } = tracing;
  if (!tracer) return work();
  const { type, remoteIP } = connection;
  return tracer.run(
    {
      name: `${type} message`,
      kind: "server",
      attributes: {
        "rpc.system.name": "actionhero",
        "rpc.method": UNKNOWN,
        "actionhero.transport": type,
        "actionhero.request.id": context()?.id,
        "client.address": remoteIP,
      },
    },
    work,
  );
}

// --- The id of an HTTP request: the one that a trusted proxy has given it, else a new one.

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
