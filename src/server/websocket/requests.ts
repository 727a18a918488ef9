/** Processes the requests of clients: actions, files, verbs. */
import { randomUUID } from "node:crypto";
import { checkFile, checkVerb } from "../../action/rateLimit";
import type { Connection } from "../../connection/connection";
import { replyFields } from "../../connection/verbs";
import { codeFieldsOf } from "../../errors";
import { argumentsOf } from "../jsonRequest";
import { beginMessage, isWorkTracked } from "../work";
import { verbFailure, verbSuccess, type Request } from "./protocol";
import type { Spark } from "./spark";
import type { WebSocketServer } from "./webSocketServer";
import { networkOf } from "../../utils/addresses";
import { Slots } from "../../utils/promises";
import { withFields } from "../../utils/objects";
import { isUtf8 } from "node:buffer";
import type { Readable } from "node:stream";

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
      fail(server, connection, messageId, error);
    }
    spark.unsentFiles--;
    done(server, spark);
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
  if (isQuit(request.event)) spark.isQuitting = true;
  return spark.verbs.add(async () => {
    try {
      // a destroyed connection is not in the local table, so the verb would call all nodes
      if (!connection.destroyed) await replyToVerb(client, request, messageId);
    } catch (error) {
      fail(server, connection, messageId, error);
    }
    done(server, spark);
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
    const shown = server.errorForClient(error, "a verb failed");
    reply = withFields(verbFailure(shown, fields), codeFieldsOf(error));
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
  error: unknown,
): void {
  const reply = { error: server.failedResponse(error) };
  server.sendMessage(connection, reply, messageId).catch(() => undefined);
}

// --- The response to a request for a file, as one message: text unchanged, bytes in base64.

interface FileMessage {
  error?: unknown;
  content: string | null;
  /** Set only if the content is not plain text. */
  encoding?: "base64";
  mime: string;
  length: number;
  lastModified?: Date;
}

interface FileFacts {
  mime: string;
  length: number;
  lastModified?: Date;
}

interface FileSource {
  error?: unknown;
  fileStream?: Readable;
}

interface FileWish {
  /** `"base64"` if the client always wants bytes. */
  encoding: unknown;
  /** Files that are longer, as a file or as a message, are refused; 0: no limit. */
  maxBytes: number;
  /** Called after each piece; when it returns false, the file is abandoned. */
  isWanted: () => boolean;
}

/** The maximum length of a byte in JSON: control characters are `\u001f`. */
const MAX_GROWTH = 6;

/** The message for a file, or for an error. */
export async function fileReplyOf(
  { error, fileStream }: FileSource,
  facts: FileFacts,
  wish: FileWish,
): Promise<FileMessage> {
  if (error || !fileStream) return { error, content: null, ...facts };
  const isTooLong = () => wish.maxBytes > 0 && facts.length > wish.maxBytes;
  if (isTooLong()) fileStream.destroy();
  const content = isTooLong() ? undefined : await collect(fileStream, wish);
  if (!content)
    return { error: tooLong(wish.maxBytes), content: null, ...facts };
  const message = { ...asText(content, wish.encoding), ...facts };
  return isTooLongAsMessage(message, content.length, wish.maxBytes)
    ? { error: tooLong(wish.maxBytes), content: null, ...facts }
    : message;
}

function tooLong(maxBytes: number): string {
  return `the file is longer than ${maxBytes} bytes, get it over HTTP`;
}

function isTooLongAsMessage(
  { content }: { content: string },
  bytes: number,
  maxBytes: number,
): boolean {
  if (maxBytes <= 0 || bytes * MAX_GROWTH <= maxBytes) return false;
  return Buffer.byteLength(JSON.stringify(content)) > maxBytes;
}

function asText(content: Buffer, encoding: unknown) {
  if (encoding !== "base64" && isUtf8(content))
    return { content: content.toString() };
  return { content: content.toString("base64"), encoding: "base64" as const };
}

/** @returns undefined for a stream that is no longer wanted, or too long */
async function collect(
  stream: Readable,
  { maxBytes, isWanted }: FileWish,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // leaving the loop would end the stream with an error, which is logged as one of the file
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    const piece = Buffer.from(chunk as Buffer | string);
    chunks.push(piece);
    bytes += piece.length;
    if (isWanted() && !(maxBytes > 0 && bytes > maxBytes)) continue;
    stream.destroy();
    return undefined;
  }
  return Buffer.concat(chunks, bytes);
}
