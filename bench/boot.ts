/**
 * How long a server takes from the start of its process to its first answer, and how much memory it holds then and after
 * many requests. Each is started anew in each round, in turn; time of the processor says more than that of the clock on a
 * machine that does other things, too.
 *
 * Options: --rounds=7 --requests=100000 "--servers=fastify, static files;actionhero 30, embedded"
 */
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { median, print, round, type Table } from "./support/measure";
import { numberOption } from "./support/options";
import { startRedis } from "./support/redis";
import {
  chosen,
  scratchFolder,
  start,
  startLoad,
  tell,
  writeProject,
  type Running,
  type ServerSpec,
} from "./support/servers";

const ROUNDS = numberOption("rounds", 7);
const REQUESTS = numberOption("requests", 100_000);
const CONNECTIONS = 64;
const LOAD_MS = 2_000;
/** What a boot leaves to be done afterwards is done by then. */
const SETTLE_MS = 500;
const REFERENCE = "fastify, static files";
const TARGET = "/api/number?max=10";

const scratch = scratchFolder("boot");

interface Boot {
  /** ms to the first answer. */
  clock: number;
  /** ms of processor time. */
  cpu: number;
  /** Bytes. */
  rss: number;
}

function specs(redisUrl: string): Record<string, ServerSpec> {
  const ours = project("ours", false);
  const file = path.join(ours.cwd, "public/file.txt");
  const env = { BENCH_FILE: file };
  return {
    "node:http": { script: "http/bare.js", env },
    [REFERENCE]: { script: "http/fastify.js", env },
    nestjs: { script: "boot/nest.js" },
    "actionhero 30, embedded": ours,
    "actionhero 30, redis": {
      ...ours,
      env: { ...ours.env, REDIS_URL: redisUrl },
    },
    "actionhero 29, embedded": project("v29", true),
  };
}

function project(name: string, isV29: boolean) {
  return {
    script: "http/actionhero.js",
    ...writeProject(path.join(scratch, name), {
      isSilent: true,
      isV29,
      fileSize: 10_000,
    }),
  };
}

async function boot(
  name: string,
  spec: ServerSpec,
  use: (server: Running) => Promise<void>,
): Promise<Boot> {
  const began = performance.now();
  const server = await start(name, spec, scratch);
  try {
    await ask(server.port);
    const clock = performance.now() - began;
    const { cpu } = await tell<{ cpu: number }>(server.child, "cpu");
    await sleep(SETTLE_MS);
    const rss = await rssOf(server);
    await use(server);
    return { clock, cpu: cpu / 1000, rss };
  } finally {
    server.child.kill("SIGKILL");
  }
}

async function ask(port: number): Promise<void> {
  const request = http.get({ port, host: "127.0.0.1", path: TARGET });
  const [answer] = (await once(request, "response")) as [http.IncomingMessage];
  if (answer.statusCode !== 200)
    throw new Error(`the first answer is a ${answer.statusCode}`);
  answer.resume();
  await once(answer, "end");
}

async function rssOf({ child }: Running): Promise<number> {
  return (await tell<{ rss: number }>(child, "memory")).rss;
}

/** @returns the memory after so many requests, in bytes */
async function rssAfterLoad(server: Running): Promise<number> {
  const load = startLoad("support/httpLoad.js");
  const request = `GET ${TARGET} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
  try {
    for (let done = 0; done < REQUESTS;) {
      const order = { request, connections: CONNECTIONS, ms: LOAD_MS };
      const { port } = server;
      done += (await tell<{ messages: number }>(load, { port, ...order }))
        .messages;
    }
    return await rssOf(server);
  } finally {
    load.kill();
  }
}

function rowOf(boots: Boot[], references: Boot[], loadedRss: number) {
  const of = (key: keyof Boot) => median(boots.map((one) => one[key]));
  const times = (key: keyof Boot) => {
    const ratios = boots.map((one, i) => one[key] / references[i][key]);
    const [middle, least, most] = [
      median(ratios),
      Math.min(...ratios),
      Math.max(...ratios),
    ].map((ratio) => ratio.toFixed(2));
    return `${middle} (${least}-${most})`;
  };
  const megabytes = (bytes: number) => round(bytes / 1024 / 1024);
  return {
    clockMs: Math.round(of("clock")),
    timesClock: times("clock"),
    cpuMs: Math.round(of("cpu")),
    timesCpu: times("cpu"),
    idleMB: megabytes(of("rss")),
    timesIdle: times("rss"),
    loadedMB: megabytes(loadedRss),
  };
}

async function main(): Promise<void> {
  const redis = await startRedis();
  try {
    const servers = chosen(specs(redis.url));
    const boots = new Map<string, Boot[]>();
    const loadedRss = new Map<string, number>();
    for (let i = -1; i < ROUNDS; i++) {
      for (const [name, spec] of servers) {
        const done = await boot(name, spec, async (server) => {
          if (i === ROUNDS - 1) loadedRss.set(name, await rssAfterLoad(server));
        });
        // the first round fills the caches of the system
        if (i >= 0) boots.set(name, [...(boots.get(name) ?? []), done]);
      }
    }
    const references = boots.get(REFERENCE) ?? [];
    const table: Table = {};
    for (const [name, own] of boots)
      table[name] = rowOf(own, references, loadedRss.get(name) ?? NaN);
    print(
      "boot",
      CONNECTIONS,
      { boot: table },
      () =>
        `to the first answer, and memory when idle and after ${REQUESTS} requests`,
    );
  } finally {
    redis.child.kill("SIGKILL");
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

void main();
