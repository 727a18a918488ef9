/** All connections of this process: `api.connections`. */
import {
  registerMiddleware,
  type Hook,
  type MiddlewareRegistry,
  type NamedMiddleware,
} from "../middleware/stack";
import { redis } from "../redis/redis";
import { deepCopy } from "../utils/objects";
import type { Connection } from "./connection";
import { ConnectionTable } from "./table";

/** Runs for every connection, when it is created and destroyed. */
export interface ConnectionMiddleware extends NamedMiddleware {
  create?: Hook<(connection: Connection) => any>;
  destroy?: Hook<(connection: Connection) => any>;
}

export interface ConnectionsApi extends MiddlewareRegistry<ConnectionMiddleware> {
  /** Connections by id. May be modified and replaced. */
  connections: { [id: string]: Connection };
  /** The same for the framework itself, without the cost of the object per connection. */
  readonly table: ConnectionTable;
  /**
   * Call a method of a connection, which may be on any node.
   * @returns the connection as plain data
   * @throws Error `RPC Timeout` when no node has it
   */
  apply(connectionId: string, method?: string, args?: any): Promise<any>;
  /** The local part of `apply`: undefined if the connection is not on this node. */
  applyResponder(
    connectionId: string,
    method?: string,
    args?: any,
  ): Promise<any>;
  addMiddleware(data: ConnectionMiddleware): void;
  /** The properties that can be sent to another node. */
  cleanConnection(connection: Connection): { [key: string]: any };
}

declare module "../api" {
  interface Api {
    connections: ConnectionsApi;
  }
}

/** Methods that take their argument unchanged, not as a list. */
const SINGLE_ARGUMENT = ["sendMessage", "sendFile"];

export function createConnectionsApi(): ConnectionsApi {
  const table = new ConnectionTable();
  const connections: ConnectionsApi = {
    get connections() {
      return table.all;
    },
    set connections(all) {
      table.all = all;
    },
    table,
    middleware: {},
    globalMiddleware: [],

    async apply(connectionId, method, args) {
      if (table.find(connectionId)) {
        const clean: unknown = await connections.applyResponder(
          connectionId,
          method,
          args,
        );
        return deepCopy(clean); // changes by the caller must not affect the connection
      }
      return redis.doCluster(
        "api.connections.applyResponder",
        [connectionId, method, args],
        connectionId,
        true,
      );
    },

    async applyResponder(connectionId, method, args) {
      const connection = table.find(connectionId);
      if (!connection) return;
      if (method && args !== undefined && args !== null)
        await callMethod(connection, method, args);
      return connections.cleanConnection(connection);
    },

    addMiddleware(data) {
      registerMiddleware(connections, data, true);
    },

    cleanConnection(connection) {
      const clean: { [key: string]: any } = {};
      for (const key of Object.keys(connection)) {
        if (key === "rawConnection" || key === "api") continue;
        const value = (connection as unknown as Record<string, unknown>)[key];
        if (isJson(value)) clean[key] = value;
      }
      return clean;
    },
  };
  return connections;
}

async function callMethod(
  connection: Connection,
  method: string,
  args: unknown,
): Promise<void> {
  const target = (connection as unknown as Record<string, unknown>)[method];
  if (typeof target !== "function" || method in Object.prototype)
    throw new Error(`${method} is not a method of a connection`);
  const list =
    SINGLE_ARGUMENT.includes(method) || !Array.isArray(args) ? [args] : args;
  await (target as (...list: unknown[]) => unknown).apply(connection, list);
}

function isJson(value: unknown): boolean {
  try {
    JSON.stringify(value);
    return true;
  } catch {
    return false; // circular: it cannot be serialized
  }
}
