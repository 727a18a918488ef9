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

/** The index of a connection in the list of connections that were never looked up by id. */
export const PLACE = Symbol("place");

/** Fewer places of connections that have left are not worth a new list. */
const MIN_LEFT = 64;

/**
 * Adding and removing a key per request costs more than matching its route: V8 internalizes the long id, and objects
 * with ever new keys become hash tables. Therefore connections are collected in a list, and most leave it before
 * code looks a connection up (bench/http.ts). Once the object was read, its reader may keep it, so it is always kept up
 * to date.
 */
export class ConnectionTable {
  private byId: Connections = {};
  /** Undefined: it has left. */
  private waiting: (Connection | undefined)[] = [];
  /** The place of the first of the list. */
  private first = 0;
  /** How many of the list have left. */
  private left = 0;
  private isShared = false;

  /** The object itself. */
  get all(): Connections {
    this.isShared = true;
    return this.settle();
  }

  set all(connections: Connections) {
    this.isShared = true;
    this.waiting = [];
    this.left = 0;
    this.byId = connections;
  }

  get count(): number {
    return this.waiting.length - this.left + Object.keys(this.byId).length;
  }

  add(connection: Connection): void {
    if (this.isShared) {
      this.byId[connection.id] = connection;
      return;
    }
    connection[PLACE] = this.first + this.waiting.length;
    this.waiting.push(connection);
  }

  remove(connection: Connection): void {
    const index = connection[PLACE] - this.first;
    if (this.waiting[index] === connection) return this.leave(index);
    if (this.byId[connection.id] === connection)
      delete this.byId[connection.id];
  }

  find(id: string): Connection | undefined {
    const byId = this.settle();
    return Object.hasOwn(byId, id) ? byId[id] : undefined;
  }

  /** All connections, for the framework itself, which does not hold the object. */
  list(): Connection[] {
    return Object.values(this.settle());
  }

  private leave(index: number): void {
    const { waiting } = this;
    if (index === waiting.length - 1) waiting.pop();
    else {
      waiting[index] = undefined;
      this.left++;
    }
    if (this.hasManyLeft()) this.dropBeginning();
    if (this.hasManyLeft()) this.closeRanks();
  }

  private hasManyLeft(): boolean {
    return this.left > MIN_LEFT && this.left > this.waiting.length / 2;
  }

  /** Most connections leave in the order in which they came: then all others keep their places. */
  private dropBeginning(): void {
    const { waiting } = this;
    let count = 0;
    while (count < waiting.length && waiting[count] === undefined) count++;
    this.waiting = waiting.slice(count);
    this.first += count;
    this.left -= count;
  }

  private closeRanks(): void {
    this.waiting = this.waiting.filter((one) => one !== undefined);
    this.left = 0;
    this.waiting.forEach((connection, index) => {
      connection![PLACE] = this.first + index;
    });
  }

  private settle(): Connections {
    const { byId, waiting } = this;
    if (waiting.length === 0) return byId;
    this.waiting = [];
    this.left = 0;
    for (const connection of waiting)
      if (connection) byId[connection.id] = connection;
    return byId;
  }
}
