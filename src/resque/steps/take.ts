/** Step: report the finished job of a worker and take its next one. */
import { runExclusive } from "../../redis/engine";
import { defineScript, runScript } from "../../redis/script";
import type { Connection } from "../connection";

/** What became of the last job: none, success, ended without being counted, or its entry of the failed list. */
export type Outcome =
  | { kind: "none" | "success" | "uncounted" }
  | { kind: "failure"; payload: string };

export interface TakeRequest {
  name: string;
  member: string;
  /** Shows that the worker still owns its registration. */
  token: string;
  /** Grows by one per request, so that a repeated request changes nothing. */
  call: number;
  outcome: Outcome;
  /** Take another job. */
  want: boolean;
  queues: readonly string[];
  /** The worker listens to queues that are new, too. */
  any: boolean;
}

/** `fenced`: the worker was taken for dead and its job is given back already. */
export type TakeReply = "fenced" | { queue: string; raw: string } | undefined;

// KEYS: owner, record, stat:processed, stat:failed, failed, stat:processed:<name>, stat:failed:<name>, queues..., wake lists...
// ARGV: token, call, outcome ('' none, 'p' success, 'n' uncounted, else failed entry), want, record head, run_at, Q, quoted queue names...
// Returns {-1} fenced, {0} nothing, {i, job} from queue i, {-2, record} when the call is a repetition.
// One step: a job is in a queue or in a record, never in neither, and counted when its record goes. No wake-up is lost:
// the tokens go in the step that sees the queues empty.
const TAKE = defineScript(`
local held = redis.call('HMGET', KEYS[1], 'token', 'call')
if held[1] ~= ARGV[1] then return {-1} end
if held[2] == ARGV[2] then
  local record = redis.call('GET', KEYS[2])
  if record then return {-2, record} end
  return {0}
end
redis.call('HSET', KEYS[1], 'call', ARGV[2])
local outcome = ARGV[3]
if outcome == 'p' then
  redis.call('INCR', KEYS[3])
  redis.call('INCR', KEYS[6])
elseif outcome ~= '' and outcome ~= 'n' then
  redis.call('INCR', KEYS[4])
  redis.call('INCR', KEYS[7])
  redis.call('RPUSH', KEYS[5], outcome)
end
local q = tonumber(ARGV[7])
if ARGV[4] == '1' then
  for i = 1, q do
    local raw = redis.call('LPOP', KEYS[7 + i])
    if raw then
      redis.call('SET', KEYS[2], ARGV[5] .. ',"queue":' .. ARGV[7 + i] .. ',"run_at":' .. ARGV[6] .. ',"payload":' .. raw .. '}')
      local wake = KEYS[7 + q + i]
      if redis.call('LLEN', KEYS[7 + i]) > 0 and redis.call('LLEN', wake) == 0 then redis.call('RPUSH', wake, '1') end
      return {i, raw}
    end
  end
  for i = 8 + q, #KEYS do redis.call('DEL', KEYS[i]) end
end
if outcome ~= '' then redis.call('DEL', KEYS[2]) end
return {0}
`);

export async function finishAndTake(
  connection: Connection,
  request: TakeRequest,
): Promise<TakeReply> {
  if (connection.embedded) return takePlain(connection, request);
  const { name, member, queues } = request;
  const wakes = queues.map((queue) => connection.key("ah:wake", queue));
  if (request.any) wakes.push(connection.key("ah:wake-any"));
  const [index, text] = (await runScript(
    connection.redis,
    TAKE,
    [
      connection.key("ah:owner", member),
      connection.key("worker", member),
      connection.key("stat:processed"),
      connection.key("stat:failed"),
      connection.key("failed"),
      connection.key("stat:processed", name),
      connection.key("stat:failed", name),
      ...queues.map((queue) => connection.key("queue", queue)),
      ...wakes,
    ],
    [
      request.token,
      request.call,
      encodeOutcome(request.outcome),
      request.want ? "1" : "",
      `{"worker":${JSON.stringify(name)}`,
      JSON.stringify(new Date().toString()),
      queues.length,
      ...queues.map((queue) => JSON.stringify(queue)),
    ],
  )) as [number, string];
  if (index === -1) return "fenced";
  if (index === -2) return openRecord(text);
  return index === 0 ? undefined : { queue: queues[index - 1]!, raw: text };
}

function encodeOutcome(outcome: Outcome): string {
  if (outcome.kind === "failure") return outcome.payload;
  return { none: "", success: "p", uncounted: "n" }[outcome.kind];
}

/** The job's text stands last in a record, so that it can be cut out byte for byte. */
export function openRecord(record: string): { queue: string; raw: string } {
  const at = record.indexOf(',"payload":');
  const head = JSON.parse(`${record.slice(0, at)}}`) as { queue: string };
  return { queue: head.queue, raw: record.slice(at + 11, -1) };
}

async function takePlain(
  connection: Connection,
  request: TakeRequest,
): Promise<TakeReply> {
  const { redis } = connection;
  const { name, member, outcome } = request;
  const record = connection.key("worker", member);
  const held = await redis.hget(connection.key("ah:owner", member), "token");
  if (held !== request.token) return "fenced";

  if (outcome.kind === "success") {
    await redis.incr(connection.key("stat:processed"));
    await redis.incr(connection.key("stat:processed", name));
  } else if (outcome.kind === "failure") {
    await redis.incr(connection.key("stat:failed"));
    await redis.incr(connection.key("stat:failed", name));
    await redis.rpush(connection.key("failed"), outcome.payload);
  }
  const taken = request.want
    ? await runExclusive(() => popPlain(connection, request, record))
    : undefined;
  if (!taken && outcome.kind !== "none") await redis.del(record);
  return taken;
}

async function popPlain(
  connection: Connection,
  { name, queues }: TakeRequest,
  record: string,
): Promise<TakeReply> {
  for (const queue of queues) {
    const raw = await connection.redis.lpop(connection.key("queue", queue));
    if (!raw) continue;
    const head = JSON.stringify({
      worker: name,
      queue,
      run_at: new Date().toString(),
    });
    await connection.redis.set(
      record,
      `${head.slice(0, -1)},"payload":${raw}}`,
    );
    return { queue, raw };
  }
  return undefined;
}
