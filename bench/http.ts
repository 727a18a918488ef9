/**
 * What a request costs the server: CPU time (user + system) of its process per request, against bare node:http,
 * Fastify and actionhero 29. All servers run at once and are loaded in turn, in short interleaved slices, so that a
 * busy machine disturbs all of them alike.
 *
 * Options: --rounds=7 --ms=500 --connections=64 --only=get,post,notFound,file --servers=a,b
 */
import { execFileSync, fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

const option = (name: string, fallback: string) =>
  process.argv
    .find((argument) => argument.startsWith(`--${name}=`))
    ?.slice(name.length + 3) ?? fallback;

const ROUNDS = Number(option("rounds", "7"));
const SLICE_MS = Number(option("ms", "500"));
const CONNECTIONS = Number(option("connections", "64"));
const FILE_SIZE = 10_000;

const here = __dirname;
/** The package to measure; another build of it can be named. */
const root = process.env.BENCH_ACTIONHERO ?? path.join(here, "..");
const peers = path.join(here, "node_modules");
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "bench-http-"));

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
  file: `GET /public/file.txt HTTP/1.1\r\n${common}\r\n`,
};

interface ServerSpec {
  script: string;
  env?: Record<string, string>;
  cwd?: string;
}

interface Running {
  name: string;
  child: ChildProcess;
  port: number;
}

function project(name: string, isV29: boolean, isSilent: boolean): string {
  const { writeProject } = require("./http/project.js") as {
    writeProject: (options: object) => string;
  };
  return writeProject({
    folder: path.join(scratch, name),
    actionhero: isV29 ? path.join(peers, "actionhero") : root,
    peers,
    isSilent,
    isV29,
    fileSize: FILE_SIZE,
  });
}

function specs(): Record<string, ServerSpec> {
  const ours = project("ours", false, true);
  const file = path.join(ours, "public/file.txt");
  const env = { BENCH_FILE: file };
  const actionhero = (cwd: string): ServerSpec => ({
    script: "http/actionhero.js",
    cwd,
    env: { PROJECT_ROOT: cwd },
  });
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
    "actionhero 30, no logs": actionhero(ours),
    "actionhero 30, logs": actionhero(project("ours-logs", false, false)),
    "actionhero 29, no logs": actionhero(project("v29", true, true)),
    "actionhero 29, logs": actionhero(project("v29-logs", true, false)),
  };
}

async function start(name: string, spec: ServerSpec): Promise<Running> {
  const output = fs.openSync(
    path.join(scratch, `${name.replace(/\W+/g, "-")}.out`),
    "w",
  );
  const child = fork(path.join(here, spec.script), [], {
    cwd: spec.cwd ?? scratch,
    execArgv: [],
    env: {
      ...process.env,
      NODE_ENV: "production",
      LOG_LEVEL: "info",
      ...spec.env,
    },
    stdio: ["ignore", output, output, "ipc"],
  });
  const exited = once(child, "exit").then(() => {
    throw new Error(`${name} did not start, see ${scratch}`);
  });
  const [{ port }] = (await Promise.race([once(child, "message"), exited])) as [
    { port: number },
  ];
  exited.catch(() => undefined);
  return { name, child, port };
}

async function tell<T>(child: ChildProcess, message: object | string) {
  const answer = once(child, "message");
  child.send(message);
  const [value] = (await answer) as [T];
  return value;
}

interface Slice {
  microseconds: number;
  perSecond: number;
}

async function slice(
  load: ChildProcess,
  server: Running,
  request: string,
  ms: number,
): Promise<Slice> {
  const before = await tell<{ cpu: number }>(server.child, "cpu");
  const done = await tell<{ requests: number; ms: number }>(load, {
    port: server.port,
    request,
    connections: CONNECTIONS,
    ms,
  });
  const after = await tell<{ cpu: number }>(server.child, "cpu");
  return {
    microseconds: (after.cpu - before.cpu) / done.requests,
    perSecond: done.requests / (done.ms / 1000),
  };
}

const median = (values: number[]) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
};
const round = (value: number, digits = 1) => Number(value.toFixed(digits));

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

async function main(): Promise<void> {
  const only = option("only", Object.keys(SCENARIOS).join()).split(",");
  const wanted = option("servers", "");
  const chosen = Object.entries(specs()).filter(
    ([name]) => wanted === "" || wanted.split(";").includes(name),
  );
  const servers: Running[] = [];
  const load = fork(path.join(here, "support/httpLoad.js"), [], {
    execArgv: [],
  });
  try {
    for (const [name, spec] of chosen) servers.push(await start(name, spec));
    const results: Record<string, Record<string, object>> = {};
    for (const name of only) {
      await check(servers, name);
      results[name] = await measure(load, servers, name);
    }
    print(results);
  } finally {
    load.kill();
    for (const { child } of servers) child.kill("SIGKILL");
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

async function measure(load: ChildProcess, servers: Running[], name: string) {
  const request = SCENARIOS[name];
  const slices = new Map<string, Slice[]>(servers.map((s) => [s.name, []]));
  for (const server of servers) await slice(load, server, request, 1500);
  for (let i = 0; i < ROUNDS; i++) {
    const order = i % 2 === 0 ? servers : [...servers].reverse();
    for (const server of order)
      slices
        .get(server.name)!
        .push(await slice(load, server, request, SLICE_MS));
  }
  const reference = (which: string, index: number) =>
    slices.get(which)?.[index]?.microseconds ?? NaN;
  return Object.fromEntries(
    [...slices].map(([server, list]) => {
      const cpu = list.map(({ microseconds }) => microseconds);
      const times = (which: string) =>
        round(median(cpu.map((us, index) => us / reference(which, index))), 2);
      return [
        server,
        {
          cpu: round(median(cpu)),
          min: round(Math.min(...cpu)),
          max: round(Math.max(...cpu)),
          perSecond: Math.round(median(list.map((s) => s.perSecond))),
          timesBare: times("node:http"),
          timesFastify: times("fastify"),
          timesPino: times("fastify + pino"),
        },
      ];
    }),
  );
}

function print(results: Record<string, Record<string, object>>): void {
  for (const [name, table] of Object.entries(results)) {
    console.log(`\n${name}: server CPU in microseconds per request`);
    console.table(table);
  }
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: here,
    encoding: "utf8",
  }).trim();
  console.log(
    JSON.stringify({
      bench: "http",
      node: process.version,
      commit,
      rounds: ROUNDS,
      sliceMs: SLICE_MS,
      connections: CONNECTIONS,
      results,
    }),
  );
}

void main();
