/**
 * What the cache makes of redis' speed: its operations per second against plain ioredis that sets and gets the same
 * bytes, with JSON on both sides. Both use one client each, on one redis-server of the bench's own, in short slices
 * that alternate.
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
type Pair = { plain: Operation; cache: Operation };

/** The smallest project that a configuration can be read from. */
function emptyProject(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bench-cache-"));
  const manifest = { name: "bench", version: "1.0.0" };
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
  fs.mkdirSync(path.join(folder, "dist", "config"), { recursive: true });
  return folder;
}

async function operations(url: string): Promise<Record<string, Pair>> {
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
  return {
    save: {
      plain: () => plain.set(`plain:${key()}`, text()),
      cache: () => cache.save(key(), VALUE),
    },
    "save with expiry": {
      plain: () => plain.set(`plain:${key()}`, text(), "PX", EXPIRE_MS),
      cache: () => cache.save(key(), VALUE, EXPIRE_MS),
    },
    load: {
      plain: async () => JSON.parse((await plain.get(`plain:${key()}`))!),
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

async function run(pairs: Record<string, Pair>) {
  const table: Record<string, object> = {};
  for (const [name, { plain, cache }] of Object.entries(pairs)) {
    for (const inFlight of IN_FLIGHT) {
      const rates = { plain: [] as number[], cache: [] as number[] };
      const ratios: number[] = [];
      for (let round = -1; round < ROUNDS; round++) {
        const first = await measure(plain, inFlight);
        const second = await measure(cache, inFlight);
        if (round < 0) continue; // warming up
        rates.plain.push(first);
        rates.cache.push(second);
        ratios.push(second / first);
      }
      table[`${name}, ${inFlight} in flight`] = {
        "ioredis ops/s": Math.round(median(rates.plain)),
        "cache ops/s": Math.round(median(rates.cache)),
        ratio: Number(median(ratios).toFixed(2)),
        lowest: Number(Math.min(...ratios).toFixed(2)),
        highest: Number(Math.max(...ratios).toFixed(2)),
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
