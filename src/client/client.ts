/** Clients of a server, made from its URL. */
import { makeCall, withNames, type Send, ClientError } from "./call";
import { connectionless, roomsOf, type Connection } from "./connection";
import { httpSender, type CookieStore } from "./http";
import type {
  AnyActions,
  Client,
  ClientMethods,
  CreateClientOptions,
  HttpClient,
  HttpOptions,
} from "./types";
import { websocketConnection } from "./websocket";

/** The differences between browsers and node. */
export interface Environment {
  cookies?: () => CookieStore;
  /** The websocket class, with these headers if it supports headers. */
  websocketClass: (
    options: CreateClientOptions,
    cookies?: CookieStore,
  ) => unknown;
  socket?: (url: string, options: CreateClientOptions) => Connection;
}

export function httpClient<Actions = AnyActions>(
  options: HttpOptions,
  cookies: CookieStore | undefined,
): HttpClient<Actions> {
  const call = makeCall(httpSender(options, cookies), options);
  return withNames({ call }, call) as HttpClient<Actions>;
}

export function client<Actions, Table>(
  options: CreateClientOptions,
  environment: Environment,
): Client<Actions, Table> {
  const connection = connectionOf(options, environment);
  const call = makeCall(connection.send, options);
  const methods = {
    call,
    rooms: roomsOf<Table>(connection),
    get state() {
      return connection.state;
    },
    connect: () => connection.connect(),
    close: () => connection.close(),
    on: connection.events.on.bind(connection.events),
  } as ClientMethods<Actions, Table>;
  return withNames(methods, call) as Client<Actions, Table>;
}

/**
 * `fetch` and `WebSocket` have no such options: without an error, a certificate of a private authority would be refused for no
 * visible reason.
 * @throws {ClientError} UNSUPPORTED
 */
function refuseTls(scheme: string, { tls }: CreateClientOptions): void {
  if (tls === undefined || (scheme !== "https" && scheme !== "wss")) return;
  throw new ClientError(
    "UNSUPPORTED",
    `the option tls is for tls:// only: for ${scheme}://, trust another authority by NODE_EXTRA_CA_CERTS, or give a fetch or WebSocket of your own`,
  );
}

function connectionOf(
  options: CreateClientOptions,
  environment: Environment,
): Connection {
  const { url } = options;
  const scheme = /^([a-z]+):/i.exec(url)?.[1]?.toLowerCase() ?? "http";
  refuseTls(scheme, options);
  const cookies = environment.cookies?.();
  const http = (base: string): Send =>
    httpSender({ ...options, url: base }, cookies);
  if (scheme === "http" || scheme === "https") return connectionless(http(url));
  if (scheme === "ws" || scheme === "wss")
    return websocketConnection(url, options, {
      WebSocket: environment.websocketClass(options, cookies),
      upload: http(url.replace(/^ws/i, "http")),
    });
  if ((scheme === "tcp" || scheme === "tls") && environment.socket)
    return environment.socket(url, options);
  throw new ClientError("UNSUPPORTED", `no client speaks ${scheme}: here`);
}
