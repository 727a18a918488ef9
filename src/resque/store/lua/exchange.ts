/** The script that workers call for every job. */
import { CRASH_SECONDS, KEEP_JOB_SECONDS, nodeQueue } from "../texts";
import { EFFECTS } from "./effects";
import {
  BASE,
  DELAY,
  FAIL,
  JSON_TEXT,
  KNOWN,
  LISTING,
  OPEN_RECORD,
  QUEUES,
  REBUILD,
  REQUEUE,
  SLOTS,
} from "./shared";

/** The batch size of queue names, for workers on all queues. */
const PAGE = 100;

/** Between a queue and a node, in the name of the node's own queue. */
const NODE_PART = `'${nodeQueue("", "")}'`;

/**
 * In a reply: no job; a queue and a job; the record of the worker's current job; a job of the last named queue, which is at first
 * the one that the call expects; the worker is not listed, so it neither reports nor fetches.
 */
export const NOTHING = 0;
export const JOB = 1;
export const RECORD = 2;
export const NEXT_JOB = 3;
export const UNLISTED = 4;

/** The whole reply: the registration was lost, so that the number of the last call is unknown. */
export const LOST = 0;

/** In an argument, before the outcome: the worker fetches no job; its outcome has effects. */
export const NO_FETCH = "-";
export const WITH_EFFECTS = "+";

/** The number of workers is below this: the number of the call is sent together with it. */
export const MAX_WORKERS = 1024;

/** The index of the first member in ARGV. */
const FIRST_MEMBER = 4;

/** The index of the first queue in the list in ARGV[1]. */
const FIRST_QUEUE = 4;

/** The id of the process. */
const ID = `string.sub(process, #ns + ${"ah:proc:".length + 1})`;

/** Suspects at the head of a queue that one call passes over; so many are put at its end, so that the jobs behind them are found. */
const MAX_PASSED = 100;

/**
 * - `mayRunAlone()`: whether a suspect may run. `ah:alone` says which process of the cluster runs one, or ran the last one: when that
 *   one began, and until when other jobs have their turn. It ends with the registration of the process.
 * - `pick(list)`: takes the first job of the queue that may run. A suspect that may not stays where it is, and under suspicion; true
 *   then.
 */
const PICK = `
  local turn, mayRun = ns .. 'ah:alone', nil
  local function mayRunAlone()
    local known = try('HMGET', turn, 'process', 'since', 'until')
    if not known then
      redis.call('DEL', turn)
      return true
    end
    local member = try('HGET', ns .. 'ah:proc:' .. (known[1] or ''), 'alone')
    if member and redis.call('EXISTS', ns .. 'worker:' .. member) == 1 then return false end
    -- a clock that is before the beginning was set back
    return now() >= tonumber(known[3] or '0') or now() < tonumber(known[2] or '0')
  end
  local function keepSuspected(id, ends)
    if ends - now() > ${CRASH_SECONDS * 500} then return end
    redis.call('ZADD', suspected, text(now() + ${CRASH_SECONDS * 1000}), id)
    expire(suspected, ${CRASH_SECONDS * 1000})
    expire(ns .. 'ah:crash:' .. id, ${CRASH_SECONDS * 1000})
  end
  function pick(list)
    while passed < ${MAX_PASSED} do
      local raw = try('LINDEX', list, passed)
      if not raw then return nil, passed > 0 end
      local id = redis.sha1hex(queue .. raw)
      local ends = tonumber(try('ZSCORE', suspected, id) or '0')
      if ends > now() and mayRun == nil then mayRun = mayRunAlone() end
      if ends <= now() or mayRun then
        redis.call('LREM', list, 1, raw)
        return raw
      end
      keepSuspected(id, ends)
      passed = passed + 1
    end
    for _ = 1, passed do redis.call('RPUSH', list, redis.call('LPOP', list)) end
    return nil, true
  end
`;

/** The process begins to run a job alone. */
const BEGIN_ALONE = `
  redis.call('HSET', process, 'alone', alone)
  local turn = ns .. 'ah:alone'
  redis.call('HSET', turn, 'process', ${ID}, 'since', text(now()), 'until', '0')
  expire(turn, ${KEEP_JOB_SECONDS * 1000})
`;

/**
 * The job that runs alone has ended, or is no longer the worker's: the process may fetch again, and other jobs have their turn for
 * as long as this one took. A job that has run is no longer suspected.
 */
