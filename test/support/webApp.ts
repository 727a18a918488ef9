/** A server of the framework's own project on a free port, for tests that speak HTTP. */
import * as http from "node:http";
import type { AddressInfo } from "node:net";

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES ??= "";

import { api, Process } from "../../src/index";

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  rawHeaders: string[];
  bytes: Buffer;
  text: string;
  /** The body as JSON. */
  json: any;
}

export interface Ask {
  method?: string;
  headers?: http.OutgoingHttpHeaders;
  body?: string | Buffer;
  agent?: http.Agent;
}

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

export function ask(
  port: number | string,
  path: string,
  { method = "GET", headers, body, agent }: Ask = {},
): Promise<Answer> {
  const target =
    typeof port === "string"
      ? { socketPath: port }
      : { port, host: "localhost" };
  return new Promise((resolve, reject) => {
    const request = http.request(
      { ...target, path, method, headers, agent: agent ?? false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("error", reject);
        response.once("end", () => {
          const bytes = Buffer.concat(chunks);
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            rawHeaders: response.rawHeaders,
            bytes,
            text: bytes.toString(),
            get json() {
              return JSON.parse(bytes.toString());
            },
          });
        });
      },
    );
    request.once("error", reject);
    request.end(body);
  });
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
