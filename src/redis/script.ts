/** Lua scripts, sent by their hash. */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";

/** A script with the hash that redis knows it by. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
  /** Created by `defineTimed`: it has a deadline, but does not record operation ids. */
  readonly isTimed: boolean;
}

/** Prepare a script; its text documents KEYS, ARGV, the result and why it is atomic. */
export function defineScript(lua: string, isTimed = false): Script {
  const sha = createHash("sha1").update(lua).digest("hex");
  return { lua, sha, isTimed };
}

/** Run a script in one round trip; if redis does not know it yet, its text is sent. */
export function runScript(
  client: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  return client
    .evalsha(script.sha, `${keys.length}`, ...keys, ...args)
    .catch((error: Error) => {
      if (!error.message.startsWith("NOSCRIPT")) throw error;
      return client.eval(script.lua, keys.length, ...keys, ...args);
    });
}

// --- The frame of scripts that write: it refuses calls after their deadline, and replies to a repetition without
// running it again. ARGV: prefix, name of the caller's calls or '', number of the call, lowest number that the
// caller still waits for, deadline in ms of this clock, how long to remember in ms; the script's own arguments
// follow, from `ARG` on.
//
// `<prefix>ah:ops:<name>` is a bitmap of the calls that took effect. A caller takes a new name after `CALLS_PER_NAME`
// calls. Nearly all replies are 1; the others are kept in `<prefix>ah:ops:<name>:replies` while the caller waits for
// one of them. Both keys expire when a repetition of the last call would miss its deadline.
//
// A call without a name has a deadline only: to run it twice changes nothing.
//
// Returns the time when the reply is 1, the negative time when the call is refused, else time and reply.

/**
 * The time of all scripts, in ms, and the end of keys. A test may give others, which define the same two functions:
 * `now()`, and `expire(key, ms)`.
 */
export const REDIS_CLOCK = `
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function expire(key, ms) redis.call('PEXPIRE', key, ms) end
`;

/** Index of the first argument of the script itself. */
export const ARG = 7;

/** The script's own arguments. */
export const [A, B, C, D, E, F, G, H, I] = Array.from(
  { length: 9 },
  (_, index) => `ARGV[${ARG + index}]`,
);

/** One bit each: a name has 1 KB. */
export const CALLS_PER_NAME = 8192;

/**
 * @param functions Lua that `body` needs; each function that a script defines costs it some 0.2 us
 * @param body Lua that returns something other than nil; `ns` is the prefix, `time` the time in ms
 */
export function frame(functions: string, body: string): string {
  return `
local ns, ops, number = ARGV[1], ARGV[2], ARGV[3]
local time = now()
if time > tonumber(ARGV[5]) then return -time end
if ops ~= '' then
  ops = ns .. 'ah:ops:' .. ops
  if redis.call('GETBIT', ops, number) == 1 then
    local known = redis.call('HGET', ops .. ':replies', number)
    if known then return {time, cmsgpack.unpack(known)} end
    return time
  end
end
${functions}
local function run()
${body}
end
local reply = run()
if ops == '' then
  if reply == 1 then return time end
  return {time, reply}
end
if reply ~= 1 then
  -- a full redis refuses a first write that needs memory
  redis.call('HDEL', ns .. 'ah:full', '')
  local replies, low = ops .. ':replies', tonumber(ARGV[4])
  for _, old in ipairs(redis.call('HKEYS', replies)) do
    if tonumber(old) < low then redis.call('HDEL', replies, old) end
  end
  redis.call('HSET', replies, number, cmsgpack.pack(reply))
  expire(replies, ARGV[6])
end
redis.call('SETBIT', ops, number, 1)
expire(ops, ARGV[6])
if reply == 1 then return time end
return {time, reply}
`;
}

/** A framed script by redis's own clock. */
export function defineOperation(body: string): Script {
  return defineScript(`${REDIS_CLOCK}${frame("", body)}`);
}

/**
 * A script that does no harm when it arrives twice: it has a deadline only, which is its last argument. Its own arguments are
 * ARGV[1] and so on; `time` is the time in ms. It costs redis a third less than one of `defineOperation`.
 */
export function defineTimed(body: string): Script {
  const lua = `
local time = now()
if time > tonumber(ARGV[#ARGV]) then return -time end
local function run()
${body}
end
local reply = run()
if reply == 1 then return time end
return {time, reply}
`;
  return defineScript(`${REDIS_CLOCK}${lua}`, true);
}
