/** Gets the listeners of the web server going: whom each lets in, who answers, and where it listens. */
import type { RequestListener } from "node:http";
import type { Socket } from "node:net";
import type { ActionheroLogLevel } from "../../log/log";
import { watchHandOvers } from "../handOver";
import { listen } from "../listen";
import { guardConnections } from "./guard";
import { createListener, type HttpServer } from "./listener";
import type { Sockets } from "./sockets";
import type { ListenerSettings } from "./webConfig";

/** The part of the web server that listeners need. */
export interface ListeningHost {
  readonly type: string;
  handleRequest: RequestListener;
  /** Whether requests of a connection are worked on. */
  isBusy(socket: Socket): boolean;
  log(message: string, severity?: ActionheroLogLevel): void;
}

/** A listener that does not listen yet. */
export function prepareListener(
  host: ListeningHost,
  settings: ListenerSettings,
  sockets: Sockets,
): HttpServer {
  const handle: RequestListener = (req, res) => host.handleRequest(req, res);
  const server = createListener(settings, handle);
  sockets.watch(server, settings.secure);
  guardConnections(server, settings.secure);
  watchHandOvers(server, { isBusy: (socket) => host.isBusy(socket) });
  // whether the client may send its body is decided when the body is wanted
  server.on("checkContinue", handle);
  return server;
}

/** @throws ActionheroError AH_SERVER_START */
export async function listenOn(
  host: ListeningHost,
  server: HttpServer,
  settings: ListenerSettings,
): Promise<void> {
  const { bindIP, port } = settings;
  await listen(server, settings, {
    type: host.type,
    log: (message, severity) => host.log(message, severity),
    describe: (error) =>
      `cannot start web server @ ${bindIP}:${port} => ${error.toString()}`,
  });
  server.on("error", (error) =>
    host.log(`error of the listening socket: ${error.toString()}`, "error"),
  );
}
