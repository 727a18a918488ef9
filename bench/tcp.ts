/**
 * What a message of a TCP client costs the server: CPU time (user + system) of its process per request for an action
 * with one validated param, against bare node:net and node:tls; and what an idle connection takes in memory. All servers
 * run at once and are loaded in turn, in short interleaved slices.
 *
 * Options: --rounds=7 --ms=500 --connections=100 --idle=1000,10000 --only=1,16,memory "--servers=node:net;node:tls"
 */
import { execFileSync, fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as net from "node:net";
import * as path from "node:path";
import * as tls from "node:tls";
import { certificate } from "../test/support/certificate";

const option = (name: string, fallback: string) =>
  process.argv
    .find((argument) => argument.startsWith(`--${name}=`))
    ?.slice(name.length + 3) ?? fallback;

const ROUNDS = Number(option("rounds", "7"));
const SLICE_MS = Number(option("ms", "500"));
const CONNECTIONS = Number(option("connections", "100"));
const IDLE = option("idle", "1000,10000").split(",").map(Number);

const here = __dirname;
/** The package to measure; another build of it can be named. */
const root = process.env.BENCH_ACTIONHERO ?? path.join(here, "..");
const peers = path.join(here, "node_modules");
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "bench-tcp-"));

const request = JSON.stringify({
  action: "number",
  params: { max: "10", messageId: 1 },
});

interface ServerSpec {
  script: string;
  secure?: boolean;
  /** The server that it is compared with. */
  reference: string;
  cwd?: string;
}

interface Running extends ServerSpec {
  name: string;
  child: ChildProcess;
  port: number;
}

/** Of all connections at once: none is refused for what the others have pending. */
const GENERAL =
  "exports.DEFAULT = { general: () => ({ simultaneousActions: 1000 }) };";

function project(name: string, isSilent: boolean, secure: boolean): ServerSpec {
  const { writeProject } = require("./http/project.js") as {
    writeProject: (options: object) => string;
  };
  const socket = {
    enabled: true,
    port: 0,
    bindIP: "127.0.0.1",
    secure,
    serverOptions: secure ? certificate : {},
  };
  const cwd = writeProject({
    folder: path.join(scratch, name),
    actionhero: root,
    peers,
    isSilent,
    isV29: false,
    config: {
      "socket.js": `exports.DEFAULT = { socket: () => (${JSON.stringify(socket)}) };`,
      "zz-general.js": GENERAL,
    },
  });
  return {
    script: "tcp/actionhero.js",
    cwd,
    secure,
    reference: secure ? "node:tls" : "node:net",
  };
}

function specs(): Record<string, ServerSpec> {
  const bare = "tcp/bare.js";
  return {
    "node:net": { script: bare, reference: "node:net" },
    "actionhero 30, no logs": project("ours", true, false),
    "actionhero 30, logs": project("ours-logs", false, false),
    "node:tls": { script: bare, secure: true, reference: "node:tls" },
    "actionhero 30, TLS, no logs": project("ours-tls", true, true),
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
      ...(spec.secure ? { BENCH_TLS: JSON.stringify(certificate) } : {}),
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
  return { ...spec, name, child, port };
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
    secure: server.secure,
    greets: server.cwd !== undefined,
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
  const answerOf = async ({ port, secure }: Running) => {
    const where = { port, host: "127.0.0.1" };
    const socket = secure
      ? tls.connect({ ...where, rejectUnauthorized: false })
      : net.connect(where);
    socket.write(`${request}\n`);
    let text = "";
    for await (const chunk of socket) {
      text += String(chunk);
      if (/messageId[^\n]*\n/.test(text)) break;
    }
    return text.replace(/^\{"welcome[^\n]*\n/, "");
  };
  const expected = await answerOf(servers[0]);
  for (const server of servers) {
    const answer = await answerOf(server);
    if (answer !== expected) throw new Error(`${server.name}: ${answer}`);
  }
}

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
  return Object.fromEntries(
    servers.map(({ name: server, reference }) => {
      const list = slices.get(server)!;
      const bare = slices.get(reference) ?? [];
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

async function measureMemory(
  load: ChildProcess,
  servers: Running[],
  idle: number,
) {
  const table: Record<string, object> = {};
  for (const server of servers) {
    const { port, secure } = server;
    const greets = server.cwd !== undefined;
    const before = await tell<Memory>(server.child, "memory");
    await tell(load, { port, secure, greets, idle });
    const after = await tell<Memory>(server.child, "memory");
    await tell(load, { close: true });
    const perConnection = (key: keyof Memory) =>
      round((after[key] - before[key]) / idle / 1024);
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
  const load = fork(path.join(here, "support/lineLoad.js"), [], {
    execArgv: [],
  });
  try {
    for (const [name, spec] of chosen) servers.push(await start(name, spec));
    await check(servers);
    const results: Record<string, Record<string, object>> = {};
    for (const name of option("only", "memory,1,16").split(",")) {
      if (name !== "memory") {
        results[name] = await measure(load, servers, Number(name));
        continue;
      }
      for (const idle of IDLE)
        results[`${idle} idle`] = await measureMemory(load, servers, idle);
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
      name.endsWith("idle")
        ? `\nmemory of an idle connection: ${name}`
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
      bench: "tcp",
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
