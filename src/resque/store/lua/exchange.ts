/** The one script that workers call for every job. */
import { EFFECTS } from "./effects";
import { BASE, DELAY, FAIL, JSON_TEXT, QUEUES, REQUEUE, SLOTS } from "./shared";

/** Names of queues that are read at once for workers on all of them. */
const PAGE = 100;

/** In a reply: no job; a queue and a job; the record of the job that the worker has; a worker that is not ours any more. */
export const NOTHING = 0;
export const JOB = 1;
export const RECORD = 2;

// KEYS: process. ARGV: prefix, call number, run_at, node, number of queues, number of workers, queues..., members..., then
// per worker name, name as JSON, outcome ('' none, 'p' success, 'n' uncounted, 'r' retried, else entry of the failed list),
// '1' to fetch, effects.
// Returns nil when the process is not registered, or the call is older than the last one; else what is wrong with the data,
// then per worker what it has now.
//
// A job is in a queue or in a record at every moment, and counted when its record goes. Wake-ups are not lost: the tokens
// go in the step that sees the queues empty, and jobs that are left get one.
export const EXCHANGE = `
local ns, process = ARGV[1], KEYS[1]
${BASE}${JSON_TEXT}${QUEUES}${FAIL}${REQUEUE}${SLOTS}${DELAY}${EFFECTS}
allowWhenFull()
local call, queueCount, workerCount = tonumber(ARGV[2]), tonumber(ARGV[5]), tonumber(ARGV[6])
local last = tonumber(try('HGET', process, 'call') or '-1')
if last == -1 or call < last then return false end
local firstMember = 7 + queueCount
local names = try('HMGET', process .. ':members', unpack(ARGV, firstMember, firstMember + workerCount - 1))
if not names then return false end
local isRepeated = call == last
if not isRepeated then redis.call('HSET', process, 'call', ARGV[2]) end

local node, paused, named = ARGV[4], {}, {}
for _, queue in ipairs(try('SMEMBERS', ns .. 'ah:paused') or {}) do paused[queue] = true end
for i = 7, firstMember - 1 do named[ARGV[i]] = true end
local nextName, index, page, at, isAny, wakeAny = 7, nil, nil, 1, false, nil
local queue, wakeList
-- the next queue in order of preference: nil when there is none
local function advance()
  while true do
    if page then
      local name = page[at]
      at = at + 1
      if not name then
        if #page == ${PAGE} then
          page = try('ZRANGEBYLEX', index, '(' .. page[#page], '+', 'LIMIT', 0, ${PAGE})
          at = 1
        elseif node ~= '' and index ~= ns .. 'ah:ready' then
          index, wakeAny = ns .. 'ah:ready', ns .. 'ah:wake-any'
          page, at = try('ZRANGE', index, 0, ${PAGE - 1}), 1
        else page = nil end
      elseif not named[name] and not paused[name] then
        queue, wakeList = name, wakeAny
        return
      end
    else
      if nextName >= firstMember then queue = nil return end
      local name = ARGV[nextName]
      nextName = nextName + 1
      if name == '*' then
        isAny = true
        local suffix = node ~= '' and ':' .. node or ''
        index, wakeAny = ns .. 'ah:ready' .. suffix, ns .. 'ah:wake-any' .. suffix
        page, at = try('ZRANGE', index, 0, ${PAGE - 1}), 1
      elseif not paused[name] then
        queue, wakeList = name, ns .. 'ah:wake:' .. name
        return
      end
    end
  end
end
local function fetch()
  while queue do
    local raw = try('LPOP', ns .. 'queue:' .. queue)
    if raw then return raw end
    if page then redis.call('ZREM', index, queue) end
    advance()
  end
  return false
end

local reply, processed, failures, wanted = {''}, 0, 0, false
local arg = firstMember + workerCount
for worker = 1, workerCount do
  local member, outcome, want = ARGV[firstMember + worker - 1], ARGV[arg + 2], ARGV[arg + 3] == '1'
  local record, isOurs = ns .. 'worker:' .. member, names[worker]
  local present = false
  if want and isOurs and (isRepeated or outcome == '') then present = try('GET', record) end
  if isOurs and not isRepeated then
    if outcome == 'p' then
      processed = processed + 1
      try('INCR', ns .. 'stat:processed:' .. ARGV[arg])
    elseif outcome ~= '' and outcome ~= 'n' then
      failures = failures + 1
      try('INCR', ns .. 'stat:failed:' .. ARGV[arg])
      if outcome ~= 'r' then fail(outcome) end
    end
  end
  if present then
    reply[#reply + 1] = ${RECORD}
    reply[#reply + 1] = present
  else
    local raw = false
    if isOurs and not isRepeated and want then
      if not wanted then
        wanted = true
        advance()
      end
      raw = fetch()
    end
    if raw then
      redis.call('SET', record, '{"worker":' .. ARGV[arg + 1] .. ',"queue":' .. json(queue) .. ',"run_at":' .. ARGV[3] .. ',"payload":' .. raw .. '}')
      reply[#reply + 1] = ${JOB}
      reply[#reply + 1] = queue
      reply[#reply + 1] = raw
    else
      if isOurs and not isRepeated and outcome ~= '' then redis.call('DEL', record) end
      reply[#reply + 1] = ${NOTHING}
    end
  end
  if isOurs and not isRepeated then arg = apply(member, arg + 4)
  else arg = skip(arg + 4) end
end
if processed > 0 then try('INCRBY', ns .. 'stat:processed', processed) end
if failures > 0 then try('INCRBY', ns .. 'stat:failed', failures) end
if wanted then
  if not queue then
    for i = 7, firstMember - 1 do
      if ARGV[i] ~= '*' then redis.call('DEL', ns .. 'ah:wake:' .. ARGV[i]) end
    end
    if isAny then redis.call('DEL', ns .. 'ah:wake-any', ns .. 'ah:wake-any:' .. node) end
  else
    while queue and try('LLEN', ns .. 'queue:' .. queue) == 0 do
      if page then redis.call('ZREM', index, queue) end
      advance()
    end
    if queue and try('LLEN', wakeList) == 0 then redis.call('RPUSH', wakeList, '1') end
  end
end
if problems[1] then reply[1] = table.concat(problems, '\\n') end
return reply
`;
