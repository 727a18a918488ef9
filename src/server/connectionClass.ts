/** The connection class of each server: its own ways to send, and its custom methods. */
import { call, noteMessage } from "../connection/calls";
import { Connection } from "../connection/connection";
import { newFingerprint } from "./identity";
import type { Server } from "./server";

interface Compiled {
  methods: Server["connectionCustomMethods"];
  names: string[];
  ConnectionClass: typeof Connection;
}

type Method = (connection: Connection, ...args: unknown[]) => unknown;

const compiled = new WeakMap<Server, Compiled>();

/** Built once per server, and again when its custom methods were replaced or added to. */
export function connectionClassFor(server: Server): typeof Connection {
  const known = compiled.get(server);
  const methods = server.connectionCustomMethods;
  if (known?.methods === methods && hasSameNames(methods, known.names))
    return known.ConnectionClass;

  const ConnectionClass = buildClass(server);
  const names = Object.keys(methods);
  compiled.set(server, { methods, names, ConnectionClass });
  return ConnectionClass;
}

/** Without building a list, because this is checked for every connection. */
function hasSameNames(methods: object, names: readonly string[]): boolean {
  let i = 0;
  for (const name in methods) if (names[i++] !== name) return false;
  return i === names.length;
}

function buildClass(server: Server): typeof Connection {
  class ServerConnection extends Connection {}
  const add = (name: string, method: Method) =>
    addMethod(ServerConnection, name, (connection, ...args) =>
      call(
        connection,
        name,
        () => method(connection, ...args),
        (failedOn, failed) => server.failCall(failedOn, failed),
      ),
    );
  add("sendMessage", (connection, message) => {
    noteMessage(connection, message);
    return server.sendMessage(connection, message);
  });
  add("sendFile", (connection, path) => {
    connection.params.file = path as string;
    noteMessage(connection, undefined);
    return server.processFile(connection);
  });
  add("rotateFingerprint", (connection) => {
    const fingerprint = newFingerprint();
    return (connection.fingerprint = fingerprint);
  });
  for (const name of Object.keys(server.connectionCustomMethods)) {
    add(
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
      const bound = (...args: unknown[]) => method(this, ...args);
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
