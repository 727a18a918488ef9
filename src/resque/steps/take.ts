/** Step: report the finished jobs of a process and take its next ones. */
import { runExclusive } from "../../redis/engine";
import { defineScript, runScript } from "../../redis/script";
import type { Connection } from "../connection";
import {
  COMMANDS,
  flatten,
  RELEASE,
  REQUEUE,
  runPlain,
  WAKE,
  type Command,
} from "./lua";

/** What became of the last job; `retried` counts as a failure without an entry of the failed list. */
export type Outcome = (
  | { kind: "none" | "success" | "uncounted" | "retried" }
  | { kind: "failure"; payload: string }
) & {
  /** What holds together with it. */
  commands?: readonly Command[];
};

export const NO_OUTCOME: Outcome = { kind: "none" };

/** The keys and the head of the records of one worker. */
export interface Slot {
  name: string;
  record: string;
  processed: string;
  failed: string;
  head: string;
}

export interface SlotRequest {
  slot: Slot;
  outcome: Outcome;
  /** Take another job. */
  want: boolean;
}

export interface Taken {
  queue: string;
  raw: string;
}

export interface TakeCall {
  /** The registration of the process; without it nothing is reported or taken. */
  process: string;
  /** Grows by one per call, so that a repeated one changes nothing. */
  number: number;
  queues: readonly string[];
  slots: readonly SlotRequest[];
}

// KEYS: process, stat:processed, stat:failed, failed, queues..., wake lists..., then per slot record, stat:processed:<name>, stat:failed:<name>
// ARGV: prefix, call number, Q, run_at, quoted queue names..., then per slot outcome ('' none, 'p' success, 'n' uncounted,
//   'r' retried, else failed entry), want, record head, and flat commands
// Returns per slot the number of a queue and the job; 0 and '' for none; -2 and the record when the call is a repetition.
//   nil: the process is not registered (any more), or the call is older than the last one.
// One step: a job is in a queue or in a record, never in neither, and counted when its record goes. No wake-up is lost:
//   the tokens go in the step that sees the queues empty, and jobs that are left get one.
const TAKE = defineScript(`
${WAKE}${REQUEUE}${RELEASE}${COMMANDS}
local last = tonumber(redis.call('HGET', KEYS[1], 'call') or '-1')
local call = tonumber(ARGV[2])
if last == -1 or call < last then return false end
local ns, q = ARGV[1], tonumber(ARGV[3])
local reply = {}
local key, at = 5 + 2 * q, 5 + q
if call == last then
  while ARGV[at] do
    local record = false
    if ARGV[at + 1] == '1' then record = redis.call('GET', KEYS[key]) end
    reply[#reply + 1] = record and -2 or 0
    reply[#reply + 1] = record or ''
    at = at + 4
    for _ = 1, tonumber(ARGV[at - 1]) do at = at + 1 + tonumber(ARGV[at]) end
    key = key + 3
  end
  return reply
end
redis.call('HSET', KEYS[1], 'call', ARGV[2])
local processed, failed, first, wanted = 0, 0, 1, false
while ARGV[at] do
  local outcome, want = ARGV[at], ARGV[at + 1]
  if outcome == 'p' then
    processed = processed + 1
    redis.call('INCR', KEYS[key + 1])
  elseif outcome ~= '' and outcome ~= 'n' then
    failed = failed + 1
    redis.call('INCR', KEYS[key + 2])
    if outcome ~= 'r' then redis.call('RPUSH', KEYS[4], outcome) end
  end
  local raw = false
  if want == '1' then
    wanted = true
    while first <= q do
      raw = redis.call('LPOP', KEYS[4 + first])
      if raw then break end
      first = first + 1
    end
  end
  if raw then
    redis.call('SET', KEYS[key], ARGV[at + 2] .. ',"queue":' .. ARGV[4 + first] .. ',"run_at":' .. ARGV[4] .. ',"payload":' .. raw .. '}')
    reply[#reply + 1] = first
    reply[#reply + 1] = raw
  else
    if outcome ~= '' then redis.call('DEL', KEYS[key]) end
    reply[#reply + 1] = 0
    reply[#reply + 1] = ''
  end
  if ARGV[at + 3] == '0' then at = at + 4 else at = run(ns, ARGV, at + 3) end
  key = key + 3
end
if processed > 0 then redis.call('INCRBY', KEYS[2], processed) end
if failed > 0 then redis.call('INCRBY', KEYS[3], failed) end
if wanted then
  if first > q then
    for i = 1, q do
      if redis.call('LLEN', KEYS[4 + i]) == 0 then redis.call('DEL', KEYS[4 + q + i]) end
    end
  else
    for i = first, q do
      if redis.call('LLEN', KEYS[4 + i]) > 0 then
        if redis.call('LLEN', KEYS[4 + q + i]) == 0 then redis.call('RPUSH', KEYS[4 + q + i], '1') end
        break
      end
    end
  end
end
return reply
`);

