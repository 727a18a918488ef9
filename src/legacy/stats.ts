/** `config.general.legacyStats`: adds the fields of version 3 to the response of the action `status`. */
import type { ActionProcessor } from "../action/actionProcessor";
import { addMiddleware } from "../action/actionModule";
import { api } from "../api";
import { cache } from "../cache/cache";
import { settings } from "../config/settings";
import * as task from "../task/taskModule";

interface ServerStats {
  /** Actions since the start of this process. */
  requests: number;
  /** Connections at this moment. */
  activeClients: number;
}

/** Count from now on, if the configuration says so. */
export function addLegacyStats(): void {
  const { legacyStats } = settings().general;
  if (legacyStats !== true) return;
  const requests = new Map<string, number>();
  addMiddleware({
    name: "legacyStats",
    global: true,
    preProcessor: ({ connection: { type } }: ActionProcessor) => {
      requests.set(type, (requests.get(type) ?? 0) + 1);
    },
    postProcessor: async (data: ActionProcessor) => {
      if (data.action === "status")
        (data.response as { stats?: object }).stats = await collect(requests);
    },
  });
}

async function collect(requests: ReadonlyMap<string, number>) {
  const [numberOfObjects, nodes, queueLength] = await Promise.all([
    cache.size(),
    api.cluster.nodes(),
    waitingJobs(),
  ]);
  const serverStats = (type: string): ServerStats => ({
    requests: requests.get(type) ?? 0,
    activeClients: api.servers.servers[type]?.connections().length ?? 0,
  });
  return {
    uptimeSeconds: (Date.now() - api.bootTime) / 1000,
    memory: process.memoryUsage(),
    peers: nodes.map(({ id }) => id),
    cache: { numberOfObjects },
    queue: { queueLength },
    webServer: serverStats("web"),
    socketServer: serverStats("socket"),
    webSocketServer: serverStats("websocket"),
  };
}

async function waitingJobs(): Promise<number> {
  const { queues } = await task.details();
  return Object.values(queues).reduce(
    (sum, { length }) => sum + Number(length),
    0,
  );
}
