/** The connection class of each server: its own ways to send, and its custom methods, on the prototype. */
import { Connection } from "../connection/connection";
import type { Server } from "./server";

interface Compiled {
  methods: Server["connectionCustomMethods"];
  names: string;
  ConnectionClass: typeof Connection;
}

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
  class ServerConnection extends Connection {
    override sendMessage(message: any): Promise<void> {
      return server.sendMessage(this, message);
    }

    override sendFile(path: string): Promise<void> {
      this.params.file = path;
      return server.processFile(this);
    }
  }
  for (const name of Object.keys(server.connectionCustomMethods)) {
    Object.defineProperty(ServerConnection.prototype, name, {
      configurable: true,
      writable: true,
      value: async function (this: Connection, ...args: unknown[]) {
        return server.connectionCustomMethods[name]!(this, ...args) as unknown;
      },
    });
  }
  return ServerConnection;
}
