/**
 * What a chat message costs per member: one sender talks to 500 members on one node, and spread over two, against
 * bare ws with one redis channel. All servers run at once and are loaded in turn, in short interleaved slices.
 *
 * Options: --rounds=7 --ms=1000 --members=500 --profile
 */
import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  median,
  print,
  profileOf,
  round,
  spreadOf,
  type Table,
} from "./support/measure";
import { flag, numberOption } from "./support/options";
import { startRedis } from "./support/redis";
import {
  scratchFolder,
  start,
  startLoad,
  tell,
  type Running,
} from "./support/servers";

const ROUNDS = numberOption("rounds", 7);
const SLICE_MS = numberOption("ms", 1000);
const MEMBERS = numberOption("members", 500);
const IN_FLIGHT = [1, 8];

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
const scratch = scratchFolder("chat");

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
  const add = async (
    peer: Peer,
    script: string,
    env: Record<string, string>,
  ) => {
    const name = `${peer.name} ${peer.nodes.length}`;
    const running = await start(name, { script, env }, scratch);
    children.push(running.child);
    peer.nodes.push(running);
  };
  for (let node = 0; node < nodes; node++) {
    await add(peers[0], "chat/bare.js", bare);
    await add(peers[1], "chat/actionhero.js", {
      ...ours,
      ACTIONHERO_TITLE: `n${node}`,
    });
  }
  return peers;
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

async function compare(
  load: ChildProcess,
  [bare, ours]: Peer[],
  inFlight: number,
): Promise<Table> {
  const slices: [Slice, Slice][] = [];
  for (let round = -1; round < ROUNDS; round++) {
    const pair: [Slice, Slice] = [
      await slice(load, bare, inFlight),
      await slice(load, ours, inFlight),
    ];
    if (round >= 0) slices.push(pair); // the first warms up
  }
  const table: Table = {};
  for (const [index, peer] of [bare, ours].entries()) {
    const own = slices.map((pair) => pair[index]);
    const ratioOf = (key: keyof Slice) =>
      spreadOf(own.map((one, i) => one[key] / slices[i][0][key]));
    table[peer.name] = {
      cpu: round(median(own.map(({ microseconds }) => microseconds)), 2),
      perSecond: Math.round(median(own.map(({ perSecond }) => perSecond))),
      timesWs: ratioOf("microseconds"),
      rateTimesWs: ratioOf("perSecond"),
      ...(flag("profile") &&
        (await profileOf(peer.nodes[0], () => slice(load, peer, inFlight)))),
    };
  }
  return table;
}

async function main(): Promise<void> {
  const results: Record<string, Table> = {};
  for (const nodes of [1, 2]) {
    const peers = await startPeers(nodes);
    const load = startLoad("chat/load.js");
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
  print(
    "chat",
    MEMBERS,
    results,
    (name) => `${name}: CPU of all nodes in microseconds per delivery`,
  );
}

function end(): void {
  for (const child of children.splice(0)) child.kill("SIGKILL");
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
