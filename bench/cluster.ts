/**
 * What a request costs under `start-cluster` with one worker and with two: CPU time of all its processes, from /proc, per
 * request; the same of a bare node:cluster, which tells what two processes cost by themselves; and the share of the requests
 * and connections that each worker had. Linux only. All run at once, on the first core, and are loaded in turn.
 *
 * Options: --rounds=7 --ms=2000 --connections=64 --workers=1,2
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { median, print, round, type Table } from "./support/measure";
import { numberOption, option } from "./support/options";
import { freePort, startRedis } from "./support/redis";
import {
  isPinned,
  root,
  scratchFolder,
  startLoad,
  tell,
  writeProject,
} from "./support/servers";

const ROUNDS = numberOption("rounds", 7);
const SLICE_MS = numberOption("ms", 2000);
const CONNECTIONS = numberOption("connections", 64);
const WORKERS = option("workers", "1,2").split(",").map(Number);
const START_MS = 60_000;
/** Each goes to some worker: that none of so many reaches one of them does not happen. */
const QUESTIONS = 200;
/** Of the kernel: /proc tells CPU time in hundredths of a second. */
const TICK_MICROSECONDS = 10_000;

const scratch = scratchFolder("cluster");

interface Cluster {
  name: string;
  workers: number;
  child: ChildProcess;
  port: number;
}

interface Counts {
  pid: number;
  requests: number;
  connections: number;
}

interface Command {
  name: string;
  workers: number;
  args: string[];
  port: number;
  cwd?: string;
  env?: Record<string, string>;
}

async function ours(workers: number, url: string): Promise<Command> {
  const port = await freePort();
  const { cwd, env } = writeProject(path.join(scratch, String(workers)), {
    isSilent: true,
    config: {
      "routes.js": `exports.DEFAULT = { routes: () => ({ get: [
        { path: "/counted", action: "counted" }, { path: "/counts", action: "counts" } ] }) };`,
      "zz-web.js": `exports.DEFAULT = { web: () => ({ port: ${port} }) };`,
    },
  });
  fs.copyFileSync(
    path.join(__dirname, "cluster/counted.js"),
    path.join(cwd, "dist/actions/counted.js"),
  );
  const bin = path.join(root, "dist/bin/actionhero.js");
  const args = [bin, "start-cluster", `--workers=${workers}`];
  const name = `${workers} workers`;
  return { name, workers, args, port, cwd, env: { ...env, REDIS_URL: url } };
}

async function bare(workers: number): Promise<Command> {
  const port = await freePort();
  const script = path.join(__dirname, "cluster/bare.js");
  const args = [script, String(workers), String(port)];
  return { name: `node:cluster, ${workers} workers`, workers, args, port };
}

async function startCluster(command: Command): Promise<Cluster> {
  const { name, workers, port, cwd, env } = command;
  const file = path.join(scratch, `${name.replace(/\W+/g, "-")}.out`);
  const output = fs.openSync(file, "w");
  const words = [process.execPath, ...command.args];
  const [program, ...args] = isPinned
    ? ["taskset", "-c", "0", ...words]
    : words;
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...env, NODE_ENV: "production" },
    stdio: ["ignore", output, output],
  });
  const cluster = { name, workers, child, port };
  const until = Date.now() + START_MS;
  while ((await countsOf(cluster).catch(() => [])).length < workers) {
    if (Date.now() > until || child.exitCode !== null)
      throw new Error(`no cluster: ${fs.readFileSync(file, "utf8")}`);
    await sleep(200);
  }
  return cluster;
}

/** What the workers have counted, which answer over connections of their own. */
async function countsOf({ port, workers }: Cluster): Promise<Counts[]> {
  const found = new Map<number, Counts>();
  for (let i = 0; i < QUESTIONS && found.size < workers; i++) {
    const counts = await ask(port);
    found.set(counts.pid, counts);
  }
  return [...found.values()];
}

async function ask(port: number): Promise<Counts> {
  const where = { port, host: "127.0.0.1", path: "/api/counts", agent: false };
  const [answer] = (await once(http.get(where), "response")) as [
    http.IncomingMessage,
  ];
  let text = "";
  for await (const chunk of answer) text += String(chunk);
  return JSON.parse(text) as Counts;
}

/** Microseconds of the primary and its workers. */
async function cpuOf(cluster: Cluster): Promise<number> {
  const pids = [
    cluster.child.pid!,
    ...(await countsOf(cluster)).map(({ pid }) => pid),
  ];
  return pids.reduce((sum, pid) => sum + cpuOfProcess(pid), 0);
}

function cpuOfProcess(pid: number): number {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
  // what follows the name, which is in brackets: the 14th and 15th field of all
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROSECONDS;
}

async function slice(load: ChildProcess, cluster: Cluster): Promise<number> {
  const before = await cpuOf(cluster);
  const { messages } = await tell<{ messages: number }>(load, {
    port: cluster.port,
    request: "GET /api/counted HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    connections: CONNECTIONS,
    ms: SLICE_MS,
  });
  return ((await cpuOf(cluster)) - before) / messages;
}

function sharesOf(counts: Counts[], key: "requests" | "connections"): string {
  const total = counts.reduce((sum, one) => sum + one[key], 0);
  return counts
    .map((one) => `${round((100 * one[key]) / total, 0)} %`)
    .sort()
    .join(", ");
}

async function measure(load: ChildProcess, clusters: Cluster[]) {
  const costs = new Map(clusters.map(({ name }) => [name, [] as number[]]));
  for (let i = -1; i < ROUNDS; i++)
    for (const cluster of i % 2 === 0 ? clusters : [...clusters].reverse()) {
      const cost = await slice(load, cluster);
      if (i >= 0) costs.get(cluster.name)!.push(cost); // the first warms up
    }
  const table: Table = {};
  for (const cluster of clusters) {
    const { name, workers } = cluster;
    const counts = await countsOf(cluster);
    const own = costs.get(name)!;
    const fewest = name.replace(String(workers), String(WORKERS[0]));
    const ratios = own.map((cost, i) => cost / costs.get(fewest)![i]);
    table[name] = {
      cpu: round(median(own)),
      min: round(Math.min(...own)),
      times: `${round(median(ratios), 2)} (${round(Math.min(...ratios), 2)}-${round(Math.max(...ratios), 2)})`,
      requests: sharesOf(counts, "requests"),
      connections: sharesOf(counts, "connections"),
    };
  }
  return table;
}

async function main(): Promise<void> {
  const redis = await startRedis();
  const load = startLoad("support/httpLoad.js");
  const clusters: Cluster[] = [];
  try {
    for (const [i, workers] of WORKERS.entries()) {
      clusters.push(
        await startCluster(await ours(workers, `${redis.url}/${i}`)),
      );
      clusters.push(await startCluster(await bare(workers)));
    }
    const table = await measure(load, clusters);
    print(
      "cluster",
      CONNECTIONS,
      { cluster: table },
      () =>
        "CPU of all processes in microseconds per request, and the shares of the workers",
    );
  } finally {
    load.kill();
    for (const { child } of clusters) child.kill("SIGTERM");
    await Promise.all(clusters.map(({ child }) => ended(child)));
    redis.child.kill("SIGKILL");
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

async function ended(child: ChildProcess): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) await sleep(50);
}

void main();
