/** Processes the requests of clients: actions, files, verbs. */
import { randomUUID } from "node:crypto";
import { checkFile, checkVerb } from "../../action/rateLimit";
import type { Connection } from "../../connection/connection";
import { replyFields } from "../../connection/verbs";
import { codeFieldsOf } from "../../errors";
import { argumentsOf } from "../jsonRequest";
import type { Sequence } from "../turn";
import { beginMessage, isWorkTracked } from "../work";
import { verbFailure, verbSuccess, type Request } from "./protocol";
import type { Spark } from "./spark";
import type { WebSocketServer } from "./webSocketServer";
import { networkOf } from "../../utils/addresses";
import { Slots } from "../../utils/promises";
import { withFields } from "../../utils/objects";

interface Client {
  server: WebSocketServer;
  spark: Spark;
  connection: Connection;
}

/** @returns a promise for the completion of the request */
export function handleRequest(
  server: WebSocketServer,
  spark: Spark,
  connection: Connection,
  request: Request,
): Promise<unknown> {
  return isWorkTracked()
    ? beginMessage(connection, () =>
        startRequest(server, spark, connection, request),
      )
    : startRequest(server, spark, connection, request);
}

function startRequest(
  server: WebSocketServer,
  spark: Spark,
  connection: Connection,
  request: Request,
): Promise<unknown> {
  // any JSON value can be the id, and is returned unchanged
  const messageId = (request.messageId || randomUUID()) as string;
  connection.messageId = messageId;
  if (request.event === "action")
    return runAction(server, connection, request.params, messageId);
  const client = { server, spark, connection };
  return request.event === "file"
    ? sendFile(client, request)
    : queueVerb(client, request, messageId);
}

/** Reply to a request that was not parsed. */
export function refuseRequest(
  server: WebSocketServer,
  connection: Connection,
  { reason, messageId }: { reason: string; messageId: unknown },
): void {
  const id = (messageId || randomUUID()) as string;
  server.sendMessage(connection, { error: reason }, id).catch(() => undefined);
}

function runAction(
  server: WebSocketServer,
  connection: Connection,
  params: unknown,
  messageId: string,
): Promise<unknown> {
  connection.params = paramsOf(params);
  connection.error = null;
  connection.response = {};
  return server.processAction(connection).catch((error: unknown) => {
    fail(server, connection, messageId, error);
  });
}

/** The object is not shared: it was just parsed. */
function paramsOf(params: unknown): Record<string, unknown> {
  return typeof params === "object" && params !== null && !Array.isArray(params)
    ? (params as Record<string, unknown>)
    : {};
}

/**
 * Files are sent one after the other per client, each after the client has read the previous one, because whole files
 * are in memory.
 */
function sendFile(client: Client, { file, encoding }: Request): Promise<void> {
  const { server, spark, connection } = client;
  const { messageId } = connection;
  connection.params = { file, encoding };
  // while this request waits, the next one changes the connection's params and id
  const snapshot = Object.create(connection) as Connection;
  snapshot.params = connection.params;
  snapshot.messageId = messageId;
  snapshot.error = null;

  spark.unsentFiles++;
  return inOrder(client, spark.files, messageId, async () => {
    try {
      await spark.drained();
      if (spark.isOpen) await serveFile(server, snapshot);
    } finally {
      spark.unsentFiles--;
    }
  });
}

/** Files that are read at once: the bytes, their text and the frame are in memory. Addresses take turns. */
const filesInMemory = new Slots(4);

async function serveFile(
  server: WebSocketServer,
  connection: Connection,
): Promise<void> {
  try {
    const counted = checkFile(connection);
    if (counted) await counted;
  } catch (error) {
    await server.sendMessage(connection, { error });
    return;
  }
  const spark = connection.rawConnection as Spark;
  await filesInMemory.take(networkOf(spark.clientAddress) ?? "");
  try {
    if (spark.isOpen) await server.processFile(connection);
  } finally {
    // until then, it has been written and counts as output
    setImmediate(() => filesInMemory.release());
  }
}

/** In the order of arrival: a client may send a message to a room right after requesting to join it. */
function queueVerb(
  client: Client,
  request: Request,
  messageId: string,
): Promise<void> {
  const { spark, connection } = client;
  connection.params = {};
  if (isQuit(request.event)) spark.isQuitting = true;
  return inOrder(client, spark.verbs, messageId, async () => {
    // a destroyed connection is not in the local table, so the verb would call all nodes
    if (!connection.destroyed) await replyToVerb(client, request, messageId);
  });
}

function isQuit(verb: unknown): boolean {
  return verb === "quit" || verb === "exit";
}

async function replyToVerb(
  { server, spark, connection }: Client,
  request: Request,
  messageId: string,
): Promise<void> {
  const { event } = request;
  const verb = typeof event === "string" ? event : JSON.stringify(event);
  const { args, fields } = argumentsOf(request);
  let reply;
  try {
    const counted = checkVerb(connection, String(verb));
    if (counted) await counted;
    if (isQuit(verb)) await server.untilReplied(spark);
    const data: unknown = await connection.verbs(String(verb), args);
    reply = withFields(verbSuccess(data), replyFields(verb, connection));
  } catch (error) {
    const shown = server.failedVerb(error, String(verb));
    reply = withFields(verbFailure(shown, fields), codeFieldsOf(error));
  }
  await server.sendMessage(connection, reply, messageId);
}

/** Work on requests of one kind one after the other; the reply to a request that fails is its error. */
function inOrder(
  { server, spark, connection }: Client,
  requests: Sequence,
  messageId: string | number,
  work: () => Promise<void>,
): Promise<void> {
  spark.beginWork();
  return requests.add(async () => {
    try {
      await work();
    } catch (error) {
      fail(server, connection, messageId, error);
    }
    spark.endWork();
    server.afterWork(spark);
  });
}

/** The reply could not be built or sent: send an error instead, or the client would wait. */
function fail(
  server: WebSocketServer,
  connection: Connection,
  messageId: string | number,
  error: unknown,
): void {
  const reply = { error: server.failedResponse(error) };
  server.sendMessage(connection, reply, messageId).catch(() => undefined);
}
