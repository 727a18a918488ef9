/** What a message costs each server, and what an idle connection does. */
import { execFileSync, type ChildProcess } from "node:child_process";
import * as os from "node:os";
import { flag, numberOption } from "./options";
import { isPinned, ownCode, tell, type Running } from "./servers";

const ROUNDS = numberOption("rounds", 7);
const SLICE_MS = numberOption("ms", 500);
const WARM_UP_MS = 1500;
const PROFILE_MS = 3000;
/** V8 was seen to compile on until about then; on a busy machine that is long after the first slice. */
const WARM_UP_MESSAGES = 30_000;

/** The load of one slice for one server. */
interface Slice {
  messages: number;
  /** CPU time of the server, per message. */
  microseconds: number;
  perSecond: number;
}

/** Row by row, what console.table shows. */
export type Table = Record<string, object>;

/**
 * Load all servers in turn, in short slices.
 * @param load undefined: each does its work by itself
 * @param order what the load is told for a server, without how long
 * @param references by the name of a column: the server that a row is compared with
 */
export async function measureCpu<Server extends Running>(
  load: ChildProcess | undefined,
  servers: Server[],
  order: (server: Server) => object,
  references: (server: Server) => Record<string, string>,
): Promise<Table> {
  const slices = new Map<string, Slice[]>(servers.map((s) => [s.name, []]));
  const run = (server: Server, ms: number) =>
    slice(load ?? server.child, server, { ...order(server), ms });
  for (const server of servers) {
    let done = 0;
    while (done < WARM_UP_MESSAGES)
      done += (await run(server, WARM_UP_MS)).messages;
  }
  for (let i = 0; i < ROUNDS; i++) {
    const inTurn = i % 2 === 0 ? servers : [...servers].reverse();
    for (const server of inTurn)
      slices.get(server.name)!.push(await run(server, SLICE_MS));
  }
  const table: Table = {};
  for (const server of servers) {
    const own = slices.get(server.name)!;
    const row: Record<string, number | string> = summaryOf(own);
    for (const [column, name] of Object.entries(references(server))) {
      const reference = slices.get(name);
      if (reference) row[column] = timesOf(own, reference); // `--servers` may leave it out
    }
    if (flag("profile"))
      Object.assign(
        row,
        await profileOf(server, () => run(server, PROFILE_MS)),
      );
    table[server.name] = row;
    console.error(server.name, row); // the tables come at the end, minutes later
  }
  return table;
}

/** The shares of a server's time under load, after everything was measured: the profiler itself costs time. */
export async function profileOf(
  server: Running,
  work: () => Promise<unknown>,
): Promise<object> {
  await tell(server.child, { profile: "start" });
  await work();
  return tell(server.child, { profile: "stop", roots: ownCode });
}

async function slice(
  load: ChildProcess,
  server: Running,
  order: object,
): Promise<Slice> {
  const before = await tell<{ cpu: number }>(server.child, "cpu");
  const done = await tell<{ messages: number; ms: number }>(load, {
    port: server.port,
    ...order,
  });
  const after = await tell<{ cpu: number }>(server.child, "cpu");
  return {
    messages: done.messages,
    microseconds: (after.cpu - before.cpu) / done.messages,
    perSecond: done.messages / (done.ms / 1000),
  };
}

function summaryOf(slices: Slice[]) {
  const cpu = slices.map(({ microseconds }) => microseconds);
  return {
    cpu: round(median(cpu)),
    // what else the machine does only adds to it
    low: round(lowOf(cpu), 2),
    min: round(Math.min(...cpu)),
    max: round(Math.max(...cpu)),
    perSecond: Math.round(median(slices.map((s) => s.perSecond))),
  };
}

/** The median of the ratios within a round, and the least and the greatest: what else the machine does falls on both. */
function timesOf(own: Slice[], reference: Slice[]): string {
  return spreadOf(
    own.map(({ microseconds }, i) => microseconds / reference[i].microseconds),
  );
}

/** `"median (least-greatest)"` of ratios. */
export function spreadOf(ratios: number[]): string {
  const [middle, least, most] = [
    median(ratios),
    Math.min(...ratios),
    Math.max(...ratios),
  ].map((ratio) => ratio.toFixed(2));
  return `${middle} (${least}-${most})`;
}

interface Memory {
  rss: number;
  heapUsed: number;
}

/** After a garbage collection, the difference that so many connections make. */
export async function measureMemory<Server extends Running>(
  load: ChildProcess,
  servers: Server[],
  idle: number,
  order: (server: Server) => object,
): Promise<Table> {
  const table: Table = {};
  for (const server of servers) {
    const before = await tell<Memory>(server.child, "memory");
    await tell(load, { port: server.port, ...order(server), idle });
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

/** One table for each result, and all of them as a line of JSON. */
export function print(
  bench: string,
  connections: number,
  results: Record<string, Table>,
  titleOf: (name: string) => string,
): void {
  for (const [name, table] of Object.entries(results)) {
    console.log(`\n${titleOf(name)}`);
    console.table(table);
  }
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: __dirname,
    encoding: "utf8",
  }).trim();
  console.log(
    JSON.stringify({
      bench,
      node: process.version,
      cpu: `${os.cpus().length} x ${os.cpus()[0]?.model ?? "unknown"}`,
      isPinned,
      commit,
      rounds: ROUNDS,
      sliceMs: SLICE_MS,
      connections,
      results,
    }),
  );
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** The tenth percentile. */
function lowOf(values: number[]): number {
  return (
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 10)] ?? NaN
  );
}

export function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
