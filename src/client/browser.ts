/** `actionhero/client` in browsers, and in environments with browser APIs. */
import { client, httpClient } from "./client";
import { definePageClient } from "./websocket";
import type {
  AnyActions,
  Client,
  CreateClientOptions,
  HttpClient,
  HttpOptions,
} from "./types";

export * from "./public";

/** The client of version 29; its types are in `src/assets/client/index.d.ts`. */
export const ActionheroWebsocketClient = /* @__PURE__ */ (() =>
  definePageClient((globalThis as { WebSocket?: unknown }).WebSocket))();

/** A client over HTTP only, which is small in a bundle because it excludes the websocket. */
export function createHttpClient<Actions = AnyActions>(
  options: HttpOptions,
): HttpClient<Actions> {
  return httpClient<Actions>(options, undefined);
}

/** A client of the server at `url`: `http(s)://` or `ws(s)://`. */
export function createClient<Actions = AnyActions, Rooms = object>(
  options: CreateClientOptions,
): Client<Actions, Rooms> {
  return client<Actions, Rooms>(options, {
    websocketClass: ({ WebSocket }) =>
      WebSocket ?? (globalThis as { WebSocket?: unknown }).WebSocket,
  });
}
