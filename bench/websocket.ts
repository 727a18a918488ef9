/**
 * What a websocket message costs the server: CPU time (user + system) of its process per message, for an action with
 * one validated param, against bare ws, Primus and actionhero 29; and what an idle connection takes in memory. All
 * servers run at once and are loaded in turn, in short interleaved slices.
 *
 * Options: --rounds=7 --ms=500 --connections=100 --idle=5000 --only=1,4,memory "--servers=ws;primus"
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
const CONNECTIONS = Number(option("connections", "100"));
const IDLE = Number(option("idle", "5000"));
const REFERENCE = "ws";

const here = __dirname;
/** The package to measure; another build of it can be named. */
const root = process.env.BENCH_ACTIONHERO ?? path.join(here, "..");
const peers = path.join(here, "node_modules");
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "bench-websocket-"));

const request = JSON.stringify({
  event: "action",
  params: { action: "number", max: "10" },
  messageId: 1,
});

interface ServerSpec {
  script: string;
  path: string;
  cwd?: string;
}

interface Running {
  name: string;
  path: string;
  child: ChildProcess;
  port: number;
}

function project(name: string, isV29: boolean, isSilent: boolean): ServerSpec {
  const { writeProject } = require("./http/project.js") as {
    writeProject: (options: object) => string;
  };
  const cwd = writeProject({
    folder: path.join(scratch, name),
    actionhero: isV29 ? path.join(peers, "actionhero") : root,
    peers,
    isSilent,
    isV29,
    config: { "websocket.js": "exports.DEFAULT = {};" },
  });
  return { script: "http/actionhero.js", path: "/primus", cwd };
}

function specs(): Record<string, ServerSpec> {
  return {
    [REFERENCE]: { script: "websocket/bare.js", path: "/" },
    primus: { script: "websocket/primus.js", path: "/primus" },
    "actionhero 30, no logs": project("ours", false, true),
    "actionhero 30, logs": project("ours-logs", false, false),
    "actionhero 29, no logs": project("v29", true, true),
    "actionhero 29, logs": project("v29-logs", true, false),
  };
}

async function start(name: string, spec: ServerSpec): Promise<Running> {
  const output = fs.openSync(
    path.join(scratch, `${name.replace(/\W+/g, "-")}.out`),
    "w",
  );
  const child = fork(path.join(here, spec.script), [], {
    cwd: spec.cwd ?? scratch,
    execArgv: ["--expose-gc"],
    env: {
      ...process.env,
      NODE_ENV: "production",
      LOG_LEVEL: "info",
      ...(spec.cwd ? { PROJECT_ROOT: spec.cwd } : {}),
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
  return { name, path: spec.path, child, port };
}

async function tell<T>(child: ChildProcess, message: object | string) {
  const answer = once(child, "message");
  child.send(message);
  const [value] = (await answer) as [T & { error?: string }];
  if (value.error) throw new Error(value.error);
  return value;
}

interface Slice {
  microseconds: number;
  perSecond: number;
}

async function slice(
  load: ChildProcess,
  server: Running,
  inFlight: number,
  ms: number,
): Promise<Slice> {
  const before = await tell<{ cpu: number }>(server.child, "cpu");
  const done = await tell<{ messages: number; ms: number }>(load, {
    port: server.port,
    path: server.path,
    request,
    connections: CONNECTIONS,
    inFlight,
    ms,
  });
  const after = await tell<{ cpu: number }>(server.child, "cpu");
  return {
    microseconds: (after.cpu - before.cpu) / done.messages,
    perSecond: done.messages / (done.ms / 1000),
  };
}

const median = (values: number[]) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
};
const round = (value: number, digits = 1) => Number(value.toFixed(digits));

/** Peers must do the same work: their answers are compared. */
async function check(servers: Running[]): Promise<void> {
  const { WebSocket } = require(path.join(peers, "ws")) as typeof import("ws");
  const answerOf = async ({ port, path: pathname }: Running) => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}${pathname}`);
    ws.once("open", () => ws.send(request));
    const answer = await new Promise<string>((resolve, reject) => {
      ws.once("error", reject);
      ws.on("message", (data: Buffer) => {
        if (data.includes("messageId")) resolve(data.toString());
      });
    });
    ws.terminate();
    return answer;
  };
  const expected = await answerOf(servers[0]);
  for (const server of servers) {
    const answer = await answerOf(server);
    if (answer !== expected) throw new Error(`${server.name}: ${answer}`);
  }
}

/** Connecting counts, too: it is spread over the messages of a slice, and the same for all. */
async function measure(
  load: ChildProcess,
  servers: Running[],
  inFlight: number,
) {
  const slices = new Map<string, Slice[]>(servers.map((s) => [s.name, []]));
  for (const server of servers) await slice(load, server, inFlight, 1500);
  for (let i = 0; i < ROUNDS; i++) {
    const order = i % 2 === 0 ? servers : [...servers].reverse();
    for (const server of order)
      slices
        .get(server.name)!
        .push(await slice(load, server, inFlight, SLICE_MS));
  }
  const bare = slices.get(REFERENCE) ?? [];
  return Object.fromEntries(
    [...slices].map(([server, list]) => {
      const cpu = list.map(({ microseconds }) => microseconds);
      const ratios = cpu.map((us, i) => us / (bare[i]?.microseconds ?? NaN));
      return [
        server,
        {
          cpu: round(median(cpu)),
          min: round(Math.min(...cpu)),
          max: round(Math.max(...cpu)),
          perSecond: Math.round(median(list.map((s) => s.perSecond))),
          timesBare: round(median(ratios), 2),
        },
      ];
    }),
  );
}

interface Memory {
  rss: number;
  heapUsed: number;
}

async function measureMemory(load: ChildProcess, servers: Running[]) {
  const table: Record<string, object> = {};
  for (const server of servers) {
    const before = await tell<Memory>(server.child, "memory");
    const { port } = server;
    await tell(load, { port, path: server.path, idle: IDLE });
    const after = await tell<Memory>(server.child, "memory");
    await tell(load, { close: true });
    const perConnection = (key: keyof Memory) =>
      round((after[key] - before[key]) / IDLE / 1024);
    table[server.name] = {
      rssKB: perConnection("rss"),
      heapKB: perConnection("heapUsed"),
    };
  }
  return table;
}

async function main(): Promise<void> {
  const wanted = option("servers", "");
  const chosen = Object.entries(specs()).filter(
    ([name]) => wanted === "" || wanted.split(";").includes(name),
  );
  const servers: Running[] = [];
  const load = fork(path.join(here, "support/websocketLoad.js"), [], {
    execArgv: [],
  });
  try {
    for (const [name, spec] of chosen) servers.push(await start(name, spec));
    await check(servers);
    const results: Record<string, Record<string, object>> = {};
    for (const name of option("only", "memory,1,4").split(",")) {
      results[name] =
        name === "memory"
          ? await measureMemory(load, servers)
          : await measure(load, servers, Number(name));
    }
    print(results);
  } finally {
    load.kill();
    for (const { child } of servers) child.kill("SIGKILL");
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

function print(results: Record<string, Record<string, object>>): void {
  for (const [name, table] of Object.entries(results)) {
    console.log(
      name === "memory"
        ? `\nmemory of an idle connection, of ${IDLE}`
        : `\n${CONNECTIONS} connections with ${name} in flight: server CPU in microseconds per message`,
    );
    console.table(table);
  }
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: here,
    encoding: "utf8",
  }).trim();
  console.log(
    JSON.stringify({
      bench: "websocket",
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
