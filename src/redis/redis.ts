/** The exported `redis`: messages to the cluster, and both sides of calls to its nodes. */
import { randomUUID } from "node:crypto";
import { api, type Api, resolveApiMethod } from "../api";
import { id } from "../config/config";
import { settings } from "../config/settings";
import {
  ActionheroError,
  toError,
  ERROR_CODES,
  type ErrorCode,
} from "../errors";
import { jsonForClients } from "../exposure/json";
import { log } from "../log/log";
import { currentWork, isWorkId } from "../log/currentWork";
import { traced, tracing } from "../tracing/tracer";
import { publishText, untilSubscribed } from "./pubsub";
import type { PubSubMessage as Message } from "./lifecycle";

/**
 * Send a message to every node, this one included.
 * @param payload at least `messageType` and `serverToken`
 * @returns the number of subscribers that received it; undefined without a connection
 */
async function publish(payload: object | any[]): Promise<number | undefined> {
  const { client } = api.redis.clients;
  const { channel } = settings().general;
  const { messageType } = payload as { messageType?: unknown };
  if (client.status === "close" || client.status === "end") {
    // the payload has the token of the cluster, and private texts
    log("cannot send message, redis disconnected", "error", {
      channel,
      messageType,
    });
    return undefined;
  }
  // a chat message may contain an Error, whose fields may be private
  const text =
    messageType === "chat" ? jsonForClients(payload) : JSON.stringify(payload);
  return publishText(client, channel, text);
}

/**
 * Call a method of `api` on every node, including this one, or on the node of a connection.
 * @param method e.g. `"api.chatRoom.addMember"`
 * @param connectionId run only on the node of this connection
 * @param waitForResponse resolve with the first reply; an error reply rejects
 * @throws Error `RPC Timeout` when no node replies within `config.general.rpcTimeout` ms
 */
function doCluster<T>(
  method: string,
  args: any[] = [],
  connectionId?: string,
  waitForResponse = false,
): Promise<T extends any ? T : unknown> {
  const startOf = () => spanOfCall(`cluster/${method}`);
  return traced(startOf, () =>
    askNodes(method, args, connectionId, waitForResponse),
  ) as Promise<T extends any ? T : unknown>;
}

function spanOfCall(name: string) {
  const attributes = { "rpc.system.name": "actionhero", "rpc.method": name };
  return { name, kind: "client" as const, attributes };
}

async function askNodes(
  method: string,
  args: any[],
  connectionId: string | undefined,
  waitForResponse: boolean,
): Promise<unknown> {
  const messageId = randomUUID();
  const payload = {
    messageType: "do",
    serverId: id,
    serverToken: settings().general.serverToken,
    messageId,
    method,
    connectionId,
    args,
    requestId: currentWork.id?.(),
    traceparent: tracing.tracer?.traceparent(),
  };
  if (!waitForResponse) return redis.publish(payload);

  const replied = awaitReply(messageId); // before publishing, because the reply may arrive at once
  call(messageId, payload).catch((error) =>
    failCall(messageId, toError(error)),
  );
  return replied;
}

/** Publish a call as soon as its reply can arrive here. */
async function call(messageId: string, payload: object): Promise<void> {
  await untilSubscribed();
  if (!isAwaited(messageId)) return; // the caller no longer waits
  if ((await redis.publish(payload)) === undefined)
    throw new ActionheroError("AH_REDIS_TIMEOUT", "redis is disconnected");
}

/** Reply to a call. */
async function respondCluster(
  messageId: string,
  response: Message,
): Promise<void> {
  await reply(messageId, { response });
}

export const redis = { publish, doCluster, respondCluster };

// eslint-disable-next-line @typescript-eslint/no-namespace -- types that users reach as `redis.PubSubMessage`
export namespace redis {
  export type PubSubMessage = Message;
}

// --- The calling side of calls to other nodes.

/** Resolves with the first reply to the message, or rejects with its error or after `config.general.rpcTimeout` ms. */
function awaitReply(messageId: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const giveUp = () =>
      failCall(messageId, new ActionheroError("AH_RPC_TIMEOUT", "RPC Timeout"));
    // the reply may have arrived already: after a pause of this process, timers fire before received data
    const timer = setTimeout(
      () => setImmediate(giveUp),
      settings().general.rpcTimeout,
    );
    api.redis.rpcCallbacks[messageId] = { timer, resolve, reject };
  });
}

/** Stop waiting for the reply to this message. */
function dropCallback(messageId: string): void {
  clearTimeout(api.redis.rpcCallbacks[messageId]!.timer);
  delete api.redis.rpcCallbacks[messageId];
}

