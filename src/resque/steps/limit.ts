/** Steps: jobs of one class run in a limited number of places; the others wait for theirs. */
import { runExclusive } from "../../redis/engine";
import { defineScript, runScript } from "../../redis/script";
import type { Connection } from "../connection";
import type { ParsedJob } from "../types";
import type { Worker } from "../worker";
import { parkedEntry, RELEASE, REQUEUE, unparkPlain, WAKE } from "./lua";

// KEYS: owner of the member, places taken, jobs that wait, limited classes, record
// ARGV: prefix, member, places, waiting job, class, process
// Returns 1 when the job may run, 0 when it waits now, -1 when it is not ours any more.
// One step: the job is in the record or waits, and never more than the places are taken.
const PLACE = defineScript(`
${WAKE}${REQUEUE}${RELEASE}
if redis.call('GET', KEYS[1]) ~= ARGV[6] then return -1 end
if redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 1 then return 1 end
if redis.call('EXISTS', KEYS[5]) == 0 then return 0 end
redis.call('SADD', KEYS[4], ARGV[5])
local free = tonumber(ARGV[3]) - redis.call('SCARD', KEYS[2])
if free > 0 then
  redis.call('SADD', KEYS[2], ARGV[2])
  if free > 1 then unpark(ARGV[1], ARGV[5]) end
  return 1
end
redis.call('RPUSH', KEYS[3], ARGV[4])
redis.call('DEL', KEYS[5])
return 0
`);

// KEYS: limited classes. ARGV: prefix.
// Places of workers that are gone are freed, and a class whose jobs only wait, e.g. because the one that was called was
// deleted, gets one called. Classes are known only from the set, so their keys are computed.
const SWEEP = defineScript(`
${WAKE}${REQUEUE}${RELEASE}
local ns = ARGV[1]
for _, class in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local places = ns .. 'ah:limit:' .. class
  for _, member in ipairs(redis.call('SMEMBERS', places)) do
    if redis.call('EXISTS', ns .. 'ah:owner:' .. member) == 0 then release(ns, class, member) end
  end
  if redis.call('SCARD', places) == 0 then unpark(ns, class) end
end
`);

/** @returns false when the job waits for a place elsewhere, or was given back */
export async function takePlace(
  worker: Worker,
  places: number,
  { class: jobClass }: ParsedJob,
  raw: string,
): Promise<boolean> {
  const { connection, member, registration } = worker;
  const owner = connection.key("ah:owner", member);
  const taken = connection.key("ah:limit", jobClass);
  const parked = connection.key("ah:parked", jobClass);
  const limited = connection.key("ah:limits");
  const record = connection.key("worker", member);
  const entry = parkedEntry(worker.queue, raw);
  if (!connection.embedded) {
    const reply = await runScript(
      connection.redis,
      PLACE,
      [owner, taken, parked, limited, record],
      [
        connection.namespacePrefix,
        member,
        places,
        entry,
        jobClass,
        registration,
      ],
    );
    return reply === 1;
  }
  return runExclusive(async () => {
    const { redis } = connection;
    await redis.sadd(limited, jobClass);
    if ((await redis.scard(taken)) < places) {
      await redis.sadd(taken, member);
      return true;
    }
    await redis.rpush(parked, entry);
    await redis.del(record);
    return false;
  });
}

/** Free the places of the dead, and call a job where all only wait. */
export async function sweepPlaces(connection: Connection): Promise<void> {
  const limited = connection.key("ah:limits");
  if (!connection.embedded) {
    const { redis, namespacePrefix } = connection;
    await runScript(redis, SWEEP, [limited], [namespacePrefix]);
    return;
  }
  await runExclusive(async () => {
    const { redis } = connection;
    for (const jobClass of await redis.smembers(limited))
      if ((await redis.scard(connection.key("ah:limit", jobClass))) === 0)
        await unparkPlain(connection, jobClass);
  });
}
