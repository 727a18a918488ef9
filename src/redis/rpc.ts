/** The calling side of calls to other nodes. */
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError, ERROR_CODES, type ErrorCode } from "../errors";
import type { PubSubMessage } from "./types";

/** Resolves with the first reply to the message, or rejects with its error or after `config.general.rpcTimeout` ms. */
export function awaitAnswer(messageId: string): Promise<unknown> {
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
export function isAwaited(messageId: string): boolean {
  return Object.hasOwn(api.redis.rpcCallbacks, messageId);
}

/** The call cannot be made: reject its caller, if it still waits. */
export function failCall(messageId: string, error: Error): void {
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
export function settleCall(message: PubSubMessage): void {
  const messageId = String(message.messageId);
  if (!isAwaited(messageId)) return;
  const { resolve, reject } = api.redis.rpcCallbacks[messageId]!;
  dropCallback(messageId);
  if (message.error) reject(remoteError(message.error));
  else resolve(message.response);
}

/** The form of an error in a `doResponse` message; nodes of v29 neither send nor read it. */
export interface RemoteError {
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