const ENDED_ALONE = `
  local record = ns .. 'worker:' .. alone
  local outcome = false
  for worker = 1, workerCount do
    if ARGV[${FIRST_MEMBER - 1} + worker] == alone then outcome = finished[worker] end
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
    redis.call('HDEL', process, 'alone', 'started')
    alone = false
    local turn = ns .. 'ah:alone'
    local known = try('HMGET', turn, 'process', 'since') or {}
    if known[1] == ${ID} then redis.call('HSET', turn, 'process', '', 'until', text(2 * now() - tonumber(known[2] or '0'))) end
  end
`;

/** A worker that the members have lost is listed again, if its owner or the record of its job says that it is still one. */
const LIST_AGAIN = `
  ${REBUILD}${LISTING}
  local id, member = ${ID}, ARGV[${FIRST_MEMBER - 1} + worker]
  local owner = try('GET', ns .. 'ah:owner:' .. member)
  if owner == id or not owner and redis.call('EXISTS', ns .. 'worker:' .. member) == 1 then
    names[worker] = claim(id, member)
  end
`;

/**
 * Effects release the locks of jobs that ended. Remaining locks belong to a job of an earlier state, to which redis was
 * rolled back. A lock without an owner's number lives as long as its worker.
 */
const RELEASE_STALE = `
  for _, key in ipairs(held) do
    local locks = try('HGETALL', key) or {}
    for i = 1, #locks, 2 do
      if string.find(locks[i + 1], '.', 1, true) then
        redis.call('HDEL', key, locks[i])
        if try('GET', locks[i]) == locks[i + 1] then redis.call('DEL', locks[i]) end
      end
    end
  end
`;

/** Whether `code` begins with `mark`. */
const begins = (mark: string) => `string.byte(code) == ${mark.charCodeAt(0)}`;

