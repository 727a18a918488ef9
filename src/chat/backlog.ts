/**
 * Bounds the memory that a member can occupy by not reading: chat messages come from others, so nobody waits for it.
 */
import { api } from "../api";
import { settings } from "../config/settings";
import { log } from "../log/log";
import type { ChatConnection } from "./types";

/**
 * What a server has in order to take part. Having the method says two things: that it can tell how much waits for a
 * client, and that its `sendMessage` leaves the message as it is, so that all members can be given the same object
 * (see `encodeOnce`). Members of other servers each get a copy, without a limit.
 */
export interface ChatTransport {
  /**
   * The bytes that the server has accepted for the connection and not yet handed to the operating system; what it
   * keeps back until the end of the tick counts. Called twice per delivery.
   */
  bufferedBytes(connection: any): number;
}

/** Chat's part of what waits for each connection, in bytes; absent means nothing. */
const waiting = new WeakMap<ChatConnection, number>();

/** The server of a connection, if it takes part. */
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
 * Send to a member, unless too many chat messages wait for it already: then it is disconnected.
 *
 * Answers and files wait in the same buffer and have their own, larger limit; only what chat has added since the
 * buffer was last empty counts here.
 */
export function sendWithinLimit(
  transport: ChatTransport,
  connection: ChatConnection,
  payload: object,
  send: (connection: ChatConnection, payload: object) => void,
): void {
  const before = transport.bufferedBytes(connection);
  const ours = before > 0 ? Math.min(waiting.get(connection) ?? 0, before) : 0;
  const limit = settings().general.chatBacklogLimit;
  if (limit > 0 && ours > limit) return disconnect(connection, ours, limit);

  send(connection, payload);
  const added = Math.max(transport.bufferedBytes(connection) - before, 0);
  if (ours + added > 0) waiting.set(connection, ours + added);
  else waiting.delete(connection);
}

function disconnect(
  connection: ChatConnection,
  ours: number,
  limit: number,
): void {
  log(
    `disconnecting ${connection.id}: it does not read, ${ours} bytes of chat messages wait for it (limit ${limit})`,
    "warning",
    { type: connection.type, rooms: connection.rooms },
  );
  waiting.delete(connection);
  Promise.resolve(connection.destroy?.()).catch((error: unknown) =>
    log(`disconnecting ${connection.id} failed: ${String(error)}`, "error"),
  );
}
