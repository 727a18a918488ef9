/** Step: enqueue a job unless the same one is queued, delayed, waiting for a place, or running. */
import { runExclusive } from "../../redis/engine";
import { defineScript, runScript } from "../../redis/script";
import type { Connection } from "../connection";
import { DELAY, delayPlain } from "./delay";
import { enqueuePlain } from "./enqueue";
import { parkedEntry, WAKE } from "./lua";

/** Locks are checked against what is there; this only clears those of classes that are gone, in s. */
export const LOCK_SECONDS = 30 * 86_400;
/** How far a list is searched; a job in a longer one is believed to be there. */
const SEARCH_LENGTH = 10_000;

// KEYS: lock, queues, queue, workers. ARGV: prefix, queue, class, job, seconds, s and due in ms of a delayed job (or '')
// Returns 1, 0 when the same job is there, -1 when it is there at that second without a lock.
// One step: a crash cannot leave a lock without a job, and two producers cannot both see none. Where the job of a lock
// is, is known only from the lock, so its keys are computed.
const UNIQUE = defineScript(`
${WAKE}${DELAY}
local ns, queue, raw = ARGV[1], ARGV[2], ARGV[4]
local function isIn(list, item)
  local found = redis.call('LPOS', list, item, 'RANK', -1, 'MAXLEN', ${SEARCH_LENGTH})
  return found or redis.call('LLEN', list) > ${SEARCH_LENGTH}
end
local function isThere(held)
  if redis.call('SCARD', ns .. 'timestamps:' .. held) > 0 then return true end
  if isIn(KEYS[3], held) then return true end
  if isIn(ns .. 'ah:parked:' .. ARGV[3], #queue .. ':' .. queue .. held) then return true end
  local tail = ',"payload":' .. held .. '}'
  for _, member in ipairs(redis.call('SMEMBERS', KEYS[4])) do
    local record = redis.call('GET', ns .. 'worker:' .. member)
    if record and string.sub(record, -#tail) == tail then return true end
  end
  return false
end
local held = redis.call('GET', KEYS[1])
if held and isThere(held) then return 0 end
if ARGV[6] == '' then
  redis.call('RPUSH', KEYS[3], raw)
  wake(ns, queue, redis.call('SADD', KEYS[2], queue))
elseif delay(ns, ARGV[6], ARGV[7], raw) == 0 then
  return -1
end
redis.call('SET', KEYS[1], raw, 'EX', ARGV[5])
return 1
`);

export interface UniqueJob {
  lock: string;
  queue: string;
  class: string;
  raw: string;
  /** For a delayed job, in ms since the epoch. */
  dueMs?: number;
}

/** `held`: the same job is there. `duplicate`: it is delayed to the same second, by someone who sets no lock. */
export async function enqueueUnique(
  connection: Connection,
  job: UniqueJob,
): Promise<"added" | "held" | "duplicate"> {
  if (connection.embedded)
    return runExclusive(() => uniquePlain(connection, job));
  const { lock, queue, raw, dueMs } = job;
  const reply = await runScript(
    connection.redis,
    UNIQUE,
    [
      lock,
      connection.key("queues"),
      connection.key("queue", queue),
      connection.key("workers"),
    ],
    [
      connection.namespacePrefix,
      queue,
      job.class,
      raw,
      LOCK_SECONDS,
      dueMs === undefined ? "" : Math.ceil(dueMs / 1000),
      dueMs ?? "",
    ],
  );
  if (reply === 1) return "added";
  return reply === 0 ? "held" : "duplicate";
}

async function uniquePlain(
  connection: Connection,
  job: UniqueJob,
): Promise<"added" | "held" | "duplicate"> {
  const { redis } = connection;
  const { lock, queue, raw, dueMs } = job;
  const held = await redis.get(lock);
  if (held !== null && (await isTherePlain(connection, job, held)))
    return "held";
  if (dueMs === undefined) await enqueuePlain(connection, queue, [raw]);
  else if (!(await delayPlain(connection, dueMs, raw))) return "duplicate";
  await redis.set(lock, raw, "EX", LOCK_SECONDS);
  return "added";
}

async function isTherePlain(
  connection: Connection,
  { queue, class: jobClass }: UniqueJob,
  held: string,
): Promise<boolean> {
  const { redis } = connection;
  if ((await redis.scard(connection.key("timestamps", held))) > 0) return true;
  const isIn = async (list: string, item: string) =>
    (await redis.lrange(list, -SEARCH_LENGTH, -1)).includes(item) ||
    (await redis.llen(list)) > SEARCH_LENGTH;
  if (await isIn(connection.key("queue", queue), held)) return true;
  const parked = connection.key("ah:parked", jobClass);
  if (await isIn(parked, parkedEntry(queue, held))) return true;
  for (const member of await redis.smembers(connection.key("workers"))) {
    const record = await redis.get(connection.key("worker", member));
    if (record?.endsWith(`,"payload":${held}}`)) return true;
  }
  return false;
}
