/**
 * The frame of every script that writes: it refuses what comes after its deadline, and answers a repetition without doing
 * anything again. ARGV: prefix, caller, number, lowest number that the caller still waits for, deadline in ms of this
 * clock, how long to remember in ms; the script's own arguments follow, from `ARG` on.
 *
 * `ah:ops:<caller>` holds the replies that a caller may still ask for, by number, and in `low` the lowest number. Older
 * ones were answered or given up, so that a copy which is still on its way is refused. The key ends when a copy would be
 * too late in any case.
 *
 * A script without a caller has a deadline only: to run it twice changes nothing.
 */
import { BASE } from "./shared";

/** Index of the first argument of the script itself. */
export const ARG = 7;

/** The script's own arguments. */
export const [A, B, C, D, E, F, G, H] = Array.from(
  { length: 8 },
  (_, index) => `ARGV[${ARG + index}]`,
);

export const REFUSED = 0;
export const DONE = 1;

/** @param body Lua that returns something other than nil; `time` is the store's, in ms */
export function operation(parts: readonly string[], body: string): string {
  return `
local ns, caller, low = ARGV[1], ARGV[2], tonumber(ARGV[4])
local time = now()
if time > tonumber(ARGV[5]) then return {${REFUSED}, time} end
${BASE}
${parts.join("")}
local function run()
${body}
end
if caller == '' then return {${DONE}, time, run()} end
local ops, number = ns .. 'ah:ops:' .. caller, ARGV[3]
local known = redis.call('HMGET', ops, number, 'low')
if known[1] then return {${DONE}, time, cmsgpack.unpack(known[1])} end
local before = tonumber(known[2] or ARGV[4])
if tonumber(number) < before then return {${REFUSED}, time} end
local reply = run()
for old = before, low - 1 do redis.call('HDEL', ops, text(old)) end
redis.call('HSET', ops, number, cmsgpack.pack(reply), 'low', text(math.max(low, before)))
expire(ops, ARGV[6])
return {${DONE}, time, reply}
`;
}
