/** `api.metrics`: the metrics of this process, for Prometheus; on a separate port, or on the web server's. */
import cluster from "node:cluster";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { api } from "../api";
import { requirePeer } from "../config/optionalPeer";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { log } from "../log/log";
import { startPlainServer, stopPlainServer } from "../utils/plainServer";
import {
  measureCommands,
  watchFramework,
  collectState,
  measureProcess,
} from "./framework";
import { Registry, type PromClient } from "./registry";
import type { MetricsApi } from "./types";

let registry: Registry | undefined;
let listener: Server | undefined;
const endings: (() => void)[] = [];

/**
 * Make `api.metrics`.
 * @throws ActionheroError AH_CONFIG when the metrics have no place, or prom-client is not installed
 */
export function createMetrics(): void {
  const { enabled, maxSeries } = settings().metrics;
  registry = undefined;
  if (enabled) {
    checkSettings();
    const prom = requirePeer<PromClient>(
      "prom-client",
      "config.metrics.enabled",
    );
    registry = new Registry(prom, maxSeries);
  }
  api.metrics = registry ? apiOf(registry) : createSilentMetrics();
}

/** @throws ActionheroError AH_SERVER_START when `metrics.port` is taken */
export async function startMetrics(): Promise<void> {
  if (!registry) return;
  api.metrics.watch = watchFramework(registry);
  collectState(registry);
  const commands = registry.histogram({
    name: "db_client_operation_duration_seconds",
    help: "Duration of redis commands, as their callers see them",
    labels: [
      "db_system_name",
      "db_operation_name",
      "db_client_connection_pool_name",
      "error_type",
    ],
  });
  endings.push(
    measureProcess(registry),
    measureCommands(api.redis.clients, commands),
  );
  const { authorize, path } = settings().metrics;
  if (authorize) api.metrics.web = { path, authorize };
  await startListener();
}

export async function stopMetrics(): Promise<void> {
  for (const end of endings.splice(0)) end();
  delete api.metrics.watch;
  delete api.metrics.web;
  const open = listener;
  listener = undefined;
  await stopPlainServer(open);
}

/** Nobody else may happen to read them. */
function checkSettings(): void {
  const { port, authorize, path } = settings().metrics;
  if (typeof path !== "string" || !path.startsWith("/"))
    throw new ActionheroError(
      "AH_CONFIG",
      `config.metrics.path must begin with "/": ${JSON.stringify(path)}`,
    );
  if (port === undefined && typeof authorize !== "function")
    throw new ActionheroError(
      "AH_CONFIG",
      "config.metrics needs a `port`, or `authorize`, which decides who may read the metrics on the web server's port",
    );
}

function apiOf(made: Registry): MetricsApi {
  return {
    counter: (options) => made.counter(options),
    gauge: (options) => made.gauge(options),
    histogram: (options) => made.histogram(options),
    page: (accept) => made.page(accept),
  };
}

/** Metrics of a project's code while they are off. */
function createSilentMetrics(): MetricsApi {
  const nothing = () => undefined;
  return {
    counter: () => ({ inc: nothing }),
    gauge: () => ({ set: nothing, inc: nothing, dec: nothing }),
    histogram: () => ({ observe: nothing, startTimer: () => nothing }),
    page: () =>
      Promise.reject(
        new Error("there are no metrics (config.metrics.enabled)"),
      ),
  };
}

/** Processes of one machine do not share the port: each scrape would be of another one. */
async function startListener(): Promise<void> {
  const { port, bindIP: host } = settings().metrics;
  if (port === undefined) return;
  listener = await startPlainServer(
    {
      purpose: "metrics",
      config: "metrics",
      port,
      host,
      findsPort: cluster.isWorker,
    },
    (req, res) => void respond(req, res),
  );
  const address = listener.address();
  const actual = typeof address === "object" ? address?.port : undefined;
  log(`metrics @ ${host}:${actual ?? port}`, "notice");
}

async function respond(req: IncomingMessage, res: ServerResponse) {
  req.resume();
  const { path } = settings().metrics;
  const { url = "", method, headers } = req;
  if (url.split("?", 1)[0] !== path) return res.writeHead(404).end();
  if (method !== "GET" && method !== "HEAD")
    return res.writeHead(405, { allow: "GET, HEAD" }).end();
  try {
    const { contentType, text } = await api.metrics.page(headers.accept);
    res.writeHead(200, {
      "content-type": contentType,
      "content-length": Buffer.byteLength(text),
      "cache-control": "no-store",
    });
    return res.end(method === "HEAD" ? undefined : text);
  } catch (error) {
    log(`cannot serve the metrics: ${String(error)}`, "error");
    return res.writeHead(500).end();
  }
}
