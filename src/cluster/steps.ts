/** The two steps on the register of nodes that must be one: a script on a real redis, plain commands on the embedded one. */
import type { Redis } from "ioredis";
import { isEmbedded, runExclusive } from "../redis/engine";
import { defineScript, runScript } from "../redis/script";

/*
 * KEYS: the register (hash: node id -> "<ms> <record>")
 * ARGV: node id, record
 * Returns what was there before, or false.
 * One step, so that the time is that of the writing and a removal by another node is never missed.
 */
const beatScript = defineScript(`
local time = redis.call("TIME")
local now = string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000))
local before = redis.call("HGET", KEYS[1], ARGV[1])
redis.call("HSET", KEYS[1], ARGV[1], now .. " " .. ARGV[2])
return before
`);

/*
 * KEYS: the register
 * Returns the time of redis in ms, then id and entry of each node in turn.
 * One step, so that ages are those of the moment of reading, whatever the clocks of the nodes say.
 */
const readScript = defineScript(`
local time = redis.call("TIME")
local found = redis.call("HGETALL", KEYS[1])
table.insert(found, 1, string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000)))
return found
`);

/** Write a heartbeat; returns the entry that was there. */
export async function beat(
  client: Redis,
  register: string,
  id: string,
  record: string,
): Promise<string | null> {
  if (!isEmbedded(client))
    return (await runScript(client, beatScript, [register], [id, record])) as
      string | null;
  return runExclusive(async () => {
    const before = await client.hget(register, id);
    await client.hset(register, id, `${Date.now()} ${record}`);
    return before;
  });
}

/** The entries by node id, and the time of redis in ms. */
export async function read(
  client: Redis,
  register: string,
): Promise<{ now: number; entries: Map<string, string> }> {
  if (isEmbedded(client)) {
    const found = await client.hgetall(register);
    return { now: Date.now(), entries: new Map(Object.entries(found)) };
  }
  const [now, ...flat] = (await runScript(
    client,
    readScript,
    [register],
    [],
  )) as string[];
  const entries = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2)
    entries.set(flat[i]!, flat[i + 1]!);
  return { now: Number(now), entries };
}
