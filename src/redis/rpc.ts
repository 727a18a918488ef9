/** The waiting side of calls to other nodes. */
import { api } from "../api";
import { settings } from "../config/settings";
import { ActionheroError, ERROR_CODES, type ErrorCode } from "../errors";
import type { PubSubMessage } from "./types";

/** Resolves with the first answer to the message, or rejects with its error or after `config.general.rpcTimeout` ms. */
export function awaitAnswer(messageId: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const giveUp = () =>
      failCall(messageId, new ActionheroError("AH_RPC_TIMEOUT", "RPC Timeout"));
    // the answer may be there already: when this process stood still, timers come before what has arrived
    const timer = setTimeout(
      () => setImmediate(giveUp),
      settings().general.rpcTimeout,
    );
    api.redis.rpcCallbacks[messageId] = { timer, resolve, reject };
  });
}

/** Wait no longer for the answer to this message. */
function dropCallback(messageId: string): void {
  clearTimeout(api.redis.rpcCallbacks[messageId]!.timer);
  delete api.redis.rpcCallbacks[messageId];
}

/** Whether somebody still waits for the answer to this message. */
export function isAwaited(messageId: string): boolean {
  return Object.hasOwn(api.redis.rpcCallbacks, messageId);
}

/** The call cannot be made: its caller hears why, unless it waits no more. */
export function failCall(messageId: string, error: Error): void {
  if (!isAwaited(messageId)) return;
  const { reject } = api.redis.rpcCallbacks[messageId]!;
  dropCallback(messageId);
  reject(error);
}

/** Nobody will answer any more: let no caller wait for it. */
export function abandonCalls(): void {
  for (const messageId of Object.keys(api.redis.rpcCallbacks))
    failCall(
      messageId,
      new ActionheroError("AH_REDIS_TIMEOUT", "redis is disconnected"),
    );
}

/** Handles `doResponse` messages; all but the first answer to a call find nobody waiting. */
export function settleCall(message: PubSubMessage): void {
  const messageId = String(message.messageId);
  if (!isAwaited(messageId)) return;
  const { resolve, reject } = api.redis.rpcCallbacks[messageId]!;
  dropCallback(messageId);
  if (message.error) reject(remoteError(message.error));
  else resolve(message.response);
}

/** How an error travels in a `doResponse` message; nodes of v29 neither send nor read it. */
export interface RemoteError {
  message: string;
  code?: string;
}

/** What an answer holds may be anything: a node of another version or something else may have sent it. */
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
