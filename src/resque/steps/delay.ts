/** Steps: keep jobs for later, and move the due ones to their queues. */
import { runExclusive } from "../../redis/engine";
import { defineScript, runScript } from "../../redis/script";
import type { Connection } from "../connection";
import { embeddedWakeUps } from "../wakeUps";
import { JSON_TEXT, WAKE, type Command } from "./lua";

/** Buckets longer than this are only moved at their whole second: finding a job in them costs too much. */
const LONG_BUCKET = 1000;
const BATCH = 500;

/** `delay(ns, second, due, raw)`: 1, or 0 when the job is there at that second. */
export const DELAY = `
local function delay(ns, second, due, raw)
  if redis.call('SADD', ns .. 'timestamps:' .. raw, 'delayed:' .. second) == 0 then return 0 end
  redis.call('RPUSH', ns .. 'delayed:' .. second, raw)
  redis.call('ZADD', ns .. 'delayed_queue_schedule', second, second)
  local member = second .. ':' .. raw
  redis.call('ZADD', ns .. 'ah:due', due, member)
  if redis.call('ZRANGE', ns .. 'ah:due', 0, 0)[1] == member then
    redis.call('DEL', ns .. 'ah:wake-scheduler')
    redis.call('RPUSH', ns .. 'ah:wake-scheduler', '1')
  end
  return 1
end
`;

// KEYS: schedule, timestamps:<job>, delayed:<s>, ah:due, ah:wake-scheduler. ARGV: prefix, s, due in ms, job.
// Returns 1, or 0 when the job is there at that second. One step: the three structures of resque agree.
const DELAY_ONE = defineScript(`
${DELAY}
return delay(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
`);

// KEYS: schedule, ah:due, queues, failed
// ARGV: prefix, now in ms, jobs at most, long bucket, date
// Returns the next due time in ms ('' for none), then s and job of each one moved.
// One step: a job is never in neither place. Queues are known only from the jobs, so their keys are computed.
const PROMOTE = defineScript(`
${WAKE}${JSON_TEXT}
-- arguments that cjson cannot read (half of a surrogate pair, a thousand levels) are none of our business
local function queueOf(raw)
  local queue = string.match(raw, '^{"class":"[^"\\\\]*","queue":"([^"\\\\]*)",')
  if queue then return queue end
  local ok, job = pcall(cjson.decode, raw)
  if ok and type(job) == 'table' and type(job.queue) == 'string' then return job.queue end
end
local ns, now, limit, long = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local result = {''}
local function move(raw, s)
  redis.call('SREM', ns .. 'timestamps:' .. raw, 'delayed:' .. s)
  local queue = queueOf(raw)
  if queue then
    redis.call('RPUSH', ns .. 'queue:' .. queue, raw)
    wake(ns, queue, redis.call('SADD', KEYS[3], queue))
  else
    redis.call('RPUSH', KEYS[4], '{"worker":"scheduler","queue":"","payload":' .. json(raw) ..
      ',"exception":"Error","error":"unreadable job","backtrace":[],"failed_at":"' .. ARGV[5] .. '"}')
  end
  result[#result + 1] = s
  result[#result + 1] = raw
  limit = limit - 1
end
for _, s in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], 0, math.floor(now / 1000))) do
  local bucket = ns .. 'delayed:' .. s
  while limit > 0 do
    local raw = redis.call('LPOP', bucket)
    if not raw then break end
    redis.call('ZREM', KEYS[2], s .. ':' .. raw)
    move(raw, s)
  end
  -- emptied by the last job that may be moved: nobody may find a second without jobs
  if redis.call('EXISTS', bucket) == 0 then redis.call('ZREM', KEYS[1], s) end
  if limit <= 0 then break end
end
if limit > 0 then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], 0, now, 'LIMIT', 0, limit)) do
    local at = string.find(member, ':', 1, true)
    local s, raw = string.sub(member, 1, at - 1), string.sub(member, at + 1)
    local bucket = ns .. 'delayed:' .. s
    if redis.call('LLEN', bucket) <= long then
      redis.call('ZREM', KEYS[2], member)
      if redis.call('LREM', bucket, 1, raw) == 1 then move(raw, s) end
      if redis.call('LLEN', bucket) == 0 then redis.call('ZREM', KEYS[1], s) end
    end
  end
end
local due = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local second = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
local next = nil
if due then next = tonumber(due) end
if second and (not next or tonumber(second) * 1000 < next) then next = tonumber(second) * 1000 end
if next then result[1] = string.format('%.0f', next) end
return result
`);