/** Whether a caller still waits for the reply to this message. */
function isAwaited(messageId: string): boolean {
  return Object.hasOwn(api.redis.rpcCallbacks, messageId);
}

/** The call cannot be made: reject its caller, if it still waits. */
function failCall(messageId: string, error: Error): void {
  if (!isAwaited(messageId)) return;
  const { reject } = api.redis.rpcCallbacks[messageId]!;
  dropCallback(messageId);
  reject(error);
}

/** No reply can arrive any more: reject all callers. */
export function abandonCalls(): void {
  for (const messageId of Object.keys(api.redis.rpcCallbacks))
    failCall(
      messageId,
      new ActionheroError("AH_REDIS_TIMEOUT", "redis is disconnected"),
    );
}

/** Handles `doResponse` messages; replies after the first are ignored. */
export function settleCall(message: Message): void {
  const messageId = String(message.messageId);
  if (!isAwaited(messageId)) return;
  const { resolve, reject } = api.redis.rpcCallbacks[messageId]!;
  dropCallback(messageId);
  if (message.error) reject(remoteError(message.error));
  else resolve(message.response);
}

/** The form of an error in a `doResponse` message; nodes of v29 neither send nor read it. */
interface RemoteError {
  message: string;
  code?: string;
}

/** A reply may contain any value: a node of another version or another program may have sent it. */
function remoteError(sent: unknown): ActionheroError {
  const { message = sent, code } = Object(sent) as Partial<RemoteError>;
  const isOurs = typeof code === "string" && Object.hasOwn(ERROR_CODES, code);
  const error = new ActionheroError(
    isOurs ? (code as ErrorCode) : "AH_RPC_REMOTE",
    typeof message === "string" ? message : JSON.stringify(message),
  );
  if (code !== undefined && !isOurs) error.data = { remoteCode: code };
  return error;
}

// --- The called side of calls from other nodes: runs the method and replies with its result or error. An unknown method gets
// no reply, as in version 29, so its caller times out.

/** Handles `do` messages. */
export async function handleCall(message: Message): Promise<void> {
  const { connectionId } = message;
  if (connectionId && !localConnection(String(connectionId))) return;
  const { begin } = currentWork;
  if (!begin) return runCall(message);
  const { requestId } = message as { requestId?: unknown };
  await begin(isWorkId(requestId) ? requestId : undefined, () =>
    runCall(message),
  );
}

function runCall(message: Message): Promise<void> {
  const method = String(message.method);
  return traced(
    () => spanOfMessage(message),
    () => callMethod(method, message),
  );
}

/** A method that does not exist names no span. */
function spanOfMessage({ traceparent: remote }: { traceparent?: unknown }) {
  const attributes = {
    "rpc.system.name": "actionhero",
    "rpc.method": "_OTHER",
  };
  return { name: "cluster call", kind: "server" as const, attributes, remote };
}

async function callMethod(method: string, message: Message): Promise<void> {
  const messageId = String(message.messageId);
  try {
    const target = resolveApiMethod(method);
    if (!target) {
      const name = method.replace(/^api\./, "");
      log(`RPC method \`${name}\` not found`, "crit");
      return;
    }
    const name = `cluster/${method}`;
    tracing.tracer?.describe(name, { "rpc.method": name });
    const args = toList(message.args);
    const response = await target.method.apply(target.owner, args);
    await redis.respondCluster(messageId, response as Message);
  } catch (error) {
    log(`RPC method \`${method}\` failed: ${String(error)}`, "warning");
    tracing.tracer?.fail(error);
    await replyWithError(messageId, toError(error));
  }
}

/** The connection, if it belongs to this process. */
export function localConnection(connectionId: string) {
  const { connections }: Partial<Api> = api;
  return connections?.table.find(connectionId);
}

function toList(args: unknown): unknown[] {
  if (args === null || args === undefined) return [];
  return Array.isArray(args) ? args : [args];
}

async function replyWithError(messageId: string, error: Error): Promise<void> {
  const { code } = error as NodeJS.ErrnoException;
  const remote: RemoteError = { message: error.message, code };
  await reply(messageId, { error: remote });
}

async function reply(
  messageId: string,
  outcome: { response: unknown } | { error: RemoteError },
): Promise<void> {
  await redis.publish({
    messageType: "doResponse",
    serverId: id,
    serverToken: settings().general.serverToken,
    messageId,
    ...outcome,
  });
}
