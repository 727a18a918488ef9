/** The durations of redis commands, as their callers see them. */
import type { Command, Redis } from "ioredis";
import { toError } from "../errors";
import { isEmbedded } from "../redis/engine";
import type { Histogram } from "./types";

/** @param error undefined when redis answered */
type Observe = (command: string, error: unknown, ms: number) => void;

interface Follower {
  observe?: Observe;
}

/** A client that a project shares between servers keeps its follower. */
const followers = new WeakMap<Redis, Follower>();

/** Start measuring the commands of clients, by their names. @returns a function that stops it */
export function measureCommands(
  clients: Record<string, Redis>,
  durations: Histogram,
): () => void {
  const found: Follower[] = [];
  for (const [name, client] of Object.entries(clients)) {
    if (isEmbedded(client)) continue; // there is nothing to wait for
    const follower = followerOf(client);
    follower.observe = (command, error, ms) =>
      durations.observe(ms / 1000, {
        db_system_name: "redis",
        db_operation_name: command,
        db_client_connection_pool_name: name,
        error_type: error === undefined ? "" : typeOf(error),
      });
    found.push(follower);
  }
  return () => {
    for (const follower of found) follower.observe = undefined;
  };
}

function typeOf(error: unknown): string {
  const { code, name } = toError(error) as Error & { code?: unknown };
  return typeof code === "string" ? code : name;
}

function followerOf(client: Redis): Follower {
  const known = followers.get(client);
  if (known) return known;
  const follower: Follower = {};
  followers.set(client, follower);
  const seen = new WeakSet<Command>(); // a command is sent again over the next connection
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command, ...rest) => {
    const { observe } = follower;
    if (observe && !seen.has(command)) {
      seen.add(command);
      time(command, observe);
    }
    return send(command, ...rest);
  };
  return follower;
}

/** The promise is left alone: a handler of ours would hide a failure that nobody handles. */
function time(command: Command, observe: Observe): void {
  const { name, resolve, reject } = command;
  const begin = performance.now();
  command.resolve = (result) => {
    observe(name, undefined, performance.now() - begin);
    resolve.call(command, result);
  };
  command.reject = (error) => {
    observe(name, error, performance.now() - begin);
    reject.call(command, error);
  };
}
