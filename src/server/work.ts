/** Runs the work of one client message in its context and its trace span. */
import type { Connection } from "../connection/connection";
import { beginContext, context, isContextOn } from "../context/context";
import { tracing } from "../tracing/tracer";

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