// KEYS: process. ARGV: JSON of a list (prefix, run_at as JSON, node, queues...), the number of the call times MAX_WORKERS
// plus the number of workers, queue with the last turn or '', members..., outcomes ('' none, 'p' success, 'n' uncounted, 'r'
// retried, 'f' and an entry of the failed list), the effects of each outcome that has effects.
// Returns nil when the process is not registered, or the call is older than the last one; LOST; else the current job of each
// worker, then, if there are any, the problems of the data and the number of the worker whose job runs alone or 0.
//
// The values that all calls of a process share are one argument, as each one costs the process that sends it a third of a
// microsecond.
//
// At every moment a job is in a queue or in a record, and it is counted when its record is removed. Wake-ups are not
// lost: the tokens are removed by the call that finds the queues empty, and remaining jobs get one.
//
// Each function that a script defines costs it some 0.2 us, so functions that few jobs need are defined on demand.
export const EXCHANGE = `
local head, process = cjson.decode(ARGV[1]), KEYS[1]
local ns = head[1]
${BASE}${JSON_TEXT}
allowWhenFull()
local workerCount = ARGV[2] % ${MAX_WORKERS}
local call = (ARGV[2] - workerCount) / ${MAX_WORKERS}
local known = try('HMGET', process, 'call', 'alone') or {}
local last, alone = tonumber(known[1] or '-1'), known[2]
if last == -1 then
  ${KNOWN}
  return isKnown(${ID}) and ${LOST}
end
if call < last then return false end
local firstCode = ${FIRST_MEMBER} + workerCount
local names = try('HMGET', process .. ':members', unpack(ARGV, ${FIRST_MEMBER}, firstCode - 1)) or {}
for worker = 1, workerCount do
  if not names[worker] then
    ${LIST_AGAIN}
  end
end
local isRepeated = call == last
if not isRepeated then redis.call('HSET', process, 'call', call) end

local fail, apply, skip
local function defineRare()
${QUEUES}${FAIL}${REQUEUE}${SLOTS}${DELAY}${EFFECTS}
  return fail, apply, skip
end

local processed, failures, missing, effects = 0, 0, 0, firstCode + workerCount
local wants, finished, present, held = {}, {}, {}, {}
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
    if want then present[worker] = try('GET', ns .. 'worker:' .. ARGV[${FIRST_MEMBER - 1} + worker]) end
  elseif name then
    if code == 'p' then
      processed = processed + 1
      try('INCR', ns .. 'stat:processed:' .. name)
    elseif code == '' then
      if want then present[worker] = try('GET', ns .. 'worker:' .. ARGV[${FIRST_MEMBER - 1} + worker]) end
    elseif code ~= 'n' then
      failures = failures + 1
      try('INCR', ns .. 'stat:failed:' .. name)
      if code ~= 'r' then
        if not fail then fail, apply, skip = defineRare() end
        fail(string.sub(code, 2))
      end
    end
    finished[worker] = code ~= '' and code
    if finished[worker] then held[#held + 1] = ns .. 'ah:held:' .. ARGV[${FIRST_MEMBER - 1} + worker] end
    if want and not present[worker] then
      wants[worker] = true
      missing = missing + 1
    end
  end
  if hasEffects and not isRepeated then
    if not fail then fail, apply, skip = defineRare() end
    if name then effects = apply(ARGV[${FIRST_MEMBER - 1} + worker], effects) else effects = skip(effects) end
  end
end
if alone and not isRepeated then
  ${ENDED_ALONE}
end
if held[1] and redis.call('EXISTS', unpack(held)) > 0 then
  ${RELEASE_STALE}
end
if processed > 0 then try('INCRBY', ns .. 'stat:processed', processed) end
if failures > 0 then try('INCRBY', ns .. 'stat:failed', failures) end

local node, after, paused, named = head[3], ARGV[3], {}, {}
local nextName, index, page, at, isAny, wakeAny = ${FIRST_QUEUE}, nil, nil, 1, false, nil
local queue, wakeList, low, high
local suspected, pick, passed = ns .. 'ah:suspect-jobs', nil, 0
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
      local name = head[nextName]
      nextName = nextName + 1
      if not name then queue = nil return end
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
    local list, jobs, isLeft = ns .. 'queue:' .. queue, nil, false
    if missing == 1 or pick then
      local raw
      if pick then raw, isLeft = pick(list) else raw = try('LPOP', list) end
      if raw then return {raw} end
    else
      jobs = try('LRANGE', list, 0, missing - 1)
      if jobs and jobs[1] then
        redis.call('LTRIM', list, #jobs, -1)
        return jobs
      end
    end
    if page and not isLeft then redis.call('ZREM', index, queue) end
    passed = 0
    advance()
  end
  return {}
end

local wanted = missing > 0 and not alone
local hasLooked = wanted
if wanted then
  -- nearly always there is neither
  if redis.call('EXISTS', suspected, ns .. 'ah:paused') > 0 then
    if redis.call('EXISTS', suspected) == 1 then
      ${PICK}
    end
    for _, name in ipairs(try('SMEMBERS', ns .. 'ah:paused') or {}) do
      local own = name .. ${NODE_PART} .. node
      paused[name] = true
      if node ~= '' and not paused[own] then paused[own] = try('HGET', ns .. 'ah:node-queues', own) == node end
    end
  end
  for i = ${FIRST_QUEUE}, #head do named[head[i]] = true end
  advance()
end
local reply, size, jobs, taken, kind, middle, lone = {}, 0, {}, 0, nil, nil, 0
local expected = after ~= '' and after or head[${FIRST_QUEUE}]
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
      middle = ',"queue":' .. json(queue) .. ',"run_at":' .. head[2] .. ',"payload":'
      kind = ${NEXT_JOB}
    end
    if queue == expected then reply[size + 1] = ${NEXT_JOB}
    else
      reply[size + 1] = ${JOB}
      reply[size + 2] = queue
      size = size + 1
      expected = queue
    end
    reply[size + 2] = raw
    size = size + 2
    redis.call('SET', ns .. 'worker:' .. ARGV[${FIRST_MEMBER - 1} + worker], '{"worker":' .. json(names[worker]) .. middle .. raw .. '}')
    if pick and tonumber(try('ZSCORE', suspected, redis.sha1hex(queue .. raw)) or '0') > now() then
      alone, wanted = ARGV[${FIRST_MEMBER - 1} + worker], false
      ${BEGIN_ALONE}
      lone = worker
    end
  elseif present[worker] then
    reply[size + 1] = ${RECORD}
    reply[size + 2] = present[worker]
    size = size + 2
    if ARGV[${FIRST_MEMBER - 1} + worker] == alone then lone = worker end
  else
    if finished[worker] then redis.call('DEL', ns .. 'worker:' .. ARGV[${FIRST_MEMBER - 1} + worker]) end
    size = size + 1
    reply[size] = names[worker] and ${NOTHING} or ${UNLISTED}
  end
end
if hasLooked then
  if not queue then
    for i = ${FIRST_QUEUE}, #head do
      if head[i] ~= '*' then redis.call('DEL', ns .. 'ah:wake:' .. head[i]) end
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
if problems[1] or lone > 0 then
  reply[size + 1] = table.concat(problems, '\\n')
  reply[size + 2] = lone
end
return reply
`;