/** @returns false when the same job is there at the same second */
export async function delayJob(
  connection: Connection,
  dueMs: number,
  job: string,
): Promise<boolean> {
  if (connection.embedded)
    return runExclusive(() => delayPlain(connection, dueMs, job));
  const second = Math.ceil(dueMs / 1000);
  const added = await runScript(
    connection.redis,
    DELAY_ONE,
    [
      connection.key("delayed_queue_schedule"),
      connection.key("timestamps", job),
      connection.key("delayed", second),
      connection.key("ah:due"),
      connection.key("ah:wake-scheduler"),
    ],
    [connection.namespacePrefix, second, dueMs, job],
  );
  return added === 1;
}

/** For use within another step. */
export async function delayPlain(
  connection: Connection,
  dueMs: number,
  job: string,
): Promise<boolean> {
  const { redis } = connection;
  const second = Math.ceil(dueMs / 1000);
  const bucket = `delayed:${second}`;
  if (!(await redis.sadd(connection.key("timestamps", job), bucket)))
    return false;
  await redis.rpush(connection.key(bucket), job);
  await redis.zadd(connection.key("delayed_queue_schedule"), second, second);
  await redis.zadd(connection.key("ah:due"), dueMs, `${second}:${job}`);
  embeddedWakeUps.tell();
  return true;
}

/** The same as commands; a job that is there at the same second is there twice then, never lost. */
export function delayCommands(
  connection: Connection,
  dueMs: number,
  job: string,
): Command[] {
  const due = Math.round(dueMs);
  const second = Math.ceil(due / 1000);
  const wakeList = connection.key("ah:wake-scheduler");
  return [
    ["SADD", connection.key("timestamps", job), `delayed:${second}`],
    ["RPUSH", connection.key("delayed", second), job],
    ["ZADD", connection.key("delayed_queue_schedule"), second, second],
    ["ZADD", connection.key("ah:due"), due, `${second}:${job}`],
    ["RPUSH", wakeList, "1"],
    ["LTRIM", wakeList, 0, 0],
  ];
}

// KEYS: timestamps:<job>, schedule, ah:due. ARGV: prefix, job. Returns the seconds it was due at.
// One step: the structures of resque agree. The buckets are known only from timestamps, so their keys are computed.
const REMOVE = defineScript(`
local ns, raw, result = ARGV[1], ARGV[2], {}
for _, member in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local second = string.match(member, '([^:]*)$')
  local bucket = ns .. 'delayed:' .. second
  if redis.call('LREM', bucket, 0, raw) > 0 then result[#result + 1] = second end
  if redis.call('LLEN', bucket) == 0 then redis.call('ZREM', KEYS[2], second) end
  redis.call('ZREM', KEYS[3], second .. ':' .. raw)
end
redis.call('DEL', KEYS[1])
return result
`);

/** @returns the seconds it was due at */
export async function removeDelayed(
  connection: Connection,
  job: string,
): Promise<number[]> {
  const { redis } = connection;
  const times = connection.key("timestamps", job);
  const schedule = connection.key("delayed_queue_schedule");
  const due = connection.key("ah:due");
  if (!connection.embedded) {
    const keys = [times, schedule, due];
    const args = [connection.namespacePrefix, job];
    const removed = await runScript(redis, REMOVE, keys, args);
    return (removed as string[]).map(Number);
  }
  return runExclusive(async () => {
    const seconds: number[] = [];
    for (const member of await redis.smembers(times)) {
      const second = member.slice(member.lastIndexOf(":") + 1);
      const bucket = connection.key("delayed", second);
      if ((await redis.lrem(bucket, 0, job)) > 0) seconds.push(Number(second));
      if ((await redis.llen(bucket)) === 0) await redis.zrem(schedule, second);
      await redis.zrem(due, `${second}:${job}`);
    }
    await redis.del(times);
    return seconds;
  });
}

