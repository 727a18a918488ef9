/**
 * What a request costs the server: CPU time (user + system) of its process per request, against bare node:http,
 * Fastify and actionhero 29. All servers run at once and are loaded in turn, in short interleaved slices, so that a
 * busy machine disturbs all of them alike.
 *
 * Options: --rounds=7 --ms=500 --connections=64 --only=get,post,notFound,users,output,file --servers=a,b
 */
import * as path from "node:path";
import { measureCpu, print, type Table } from "./support/measure";
import { numberOption, option } from "./support/options";
import {
  scratchFolder,
  withServers,
  writeProject,
  type Running,
  type ServerSpec,
} from "./support/servers";

const CONNECTIONS = numberOption("connections", 64);
const FILE_SIZE = 10_000;

const scratch = scratchFolder("http");

const body = JSON.stringify({
  name: "bench",
  text: "x".repeat(700),
  list: Array.from({ length: 60 }, (_, i) => i * 1000),
});
const common = "Host: 127.0.0.1\r\nAccept: */*\r\nUser-Agent: bench\r\n";
const SCENARIOS: Record<string, string> = {
  get: `GET /api/number?max=10 HTTP/1.1\r\n${common}\r\n`,
  post: `POST /api/echo HTTP/1.1\r\n${common}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  notFound: `GET /api/nothing HTTP/1.1\r\n${common}\r\n`,
  users: `GET /api/users HTTP/1.1\r\n${common}\r\n`,
  output: `GET /api/output HTTP/1.1\r\n${common}\r\n`,
  file: `GET /public/file.txt HTTP/1.1\r\n${common}\r\n`,
};

/** What production may need, and nothing that asks redis for each request. */
const EVERYTHING = `exports.DEFAULT = {
  general: () => ({ context: true, overload: { maxInFlight: 10000, maxEventLoopDelay: 10000, maxHeapUsed: 0.99 } }),
  health: () => ({ enabled: true }),
  metrics: () => ({ enabled: true, port: 0 }),
  tracing: () => ({ enabled: true }),
  session: () => ({ enabled: true }),
  securityHeaders: () => ({ enabled: true }),
  web: () => ({ trustProxy: "loopback", csrf: true, nosniff: true,
    cors: { origins: ["https://app.example.org"], credentials: true } }),
};`;

function project(
  name: string,
  isV29: boolean,
  isSilent: boolean,
  config: Record<string, string> = {},
) {
  return {
    script: "http/actionhero.js",
    ...writeProject(path.join(scratch, name), {
      isSilent,
      isV29,
      fileSize: FILE_SIZE,
      config,
    }),
  };
}

/** With everything on, and an SDK of OpenTelemetry that takes this part of the traces. */
function traced(name: string, part: number): ServerSpec {
  const spec = project(name, false, true, { "zEverything.js": EVERYTHING });
  return {
    ...spec,
    env: { ...spec.env, BENCH_TRACES: String(part) },
    execArgv: ["--require", path.join(__dirname, "http", "sdk.js")],
  };
}

function specs(): Record<string, ServerSpec> {
  const ours = project("ours", false, true);
  const file = path.join(ours.cwd, "public/file.txt");
  const env = { BENCH_FILE: file };
  return {
    "node:http": { script: "http/bare.js", env },
    fastify: { script: "http/fastify.js", env },
    "fastify, own headers": {
      script: "http/fastify.js",
      env: { ...env, BENCH_HEADERS: "bare" },
    },
    "fastify + pino": {
      script: "http/fastify.js",
      env: { ...env, BENCH_LOG: path.join(scratch, "pino.log") },
    },
    "actionhero 30, no logs": ours,
    "actionhero 30, everything": project("everything", false, true, {
      "zEverything.js": EVERYTHING,
    }),
    "actionhero 30, everything, 1 % traced": traced("everything-1", 0.01),
    "actionhero 30, everything, all traced": traced("everything-100", 1),
    "actionhero 30, logs": project("ours-logs", false, false),
    "actionhero 29, no logs": project("v29", true, true),
    "actionhero 29, logs": project("v29-logs", true, false),
  };
}

/** Peers must do the same work: status and body are compared, and the names of all headers shown when they differ. */
async function check(servers: Running[], name: string): Promise<void> {
  const [method, target] = SCENARIOS[name].split(" ") as [string, string];
  const seen = await Promise.all(
    servers.map(async (server) => {
      const response = await fetch(`http://127.0.0.1:${server.port}${target}`, {
        method,
        ...(method === "POST"
          ? { body, headers: { "Content-Type": "application/json" } }
          : {}),
      });
      const text = await response.text();
      const headers = [...response.headers.keys()].sort().join();
      return { name: server.name, key: `${response.status} ${text}`, headers };
    }),
  );
  for (const { name: server, key, headers } of seen) {
    if (key !== seen[0].key)
      throw new Error(`${server} answers ${name} with ${key.slice(0, 300)}`);
    if (headers !== seen[0].headers)
      console.error(`${name}: other headers of ${server}: ${headers}`);
  }
}

const REFERENCES = {
  timesBare: "node:http",
  timesFastify: "fastify",
  timesPino: "fastify + pino",
  timesOff: "actionhero 30, no logs",
};

void withServers(
  scratch,
  specs(),
  "support/httpLoad.js",
  async (servers, load) => {
    const results: Record<string, Table> = {};
    for (const name of option("only", Object.keys(SCENARIOS).join()).split(
      ",",
    )) {
      await check(servers, name);
      results[name] = await measureCpu(
        load,
        servers,
        () => ({ request: SCENARIOS[name], connections: CONNECTIONS }),
        () => REFERENCES,
      );
    }
    print(
      "http",
      CONNECTIONS,
      results,
      (name) => `${name}: server CPU in microseconds per request`,
    );
  },
);
