/**
 * What a job costs: CPU time of the process that enqueues or works, and of redis, per job, against BullMQ, node-resque
 * and actionhero 29. All use one redis-server of the bench's own, each its database, in short slices that alternate. Without
 * redis there is only this package.
 *
 * Options: --rounds=5 --scale=1 --only=enqueue,work,queues,embedded,idle,late --peers=a;b --other=/another/build/of/this/package
 */
import { execFileSync, fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { median, round, spreadOf } from "./support/measure";
import { startRedis } from "./support/redis";

const option = (name: string, fallback: string) =>
  process.argv
    .find((argument) => argument.startsWith(`--${name}=`))
    ?.slice(name.length + 3) ?? fallback;

const ROUNDS = Number(option("rounds", "5"));
const SCALE = Number(option("scale", "1"));
const here = __dirname;
const root = process.env.BENCH_ACTIONHERO ?? path.join(here, "..");
const peersFolder = path.join(here, "node_modules");
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "bench-tasks-"));

interface Cost {
  own: number;
  redis: number;
  perSecond: number;
}

interface Peer {
  name: string;
  script: string;
  cwd?: string;
  child?: ChildProcess;
  /** The build that is measured (default: this one). */
  root?: string;
  /** Works without redis. */
  isEmbedded?: boolean;
  /** Polls every 5 s, so there is time for few jobs only. */
  isSlow?: boolean;
}

const PEERS: Peer[] = [
  { name: "actionhero 30, queue only", script: "ours" },
  { name: "actionhero 30", script: "actionhero" },
  { name: "bullmq", script: "bullmq" },
  { name: "round trip alone", script: "roundTrip" },
  { name: "node-resque", script: "nodeResque", isSlow: true },
  { name: "actionhero 29", script: "actionhero", isSlow: true },
];
const EMBEDDED: Peer[] = [
  { name: "queue only, embedded", script: "ours", isEmbedded: true },
  { name: "actionhero 30, embedded", script: "actionhero", isEmbedded: true },
];
const other = option("other", "");
if (other !== "")
  PEERS.push(
    { name: "other build, queue only", script: "ours", root: other },
    { name: "other build", script: "actionhero", root: other },
  );

/** The same small project for either actionhero. */
function project(name: string, actionhero: string, isEmbedded = false): string {
  const folder = path.join(scratch, name);
  const files: Record<string, string> = {
    "package.json": JSON.stringify({ name: "bench", version: "1.0.0" }),
    "dist/config/logger.js":
      "exports.DEFAULT = { logger: () => ({ loggers: [] }) };",
    "dist/config/web.js":
      'exports.DEFAULT = { web: () => ({ enabled: false, port: 0, bindIP: "127.0.0.1" }) };',
    "dist/config/routes.js":
      "exports.DEFAULT = { routes: () => ({ get: [] }) };",
    "dist/config/api.js": `
const path = require("node:path");
const root = path.join(__dirname, "..");
const folder = (name) => [path.join(root, name)];
exports.DEFAULT = { general: () => ({ serverName: "bench", fileRequestLogLevel: "info", paths: {
  action: folder("actions"), task: folder("tasks"), server: folder("servers"), cli: folder("bin"),
  initializer: folder("initializers"), public: folder("../public"), pid: folder("../pids"), log: folder("../log") } }) };`,
    "dist/config/redis.js": `
const { Redis } = require("ioredis");
const client = () => ({ konstructor: Redis, buildNew: true,
  args: [{ port: Number(process.env.REDIS_PORT), db: Number(process.env.REDIS_DB) }] });
exports.DEFAULT = { redis: () => ({ _toExpand: false, scanCount: 1000, stopTimeout: 100,
  client: client(), subscriber: client(), tasks: client() }) };`,
    "dist/config/websocket.js":
      "exports.DEFAULT = { websocket: () => ({ enabled: false }) };",
    "dist/config/socket.js":
      "exports.DEFAULT = { socket: () => ({ enabled: false }) };",
    "dist/config/tasks.js":
      "exports.DEFAULT = { tasks: () => ({ scheduler: false, minTaskProcessors: 0, maxTaskProcessors: 0, maxEventLoopDelay: 10000, checkTimeout: 20 }) };",
  };
  if (isEmbedded) delete files["dist/config/redis.js"];
  for (const [file, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), text);
  }
  for (const part of ["log", "pids", "node_modules"])
    fs.mkdirSync(path.join(folder, part), { recursive: true });
  const links = { actionhero, ioredis: path.join(peersFolder, "ioredis") };
  for (const [name, target] of Object.entries(links))
    fs.symlinkSync(target, path.join(folder, "node_modules", name), "dir");
  return folder;
}

async function start(peer: Peer, port: number, db: number): Promise<void> {
  // the queue alone reads the framework's limits, too, and they are found by the project
  if (["actionhero", "ours"].includes(peer.script))
    peer.cwd = project(
      `project${db}`,
      peer.isSlow ? path.join(peersFolder, "actionhero") : (peer.root ?? root),
      peer.isEmbedded,
    );
  const output = fs.openSync(path.join(scratch, `${db}.out`), "w");
  const child = fork(
    path.join(here, "tasks/peer.js"),
    [peer.script, String(port), String(db)],
    {
      cwd: peer.cwd ?? here,
      execArgv: [],
      env: {
        ...process.env,
        NODE_ENV: "production",
        BENCH_ACTIONHERO: peer.root ?? root,
        ...(peer.isEmbedded
          ? { BENCH_EMBEDDED: "1" }
          : {
              REDIS_HOST: "127.0.0.1",
              REDIS_PORT: String(port),
              REDIS_DB: String(db),
            }),
        PROJECT_ROOT: peer.cwd,
      },
      stdio: ["ignore", output, output, "ipc"],
    },
  );
  peer.child = child;
  const exited = once(child, "exit").then(() => {
    throw new Error(`${peer.name} ended, see ${scratch}/${db}.out`);
  });
  exited.catch(() => undefined);
  await Promise.race([once(child, "message"), exited]);
}

