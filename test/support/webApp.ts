/** A server of the framework's own project on a free port, for tests that speak HTTP. */
import type * as http from "node:http";
import type { AddressInfo } from "node:net";

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES ??= "";
// the memory of a jest worker is not the server's: `status` must not judge it
process.env.maxMemoryAlloted ??= "4096";

import { api, config, Process } from "../../src/index";
import { ask, type Answer, type Ask } from "./ask";

export { ask, type Answer, type Ask } from "./ask";

// of a configuration that was loaded before this file, unless its suite has chosen another: two runs would share it
const defaultPort = 18080 + Number(process.env.JEST_WORKER_ID ?? 0);
if (Number(config.web.port) === defaultPort) config.web.port = 0;

export interface WebApp {
  process: Process;
  port: number;
  url: string;
  /** One request on a connection of its own, unless an agent is given. */
  ask: (path: string, options?: Ask) => Promise<Answer>;
  stop: () => Promise<void>;
}

export async function startWebApp(): Promise<WebApp> {
  const process = new Process();
  await process.start();
  const server = api.servers.servers.web.server as http.Server;
  const { port } = server.address() as AddressInfo;
  return {
    process,
    port,
    url: `http://localhost:${port}`,
    ask: (path, options) => ask(port, path, options),
    stop: () => process.stop(),
  };
}

/** Put actions and routes there for one test file; plain objects, as users' tests do. */
export function addActions(actions: {
  [name: string]: { run: (data: any) => any; [key: string]: any };
}): void {
  for (const [name, template] of Object.entries(actions)) {
    api.actions.actions[name] = {
      1: { name, version: 1, description: name, ...template } as never,
    };
    api.actions.versions[name] = [1];
    api.routes.routes.get.push({ path: `/${name}`, action: name });
    api.routes.routes.post.push({ path: `/${name}`, action: name });
  }
  api.params.buildPostVariables();
}
