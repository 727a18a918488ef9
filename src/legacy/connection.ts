/** A connection as the actions of version 3 know it. */
import type { ActionProcessor } from "../action/actionProcessor";
import type { Connection } from "../connection/connection";

/** The connection itself, with the params, response and error of one request. */
export type LegacyConnection = Connection & {
  params: { [name: string]: any };
  response: { [name: string]: any };
  error: any;
  /** Its chat room, or the first of several. */
  readonly room: string | undefined;
  /** HTTP: pairs of names and values to add to. */
  responseHeaders?: [string, any][];
  /** HTTP. */
  responseHttpCode?: number | string;
};

/** What lies on the request in HTTP. */
const OF_THE_REQUEST = ["responseHeaders", "responseHttpCode"];

/**
 * Requests of one connection run side by side, so each has its own params, response and error; all else is read from and
 * written to the connection.
 */
export function legacyConnection(
  data: Pick<ActionProcessor, "connection" | "params">,
): LegacyConnection {
  const { connection, params } = data;
  const own: Record<string | symbol, unknown> = {
    params: { ...(params as object) }, // those of today are frozen
    response: {},
    error: null,
  };
  const holderOf = (name: string | symbol): object => {
    if (Object.hasOwn(own, name)) return own;
    const rawConnection: unknown = connection.rawConnection;
    return OF_THE_REQUEST.includes(String(name)) && isObject(rawConnection)
      ? rawConnection
      : connection;
  };
  return new Proxy(connection as LegacyConnection, {
    get(_target, name) {
      if (name === "room") return connection.rooms[0];
      const holder = holderOf(name);
      const value = Reflect.get(holder, name) as unknown;
      // methods compare the connection with what is registered
      return holder === connection && typeof value === "function"
        ? (value.bind(connection) as unknown)
        : value;
    },
    set: (_target, name, value) => Reflect.set(holderOf(name), name, value),
  });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