function tell<T>(peer: Peer, message: object): Promise<T> {
  const child = peer.child!;
  return new Promise((resolve, reject) => {
    const done = () => {
      child.off("message", onMessage);
      child.off("exit", onExit);
    };
    const onMessage = (reply: { result: T; error?: string }) => {
      done();
      if (reply.error) reject(new Error(`${peer.name}: ${reply.error}`));
      else resolve(reply.result);
    };
    const onExit = () => {
      done();
      reject(new Error(`${peer.name} ended`));
    };
    child.on("message", onMessage);
    child.on("exit", onExit);
    child.send(message);
  });
}

const part = (values: number[], share: number) =>
  [...values].sort((a, b) => a - b)[
    Math.min(values.length - 1, Math.floor(values.length * share))
  ] ?? NaN;

type Results = Record<string, Record<string, object>>;

/** One scenario on all peers, in turn, several times; the median of each, and of the ratios to BullMQ within a round. */
async function compare(
  peers: Peer[],
  message: object,
): Promise<Results[string]> {
  const costs = new Map<string, Cost[]>(peers.map(({ name }) => [name, []]));
  for (let i = 0; i < ROUNDS; i++)
    for (const peer of i % 2 === 0 ? peers : [...peers].reverse()) {
      const cost = await tell<Cost | null>(peer, message);
      if (cost) costs.get(peer.name)!.push(cost);
    }
  const reference = costs.get("bullmq") ?? [];
  const table: Record<string, object> = {};
  for (const [name, list] of costs) {
    if (list.length === 0) continue;
    const own = list.map((cost) => cost.own);
    const ratio = (key: keyof Cost) =>
      spreadOf(list.map((c, i) => c[key] / reference[i]?.[key]));
    table[name] = {
      cpu: round(median(own)),
      min: round(Math.min(...own)),
      max: round(Math.max(...own)),
      redis: round(median(list.map((cost) => cost.redis))),
      perSecond: Math.round(median(list.map((cost) => cost.perSecond))),
      ...(reference.length > 0 && {
        cpuTimesBullmq: ratio("own"),
        rateTimesBullmq: ratio("perSecond"),
      }),
    };
  }
  return table;
}

/** When jobs start; for peers that have a queue. */
async function distribution(
  peers: Peer[],
  command: "idle" | "late",
  fast: number,
  slow: number,
): Promise<Results[string]> {
  const table: Record<string, object> = {};
  for (const peer of peers) {
    if (peer.script === "roundTrip") continue;
    const count = Math.max(3, Math.round((peer.isSlow ? slow : fast) * SCALE));
    const values = await tell<number[]>(peer, { command, count, overMs: 4000 });
    table[peer.name] = {
      jobs: count,
      min: round(Math.min(...values)),
      p50: round(part(values, 0.5)),
      p99: round(part(values, 0.99)),
      max: round(Math.max(...values)),
    };
  }
  return table;
}

async function main(): Promise<void> {
  const only = option("only", "enqueue,work,queues,embedded,idle,late").split(
    ",",
  );
  const wanted = option("peers", "");
  const peers = PEERS.filter(
    ({ name }) => wanted === "" || wanted.split(";").includes(name),
  );
  const embedded = only.includes("embedded") ? EMBEDDED : [];
  const redis = await startRedis();
  const count = (n: number) => Math.max(1000, Math.round(n * SCALE));
  try {
    for (const [index, peer] of [...peers, ...embedded].entries())
      await start(peer, redis.port, index + 1);
    const results: Results = {};
    const show = (name: string, table: Results[string]) => {
      results[name] = table;
      console.log(`\n${name}`);
      console.table(table);
    };
    if (only.includes("enqueue"))
      for (const [how, n] of [
        ["one", 2000],
        ["fifty", 10_000],
        ["batch", 20_000],
      ] as const)
        show(
          `enqueue, ${how}`,
          await compare(peers, {
            command: "enqueue",
            how,
            count: count(n),
          }),
        );
    if (only.includes("work"))
      for (const [concurrency, n] of [
        [1, 3000],
        [10, 8000],
        [50, 10_000],
      ] as const)
        show(
          `work, concurrency ${concurrency}`,
          await compare(peers, {
            command: "work",
            concurrency,
            count: count(n),
          }),
        );
    if (only.includes("queues"))
      for (const known of [10, 50_000])
        show(
          `work, jobs in 10 of ${known} known queues`,
          await compare(peers, {
            command: "queues",
            known,
            count: count(20_000),
          }),
        );
    for (const concurrency of embedded.length > 0 ? [1, 10, 50] : [])
      show(
        `work without redis, concurrency ${concurrency}`,
        await compare(embedded, {
          command: "work",
          concurrency,
          count: count(50_000),
        }),
      );
    if (only.includes("idle"))
      show(
        "idle queue, ms from enqueue to start",
        await distribution(peers, "idle", 300, 4),
      );
    if (only.includes("late"))
      show("delayed jobs, ms late", await distribution(peers, "late", 300, 20));
    print(results);
  } finally {
    for (const { child } of [...peers, ...embedded]) child?.kill("SIGKILL");
    redis.child.kill("SIGKILL");
  }
  fs.rmSync(scratch, { recursive: true, force: true });
}

function print(results: Results): void {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: here,
    encoding: "utf8",
  }).trim();
  console.log(
    JSON.stringify({
      bench: "tasks",
      node: process.version,
      commit,
      rounds: ROUNDS,
      scale: SCALE,
      results,
    }),
  );
}

void main();
