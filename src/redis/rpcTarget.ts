/** The called side of calls from other nodes: runs the method and always replies, with its result or its error. */
import { api, type Api } from "../api";
import { resolveApiMethod } from "../apiMethod";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { toError } from "../errors";
import { log } from "../log/log";
import { currentWork, isWorkId } from "../log/work";
import { tracing } from "../tracing/tracer";
import { redis } from "./redis";
import type { RemoteError } from "./rpc";
import type { PubSubMessage } from "./types";

/** Handles `do` messages. */
export async function answerCall(message: PubSubMessage): Promise<void> {
  if (message.connectionId && !isHeldHere(String(message.connectionId))) return;
  const { begin } = currentWork;
  if (!begin) return answer(message);
  const { requestId } = message as { requestId?: unknown };
  await begin(isWorkId(requestId) ? requestId : undefined, () =>
    answer(message),
  );
}

function answer(message: PubSubMessage): Promise<void> {
  const method = String(message.method);
  const { tracer } = tracing;
  if (!tracer) return callMethod(method, message);
  // a method that does not exist names no span
  const attributes = {
    "rpc.system.name": "actionhero",
    "rpc.method": "_OTHER",
  };
  const remote = (message as { traceparent?: unknown }).traceparent;
  const start = { name: "cluster call", attributes, remote };
  return tracer.run({ ...start, kind: "server" }, () =>
    callMethod(method, message),
  );
}

async function callMethod(
  method: string,
  message: PubSubMessage,
): Promise<void> {
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
    await redis.respondCluster(messageId, response as PubSubMessage);
  } catch (error) {
    log(`RPC method \`${method}\` failed: ${String(error)}`, "warning");
    tracing.tracer?.fail(error);
    await answerWithError(messageId, toError(error));
  }
}

function isHeldHere(connectionId: string): boolean {
  const { connections }: Partial<Api> = api;
  return connections?.table.find(connectionId) !== undefined;
}

function toList(args: unknown): unknown[] {
  if (args === null || args === undefined) return [];
  return Array.isArray(args) ? args : [args];
}

async function answerWithError(messageId: string, error: Error): Promise<void> {
  const { code } = error as NodeJS.ErrnoException;
  const remote: RemoteError = { message: error.message, code };
  await redis.publish({
    messageType: "doResponse",
    serverId: id,
    serverToken: settings().general.serverToken,
    messageId,
    error: remote,
  });
}
