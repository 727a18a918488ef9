/** Step: add jobs to a queue and wake workers. */
import { defineScript, runScript } from "../../redis/script";
import type { Connection } from "../connection";
import { embeddedWakeUps } from "../wakeUps";

/** Wake tokens that a list holds at most; more would only wake workers for nothing. */
export const MAX_TOKENS = 32;
/** Jobs in one call: the arguments of a Lua call are limited. */
const BATCH = 1000;

// KEYS: queues, queue, wake list, wake list of workers on all queues
// ARGV: queue name, most tokens, jobs...
// Returns nothing. One step: the queue is known whenever it has jobs, and no job is without a token.
const ENQUEUE = defineScript(`
local fresh = redis.call('SADD', KEYS[1], ARGV[1])
redis.call('RPUSH', KEYS[2], unpack(ARGV, 3))
local free = tonumber(ARGV[2]) - redis.call('LLEN', KEYS[3])
for i = 1, math.min(free, #ARGV - 2) do redis.call('RPUSH', KEYS[3], '1') end
if fresh == 1 and redis.call('LLEN', KEYS[4]) < tonumber(ARGV[2]) then redis.call('RPUSH', KEYS[4], '1') end
`);

export async function enqueueJobs(
  connection: Connection,
  queue: string,
  jobs: readonly string[],
): Promise<void> {
  for (let start = 0; start < jobs.length; start += BATCH) {
    const batch = jobs.slice(start, start + BATCH);
    if (connection.embedded) await enqueuePlain(connection, queue, batch);
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
        [queue, MAX_TOKENS, ...batch],
      );
  }
}

async function enqueuePlain(
  connection: Connection,
  queue: string,
  jobs: string[],
): Promise<void> {
  await connection.redis.sadd(connection.key("queues"), queue);
  await connection.redis.rpush(connection.key("queue", queue), ...jobs);
  embeddedWakeUps.emit("added");
}
