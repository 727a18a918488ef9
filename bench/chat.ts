/**
 * What a chat message costs per member: one sender talks to 500 members on one node, and spread over two, against
 * bare ws with one redis channel. All servers run at once and are loaded in turn, in short interleaved slices.
 *
 * Options: --rounds=7 --ms=1000 --members=500
 */
import { execFileSync, fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { startRedis } from "./support/redis";

const option = (name: string, fallback: number) =>
  Number(
    process.argv
      .find((argument) => argument.startsWith(`--${name}=`))
      ?.slice(name.length + 3) ?? fallback,
  );

const ROUNDS = option("rounds", 7);
const SLICE_MS = option("ms", 1000);
const MEMBERS = option("members", 500);
const IN_FLIGHT = [1, 8];
const START_TIMEOUT_MS = 30_000;

interface Running {
  child: ChildProcess;
  port: number;
}

/** Servers that share a room. */
interface Peer {
  name: string;
  nodes: Running[];
}

interface Slice {
  perSecond: number;
  /** CPU time of all nodes per delivery, in us. */
  microseconds: number;
}

const children: ChildProcess[] = [];
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "bench-chat-"));

async function redisUrl(): Promise<string> {
  const { child, url } = await startRedis();
  children.push(child);
  return url;
}

/** The smallest project with the websocket server. */
function project(): string {
  const folder = path.join(scratch, "project");
  const manifest = { name: "bench", version: "1.0.0" };
  fs.mkdirSync(path.join(folder, "dist", "config"), { recursive: true });
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
  return folder;
}

function start(script: string, env: Record<string, string>): Promise<Running> {
  const child = fork(path.join(__dirname, "chat", script), [], {
    cwd: scratch,
    execArgv: [],
    env: { ...process.env, NODE_ENV: "production", LOG_LEVEL: "info", ...env },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${script} did not start`)),
      START_TIMEOUT_MS,
    );
    child.once("exit", () => reject(new Error(`${script} has ended`)));
    child.once("message", ({ port }: { port: number }) => {
      clearTimeout(timer);
      resolve({ child, port });
    });
  });
}

async function startPeers(nodes: number): Promise<Peer[]> {
  const bare = { REDIS_URL: await redisUrl() };
  const folder = project();
  const ours = {
    REDIS_URL: await redisUrl(),
    PROJECT_ROOT: folder,
    PORT: "0",
    ACTIONHERO_CONFIG_OVERRIDES: JSON.stringify({
      web: { bindIP: "127.0.0.1", port: 0 },
      websocket: { clientJsName: null, server: { pingInterval: false } },
      socket: { enabled: false },
      tasks: { scheduler: false, minTaskProcessors: 0, maxTaskProcessors: 0 },
    }),
  };
  const peers: Peer[] = [
    { name: "ws + redis", nodes: [] },
    { name: "actionhero 30", nodes: [] },
  ];
  for (let node = 0; node < nodes; node++) {
    peers[0].nodes.push(await start("bare.js", bare));
    peers[1].nodes.push(
      await start("actionhero.js", { ...ours, ACTIONHERO_TITLE: `n${node}` }),
    );
  }
  return peers;
}

async function tell<T>(child: ChildProcess, message: object | string) {
  const answer = once(child, "message");
  child.send(message);
  const [value] = (await answer) as [T & { error?: string }];
  if (value.error) throw new Error(value.error);
  return value;
}

async function cpuOf(nodes: Running[]): Promise<number> {
  let sum = 0;
  for (const { child } of nodes)
    sum += (await tell<{ cpu: number }>(child, "cpu")).cpu;
  return sum;
}

async function slice(
  load: ChildProcess,
  { name, nodes }: Peer,
  inFlight: number,
): Promise<Slice> {
  const before = await cpuOf(nodes);
  const { deliveries, ms } = await tell<{ deliveries: number; ms: number }>(
    load,
    { run: name, ms: SLICE_MS, inFlight },
  );
  const after = await cpuOf(nodes);
  return {
    perSecond: deliveries / (ms / 1000),
    microseconds: (after - before) / deliveries,
  };
}

const median = (numbers: number[]) =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function compare(
  load: ChildProcess,
  [bare, ours]: Peer[],
  inFlight: number,
): Promise<object> {
  const slices: [Slice, Slice][] = [];
  for (let round = -1; round < ROUNDS; round++) {
    const pair: [Slice, Slice] = [
      await slice(load, bare, inFlight),
      await slice(load, ours, inFlight),
    ];
    if (round >= 0) slices.push(pair); // the first warms up
  }
  const ratios = slices.map(([a, b]) => b.perSecond / a.perSecond);
  const of = (index: 0 | 1, field: keyof Slice) =>
    median(slices.map((pair) => pair[index][field]));
  return {
    "ws/s": Math.round(of(0, "perSecond")),
    "ours/s": Math.round(of(1, "perSecond")),
    ratio: Number(median(ratios).toFixed(2)),
    lowest: Number(Math.min(...ratios).toFixed(2)),
    highest: Number(Math.max(...ratios).toFixed(2)),
    "ws us": Number(of(0, "microseconds").toFixed(1)),
    "ours us": Number(of(1, "microseconds").toFixed(1)),
  };
}

async function main(): Promise<void> {
  const results: Record<string, object> = {};
  for (const nodes of [1, 2]) {
    const peers = await startPeers(nodes);
    const load = fork(path.join(__dirname, "chat", "load.js"), [], {
      execArgv: [],
    });
    children.push(load);
    for (const { name, nodes } of peers)
      await tell(load, {
        open: name,
        ports: nodes.map(({ port }) => port),
        members: MEMBERS,
      });
    for (const inFlight of IN_FLIGHT)
      results[`${nodes} node${nodes > 1 ? "s" : ""}, ${inFlight} in flight`] =
        await compare(load, peers, inFlight);
    end();
  }
  console.table(results);
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: __dirname,
    encoding: "utf8",
  }).trim();
  const { version: node } = process;
  console.log(
    JSON.stringify({ bench: "chat", node, commit, rounds: ROUNDS, results }),
  );
}

function end(): void {
  for (const child of children.splice(0)) {
    child.removeAllListeners("exit");
    child.kill("SIGKILL");
  }
}

main()
  .catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  })
  .finally(() => {
    end();
    fs.rmSync(scratch, { recursive: true, force: true });
  });
