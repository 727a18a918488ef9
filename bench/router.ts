/**
 * What the number of routes costs: CPU time of the server per GET of the last of 10, 100 and 1,000 routes, each with a
 * variable. All servers run at once and are loaded in turn, in short interleaved slices.
 *
 * Options: --rounds=7 --ms=500 --connections=64 --profile --servers=10;1000
 */
import * as path from "node:path";
import { measureCpu, print } from "./support/measure";
import { numberOption } from "./support/options";
import {
  scratchFolder,
  withServers,
  writeProject,
  type ServerSpec,
} from "./support/servers";

const CONNECTIONS = numberOption("connections", 64);
const COUNTS = [10, 100, 1000];

const scratch = scratchFolder("router");

interface RouterSpec extends ServerSpec {
  request: string;
}

function spec(count: number): RouterSpec {
  const routes = Array.from({ length: count }, (_, i) => ({
    path: `/group${i % 10}/item${i}/:max`,
    action: "number",
  }));
  const last = count - 1;
  return {
    script: "http/actionhero.js",
    ...writeProject(path.join(scratch, String(count)), {
      isSilent: true,
      config: {
        "routes.js": `exports.DEFAULT = { routes: () => (${JSON.stringify({ get: routes })}) };`,
      },
    }),
    request: `GET /api/group${last % 10}/item${last}/10 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`,
  };
}

const specs = Object.fromEntries(
  COUNTS.map((count) => [String(count), spec(count)]),
);

void withServers(
  scratch,
  specs,
  "support/httpLoad.js",
  async (servers, load) => {
    for (const { name, port, request } of servers) {
      const { status } = await fetch(
        `http://127.0.0.1:${port}${request.split(" ")[1]}`,
      );
      if (status !== 200) throw new Error(`${name} routes: ${status}`);
    }
    const results = {
      routes: await measureCpu(
        load,
        servers,
        ({ request }) => ({ request, connections: CONNECTIONS }),
        () => ({ timesTen: "10" }),
      ),
    };
    print(
      "router",
      CONNECTIONS,
      results,
      () => "server CPU in microseconds per request, by the number of routes",
    );
  },
);
