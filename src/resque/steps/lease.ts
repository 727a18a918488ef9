/** Steps: register a process and its workers, keep its lease, and give back what a dead one held. */
import { runExclusive } from "../../redis/engine";
import { defineScript, runScript } from "../../redis/script";
import { processToken, type Connection } from "../connection";
import {
  JSON_TEXT,
  RELEASE,
  releasePlain,
  REQUEUE,
  requeuePlain,
  WAKE,
} from "./lua";
import { openRecord } from "./take";

/** Deaths of workers that a job may cause before it counts as failed. */
const MAX_CRASHES = 2;
const CRASH_SECONDS = 3600;

/** One worker of a process, as it is listed in `workers`. */
export interface Member {
  name: string;
  /** `<name>:<queues>` */
  member: string;
  queues: string;
}

// KEYS: leases of processes, process. ARGV: id, ttl in ms, name of its connections ('' to renew).
// Returns {'1', ids whose lease is over...}; {'0'} when the process is not registered any more.
// By redis's clock: those of hosts differ, and jump. One step: nobody sees a process without its lease.
const HOLD = defineScript(`
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], 'call', '0', 'connection', ARGV[3])
elseif redis.call('EXISTS', KEYS[2]) == 0 then
  return {'0'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
local result = {'1'}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], 0, string.format('%.0f', now), 'LIMIT', 0, 20)) do
  result[#result + 1] = id
end
return result
`);

// KEYS: process, its members, owner of the member, workers, started, record
// ARGV: prefix, id, member, name, unix seconds
// Returns 'fenced', 'taken' when someone else works under this name, or 'joined'.
// One step: two processes cannot both get the name, and so never write the same record.
const JOIN = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 'fenced' end
local owner = redis.call('GET', KEYS[3])
if owner then
  if owner ~= ARGV[2] and redis.call('EXISTS', ARGV[1] .. 'ah:proc:' .. owner) == 1 then return 'taken' end
elseif redis.call('EXISTS', KEYS[6]) == 1 then
  return 'taken'
