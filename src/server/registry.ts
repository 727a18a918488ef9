/** The servers of this process: `api.servers`. */
import { api } from "../api";
import { config } from "../config/config";
import { discover } from "../config/discover";
import { isSocketServerEnabled, settings } from "../config/settings";
import { loadFailure } from "../errors";
import { log } from "../log/log";
import { loadModule } from "../utils/modules";
import type { Server } from "./server";
import type * as socket from "./socket/socketServer";
import type * as web from "./web/webServer";
import type * as websocket from "./websocket/webSocketServer";

export interface ServersApi {
  /** The enabled servers by type, in the order in which they start. */
  servers: { [type: string]: Server };
}

declare module "../api" {
  interface Api {
    servers: ServersApi;
  }
}

type ServerClass = new () => Server;

interface BuiltIn {
  isEnabled: () => boolean;
  /** A boot does not wait for the modules of a server that it does not start. */
  load: () => ServerClass;
}

/** The framework's own, in start order: the websocket server needs the web server's listener. */
const BUILT_IN: readonly BuiltIn[] = [
  {
    isEnabled: () => settings().web.enabled,
    load: () => (require("./web/webServer") as typeof web).WebServer,
  },
  {
    isEnabled: () => settings().websocket.enabled,
    load: () =>
      (require("./websocket/webSocketServer") as typeof websocket)
        .WebSocketServer,
  },
  {
    isEnabled: isSocketServerEnabled,
    load: () =>
      (require("./socket/socketServer") as typeof socket).SocketServer,
  },
];

export function createServersApi(): ServersApi {
  return { servers: {} };
}

/**
 * Create and initialize every enabled server: the framework's, the project's, those of plugins.
 * @throws Error for a file that does not export exactly one server
 */
export async function loadServers(): Promise<void> {
  for (const { isEnabled, load } of BUILT_IN)
    if (isEnabled()) await addServer(new (load())(), "actionhero");
  for (const file of discover("servers")) {
    try {
      await addServer(new (serverClassOf(file))(), file);
    } catch (error) {
      throw loadFailure(error, file);
    }
  }
}

/** Start all servers, one after the other. */
export async function startServers(): Promise<void> {
  for (const [type, server] of Object.entries(api.servers.servers)) {
    log(`Starting server: \`${type}\` ${addressOf(server)}`, "notice");
    await server.start();
    log(`Server started: ${type}`, "debug");
  }
}

/**
 * Stop all servers. They begin together, because they share one deadline, and are awaited in reverse order, because a
 * server that uses another server's listener must stop first. A failure does not prevent the others from stopping.
 * @throws the first failure
 */
export async function stopServers(): Promise<void> {
  let failure: unknown;
  const servers = Object.entries(api.servers.servers).reverse();
  const attempt = async (work: () => void | Promise<void>) => {
    try {
      await work();
    } catch (error) {
      failure ??= error;
    }
  };
  for (const [, server] of servers) await attempt(() => server.beginStop?.());
  for (const [type, server] of servers) {
    log(`Stopping server: ${type}`, "notice");
    await attempt(() => server.stop());
    server.removeAllListeners();
    log(`Server stopped: ${type}`, "debug");
  }
  if (failure !== undefined) throw failure as Error;
}

async function addServer(server: Server, file: string): Promise<void> {
  const { type } = server;
  server.config = config[type];
  if (!server.isEnabled()) return;
  await server.initialize();
  if (Object.hasOwn(api.servers.servers, type)) {
    log(
      `an existing server with the same type \`${type}\` will be overridden by the file ${file}`,
      "crit",
    );
  }
  api.servers.servers[type] = server;
  log(`Initialized server: ${type}`, "debug");
}

function serverClassOf(file: string): ServerClass {
  const exported = Object.values(loadModule(file)) as ServerClass[];
  if (exported.length > 1)
    throw new Error(`server file ${file} exports more than one server`);
  if (exported.length === 0)
    throw new Error(`server file ${file} exports no server`);
  return exported[0]!;
}

function addressOf(server: Server): string {
  const { bindIP, port } = (server.config ?? {}) as {
    bindIP?: string | null;
    port?: number | string;
  };
  if (!bindIP) return "";
  const portSuffix = port ? `:${port}` : "";
  if (server.type !== "web") return `@ ${bindIP}${portSuffix}`;
  const { secure = false } = server.config as { secure?: boolean };
  const scheme = secure === false ? "http" : "https";
  return `@ ${scheme}://${hostInUrl(bindIP)}${portSuffix}`;
}

/** A host name that a browser can open; a server that listens on all addresses is reachable by it. */
function hostInUrl(bindIP: string): string {
  if (bindIP === "::" || bindIP === "0.0.0.0") return "localhost";
  return bindIP.includes(":") ? `[${bindIP}]` : bindIP;
}
