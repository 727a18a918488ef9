/** Runs the work of one client message in its context and its trace span. */
import { AsyncResource } from "node:async_hooks";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Connection } from "../connection/connection";
import { beginContext, context, isContextOn } from "../context/context";
import { parseTraceparent, traced, tracing } from "../tracing/tracer";
import { randomId } from "../utils/ids";
import { isTrustedPeer } from "./proxies";

/** The method of a message, until it is known what it asks for. */
const UNKNOWN = "_OTHER";

/** Whether contexts or traces are enabled; check it before building data for them. */
export function isWorkTracked(): boolean {
  return isContextOn() || tracing.tracer !== undefined;
}

/** Do what a message asks for. Its span ends with it. */
export function beginMessage<T>(connection: Connection, work: () => T): T {
  return beginContext({ connection }, () => inSpan(connection, work));
}

/** Made while the module loads, so that what runs in it belongs to no request. */
const outsideOfRequests = new AsyncResource("actionhero.connection", {
  requireManualDestroy: true,
});

/**
 * Call it with each response of a followed request. Node sets the timer of an idle connection when a response is
 * finished, in the context of that request; the timer would keep the context, and with it the params and the body, for
 * as long as the connection stays open.
 */
export function releaseWithResponse(res: ServerResponse): void {
  const { socket } = res;
  if (socket) res.once("finish", () => resetTimer(socket));
}

function resetTimer(socket: Socket): void {
  const { timeout } = socket;
  if (timeout && !socket.destroyed)
    outsideOfRequests.runInAsyncScope(() => socket.setTimeout(timeout));
}

function inSpan<T>(connection: Connection, work: () => T): T {
  const { type, remoteIP } = connection;
  return traced(
    () => ({
      name: `${type} message`,
      kind: "server",
      attributes: {
        "rpc.system.name": "actionhero",
        "rpc.method": UNKNOWN,
        "actionhero.transport": type,
        "actionhero.request.id": context()?.id,
        "client.address": remoteIP,
      },
    }),
    work,
  );
}

// --- The id of an HTTP request: the one that a trusted proxy has given it, else a new one.

/** The characters of ids in use: UUIDs, ULIDs, base64, ids of load balancers; none that needs escaping anywhere. */
const REQUEST_ID = /^[\w.:=+/@-]{1,128}$/;

/** `X-Request-Id` names one request, and comes before the trace of `traceparent`, which may be that of several. */
export function requestIdOf({ headers, socket }: IncomingMessage): string {
  return (isTrustedPeer(socket.remoteAddress) && idFrom(headers)) || randomId();
}

function idFrom(headers: IncomingMessage["headers"]): string | undefined {
  const id = headers["x-request-id"];
  if (typeof id === "string" && REQUEST_ID.test(id)) return id;
  return parseTraceparent(headers.traceparent)?.traceId;
}