export interface Promotion {
  /** When to look again, in ms since the epoch. */
  nextMs?: number;
  moved: { second: string; raw: string }[];
}

/** Move up to 500 due jobs to their queues. */
export async function promoteJobs(
  connection: Connection,
  nowMs: number,
): Promise<Promotion> {
  const reply = connection.embedded
    ? await runExclusive(() => promotePlain(connection, nowMs))
    : ((await runScript(
        connection.redis,
        PROMOTE,
        [
          connection.key("delayed_queue_schedule"),
          connection.key("ah:due"),
          connection.key("queues"),
          connection.key("failed"),
        ],
        [
          connection.namespacePrefix,
          nowMs,
          BATCH,
          LONG_BUCKET,
          new Date(nowMs).toString(),
        ],
      )) as string[]);
  const moved: Promotion["moved"] = [];
  for (let i = 1; i < reply.length; i += 2)
    moved.push({ second: reply[i]!, raw: reply[i + 1]! });
  return { nextMs: reply[0] ? Number(reply[0]) : undefined, moved };
}

async function promotePlain(
  connection: Connection,
  nowMs: number,
): Promise<string[]> {
  const { redis } = connection;
  const schedule = connection.key("delayed_queue_schedule");
  const dueKey = connection.key("ah:due");
  const result: string[] = [""];
  const due = await redis.zrangebyscore(dueKey, 0, nowMs, "LIMIT", 0, BATCH);
  for (const member of due) {
    const at = member.indexOf(":");
    const [second, raw] = [member.slice(0, at), member.slice(at + 1)];
    await redis.zrem(dueKey, member);
    if ((await redis.lrem(connection.key("delayed", second), 1, raw)) === 1)
      await movePlain(connection, second, raw, nowMs, result);
  }
  const seconds = await redis.zrangebyscore(
    schedule,
    0,
    Math.floor(nowMs / 1000),
  );
  for (const second of seconds) {
    let raw: string | null;
    while ((raw = await redis.lpop(connection.key("delayed", second)))) {
      await redis.zrem(dueKey, `${second}:${raw}`);
      await movePlain(connection, second, raw, nowMs, result);
    }
    await redis.zrem(schedule, second);
  }
  if (result.length > 1) embeddedWakeUps.tell();
  const next = [
    (await redis.zrange(dueKey, 0, 0, "WITHSCORES"))[1],
    (await redis.zrange(schedule, 0, 0)).map((s) => Number(s) * 1000)[0],
  ].filter((time) => time !== undefined);
  if (next.length > 0) result[0] = String(Math.min(...next.map(Number)));
  return result;
}

async function movePlain(
  connection: Connection,
  second: string,
  raw: string,
  nowMs: number,
  result: string[],
): Promise<void> {
  const { redis } = connection;
  await redis.srem(connection.key("timestamps", raw), `delayed:${second}`);
  const queue = queueOf(raw);
  if (queue === undefined) {
    await redis.rpush(
      connection.key("failed"),
      JSON.stringify({
        worker: "scheduler",
        queue: "",
        payload: raw,
        exception: "Error",
        error: "unreadable job",
        backtrace: [],
        failed_at: new Date(nowMs).toString(),
      }),
    );
  } else {
    await redis.sadd(connection.key("queues"), queue);
    await redis.rpush(connection.key("queue", queue), raw);
  }
  result.push(second, raw);
}

function queueOf(raw: string): string | undefined {
  try {
    const { queue } = JSON.parse(raw) as { queue?: unknown };
    return typeof queue === "string" ? queue : undefined;
  } catch {
    return undefined;
  }
}
