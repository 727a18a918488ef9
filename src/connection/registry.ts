/** All connections of this process: `api.connections`. */
import {
  type Hook,
  type MiddlewareRegistry,
  type NamedMiddleware,
  registerMiddleware,
} from "../middleware/stack";
import { redis } from "../redis/redis";
import { deepCopy } from "../utils/objects";
import type { Connection } from "./connection";

/** Runs for every connection, when it is created and destroyed. */
export interface ConnectionMiddleware extends NamedMiddleware {
  create?: Hook<(connection: Connection) => any>;
  destroy?: Hook<(connection: Connection) => any>;
}

export interface ConnectionsApi extends MiddlewareRegistry<ConnectionMiddleware> {
  /** Connections by id. May be modified and replaced. */
  connections: { [id: string]: Connection };
  /** The connections for the framework itself, without the cost of the object per connection. */
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
  // an object literal with a getter would be a hash table, and each request reads this object
  const connections = Object.defineProperty({}, "connections", {
    get: () => table.all,
    set: (all: { [id: string]: Connection }) => {
      table.all = all;
    },
    enumerable: true,
    configurable: true,
  }) as ConnectionsApi;
  const functions: Omit<ConnectionsApi, "connections"> = {
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
        if (key === "rawConnection" || key === "api") continue; // as in version 29
        const value: unknown = Reflect.get(connection, key);
        if (isJson(value)) clean[key] = value;
      }
      return clean;
    },
  };
  return Object.assign(connections, functions);
}

async function callMethod(
  connection: Connection,
  method: string,
  args: unknown,
): Promise<void> {
  const target: unknown = Reflect.get(connection, method);
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

// --- The open connections by id, the object behind `api.connections.connections`.

type Connections = { [id: string]: Connection };

/** The position of a connection in `unindexed`. */
export const POSITION = Symbol("position");

/** Fewer positions of removed connections are not worth a new list. */
const MIN_REMOVED = 64;

/**
 * Adding and removing a key per request costs more than matching its route: V8 internalizes the long id, and objects
 * with ever new keys become hash tables. Therefore connections are collected in a list, and most leave it before
 * code looks a connection up (bench/http.ts). Once the object was read, its reader may keep it, so it is always kept up
 * to date.
 */
export class ConnectionTable {
  private byId: Connections = {};
  /** Connections that no code has looked up by id; undefined: removed. */
  private unindexed: (Connection | undefined)[] = [];
  /** The position of the first of the list. */
  private first = 0;
  /** How many of the list are removed. */
  private removedCount = 0;
  private isShared = false;

  /** The object itself. */
  get all(): Connections {
    this.isShared = true;
    return this.indexAll();
  }

  set all(connections: Connections) {
    this.isShared = true;
    this.unindexed = [];
    this.removedCount = 0;
    this.byId = connections;
  }

  get count(): number {
    return (
      this.unindexed.length - this.removedCount + Object.keys(this.byId).length
    );
  }

  add(connection: Connection): void {
    if (this.isShared) {
      this.byId[connection.id] = connection;
      return;
    }
    connection[POSITION] = this.first + this.unindexed.length;
    this.unindexed.push(connection);
  }

  remove(connection: Connection): void {
    const index = connection[POSITION] - this.first;
    if (this.unindexed[index] === connection) return this.leave(index);
    if (this.byId[connection.id] === connection)
      delete this.byId[connection.id];
  }

  find(id: string): Connection | undefined {
    const byId = this.indexAll();
    return Object.hasOwn(byId, id) ? byId[id] : undefined;
  }

  /** All connections, for the framework itself, which does not hold the object. */
  list(): Connection[] {
    return Object.values(this.indexAll());
  }

  private leave(index: number): void {
    const { unindexed } = this;
    if (index === unindexed.length - 1) unindexed.pop();
    else {
      unindexed[index] = undefined;
      this.removedCount++;
    }
    if (this.isSparse()) this.dropBeginning();
    if (this.isSparse()) this.compact();
  }

  private isSparse(): boolean {
    return (
      this.removedCount > MIN_REMOVED &&
      this.removedCount > this.unindexed.length / 2
    );
  }

  /** Most connections leave in the order in which they came: then all others keep their places. */
  private dropBeginning(): void {
    const { unindexed } = this;
    let count = 0;
    while (count < unindexed.length && unindexed[count] === undefined) count++;
    this.unindexed = unindexed.slice(count);
    this.first += count;
    this.removedCount -= count;
  }

  private compact(): void {
    this.unindexed = this.unindexed.filter((one) => one !== undefined);
    this.removedCount = 0;
    this.unindexed.forEach((connection, index) => {
      connection![POSITION] = this.first + index;
    });
  }

  private indexAll(): Connections {
    const { byId, unindexed } = this;
    if (unindexed.length === 0) return byId;
    this.unindexed = [];
    this.removedCount = 0;
    for (const connection of unindexed)
      if (connection) byId[connection.id] = connection;
    return byId;
  }
}
