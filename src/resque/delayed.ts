/** Looking at, adding and removing delayed jobs. */
import type { Connection } from "./connection";
import type { ParsedJob } from "./types";

export async function scheduledAt(
  connection: Connection,
  job: string,
): Promise<number[]> {
  const members = await connection.redis.smembers(
    connection.key("timestamps", job),
  );
  return members.map(secondOf);
}

export async function timestamps(connection: Connection): Promise<number[]> {
  const keys = await connection.getKeys(connection.key("delayed", "*"));
  return keys.map((key) => secondOf(key) * 1000).sort((a, b) => a - b);
}

/** Producers of other kinds round down or to the nearest second, ours round up. */
export async function delayedAt(
  connection: Connection,
  timestampMs: number,
): Promise<{ tasks: ParsedJob[]; rTimestamp: number }> {
  for (const second of new Set([
    Math.ceil(timestampMs / 1000),
    Math.round(timestampMs / 1000),
  ])) {
    const tasks = await tasksAt(connection, second);
    if (tasks.length > 0) return { tasks, rTimestamp: second };
  }
  return { tasks: [], rTimestamp: Math.round(timestampMs / 1000) };
}

export async function allDelayed(
  connection: Connection,
): Promise<{ [ms: string]: ParsedJob[] }> {
  const result: { [ms: string]: ParsedJob[] } = {};
  for (const ms of await timestamps(connection))
    result[String(ms)] = await tasksAt(connection, ms / 1000);
  return result;
}

async function tasksAt(
  connection: Connection,
  second: number,
): Promise<ParsedJob[]> {
  const raws = await connection.redis.lrange(
    connection.key("delayed", second),
    0,
    -1,
  );
  return raws.map((raw) => JSON.parse(raw) as ParsedJob);
}

function secondOf(key: string): number {
  return parseInt(key.slice(key.lastIndexOf(":") + 1), 10);
}
