/** `actionhero/client` in node, Bun and Deno. */
import type { WebSocket } from "ws";
import { client, httpClient } from "./client";
import { cookieStore } from "./cookies";
import { ClientError, OwnFailure } from "./errors";
import type { CookieStore } from "./http";
import { definePageClient } from "./pageClient";
import { socketConnection } from "./socket";
import type {
  AnyActions,
  Client,
  CreateClientOptions,
  HttpClient,
  HttpOptions,
} from "./types";

export * from "./public";

/** The client of version 29; its types are in `src/assets/client/index.d.ts`. */
export const ActionheroWebsocketClient = /* @__PURE__ */ definePageClient(
  websocketClass({}),
);

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

// --- Websockets of node, which support headers.

type Listener = ((event: never) => void) | null;

/** Node's websockets: `ws` is loaded by the first, so that a client over HTTP or TCP needs no package. */
function loadWebsockets() {
  try {
    return (require("ws") as typeof import("ws")).WebSocket;
  } catch (cause) {
    const text =
      "websockets need the package `ws` outside of browsers: npm install ws";
    throw new OwnFailure(new ClientError("UNSUPPORTED", text, { cause }));
  }
}

/** A websocket class that gets the current headers at each attempt. */
function websocketClass(
  {
    headers,
    WebSocket: own,
  }: Pick<CreateClientOptions, "headers" | "WebSocket">,
  cookies?: CookieStore,
): unknown {
  if (own) return own;

  return class {
    onopen: Listener = null;
    onmessage: Listener = null;
    onerror: Listener = null;
    onclose: Listener = null;
    #socket: WebSocket | undefined;
    #isClosed = false;

    constructor(address: string) {
      this.#open(address).catch((error: unknown) => {
        this.onerror?.({ error } as never);
        this.onclose?.({} as never);
      });
    }

    async #open(address: string): Promise<void> {
      const Websocket = loadWebsockets();
      const cookie = cookies?.header(address);
      const own = await this.#headers();
      if (this.#isClosed) return;
      const socket = new Websocket(address, {
        headers: { ...(cookie && { Cookie: cookie }), ...own },
      });
      this.#socket = socket;
      socket.onopen = (event) => this.onopen?.(event as never);
      socket.onmessage = (event) => this.onmessage?.(event as never);
      socket.onerror = (event) => this.onerror?.(event as never);
      socket.onclose = (event) => this.onclose?.(event as never);
    }

    async #headers(): Promise<Record<string, string> | undefined> {
      if (typeof headers !== "function") return headers;
      try {
        return await headers();
      } catch (cause) {
        throw new OwnFailure(cause);
      }
    }

    send(text: string): void {
      this.#socket?.send(text);
    }

    close(): void {
      this.#isClosed = true;
      this.#socket?.close();
    }
  };
}