end
redis.call('SET', KEYS[3], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
redis.call('SADD', KEYS[4], ARGV[3])
redis.call('SET', KEYS[5], ARGV[5])
return 'joined'
`);

const GIVE_BACK = `
${WAKE}${REQUEUE}${RELEASE}${JSON_TEXT}
local function fail(ns, name, queue, raw, date)
  redis.call('INCR', ns .. 'stat:failed')
  redis.call('RPUSH', ns .. 'failed', '{"worker":' .. json(name) .. ',"queue":' .. json(queue) .. ',"payload":' .. raw ..
    ',"exception":"WorkerCrashed","error":"the worker died while it ran this job","backtrace":[],"failed_at":' .. json(date) .. '}')
end
local function giveBack(ns, id, member, name, isCrash, date)
  if redis.call('GET', ns .. 'ah:owner:' .. member) ~= id then return {'idle', member, '', ''} end
  local key = ns .. 'worker:' .. member
  local record = redis.call('GET', key)
  local result = {'idle', member, '', ''}
  if record then
    local at = string.find(record, ',"payload":', 1, true)
    local queue = cjson.decode(string.sub(record, 1, at - 1) .. '}').queue
    local raw = string.sub(record, at + 11, -2)
    local crashes = 0
    if isCrash then
      local counter = ns .. 'ah:crash:' .. redis.sha1hex(queue .. raw)
      crashes = redis.call('INCR', counter)
      redis.call('EXPIRE', counter, ${CRASH_SECONDS})
    end
    if crashes > ${MAX_CRASHES} then
      fail(ns, name, queue, raw, date)
      result = {'failed', member, queue, raw}
    else
      requeue(ns, queue, raw)
      result = {'requeued', member, queue, raw}
    end
  end
  local held = ns .. 'ah:held:' .. member
  local locks = redis.call('HGETALL', held)
  for i = 1, #locks, 2 do
    if redis.call('GET', locks[i]) == locks[i + 1] then redis.call('DEL', locks[i]) end
  end
  for _, class in ipairs(redis.call('SMEMBERS', ns .. 'ah:limits')) do release(ns, class, member) end
  redis.call('SREM', ns .. 'workers', member)
  redis.call('HDEL', ns .. 'ah:proc:' .. id .. ':members', member)
  redis.call('DEL', key, held, key .. ':started', ns .. 'ah:owner:' .. member, ns .. 'worker:ping:' .. name,
    ns .. 'stat:processed:' .. name, ns .. 'stat:failed:' .. name)
  return result
end
`;

// KEYS: workers. ARGV: prefix, id, member, name. Returns what, member, queue, job.
// One step: a worker that leaves has a job in its record or in the queue, never both. The queue is known only from the
// record, so its keys are computed.
const LEAVE = defineScript(`
${GIVE_BACK}
return giveBack(ARGV[1], ARGV[2], ARGV[3], ARGV[4], false, '')
`);

// KEYS: leases. ARGV: prefix, id, grace in ms, date.
// Returns what, member, queue and job per worker; nil when the lease is not over for so long.
// One step: the right to report goes in the step that gives the jobs back.
const REAP = defineScript(`
${GIVE_BACK}
local ns, id = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline = redis.call('ZSCORE', KEYS[1], id)
if not deadline or tonumber(deadline) + tonumber(ARGV[3]) > now then return false end
local result = {}
local members = redis.call('HGETALL', ns .. 'ah:proc:' .. id .. ':members')
for i = 1, #members, 2 do
  for _, part in ipairs(giveBack(ns, id, members[i], members[i + 1], true, ARGV[4])) do result[#result + 1] = part end
end
redis.call('ZREM', KEYS[1], id)
redis.call('DEL', ns .. 'ah:proc:' .. id, ns .. 'ah:proc:' .. id .. ':members')
return result
`);

/**
 * Register a process, or renew its lease.
 * @returns the ids whose lease is over; undefined when ours was taken
 */
export async function holdLease(
  connection: Connection,
  id: string,
  ttlMs: number,
  isNew: boolean,
): Promise<string[] | undefined> {
  const process = connection.key("ah:proc", id);
  if (connection.embedded) {
    // nobody dies alone inside one process, so there are no leases
    if (isNew) await connection.redis.hset(process, "call", "0");
    return (await connection.redis.exists(process)) === 1 ? [] : undefined;
  }
  const [held, ...over] = (await runScript(
    connection.redis,
    HOLD,
    [connection.key("ah:procs"), process],
    [id, ttlMs, isNew ? processToken : ""],
  )) as string[];
  return held === "1" ? over : undefined;
}

export async function joinProcess(
  connection: Connection,
  id: string,
  { member, name }: Member,
): Promise<"joined" | "taken" | "fenced"> {
  const process = connection.key("ah:proc", id);
  const owner = connection.key("ah:owner", member);
  const started = connection.key("worker", member, "started");
  const workers = connection.key("workers");
  const record = connection.key("worker", member);
  const seconds = Math.floor(Date.now() / 1000);
  if (!connection.embedded)
    return (await runScript(
      connection.redis,
      JOIN,
      [process, `${process}:members`, owner, workers, started, record],
      [connection.namespacePrefix, id, member, name, seconds],
    )) as "joined" | "taken" | "fenced";

  return runExclusive(async () => {
    const { redis } = connection;
    if (!(await redis.exists(process))) return "fenced";
    const other = await redis.get(owner);
    if (other && other !== id) {
      if (await redis.exists(connection.key("ah:proc", other))) return "taken";
    } else if (!other && (await redis.exists(record))) return "taken";
    await redis.set(owner, id);
    await redis.sadd(workers, member);
    await redis.set(started, seconds);
    return "joined";
  });
}

/** Say that the workers live, for tools of other kinds; the sign outlives its worker by no more than `ttlMs`. */
export async function ping(
  connection: Connection,
  members: readonly Member[],
  ttlMs: number,
): Promise<void> {
  const time = Math.floor(Date.now() / 1000);
  await Promise.all(
    members.map(({ name, queues }) =>
      connection.redis.set(
        connection.key("worker:ping", name),
        JSON.stringify({ time, name, queues }),
        "PX",
        ttlMs,
      ),
    ),
  );
}

/** What became of one worker: it had nothing, or its job went to the queue or to the failed list. */
export interface GivenBack {
  what: "idle" | "requeued" | "failed";
  member: string;
  queue: string;
  raw: string;
}

/** Take leave for one worker; a job that it still runs goes back to its queue. */
export async function leaveProcess(
  connection: Connection,
  id: string,
  { member, name }: Member,
): Promise<GivenBack> {
  if (connection.embedded)
    return runExclusive(() => leavePlain(connection, id, member, name));
  const reply = await runScript(
    connection.redis,
    LEAVE,
    [connection.key("workers")],
    [connection.namespacePrefix, id, member, name],
  );
  return givenBack(reply as string[])[0]!;
}

/** The end of a process whose workers have left. */
export async function endProcess(
  connection: Connection,
  id: string,
): Promise<void> {
  const process = connection.key("ah:proc", id);
  await connection.redis.del(process, `${process}:members`);
  await connection.redis.zrem(connection.key("ah:procs"), id);
}

/**
 * Take the registration of a process away and give its jobs back.
 * @param graceMs how long its lease must be over, in ms
 * @returns undefined when it is alive after all
 */
export async function reap(
  connection: Connection,
  id: string,
  graceMs: number,
): Promise<GivenBack[] | undefined> {
  const reply = await runScript(
    connection.redis,
    REAP,
    [connection.key("ah:procs")],
    [connection.namespacePrefix, id, graceMs, new Date().toString()],
  );
  return reply ? givenBack(reply as string[]) : undefined;
}

function givenBack(parts: string[]): GivenBack[] {
  const result: GivenBack[] = [];
  for (let i = 0; i < parts.length; i += 4) {
    const [what, member, queue, raw] = parts.slice(i, i + 4);
    result.push({ what, member, queue, raw } as GivenBack);
  }
  return result;
}

async function leavePlain(
  connection: Connection,
  id: string,
  member: string,
  name: string,
): Promise<GivenBack> {
  const { redis } = connection;
  const owner = connection.key("ah:owner", member);
  const result: GivenBack = { what: "idle", member, queue: "", raw: "" };
  if ((await redis.get(owner)) !== id) return result;
  const key = connection.key("worker", member);
  const record = await redis.get(key);
  if (record) {
    Object.assign(result, { what: "requeued", ...openRecord(record) });
    await requeuePlain(connection, result.queue, result.raw);
  }
  const held = connection.key("ah:held", member);
  for (const [lock, value] of Object.entries(await redis.hgetall(held)))
    if ((await redis.get(lock)) === value) await redis.del(lock);
  for (const limited of await redis.smembers(connection.key("ah:limits")))
    await releasePlain(connection, limited, member);
  await redis.srem(connection.key("workers"), member);
  await redis.del(
    key,
    held,
    `${key}:started`,
    owner,
    connection.key("worker:ping", name),
    connection.key("stat:processed", name),
    connection.key("stat:failed", name),
  );
  return result;
}
