/** Delivers messages from the whole cluster to the members on this node. */
import { api } from "../api";
import { log } from "../log/log";
import { shareEncoding } from "../utils/sharedEncoding";
import { sendWithinLimit, transportOf } from "./backlog";
import { hasMiddleware } from "./middleware";
import type { ChatConnection, ChatPayload, ChatPubSubMessage } from "./types";

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
  if (transport) sendWithinLimit(transport, connection, payload, sendMessage);
  else sendMessage(connection, { ...payload }); // this server may modify the message
}

function sendMessage(connection: ChatConnection, payload: object): void {
  try {
    const sending = connection.sendMessage(payload, "say");
    if (sending instanceof Promise) sending.catch(report);
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
