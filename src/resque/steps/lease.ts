/** Steps: register a worker, keep its lease, and give back what a dead one held. */
import { runExclusive } from "../../redis/engine";
import { defineScript, runScript } from "../../redis/script";
import { processToken, type Connection } from "../connection";
import { embeddedWakeUps } from "../wakeUps";
import { openRecord } from "./take";

/** Deaths of workers that a job may cause before it counts as failed. */
const MAX_CRASHES = 2;

export interface Lease {
  name: string;
  member: string;
  queues: string;
  token: string;
  /** How long a worker counts as alive without a sign, in ms. */
  ttlMs: number;
}

// KEYS: owner, leases, workers, started, ping
// ARGV: token, member, ttl in ms, unix seconds, ping, connection name ('' to renew)
// Returns {1, members whose lease is over...}; {0} when the lease is no longer ours. By redis's clock: those of hosts differ.
// One step: nobody sees a worker without its lease.
const HOLD = defineScript(`
if ARGV[6] == '' then
  if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return {'0'} end
else
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'token', ARGV[1], 'call', '0', 'connection', ARGV[6])
  redis.call('SADD', KEYS[3], ARGV[2])
  redis.call('SET', KEYS[4], ARGV[4])
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[2])
redis.call('SET', KEYS[5], ARGV[5], 'PX', ARGV[3])
local result = {'1'}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], 0, string.format('%.0f', now), 'LIMIT', 0, 20)) do
  result[#result + 1] = member
end
return result
`);

// KEYS: leases, owner, record, workers, failed, stat:failed, held locks, started, ping, stat:processed:<name>, stat:failed:<name>
// ARGV: prefix, member, grace in ms ('' gives back at once, by the owner of the token), token, most crashes, date, name
// Returns {what, queue, job}: what is 'alive', 'idle', 'requeued' or 'failed'.
// One step: the right to report goes in the step that gives the job back, so it is never both. The queue is known only
// from the record, so its keys are computed.
const REAP = defineScript(`
if ARGV[3] ~= '' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local deadline = redis.call('ZSCORE', KEYS[1], ARGV[2])
  if not deadline or tonumber(deadline) + tonumber(ARGV[3]) > now then return {'alive'} end
elseif redis.call('HGET', KEYS[2], 'token') ~= ARGV[4] then
  return {'alive'}
end
local record = redis.call('GET', KEYS[3])
local result = {'idle'}
if record then
  local at = string.find(record, ',"payload":', 1, true)
  local queue = cjson.decode(string.sub(record, 1, at - 1) .. '}').queue
  local raw = string.sub(record, at + 11, -2)
  local crashes = 0
  if ARGV[3] ~= '' then
    local counter = ARGV[1] .. 'ah:crash:' .. redis.sha1hex(queue .. raw)
    crashes = redis.call('INCR', counter)
    redis.call('EXPIRE', counter, 3600)
  end
  if crashes > tonumber(ARGV[5]) then
    redis.call('INCR', KEYS[6])
    redis.call('RPUSH', KEYS[5], '{"worker":' .. cjson.encode(ARGV[7]) .. ',"queue":' .. cjson.encode(queue) .. ',"payload":' .. raw ..
      ',"exception":"WorkerCrashed","error":"the worker died while it ran this job","backtrace":[],"failed_at":' .. cjson.encode(ARGV[6]) .. '}')
    result = {'failed', queue, raw}
  else
    redis.call('LPUSH', ARGV[1] .. 'queue:' .. queue, raw)
    redis.call('SADD', ARGV[1] .. 'queues', queue)
    redis.call('RPUSH', ARGV[1] .. 'ah:wake:' .. queue, '1')
    result = {'requeued', queue, raw}
  end
end
local held = redis.call('HGETALL', KEYS[7])
for i = 1, #held, 2 do
  if redis.call('GET', held[i]) == held[i + 1] then redis.call('DEL', held[i]) end
end
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('SREM', KEYS[4], ARGV[2])
redis.call('DEL', KEYS[2], KEYS[3], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11])
return result
`);

/**
 * Register a worker, or renew its lease.
 * @returns the members whose lease is over; undefined when ours was taken
 */
