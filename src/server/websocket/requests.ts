/** Processes the requests of clients: actions, files, verbs. */
import { randomUUID } from "node:crypto";
import { admitFile, admitVerb } from "../../action/rateLimit";
import type { Connection } from "../../connection/connection";
import { answerFields } from "../../connection/roomVerbs";
import { errorText } from "../../errors";
import { argumentsOf } from "../jsonRequest";
import { beginMessage, isWorkFollowed } from "../work";
import { verbFailure, verbSuccess, type Request } from "./protocol";
import type { Spark } from "./spark";
import type { WebSocketServer } from "./webSocketServer";
import { withFields } from "../../utils/objects";

/** @returns a promise for the completion of the request */
export function handleRequest(
  server: WebSocketServer,
  spark: Spark,
  connection: Connection,
  request: Request,
): Promise<unknown> {
  return isWorkFollowed()
    ? beginMessage(connection, () => answer(server, spark, connection, request))
    : answer(server, spark, connection, request);
}

function answer(
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
  if (request.event === "file")
    return sendFile(server, spark, connection, request);
  return queueVerb({ server, spark, connection }, request, messageId);
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
    server.log(
      `cannot send the response of an action: ${errorText(error)}`,
      "error",
    );
    fail(server, connection, messageId);
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
function sendFile(
  server: WebSocketServer,
  spark: Spark,
  connection: Connection,
  { file, encoding }: Request,
): Promise<void> {
  const { messageId } = connection;
  connection.params = { file, encoding };
  // while this request waits, the next one changes the connection's params and id
  const asOfNow = Object.create(connection) as Connection;
  asOfNow.params = connection.params;
  asOfNow.messageId = messageId;
  asOfNow.error = null;

  spark.beginWork();
  spark.unsentFiles++;
  return spark.files.add(async () => {
    try {
      await spark.drained();
      if (spark.isOpen) await serveFile(server, asOfNow);
    } catch (error) {
      server.log(`sending a file failed: ${errorText(error)}`, "error", {
        file,
      });
      fail(server, connection, messageId);
    }
    spark.unsentFiles--;
    done(server, spark);
  });
}

async function serveFile(
  server: WebSocketServer,
  connection: Connection,
): Promise<void> {
  try {
    const counted = admitFile(connection);
    if (counted) await counted;
  } catch (error) {
    await server.sendMessage(connection, { error });
    return;
  }
  await server.processFile(connection);
}

interface Client {
  server: WebSocketServer;
  spark: Spark;
  connection: Connection;
}

/** In the order of arrival: a client may send a message to a room right after requesting to join it. */
function queueVerb(
  client: Client,
  request: Request,
  messageId: string,
): Promise<void> {
  const { server, spark, connection } = client;
  connection.params = {};
  spark.beginWork();
  return spark.verbs.add(async () => {
    try {
      // for a client that is gone, a room would be looked for on all nodes
      if (!connection.destroyed) await answerVerb(client, request, messageId);
    } catch (error) {
      server.log(
        `cannot send the reply to a verb: ${errorText(error)}`,
        "error",
      );
      fail(server, connection, messageId);
    }
    done(server, spark);
  });
}

async function answerVerb(
  { server, spark, connection }: Client,
  request: Request,
  messageId: string,
): Promise<void> {
  const { event } = request;
  const verb = typeof event === "string" ? event : JSON.stringify(event);
  const { args, fields } = argumentsOf(request);
  let reply;
  try {
    const counted = admitVerb(connection, String(verb));
    if (counted) await counted;
    if (verb === "quit" || verb === "exit") await server.answered(spark);
    const data: unknown = await connection.verbs(String(verb), args);
    reply = withFields(verbSuccess(data), answerFields(verb, connection));
  } catch (error) {
    const shown = server.errorForClient(error, "a verb failed");
    reply = verbFailure(shown, fields);
  }
  await server.sendMessage(connection, reply, messageId);
}

function done(server: WebSocketServer, spark: Spark): void {
  spark.endWork();
  server.afterWork(spark);
}

/** The reply could not be built or sent: send an error instead, or the client would wait. */
function fail(
  server: WebSocketServer,
  connection: Connection,
  messageId: string | number,
): void {
  const reply = { error: "the response cannot be sent" };
  server.sendMessage(connection, reply, messageId).catch(() => undefined);
}
