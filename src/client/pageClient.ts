/** `ActionheroWebsocketClient` as a module: from the two sources of the script for pages. */
import type { ActionheroWebsocketClient } from "../assets/client/index";
import definePrimus from "../assets/primus.js";
import defineWebsocketClient from "../assets/websocketClient.js";

/** The default of servers: a ping every 30 s, so silence of 45 s means that the connection is lost. */
const SERVER = { pathname: "/primus", pingTimeout: 45_000 };

/** @param WebSocket the class to connect with */
export function definePageClient(
  WebSocket: unknown,
): typeof ActionheroWebsocketClient {
  const Primus = definePrimus(WebSocket, SERVER);
  return defineWebsocketClient({
    EventEmitter: Primus.EventEmitter,
    connect: Primus.connect,
    defaults: {},
  }) as typeof ActionheroWebsocketClient;
}
