/** Lua functions that several steps share, and their equivalents in plain commands. */
import type { Redis } from "ioredis";
import type { Connection } from "../connection";
import { embeddedWakeUps } from "../wakeUps";

/** Wake tokens that a list holds at most; more would only wake workers for nothing. */
export const MAX_TOKENS = 32;

/**
 * Steps that hold together with the end of a job: redis commands with full keys, and three of our own:
 * `AH.UNLOCK key value` deletes a key that still holds this value, `AH.RELEASE class member` ends a place among the
 * jobs of a class that run at a time, and calls the next one that waits, `AH.BOUND failed own most` removes the oldest
 * entries of a class from the failed list, whose last one is of that class; `own` is the list of its entries.
 */
export type Command = [name: string, ...args: (string | number)[]];

/** `wake(ns, queue, fresh)`: one token for a worker of the queue; workers on all queues learn of a fresh one. */
export const WAKE = `
local function wake(ns, queue, fresh)
  local list = ns .. 'ah:wake:' .. queue
  if redis.call('LLEN', list) < ${MAX_TOKENS} then redis.call('RPUSH', list, '1') end
  if fresh == 1 then
    redis.call('RPUSH', ns .. 'ah:wake-any', '1')
    redis.call('LTRIM', ns .. 'ah:wake-any', 0, ${MAX_TOKENS - 1})
  end
end
`;

/** `json(text)`: as JSON.stringify writes it, so that entries can be found by their text. */
export const JSON_TEXT = `
local function json(text)
  return (string.gsub(cjson.encode(text), '\\\\/', '/'))
end
`;

/** `requeue(ns, queue, raw)`: to the head, where it came from. Needs WAKE. */
export const REQUEUE = `
local function requeue(ns, queue, raw)
  redis.call('LPUSH', ns .. 'queue:' .. queue, raw)
  wake(ns, queue, redis.call('SADD', ns .. 'queues', queue))
end
`;

/** `release(ns, class, member)`: gives a place of a limited class to the job that waited longest. Needs REQUEUE. */
export const RELEASE = `
local function unpark(ns, class)
  local entry = redis.call('LPOP', ns .. 'ah:parked:' .. class)
  if not entry then return end
  local at = string.find(entry, ':', 1, true)
  local size = tonumber(string.sub(entry, 1, at - 1))
  requeue(ns, string.sub(entry, at + 1, at + size), string.sub(entry, at + size + 1))
end
local function release(ns, class, member)
  if redis.call('SREM', ns .. 'ah:limit:' .. class, member) == 1 then unpark(ns, class) end
end
`;

/** `run(ns, commands, at)`: runs the commands that stand flat in a list (count, then length and words of each). */
export const COMMANDS = `
local function run(ns, words, at)
  local count = tonumber(words[at])
  at = at + 1
  for _ = 1, count do
    local size = tonumber(words[at])
    local name = words[at + 1]
    if name == 'AH.UNLOCK' then
      if redis.call('GET', words[at + 2]) == words[at + 3] then redis.call('DEL', words[at + 2]) end
    elseif name == 'AH.RELEASE' then
      release(ns, words[at + 2], words[at + 3])
    elseif name == 'AH.BOUND' then
      local failed, own = words[at + 2], words[at + 3]
      redis.call('RPUSH', own, redis.call('LINDEX', failed, -1))
      while redis.call('LLEN', own) > tonumber(words[at + 4]) do
        redis.call('LREM', failed, 1, redis.call('LPOP', own))
      end
    else
      redis.call(unpack(words, at + 1, at + size))
    end
    at = at + size + 1
  end
  return at
end
`;

/** The form that `run` reads. */
export function flatten(
  commands: readonly Command[] = [],
): (string | number)[] {
  if (commands.length === 0) return [0];
  return [
    commands.length,
    ...commands.flatMap((command) => [command.length, ...command]),
  ];
}

export async function requeuePlain(
  connection: Connection,
  queue: string,
  raw: string,
): Promise<void> {
  await connection.redis.lpush(connection.key("queue", queue), raw);
  await connection.redis.sadd(connection.key("queues"), queue);
  embeddedWakeUps.tell();
}

export async function releasePlain(
  connection: Connection,
  jobClass: string,
  member: string,
): Promise<void> {
  const { redis } = connection;
  const limit = connection.key("ah:limit", jobClass);
  if ((await redis.srem(limit, member)) === 1)
    await unparkPlain(connection, jobClass);
}

export async function unparkPlain(
  connection: Connection,
  jobClass: string,
): Promise<void> {
  const { redis } = connection;
  const entry = await redis.lpop(connection.key("ah:parked", jobClass));
  if (!entry) return;
  const { queue, raw } = openParked(entry);
  await requeuePlain(connection, queue, raw);
}

/** A job that waits for a place, with its queue before it. */
export function parkedEntry(queue: string, raw: string): string {
  return `${Buffer.byteLength(queue)}:${queue}${raw}`;
}

function openParked(entry: string): { queue: string; raw: string } {
  const bytes = Buffer.from(entry);
  const at = bytes.indexOf(":") + 1;
  const end = at + Number(bytes.subarray(0, at - 1).toString());
  return {
    queue: bytes.subarray(at, end).toString(),
    raw: bytes.subarray(end).toString(),
  };
}

export async function runPlain(
  connection: Connection,
  commands: readonly Command[] = [],
): Promise<void> {
  const { redis } = connection;
  for (const [name, ...args] of commands) {
    const words = args.map(String) as [string, string, string];
    if (name === "AH.RELEASE")
      await releasePlain(connection, words[0], words[1]);
    else if (name === "AH.BOUND") await boundPlain(redis, ...words);
    else if (name !== "AH.UNLOCK") await callPlain(redis, name, words);
    else if ((await redis.get(words[0])) === words[1])
      await redis.del(words[0]);
  }
  if (commands.length > 0) embeddedWakeUps.tell();
}

async function boundPlain(
  redis: Redis,
  failed: string,
  own: string,
  most: string,
): Promise<void> {
  await redis.rpush(own, (await redis.lindex(failed, -1))!);
  while ((await redis.llen(own)) > Number(most))
    await redis.lrem(failed, 1, (await redis.lpop(own))!);
}

function callPlain(redis: Redis, name: string, args: string[]) {
  const methods = redis as unknown as Record<
    string,
    (...args: string[]) => Promise<unknown>
  >;
  return methods[name.toLowerCase()]!(...args);
}
