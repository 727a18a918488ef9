/** The script that workers call for every job. */
import { EFFECTS } from "./effects";
import {
  BASE,
  DELAY,
  FAIL,
  JSON_TEXT,
  OPEN_RECORD,
  QUEUES,
  REQUEUE,
  SLOTS,
} from "./shared";

/** The batch size of queue names, for workers on all queues. */
const PAGE = 100;

/** In a reply: no job; a queue and a job; the record of the worker's current job; a job of the last named queue. */
export const NOTHING = 0;
export const JOB = 1;
export const RECORD = 2;
export const NEXT_JOB = 3;

/** In an argument, before the outcome: the worker fetches no job; its outcome has effects. */
export const NO_FETCH = "-";
export const WITH_EFFECTS = "+";

/** Of ARGV. */
const FIRST_QUEUE = 8;

/**
 * The job that runs alone has ended, or is no longer the worker's: the process may fetch again. A job that has run is no longer
 * suspected.
 */
const ENDED_ALONE = `
  local record = ns .. 'worker:' .. alone
  local outcome = false
  for worker = 1, workerCount do
    if ARGV[firstMember + worker - 1] == alone then outcome = finished[worker] end
  end
  local job = try('GET', record)
  if job and outcome and outcome ~= 'n' then
    ${OPEN_RECORD}
    local queue, raw = openRecord(job)
    if queue then
      local id = redis.sha1hex(queue .. raw)
      try('ZREM', ns .. 'ah:suspect-jobs', id)
      redis.call('DEL', ns .. 'ah:crash:' .. id)
    end
  end
  if outcome or not job then
    redis.call('HDEL', process, 'alone')
    alone = false
  end
`;

/** Whether `code` begins with `mark`. */
const begins = (mark: string) => `string.byte(code) == ${mark.charCodeAt(0)}`;

