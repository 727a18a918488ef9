/** What tools show: workers, what they do, locks and counters. */
import { keyHolders } from "../redis/engine";
import { processToken, type Connection } from "./connection";
import type { WorkingOn } from "./types";

/** The processes among `ids` that have no connection to redis; none when that cannot be told. */
export async function withoutConnection(
  connection: Connection,
  ids: readonly string[],
): Promise<string[]> {
  const lists = await Promise.all(
    keyHolders(connection.redis).map((node) => node.client("LIST")),
  ).catch(() => []); // a host may forbid it
  const clients = lists.join("\n");
  const isConnected = (name: string) => clients.includes(`name=${name} `);
  // connections that go without their names say nothing about others
  if (!isConnected(processToken)) return [];
  const gone: string[] = [];
  for (const id of ids) {
    const key = connection.key("ah:proc", id);
    const name = await connection.redis.hget(key, "connection");
    if (!name || !isConnected(name)) gone.push(id);
  }
  return gone;
}

/** Worker names are `host:pid+n`; what follows in a member are the queues. */
export function splitMember(member: string): {
  name: string;
  queues: string | null;
} {
  const parts = member.split(":");
  if (parts.length === 1) return { name: parts[0]!, queues: null };
  if (parts.length === 2) return { name: parts[0]!, queues: parts[1]! };
  return {
    name: parts.slice(0, 2).join(":"),
    queues: parts.slice(2).join(":"),
  };
}

export async function workers(
  connection: Connection,
): Promise<{ [name: string]: string | null }> {
  const members = await connection.redis.smembers(connection.key("workers"));
  return Object.fromEntries(
    members.map((member) => {
      const { name, queues } = splitMember(member);
      return [name, queues];
    }),
  );
}

export async function allWorkingOn(
  connection: Connection,
): Promise<{ [name: string]: "started" | WorkingOn }> {
  const result: { [name: string]: "started" | WorkingOn } = {};
  const found = Object.entries(await workers(connection));
  const records = await valuesOf(
    connection,
    found.map(([name, queues]) => connection.key("worker", name, queues ?? "")),
  );
  found.forEach(([name], index) => {
    const record = records[index];
    result[name] = record ? (JSON.parse(record) as WorkingOn) : "started";
  });
  return result;
}

export async function locks(
  connection: Connection,
): Promise<{ [key: string]: string }> {
  const keys = [
    ...(await connection.getKeys(connection.key("lock", "*"))),
    ...(await connection.getKeys(connection.key("workerslock", "*"))),
  ];
  const values = await valuesOf(connection, keys);
  const result: { [key: string]: string } = {};
  keys.forEach((key, index) => {
    // the owner behind the point is nobody's business
    const value = values[index]?.split(".")[0];
    if (value) result[connection.unprefixed(key)] = value;
  });
  return result;
}

export async function stats(
  connection: Connection,
): Promise<{ [key: string]: string }> {
  const keys = await connection.getKeys(connection.key("stat", "*"));
  const values = await valuesOf(connection, keys);
  const result: { [key: string]: string } = {};
  keys.forEach((key, index) => {
    const value = values[index];
    if (value) result[connection.unprefixed(key).slice("stat:".length)] = value;
  });
  return result;
}

async function valuesOf(
  connection: Connection,
  keys: string[],
): Promise<(string | null)[]> {
  return keys.length === 0 ? [] : connection.redis.mget(...keys);
}
