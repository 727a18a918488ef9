/**
 * What the cache makes of redis' speed: its operations per second against plain ioredis that sets and gets the same
 * bytes, with JSON on both sides. Both use one client each, on one redis-server of the bench's own, in short slices
 * that alternate. "floor" is what the cache could reach at most with one command: the MGET of a lock and its object, or a
 * script that reads the lock and writes the object, sent by plain ioredis.
 *
 * Options: --rounds=7 --ms=400
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Redis } from "ioredis";
import type * as actionhero from "../src";
import { startRedis } from "./support/redis";

const option = (name: string, fallback: number) =>
  Number(
    process.argv
      .find((argument) => argument.startsWith(`--${name}=`))
      ?.slice(name.length + 3) ?? fallback,
  );

const ROUNDS = option("rounds", 7);
const SLICE_MS = option("ms", 400);
const IN_FLIGHT = [1, 50];
const EXPIRE_MS = 60_000;
/** About 350 bytes. */
const VALUE = { name: "bench", text: "x".repeat(300), list: [1, 2, 3] };

type Operation = () => Promise<unknown>;
type Peers = Record<"plain" | "floor" | "cache", Operation>;

const READ_LOCK_AND_WRITE = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1`;

/** The smallest project that a configuration can be read from. */
function emptyProject(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bench-cache-"));
  const manifest = { name: "bench", version: "1.0.0" };
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
  fs.mkdirSync(path.join(folder, "dist", "config"), { recursive: true });
  return folder;
}

async function operations(url: string): Promise<Record<string, Peers>> {
  const { Process, cache } =
    require("../dist/src/index.js") as typeof actionhero;
  await new Process().initialize();

  const plain = new Redis(url);
  let n = 0;
  const key = () => `key${n++ % 1000}`;
  const text = () => JSON.stringify({ value: VALUE, createdAt: Date.now() });
  for (let i = 0; i < 1000; i++) {
    await plain.set(`plain:key${i}`, text());
    await cache.save(`key${i}`, VALUE);
  }
  const sha = (await plain.script("LOAD", READ_LOCK_AND_WRITE)) as string;
  const write = () => {
    const name = key();
    return plain.evalsha(sha, 2, `lock:${name}`, `plain:${name}`, "me", text());
  };
  return {
    save: {
      plain: () => plain.set(`plain:${key()}`, text()),
      floor: write,
      cache: () => cache.save(key(), VALUE),
    },
    "save with expiry": {
      plain: () => plain.set(`plain:${key()}`, text(), "PX", EXPIRE_MS),
      floor: write,
      cache: () => cache.save(key(), VALUE, EXPIRE_MS),
    },
    load: {
      plain: async () => JSON.parse((await plain.get(`plain:${key()}`))!),
      floor: async () => {
        const name = key();
        const [, found] = await plain.mget(`lock:${name}`, `plain:${name}`);
        return JSON.parse(found!);
      },
      cache: () => cache.load(key()),
    },
  };
}

/** Operations per second. */
async function measure(operation: Operation, inFlight: number) {
  const start = process.hrtime.bigint();
  const end = Date.now() + SLICE_MS;
  let done = 0;
  const lane = async () => {
    while (Date.now() < end) {
      await operation();
      done++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return done / (Number(process.hrtime.bigint() - start) / 1e9);
}

const median = (numbers: number[]) =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** How many times as often as the first of each round, with the least and the greatest. */
function timesOf(rates: number[], reference: number[]): string {
  const ratios = rates.map((rate, i) => rate / reference[i]);
  const spread = [Math.min(...ratios), Math.max(...ratios)];
  const text = spread.map((ratio) => ratio.toFixed(2)).join("-");
  return `${median(ratios).toFixed(2)} (${text})`;
}

async function run(operations: Record<string, Peers>) {
  const table: Record<string, object> = {};
  for (const [name, peers] of Object.entries(operations)) {
    for (const inFlight of IN_FLIGHT) {
      const rates = { plain: [], floor: [], cache: [] } as Record<
        keyof Peers,
        number[]
      >;
      const inTurn = Object.keys(rates) as (keyof Peers)[];
      for (let round = -1; round < ROUNDS; round++) {
        for (const peer of inTurn) {
          const rate = await measure(peers[peer], inFlight);
          if (round >= 0) rates[peer].push(rate); // the first warms up
        }
        inTurn.reverse();
      }
      const { plain, floor, cache } = rates;
      table[`${name}, ${inFlight} in flight`] = {
        "ioredis ops/s": Math.round(median(plain)),
        "cache ops/s": Math.round(median(cache)),
        times: timesOf(cache, plain),
        floor: timesOf(floor, plain),
        best: Number((Math.max(...cache) / Math.max(...plain)).toFixed(2)),
      };
    }
  }
  return table;
}

async function main() {
  const folder = emptyProject();
  const { child, url } = await startRedis();
  Object.assign(process.env, {
    PROJECT_ROOT: folder,
    REDIS_URL: url,
    NODE_ENV: "production",
    LOG_LEVEL: "error",
  });
  try {
    const table = await run(await operations(url));
    console.table(table);
    console.log(
      JSON.stringify({
        bench: "cache",
        node: process.version,
        rounds: ROUNDS,
        results: table,
      }),
    );
  } finally {
    child.kill("SIGKILL");
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
