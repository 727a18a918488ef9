/** Limits the memory of a slow consumer: its chat messages come from others, who do not wait for it. */
import { api } from "../api";
import { settings } from "../config/settings";
import { log } from "../log/log";
import type { ChatConnection } from "./types";

/**
 * Implemented by servers with a backlog limit. The method implies two things: the server reports how many bytes wait
 * for a client, and its `sendMessage` does not modify the message, so that all members can share one object (see
 * `encodeOnce`). Members of other servers each get a copy, without a limit.
 */
export interface ChatTransport {
  /**
   * The bytes that the server has accepted for the connection but not yet passed to the operating system, including
   * bytes that it holds until the end of the tick. Called twice per delivery.
   */
  bufferedBytes(connection: any): number;
}

/** Bytes of chat messages that wait for each connection; absent means 0. */
const bytesWaiting = new WeakMap<ChatConnection, number>();

/** The server of a connection, if it has a backlog limit. */
export function transportOf(
  connection: ChatConnection,
): ChatTransport | undefined {
  const { servers } = api as {
    servers?: { servers: Record<string, Partial<ChatTransport>> };
  };
  const server = servers?.servers[connection.type ?? ""];
  return typeof server?.bufferedBytes === "function"
    ? (server as ChatTransport)
    : undefined;
}

/**
 * Send to a member, or disconnect it if too many chat messages already wait for it.
 *
 * Replies and files wait in the same buffer and have their own, larger limit; here, only bytes that chat has added
 * since the buffer was last empty count.
 */
export function sendWithinLimit(
  transport: ChatTransport,
  connection: ChatConnection,
  payload: object,
  send: (connection: ChatConnection, payload: object) => void,
): void {
  const before = transport.bufferedBytes(connection);
  const ours =
    before > 0 ? Math.min(bytesWaiting.get(connection) ?? 0, before) : 0;
  const limit = settings().general.chatBacklogLimit;
  if (limit > 0 && ours > limit) return disconnect(connection, ours, limit);

  send(connection, payload);
  const added = Math.max(transport.bufferedBytes(connection) - before, 0);
  if (ours + added > 0) bytesWaiting.set(connection, ours + added);
  else bytesWaiting.delete(connection);
}

function disconnect(
  connection: ChatConnection,
  ours: number,
  limit: number,
): void {
  log(
    `disconnecting ${connection.id}, a slow consumer: ${ours} bytes of chat messages are waiting (limit ${limit})`,
    "warning",
    { type: connection.type, rooms: connection.rooms },
  );
  bytesWaiting.delete(connection);
  Promise.resolve(connection.destroy?.()).catch((error: unknown) =>
    log(`disconnecting ${connection.id} failed: ${String(error)}`, "error"),
  );
}
