/** Delivers messages of the cluster to the members on this node: runs the middleware of projects, and limits slow consumers. */
import { api } from "../api";
import { log } from "../log/log";
import { shareEncoding } from "../exposure/json";
import type {
  ChatConnection,
  ChatPayload,
  ChatPubSubMessage,
  ChatDirection,
} from "./types";
import { isThenable } from "../utils/promises";
import { traceMiddleware, tracing } from "../tracing/tracer";
import { settings } from "../config/settings";

/** Handles `chat` messages: delivers the payload to every local member. */
export function incomingMessage(envelope: ChatPubSubMessage): void {
  if (typeof envelope.connection?.room !== "string") {
    const { serverId } = envelope; // not the message, which may be private
    log("ignored a malformed chat message", "debug", { serverId });
    return;
  }
  const payload = api.chatRoom.generateMessagePayload(envelope) as ChatPayload;
  const members = api.chatRoom.index.membersOf(payload.room);
  if (members.size === 0) return;

  const { incomingMessagePerConnection: deliverer } = api.chatRoom;
  const isPlain =
    deliverer === incomingMessagePerConnection && !hasMiddleware("say");
  shareEncoding(payload);
  // a copy: a slow consumer that is disconnected leaves the set
  for (const connection of [...members]) {
    if (isPlain) deliver(connection, payload);
    else deliverBy(deliverer, connection, payload).catch(report);
  }
}

/** Async, so that a project's function that throws for one member does not keep the message from the others. */
async function deliverBy(
  deliverer: typeof incomingMessagePerConnection,
  connection: ChatConnection,
  payload: ChatPayload,
): Promise<void> {
  await deliverer(connection, payload);
}

/** Deliver a payload to one connection, if it is in the room and the `say` middleware does not drop it. */
export async function incomingMessagePerConnection(
  connection: ChatConnection,
  payload: ChatPayload,
): Promise<void> {
  const { room } = payload;
  if (!isMember(connection, room)) return;
  try {
    const own = (await api.chatRoom.runMiddleware(
      connection,
      room,
      "say",
      payload,
    )) as object | null | undefined;
    if (own === null || own === undefined) return;
    if (!isMember(connection, room)) return; // it may have left while the middleware ran
    // an unchanged payload is shared by all members, so it is encoded once
    send(connection, isSame(own, payload) ? payload : own);
  } catch (error) {
    log(String(error), "warning", {
      messagePayload: payload,
      connection: connection.id,
    });
  }
}

function deliver(connection: ChatConnection, payload: ChatPayload): void {
  if (isMember(connection, payload.room)) send(connection, payload);
}

function isMember(connection: ChatConnection, room: string): boolean {
  return (
    connection.canChat === true &&
    connection.destroyed !== true &&
    connection.rooms.includes(room)
  );
}

function send(connection: ChatConnection, payload: object): void {
  const transport = transportOf(connection);
  if (transport) sendWithinLimit(transport, connection, payload);
  else sendMessage(connection, { ...payload }); // this server may modify the message
}

function sendMessage(connection: ChatConnection, payload: object): void {
  try {
    const sending = connection.sendMessage(payload, "say");
    if (isThenable(sending)) sending.then(undefined, report);
  } catch (error) {
    report(error);
  }
}

function report(error: unknown): void {
  log(`sending a chat message failed: ${String(error)}`, "warning");
}

/** Only primitive values count as unchanged: an object may have been modified inside. */
function isSame(own: object, shared: object): boolean {
  const entries = Object.entries(shared) as [string, unknown][];
  if (Object.keys(own).length !== entries.length) return false;
  return entries.every(([key, value]) => {
    const isFixed = typeof value !== "object" || value === null;
    return isFixed && value === (own as Record<string, unknown>)[key];
  });
}

// --- The middleware of projects, for messages, joins and leaves.

/** Whether any middleware has a function for this direction. */
function hasMiddleware(direction: ChatDirection): boolean {
  const { globalMiddleware, middleware } = api.chatRoom;
  for (const name of globalMiddleware) {
    if (typeof middleware[name]?.[direction] === "function") return true;
  }
  return false;
}

/**
 * Run the hooks of one direction in the order of their priorities.
 * @param payload the message; each hook gets the result of the previous one, starting with a copy
 * @returns the last payload; null if a hook returned nothing, which ends the chain
 */
export async function runMiddleware(
  connection: ChatConnection | object,
  room: string,
  direction: ChatDirection,
  payload?: any,
): Promise<any> {
  let current: unknown = payload ? { ...payload } : undefined;
  for (const name of [...api.chatRoom.globalMiddleware]) {
    const middleware = api.chatRoom.middleware[name];
    if (typeof middleware?.[direction] !== "function") continue;
    const { tracer } = tracing;
    const call = (given: unknown): unknown =>
      middleware[direction]!(connection, room, given);
    const changed: unknown = await (tracer
      ? traceMiddleware(tracer, { name, phase: direction }, () => call(current))
      : call(current));
    if (!payload) continue;
    if (changed === null || changed === undefined) return null;
    current = changed;
  }
  return payload ? current : payload;
}

// --- Limits the memory of a slow consumer: its chat messages are sent by others, who do not wait for it.

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
function transportOf(connection: ChatConnection): ChatTransport | undefined {
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
function sendWithinLimit(
  transport: ChatTransport,
  connection: ChatConnection,
  payload: object,
): void {
  const before = transport.bufferedBytes(connection);
  const ours =
    before > 0 ? Math.min(bytesWaiting.get(connection) ?? 0, before) : 0;
  const limit = settings().general.chatBacklogLimit;
  if (limit > 0 && ours > limit) return disconnect(connection, ours, limit);

  sendMessage(connection, payload);
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
