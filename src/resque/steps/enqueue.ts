/** Step: add jobs to a queue and wake workers. */
import { runExclusive } from "../../redis/engine";
import { defineScript, runScript } from "../../redis/script";
import type { Connection } from "../connection";
import { embeddedWakeUps } from "../wakeUps";
import { MAX_TOKENS, WAKE } from "./lua";

/** Jobs in one call: the arguments of a Lua call are limited. */
const BATCH = 1000;

// KEYS: queues, queue, wake list, wake list of workers on all queues. ARGV: queue name, jobs...
// Returns nothing. One step: the queue is known whenever it has jobs, and no job is without a token.
const ENQUEUE = defineScript(`
local fresh = redis.call('SADD', KEYS[1], ARGV[1])
redis.call('RPUSH', KEYS[2], unpack(ARGV, 2))
local free = ${MAX_TOKENS} - redis.call('LLEN', KEYS[3])
for i = 1, math.min(free, #ARGV - 1) do redis.call('RPUSH', KEYS[3], '1') end
if fresh == 1 and redis.call('LLEN', KEYS[4]) < ${MAX_TOKENS} then redis.call('RPUSH', KEYS[4], '1') end
`);

export async function enqueueJobs(
  connection: Connection,
  queue: string,
  jobs: readonly string[],
): Promise<void> {
  for (let start = 0; start < jobs.length; start += BATCH) {
    const batch =
      jobs.length <= BATCH ? jobs : jobs.slice(start, start + BATCH);
    if (connection.embedded)
      await runExclusive(() => enqueuePlain(connection, queue, batch));
    else
      await runScript(
        connection.redis,
        ENQUEUE,
        [
          connection.key("queues"),
          connection.key("queue", queue),
          connection.key("ah:wake", queue),
          connection.key("ah:wake-any"),
        ],
        [queue, ...batch],
      );
  }
}

// KEYS: failed, queues, queue, wake list. ARGV: entry, queue name, job, prefix. Returns 1; 0 when the entry is not there.
// One step: the job is in the list or in the queue.
const RETRY = defineScript(`
${WAKE}
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[3], ARGV[3])
wake(ARGV[4], ARGV[2], redis.call('SADD', KEYS[2], ARGV[2]))
return 1
`);

/** @returns false when the entry is not in the failed list */
export async function retryJob(
  connection: Connection,
  entry: string,
  queue: string,
  job: string,
): Promise<boolean> {
  const failed = connection.key("failed");
  if (connection.embedded)
    return runExclusive(async () => {
      if ((await connection.redis.lrem(failed, 1, entry)) === 0) return false;
      await enqueuePlain(connection, queue, [job]);
      return true;
    });
  const reply = await runScript(
    connection.redis,
    RETRY,
    [
      failed,
      connection.key("queues"),
      connection.key("queue", queue),
      connection.key("ah:wake", queue),
    ],
    [entry, queue, job, connection.namespacePrefix],
  );
  return reply === 1;
}

/** For use within another step. */
export async function enqueuePlain(
  connection: Connection,
  queue: string,
  jobs: readonly string[],
): Promise<void> {
  await connection.redis.sadd(connection.key("queues"), queue);
  await connection.redis.rpush(connection.key("queue", queue), ...jobs);
  embeddedWakeUps.tell();
}