/** @returns "fenced" when the process was taken for dead: its jobs are given back already */
export async function takeBatch(
  connection: Connection,
  call: TakeCall,
): Promise<"fenced" | (Taken | undefined)[]> {
  if (connection.embedded) return takePlain(connection, call);
  const { queues, slots } = call;
  const prefix = connection.namespacePrefix;
  const keys = [
    call.process,
    `${prefix}stat:processed`,
    `${prefix}stat:failed`,
    `${prefix}failed`,
  ];
  for (const queue of queues) keys.push(`${prefix}queue:${queue}`);
  for (const queue of queues) keys.push(`${prefix}ah:wake:${queue}`);
  const args = [prefix, call.number, queues.length, `"${runAt()}"`];
  for (const queue of queues) args.push(JSON.stringify(queue));
  for (const { slot, outcome, want } of slots) {
    keys.push(slot.record, slot.processed, slot.failed);
    args.push(encodeOutcome(outcome), want ? "1" : "", slot.head);
    if (outcome.commands) args.push(...flatten(outcome.commands));
    else args.push(0);
  }
  const reply = (await runScript(connection.redis, TAKE, keys, args)) as
    (number | string)[] | null;
  if (!reply) return "fenced";
  return slots.map((_, index) => {
    const number = reply[2 * index] as number;
    const text = reply[2 * index + 1] as string;
    if (number === 0) return undefined;
    if (number === -2) return openRecord(text);
    return { queue: queues[number - 1]!, raw: text };
  });
}

const CODES = { none: "", success: "p", uncounted: "n", retried: "r" };

function encodeOutcome(outcome: Outcome): string {
  return outcome.kind === "failure" ? outcome.payload : CODES[outcome.kind];
}

let runAtText = "";
let runAtSecond = 0;

/** Dates of resque have whole seconds, so the text is made once per second. */
function runAt(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== runAtSecond) {
    runAtSecond = second;
    runAtText = new Date(second * 1000).toString();
  }
  return runAtText;
}

/** The job's text stands last in a record, so that it can be cut out byte for byte. */
export function openRecord(record: string): Taken {
  const at = record.indexOf(',"payload":');
  const head = JSON.parse(`${record.slice(0, at)}}`) as { queue: string };
  return { queue: head.queue, raw: record.slice(at + 11, -1) };
}

async function takePlain(
  connection: Connection,
  call: TakeCall,
): Promise<"fenced" | (Taken | undefined)[]> {
  if (!(await connection.redis.hexists(call.process, "call"))) return "fenced";
  const replies: (Taken | undefined)[] = [];
  for (const request of call.slots)
    replies.push(
      await runExclusive(() => takeOnePlain(connection, call.queues, request)),
    );
  return replies;
}

async function takeOnePlain(
  connection: Connection,
  queues: readonly string[],
  { slot, outcome, want }: SlotRequest,
): Promise<Taken | undefined> {
  const { redis } = connection;
  if (outcome.kind === "success") {
    await redis.incr(connection.key("stat:processed"));
    await redis.incr(slot.processed);
  } else if (outcome.kind === "failure" || outcome.kind === "retried") {
    await redis.incr(connection.key("stat:failed"));
    await redis.incr(slot.failed);
    if (outcome.kind === "failure")
      await redis.rpush(connection.key("failed"), outcome.payload);
  }
  const taken = want ? await popPlain(connection, queues, slot) : undefined;
  if (!taken && outcome.kind !== "none") await redis.del(slot.record);
  if (outcome.commands) await runPlain(connection, outcome.commands);
  return taken;
}

async function popPlain(
  connection: Connection,
  queues: readonly string[],
  slot: Slot,
): Promise<Taken | undefined> {
  for (const queue of queues) {
    const raw = await connection.redis.lpop(connection.key("queue", queue));
    if (!raw) continue;
    await connection.redis.set(
      slot.record,
      `${slot.head},"queue":${JSON.stringify(queue)},"run_at":"${runAt()}","payload":${raw}}`,
    );
    return { queue, raw };
  }
  return undefined;
}
