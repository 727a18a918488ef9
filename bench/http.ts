/**
 * What a request costs the server: CPU time (user + system) of its process per request, against bare node:http,
 * Fastify and actionhero 29. All servers run at once and are loaded in turn, in short interleaved slices, so that a
 * busy machine disturbs all of them alike.
 *
 * Options: --rounds=7 --ms=500 --connections=64 --only=get,post,notFound,notFoundPost,users,output,file
 * "--servers=a;b" --in-memory --other=/path/of/another/build
 */
import type { ChildProcess } from "node:child_process";
import * as path from "node:path";
import { measureCpu, print, type Table } from "./support/measure";
import { flag, numberOption, option } from "./support/options";
import {
  scratchFolder,
  withServers,
  withServersAlone,
  writeProject,
  type Running,
  type ServerSpec,
} from "./support/servers";

const CONNECTIONS = numberOption("connections", 64);
const FILE_SIZE = 10_000;
const OTHER = "other build";

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
  notFoundPost: `POST /api/nothing HTTP/1.1\r\n${common}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
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
  { config, build }: { config?: Record<string, string>; build?: string } = {},
) {
  return {
    script: "http/actionhero.js",
    ...writeProject(path.join(scratch, name), {
      isSilent,
      isV29,
      fileSize: FILE_SIZE,
      config,
      build,
    }),
  };
}

/** The build that `--other` names, in the same rounds. */
function otherBuild(): Record<string, ServerSpec> {
  const build = option("other", "");
  if (build === "") return {};
  return {
    [OTHER]: project("other", false, true, { build }),
    [`${OTHER}, logs`]: project("other-logs", false, false, { build }),
  };
}

/** With everything on, and an SDK of OpenTelemetry that takes this part of the traces. */
function traced(name: string, part: number): ServerSpec {
  const config = { "zEverything.js": EVERYTHING };
  const spec = project(name, false, true, { config });
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
    ...otherBuild(),
    "actionhero 30, everything": project("everything", false, true, {
      config: { "zEverything.js": EVERYTHING },
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
  timesOther: OTHER,
};

/** @param load undefined: sockets in memory, in the processes of the servers */
async function measure(servers: Running[], load?: ChildProcess): Promise<void> {
  const results: Record<string, Table> = {};
  for (const name of option("only", Object.keys(SCENARIOS).join()).split(",")) {
    await check(servers, name);
    results[name] = await measureCpu(
      load,
      servers,
      () => ({
        request: SCENARIOS[name],
        connections: CONNECTIONS,
        isKept: true,
      }),
      () => REFERENCES,
    );
  }
  const sockets = load ? "" : ", over sockets in memory";
  print(
    "http",
    CONNECTIONS,
    results,
    (name) => `${name}: server CPU in microseconds per request${sockets}`,
  );
}

if (flag("in-memory")) void withServersAlone(scratch, specs(), measure);
else void withServers(scratch, specs(), "support/httpLoad.js", measure);
