/** The exported `redis`: publish to the cluster, and call methods on its nodes. */
import { randomUUID } from "node:crypto";
import { api } from "../api";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { ActionheroError, toError } from "../errors";
import { jsonForClients } from "../log/clientJson";
import { log } from "../log/log";
import { currentWork } from "../log/work";
import { tracing } from "../tracing/tracer";
import { publishText, untilHearing } from "./pubsub";
import { awaitAnswer, failCall, isAwaited } from "./rpc";
import type { PubSubMessage as Message } from "./types";

/**
 * Send a message to every node, this one included.
 * @param payload at least `messageType` and `serverToken`
 * @returns the number of subscribers that received it; undefined without a connection
 */
async function publish(payload: object | any[]): Promise<number | undefined> {
  const { client } = api.redis.clients;
  const { channel } = settings().general;
  if (client.status === "close" || client.status === "end") {
    log("cannot send message, redis disconnected", "error", {
      channel,
      payload,
    });
    return undefined;
  }
  // chat messages may contain private data
  const isForClients = (payload as Partial<Message>).messageType === "chat";
  const text = isForClients ? jsonForClients(payload) : JSON.stringify(payload);
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
  type Result = Promise<T extends any ? T : unknown>;
  const ask = () => askNodes(method, args, connectionId, waitForResponse);
  const { tracer } = tracing;
  if (!tracer) return ask() as Result;
  const attributes = {
    "rpc.system.name": "actionhero",
    "rpc.method": `cluster/${method}`,
  };
  const start = { name: `cluster/${method}`, attributes };
  return tracer.run({ ...start, kind: "client" }, ask) as Result;
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

  const answer = awaitAnswer(messageId); // before publishing, because the reply may arrive at once
  call(messageId, payload).catch((error) =>
    failCall(messageId, toError(error)),
  );
  return answer;
}

/** Publish a call as soon as its reply can arrive here. */
async function call(messageId: string, payload: object): Promise<void> {
  await untilHearing();
  if (!isAwaited(messageId)) return; // the caller no longer waits
  if ((await redis.publish(payload)) === undefined)
    throw new ActionheroError("AH_REDIS_TIMEOUT", "redis is disconnected");
}

/** Reply to a call. */
async function respondCluster(
  messageId: string,
  response: Message,
): Promise<void> {
  await redis.publish({
    messageType: "doResponse",
    serverId: id,
    serverToken: settings().general.serverToken,
    messageId,
    response,
  });
}

export const redis = { publish, doCluster, respondCluster };

// eslint-disable-next-line @typescript-eslint/no-namespace -- types that users reach as `redis.PubSubMessage`
export namespace redis {
  export type PubSubMessage = Message;
}
