/** Runs the chat middleware of projects. */
import { api } from "../api";
import { traceMiddleware, tracing } from "../tracing/tracer";
import type { ChatConnection, ChatDirection } from "./types";

/** Whether any middleware has a function for this direction. */
export function hasMiddleware(direction: ChatDirection): boolean {
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
