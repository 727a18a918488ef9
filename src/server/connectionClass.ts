/** The connection class of each server: its own ways to send, and its custom methods. */
import { Connection } from "../connection/connection";
import type { Server } from "./server";

interface Compiled {
  methods: Server["connectionCustomMethods"];
  names: string;
  ConnectionClass: typeof Connection;
}

type Method = (connection: Connection, ...args: any[]) => unknown;

const compiled = new WeakMap<Server, Compiled>();

/** Built once per server, and again when its custom methods were replaced or added to. */
export function connectionClassFor(server: Server): typeof Connection {
  const known = compiled.get(server);
  const methods = server.connectionCustomMethods;
  const names = Object.keys(methods).join();
  if (known && known.methods === methods && known.names === names)
    return known.ConnectionClass;

  const ConnectionClass = buildClass(server);
  compiled.set(server, { methods, names, ConnectionClass });
  return ConnectionClass;
}

function buildClass(server: Server): typeof Connection {
  class ServerConnection extends Connection {}
  addMethod(ServerConnection, "sendMessage", (connection, message) =>
    server.sendMessage(connection, message),
  );
  addMethod(ServerConnection, "sendFile", (connection, path: string) => {
    connection.params.file = path;
    return server.processFile(connection);
  });
  for (const name of Object.keys(server.connectionCustomMethods)) {
    addMethod(
      ServerConnection,
      name,
      (connection, ...args) =>
        server.connectionCustomMethods[name]!(connection, ...args) as unknown,
    );
  }
  return ServerConnection;
}

/**
 * Give the class a method that stays with its connection when it is handed around alone, as a closure would. It is
 * made when it is first asked for: most connections use few of theirs.
 */
function addMethod(
  { prototype }: typeof Connection,
  name: string,
  method: Method,
): void {
  Object.defineProperty(prototype, name, {
    configurable: true,
    get(this: Connection) {
      const bound = async (...args: unknown[]) => method(this, ...args);
      if (this !== prototype) ownMethod(this, name, bound);
      return bound;
    },
    set(this: Connection, value: unknown) {
      ownMethod(this, name, value);
    },
  });
}

function ownMethod(connection: Connection, name: string, value: unknown): void {
  Object.defineProperty(connection, name, {
    configurable: true,
    writable: true,
    enumerable: false,
    value,
  });
}
