/** `actionhero/client` in node, Bun and Deno. */
import { WebSocket } from "ws";
import { client, httpClient } from "./client";
import { cookieStore } from "./cookies";
import { socketConnection } from "./socket";
import { definePageClient } from "./pageClient";
import type {
  AnyActions,
  Client,
  CreateClientOptions,
  HttpClient,
  HttpOptions,
} from "./types";
import { websocketClass } from "./websocketClass";

export * from "./public";

/** The client of version 29; its types are in `src/assets/client/index.d.ts`. */
export const ActionheroWebsocketClient =
  /* @__PURE__ */ definePageClient(WebSocket);

/** A client over HTTP alone. It keeps the cookies of its server. */
export function createHttpClient<Actions = AnyActions>(
  options: HttpOptions,
): HttpClient<Actions> {
  return httpClient<Actions>(options, cookieStore());
}

/**
 * A client of the server at `url`: `http(s)://`, `ws(s)://`, `tcp://` or `tls://`. It keeps the cookies of its server, and
 * sends them and `headers` when it opens a websocket, too.
 */
export function createClient<Actions = AnyActions, Rooms = object>(
  options: CreateClientOptions,
): Client<Actions, Rooms> {
  return client<Actions, Rooms>(options, {
    cookies: cookieStore,
    websocketClass,
    socket: socketConnection,
  });
}