// KEYS: process. ARGV: prefix, call number, run_at, node, queue with the last turn or '', number of queues, number of workers,
// queues..., members..., outcomes ('' none, 'p' success, 'n' uncounted, 'r' retried, 'f' and an entry of the failed list),
// the effects of each outcome that has effects.
// Returns nil when the process is not registered, or the call is older than the last one; else the problems of the
// data, the number of the worker whose job runs alone or 0, then the current job of each worker.
//
// At every moment a job is in a queue or in a record, and it is counted when its record is removed. Wake-ups are not
// lost: the tokens are removed by the call that finds the queues empty, and remaining jobs get one.
//
// Each function that a script defines costs it some 0.2 us, so functions that few jobs need are defined on demand.
export const EXCHANGE = `
local ns, process = ARGV[1], KEYS[1]
${BASE}${JSON_TEXT}
allowWhenFull()
local call, queueCount, workerCount = tonumber(ARGV[2]), tonumber(ARGV[6]), tonumber(ARGV[7])
local known = try('HMGET', process, 'call', 'alone') or {}
local last, alone = tonumber(known[1] or '-1'), known[2]
if last == -1 or call < last then return false end
local firstMember = ${FIRST_QUEUE} + queueCount
local firstCode = firstMember + workerCount
local names = try('HMGET', process .. ':members', unpack(ARGV, firstMember, firstCode - 1))
if not names then return false end
local isRepeated = call == last
if not isRepeated then redis.call('HSET', process, 'call', ARGV[2]) end

local fail, apply, skip
local function defineRare()
${QUEUES}${FAIL}${REQUEUE}${SLOTS}${DELAY}${EFFECTS}
  return fail, apply, skip
end

local processed, failures, missing, effects = 0, 0, 0, firstCode + workerCount
local wants, finished, present = {}, {}, {}
for worker = 1, workerCount do
  local name, code, want, hasEffects = names[worker], ARGV[firstCode + worker - 1], true, false
  if ${begins(NO_FETCH)} then
    want = false
    code = string.sub(code, 2)
  end
  if ${begins(WITH_EFFECTS)} then
    hasEffects = true
    code = string.sub(code, 2)
  end
  if name and isRepeated then
    if want then present[worker] = try('GET', ns .. 'worker:' .. ARGV[firstMember + worker - 1]) end
  elseif name then
    if code == 'p' then
      processed = processed + 1
      try('INCR', ns .. 'stat:processed:' .. name)
    elseif code == '' then
      if want then present[worker] = try('GET', ns .. 'worker:' .. ARGV[firstMember + worker - 1]) end
    elseif code ~= 'n' then
      failures = failures + 1
      try('INCR', ns .. 'stat:failed:' .. name)
      if code ~= 'r' then
        if not fail then fail, apply, skip = defineRare() end
        fail(string.sub(code, 2))
      end
    end
    finished[worker] = code ~= '' and code
    if want and not present[worker] then
      wants[worker] = true
      missing = missing + 1
    end
  end
  if hasEffects and not isRepeated then
    if not fail then fail, apply, skip = defineRare() end
    if name then effects = apply(ARGV[firstMember + worker - 1], effects) else effects = skip(effects) end
  end
end
if alone and not isRepeated then
  ${ENDED_ALONE}
end
if processed > 0 then try('INCRBY', ns .. 'stat:processed', processed) end
if failures > 0 then try('INCRBY', ns .. 'stat:failed', failures) end

local node, after, paused, named = ARGV[4], ARGV[5], {}, {}
local nextName, index, page, at, isAny, wakeAny = ${FIRST_QUEUE}, nil, nil, 1, false, nil
local queue, wakeList, low, high
local suspects = false
-- queues take turns: those behind the last one are the first
local function turnPage(from, to)
  low, high = from, to
  page, at = try('ZRANGEBYLEX', index, low, high, 'LIMIT', 0, ${PAGE}) or {}, 1
end
local function openIndex(suffix)
  index, wakeAny = ns .. 'ah:ready' .. suffix, ns .. 'ah:wake-any' .. suffix
  page, at, high = try('ZRANGE', index, 0, ${PAGE - 1}), 1, '+'
  if not page then
    redis.call('DEL', index)
    page = {}
  elseif page[2] and after ~= '' then turnPage('(' .. after, '+')
  else low = '-' end
end
-- the next queue in order of preference: nil when there is none
local function advance()
  while true do
    if page then
      local name = page[at]
      at = at + 1
      if not name then
        if #page == ${PAGE} then turnPage('(' .. page[#page], high)
        elseif high == '+' and low ~= '-' and after ~= '' then turnPage('-', '[' .. after)
        elseif node ~= '' and index ~= ns .. 'ah:ready' then openIndex('')
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
        openIndex(node ~= '' and ':' .. node or '')
      elseif not paused[name] then
        queue, wakeList = name, ns .. 'ah:wake:' .. name
        return
      end
    end
  end
end
-- as many jobs as are missing, of one queue: none when there are none
local function fetch()
  while queue do
    local list, jobs = ns .. 'queue:' .. queue, nil
    if missing == 1 or suspects then
      local raw = try('LPOP', list)
      if raw then return {raw} end
    else
      jobs = try('LRANGE', list, 0, missing - 1)
      if jobs and jobs[1] then
        redis.call('LTRIM', list, #jobs, -1)
        return jobs
      end
    end
    if page then redis.call('ZREM', index, queue) end
    advance()
  end
  return {}
end

local wanted = missing > 0 and not alone
local hasLooked = wanted
if wanted then
  suspects = redis.call('EXISTS', ns .. 'ah:suspect-jobs') == 1
  for _, name in ipairs(try('SMEMBERS', ns .. 'ah:paused') or {}) do paused[name] = true end
  for i = ${FIRST_QUEUE}, firstMember - 1 do named[ARGV[i]] = true end
  advance()
end
local reply, size, jobs, taken, kind, middle = {'', 0}, 2, {}, 0, nil, nil
for worker = 1, workerCount do
  local raw = nil
  if wants[worker] and wanted then
    if taken == #jobs then jobs, taken, kind = fetch(), 0, ${JOB} end
    taken = taken + 1
    raw = jobs[taken]
  end
  if raw then
    missing = missing - 1
    if kind == ${JOB} then
      middle = ',"queue":' .. json(queue) .. ',"run_at":' .. ARGV[3] .. ',"payload":'
      reply[size + 1] = ${JOB}
      reply[size + 2] = queue
      reply[size + 3] = raw
      size = size + 3
      kind = ${NEXT_JOB}
    else
      reply[size + 1] = ${NEXT_JOB}
      reply[size + 2] = raw
      size = size + 2
    end
    redis.call('SET', ns .. 'worker:' .. ARGV[firstMember + worker - 1], '{"worker":' .. json(names[worker]) .. middle .. raw .. '}')
    if suspects and tonumber(try('ZSCORE', ns .. 'ah:suspect-jobs', redis.sha1hex(queue .. raw)) or '0') > now() then
      alone, wanted = ARGV[firstMember + worker - 1], false
      redis.call('HSET', process, 'alone', alone)
      reply[2] = worker
    end
  elseif present[worker] then
    reply[size + 1] = ${RECORD}
    reply[size + 2] = present[worker]
    size = size + 2
    if ARGV[firstMember + worker - 1] == alone then reply[2] = worker end
  else
    if finished[worker] then redis.call('DEL', ns .. 'worker:' .. ARGV[firstMember + worker - 1]) end
    size = size + 1
    reply[size] = ${NOTHING}
  end
end
if hasLooked then
  if not queue then
    for i = ${FIRST_QUEUE}, firstMember - 1 do
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