export async function holdLease(
  connection: Connection,
  lease: Lease,
  isNew: boolean,
): Promise<string[] | undefined> {
  const seconds = Math.floor(Date.now() / 1000);
  const ping = JSON.stringify({
    time: seconds,
    name: lease.name,
    queues: lease.queues,
  });
  if (connection.embedded) return holdPlain(connection, lease, isNew, ping);
  const [held, ...over] = (await runScript(
    connection.redis,
    HOLD,
    [
      connection.key("ah:owner", lease.member),
      connection.key("ah:leases"),
      connection.key("workers"),
      connection.key("worker", lease.member, "started"),
      connection.key("worker:ping", lease.name),
    ],
    [
      lease.token,
      lease.member,
      lease.ttlMs,
      seconds,
      ping,
      isNew ? processToken : "",
    ],
  )) as string[];
  return held === "1" ? over : undefined;
}

async function holdPlain(
  connection: Connection,
  { member, name, token }: Lease,
  isNew: boolean,
  ping: string,
): Promise<string[] | undefined> {
  const { redis } = connection;
  const owner = connection.key("ah:owner", member);
  if (!isNew && (await redis.hget(owner, "token")) !== token) return undefined;
  if (isNew) {
    await redis.hset(owner, "token", token);
    await redis.sadd(connection.key("workers"), member);
    await redis.set(
      connection.key("worker", member, "started"),
      Math.floor(Date.now() / 1000),
    );
  }
  await redis.set(connection.key("worker:ping", name), ping);
  return [];
}

export type Reaped =
  | { what: "alive" | "idle" }
  | { what: "requeued" | "failed"; queue: string; raw: string };

/**
 * Take a registration away and give its job back.
 * @param token of the worker that leaves by itself
 * @param graceMs for others: how long its lease must be over
 */
export async function reap(
  connection: Connection,
  member: string,
  by: { token: string } | { graceMs: number },
): Promise<Reaped> {
  const name = member.split(":").slice(0, 2).join(":");
  if (connection.embedded)
    return runExclusive(() => reapPlain(connection, member, name, by));
  const [what, queue, raw] = (await runScript(
    connection.redis,
    REAP,
    [
      connection.key("ah:leases"),
      connection.key("ah:owner", member),
      connection.key("worker", member),
      connection.key("workers"),
      connection.key("failed"),
      connection.key("stat:failed"),
      connection.key("ah:held", member),
      connection.key("worker", member, "started"),
      connection.key("worker:ping", name),
      connection.key("stat:processed", name),
      connection.key("stat:failed", name),
    ],
    [
      connection.namespacePrefix,
      member,
      "graceMs" in by ? by.graceMs : "",
      "token" in by ? by.token : "",
      MAX_CRASHES,
      new Date().toString(),
      name,
    ],
  )) as string[];
  return { what, queue, raw } as Reaped;
}

async function reapPlain(
  connection: Connection,
  member: string,
  name: string,
  by: { token: string } | { graceMs: number },
): Promise<Reaped> {
  const { redis } = connection;
  const owner = connection.key("ah:owner", member);
  // nobody dies alone inside one process, so only the owner itself can leave
  if (!("token" in by) || (await redis.hget(owner, "token")) !== by.token)
    return { what: "alive" };
  const record = await redis.get(connection.key("worker", member));
  let reaped: Reaped = { what: "idle" };
  if (record) {
    const { queue, raw } = openRecord(record);
    await redis.lpush(connection.key("queue", queue), raw);
    await redis.sadd(connection.key("queues"), queue);
    reaped = { what: "requeued", queue, raw };
    embeddedWakeUps.emit("added");
  }
  const heldKey = connection.key("ah:held", member);
  for (const [lock, value] of Object.entries(await redis.hgetall(heldKey)))
    if ((await redis.get(lock)) === value) await redis.del(lock);
  await redis.srem(connection.key("workers"), member);
  await redis.del(
    owner,
    heldKey,
    connection.key("worker", member),
    connection.key("worker", member, "started"),
    connection.key("worker:ping", name),
    connection.key("stat:processed", name),
    connection.key("stat:failed", name),
  );
  return reaped;
}

/** The members among `members` whose process has no connection to redis. */
export async function withoutConnection(
  connection: Connection,
  members: readonly string[],
): Promise<string[]> {
  if (members.length === 0) return [];
  const clients = String(await connection.redis.client("LIST"));
  const gone: string[] = [];
  for (const member of members) {
    const name = await connection.redis.hget(
      connection.key("ah:owner", member),
      "connection",
    );
    if (!name || !clients.includes(`name=${name} `)) gone.push(member);
  }
  return gone;
}
