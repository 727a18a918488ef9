/** Lua functions that several scripts share, and the frame of the scripts. `ns` is the prefix of all keys. */
import { frame } from "../../../redis/script";
import {
  CRASH_SECONDS,
  CRASHED,
  KEEP_JOB_SECONDS,
  MAX_CRASHES,
  SEARCH_LENGTH,
  UNIQUE_SECONDS,
  UNSEEN_NODE_SECONDS,
} from "../texts";

/** The maximum of wake-up tokens in a list; more would wake workers without a job. */
export const MAX_TOKENS = 32;

/**
 * - `try(...)`: a command that may fail, e.g. on a key of a wrong type, without stopping the script; false then.
 *   Errors are collected in `problems`.
 * - `allowWhenFull()`: a full redis refuses a script at its first write if that may need memory; this write does not.
 * - `text(number)`: all digits.
 */
export const BASE = `
local problems = {}
local function try(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    problems[#problems + 1] = reply.err .. ' (' .. command .. ' ' .. key .. ')'
    return false
  end
  return reply
end
local function allowWhenFull() redis.call('HDEL', ns .. 'ah:full', '') end
local function text(number) return string.format('%.0f', number) end
`;

/** `json(text)`: in the form of JSON.stringify, so that entries can be found by their text. */
export const JSON_TEXT = `
local function json(text)
  if not string.find(text, '["\\\\%c/\\127]') then return '"' .. text .. '"' end
  return (string.gsub(cjson.encode(text), '\\\\/', '/'))
end
`;

/**
 * `rebuild(command, key, ...)`: a command on a key of ours whose contents come back, or that no other process needs. A
 * value of a wrong type at the key is removed. Needs BASE.
 */
export const REBUILD = `
local function rebuild(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.sub(reply.err, 1, 9) == 'WRONGTYPE' then
    problems[#problems + 1] = reply.err .. ' (' .. command .. ' ' .. key .. ')'
    redis.call('DEL', key)
  end
  return redis.call(command, key, ...)
end
`;

/** `splitContext(raw)`: the bare text of a job, and the context that it carries as its last field, or nil. */
const SPLIT_CONTEXT = `
local function splitContext(raw)
  if string.sub(raw, -2) ~= '}}' then return raw end
  local head, context = string.match(raw, '^(.*%]),"ah":({[^{}]*})}$')
  if head then return head .. '}', context end
  return raw
end
`;

/**
 * `noteContext(queue, raw)`: a job was added to the queue. `ah:carrying` holds the queues that have had jobs with a context: only
 * these are searched for them.
 */
export const NOTE_CONTEXT = `
local function noteContext(queue, raw)
  if string.sub(raw, -2) ~= '}}' then return end
  local key = ns .. 'ah:carrying'
  if type(redis.pcall('SADD', key, queue)) == 'number' then return end
  redis.call('DEL', key)
  redis.call('SADD', key, queue)
end
`;

/** Jobs per command of a search. */
const SEARCH_PAGE = 1000;

/**
 * `findCarried(list, bare, most)`: the indices of the entries that are `bare`, with a context or without one, the earliest first,
 * among the first `most`. Needs BASE.
 */
export const FIND_CARRIED = `
${SPLIT_CONTEXT}local function isCarrying(queue) return try('SISMEMBER', ns .. 'ah:carrying', queue) == 1 end
local function findCarried(list, bare, most)
  local found, first = {}, 0
  local head = string.sub(bare, 1, -2) .. ',"ah":{'
  while first < most do
    local entries = try('LRANGE', list, first, first + ${SEARCH_PAGE - 1}) or {}
    for i, entry in ipairs(entries) do
      if entry == bare or (string.sub(entry, 1, #head) == head and splitContext(entry) == bare) then
        found[#found + 1] = first + i - 1
      end
    end
    if #entries < ${SEARCH_PAGE} then break end
    first = first + ${SEARCH_PAGE}
  end
  return found
end
`;

/** `isIn(list, item)`: assumed of longer lists; found from the tail. Needs BASE. */
const IS_IN = `
local function isIn(list, item)
  local length = try('LLEN', list) or 0
  if length == 0 then return false end
  return redis.call('LPOS', list, item, 'RANK', -1, 'MAXLEN', ${SEARCH_LENGTH}) or length > ${SEARCH_LENGTH}
end
`;

/**
 * `isDelayedAt(bare, second)`: whether the bucket of the second has the job. `timestamps:` only says where to look: the bucket may
 *   have been lost, and a scheduler of another program takes a job out of it before it changes that key. What it says in
 *   error is removed, and a bucket that the schedule has lost is scheduled again. Needs BASE.
 */
const IS_DELAYED_AT = `
${IS_IN}
local function isDelayedAt(bare, second)
  local bucket, schedule = ns .. 'delayed:' .. second, ns .. 'delayed_queue_schedule'
  -- something else was put there: only we still know the job
  if not try('LLEN', bucket) then return try('ZSCORE', ns .. 'ah:due', second .. ':' .. bare) end
  if not isIn(bucket, bare) then
    try('SREM', ns .. 'timestamps:' .. bare, 'delayed:' .. second)
    return false
  end
  if not try('ZSCORE', schedule, second) then try('ZADD', schedule, second, second) end
  return true
end
`;

/** `secondsOf(bare)`, `isDelayed(bare)`: the seconds whose buckets have the job. Needs BASE. */
export const IS_DELAYED = `
${IS_DELAYED_AT}
local function secondsOf(bare)
  local result = {}
  for _, member in ipairs(try('SMEMBERS', ns .. 'timestamps:' .. bare) or {}) do
    local second = string.match(member, '([^:]*)$')
    if isDelayedAt(bare, second) then result[#result + 1] = second end
  end
  return result
end
local function isDelayed(bare) return #secondsOf(bare) > 0 end
`;

/** `isQueued(queue, raw, limit)`: whether the job is delayed, queued or waits for a slot; assumed of longer queues. Needs BASE. */
export const IS_QUEUED_PART = `
${FIND_CARRIED}${IS_DELAYED}
local function isQueued(queue, raw, limit)
  local list = ns .. 'queue:' .. queue
  if isDelayed(raw) then return true end
  local length, carries = try('LLEN', list) or 0, isCarrying(queue)
  local function has(key, text)
    if carries then return try('LLEN', key) and #findCarried(key, text, limit) > 0 end
    return try('LPOS', key, text)
  end
  if length > limit then return true end
  if length > 0 and has(list, raw) then return true end
  if not try('HGET', ns .. 'ah:waiting', queue) then return false end
  for _, class in ipairs(try('SMEMBERS', ns .. 'ah:limits') or {}) do
    if has(ns .. 'ah:parked:' .. class, #queue .. ':' .. queue .. raw) then return true end
  end
  return false
end
`;

/** Lua: whether a queue is listed after it got `count` jobs and has `length`: the first time, and now and then, as that may be lost. */
const isListed = (length: string, count: string) =>
  `${length} == ${count} or ${length} % ${MAX_TOKENS} < ${count}`;

/**
 * Lua: whether a queue is announced. One that had `MAX_TOKENS` jobs before has its tokens, or a worker that was woken by one leaves
 * another for the jobs that it leaves.
 */
export const isNews = (length: string, count: string) =>
  `${length} - ${count} < ${MAX_TOKENS} or ${isListed(length, count)}`;

/**
 * - `ready(suffix, queue)`: the queue has jobs.
 * - `arrived(queue, length, count)`: announces it: it is listed, and workers that list it or accept any queue are woken.
 *
 * Needs BASE.
 */
export const QUEUES = `
${REBUILD}
local function ready(suffix, queue) return rebuild('ZADD', ns .. 'ah:ready' .. suffix, 0, queue) end
local function token(list, count)
  local free = ${MAX_TOKENS} - (try('LLEN', list) or ${MAX_TOKENS})
  for _ = 1, math.min(free, count) do try('RPUSH', list, '1') end
end
local function arrived(queue, length, count)
  if not (${isNews("length", "count")}) then return end
  local node = try('HGET', ns .. 'ah:node-queues', queue)
  local suffix = node and ':' .. node or ''
  if ${isListed("length", "count")} then
    rebuild('SADD', ns .. 'queues', queue)
    ready(suffix, queue)
  end
  token(ns .. 'ah:wake:' .. queue, count)
  token(ns .. 'ah:wake-any' .. suffix, count)
end
`;

/** `relist(queue, length)`: the queue has jobs: what was lost of its listing is written again. Needs QUEUES. */
export const RELIST = `
local function relist(queue, length)
  local node = try('HGET', ns .. 'ah:node-queues', queue)
  local isLost = rebuild('SADD', ns .. 'queues', queue) == 1
  if ready(node and ':' .. node or '', queue) == 1 or isLost then arrived(queue, length, length) end
end
`;

/**
 * - `assign(queue, node)`: from now on only that node fetches from the queue.
 * - `own(queue, node)`: the same for a queue that gets a job. The node may not have announced itself yet, or its
 *   announcement was lost with all data. Needs QUEUES.
 */
export const NODES = `
local function assign(queue, node)
  if rebuild('HGET', ns .. 'ah:node-queues', queue) == node then return end
  redis.call('HSET', ns .. 'ah:node-queues', queue, node)
  try('ZREM', ns .. 'ah:ready', queue)
  local length = try('LLEN', ns .. 'queue:' .. queue) or 0
  if length > 0 then arrived(queue, length, length) end
end
local function own(queue, node)
  assign(queue, node)
  local seen = ns .. 'ah:node-seen:' .. node
  if redis.call('SETNX', seen, '1') == 1 then expire(seen, ${UNSEEN_NODE_SECONDS * 1000}) end
end
`;

/** The part of FAIL that producers need. */
export const TRACKED = `
local function trackedId(raw)
  if not string.find(raw, '{"ah":{', 1, true) then return nil end
  local isJson, job = pcall(cjson.decode, raw)
  local args = isJson and type(job) == 'table' and job.args
  if type(args) ~= 'table' or #args < 2 then return nil end
  local own = type(args[#args]) == 'table' and args[#args].ah
  return type(own) == 'table' and type(own.id) == 'string' and own.id
end
local function setState(raw, state, reason)
  local id = trackedId(raw)
  local job = ns .. 'ah:job:' .. (id or '')
  if not id or redis.call('EXISTS', job) == 0 then return end
  try('HSET', job, 'state', state, 'error', reason)
  expire(job, ${KEEP_JOB_SECONDS * 1000})
end
`;

/**
 * - `fail(entry)`: to the failed list, or beside it while its key holds something else.
 * - `setState(raw, state, reason)`: of a tracked job, whose id is in its last argument.
 * - `failed(...)`: a job that fails without a report. Needs BASE, JSON_TEXT.
 */
export const FAIL = `
${TRACKED}
local function fail(entry)
  if not try('RPUSH', ns .. 'failed', entry) then try('RPUSH', ns .. 'ah:failed-aside', entry) end
end
local function failed(worker, queue, payload, exception, reason, date)
  try('INCR', ns .. 'stat:failed')
  fail('{"worker":' .. worker .. ',"queue":' .. json(queue) .. ',"payload":' .. payload .. ',"exception":"' .. exception ..
    '","error":"' .. reason .. '","backtrace":[],"failed_at":' .. json(date) .. '}')
  setState(payload, 'failed', reason)
end
`;

/** `requeue(queue, raw)`: to the head of its queue. Needs QUEUES, FAIL. */
export const REQUEUE = `
local function requeue(queue, raw)
  local length = try('LPUSH', ns .. 'queue:' .. queue, raw)
  if length then arrived(queue, length, 1)
  else failed('""', queue, raw, 'Error', 'the key of the queue holds something else', '') end
end
`;

/**
 * - `callWaiting(class)`: moves the job that has waited longest for a slot to its queue; false without waiting jobs.
 * - `releaseSlot(class, member)`. Needs REQUEUE.
 */
export const SLOTS = `
local function countWaiting(queue, change)
  if rebuild('HINCRBY', ns .. 'ah:waiting', queue, change) <= 0 then try('HDEL', ns .. 'ah:waiting', queue) end
end
local function openWaiting(entry)
  local at = string.find(entry, ':', 1, true)
  local size = tonumber(string.sub(entry, 1, at - 1))
  return string.sub(entry, at + 1, at + size), string.sub(entry, at + size + 1)
end
local function callWaiting(class)
  local entry = try('LPOP', ns .. 'ah:parked:' .. class)
  if not entry then return false end
  local queue, raw = openWaiting(entry)
  countWaiting(queue, -1)
  requeue(queue, raw)
  return true
end
local function releaseSlot(class, member)
  if try('SREM', ns .. 'ah:limit:' .. class, member) == 1 then callWaiting(class) end
end
`;

/**
 * `queueOf(raw)`: nil for an unreadable job. cjson cannot read all arguments (half of a surrogate pair, a thousand levels), so the
 * usual text is not parsed.
 */
export const QUEUE_OF = `
local function queueOf(raw)
  local queue = string.match(raw, '^{"class":"[^"\\\\]*","queue":"([^"\\\\]*)",')
  if queue then return queue end
  local isJson, job = pcall(cjson.decode, raw)
  if isJson and type(job) == 'table' and type(job.queue) == 'string' then return job.queue end
end
`;

/** A job that has been due for so long, and is nowhere among the delayed ones, was moved by another program. */
const MOVED_MS = 60_000;
/** Data beside delayed jobs expires one to two times this after the last one is due: they lose no more than their contexts. */
const KEEP_DUE_MS = 7 * 86_400_000;

/**
 * `delay(due, raw, shift)`: false when the job exists in that second, `shift` seconds after the nearest one. Delayed jobs are
 * kept by their bare text, for other schedulers, and their contexts beside them, in `ah:due-context`. Its keys are
 * read before the first one is written: a wrong type refuses the job without a trace. The owner of a queue is
 * remembered until its last delayed job has been due for as long as jobs of a node without announcements are kept. Needs
 * REBUILD.
 *
 * A scheduler of another program moves the jobs, and knows nothing of what we keep beside them. While one leads, each added job
 * removes the remains of two others, and all entries expire some time after the last due time.
 */
export const DELAY = `
${QUEUE_OF}${SPLIT_CONTEXT}${IS_DELAYED_AT}
local function keepOwner(raw, due)
  local queue = queueOf(raw)
  local node = queue and try('HGET', ns .. 'ah:node-queues', queue)
  if not node then return end
  local key, ends = ns .. 'ah:node-delayed:' .. node, due + ${UNSEEN_NODE_SECONDS * 1000}
  local keepMs = ends - now()
  if keepMs <= 0 or tonumber(try('GET', key) or '0') >= ends then return end
  redis.call('SET', key, text(ends))
  expire(key, text(keepMs))
end
local exact, dueCounts, dueContexts = ns .. 'ah:due', ns .. 'ah:due-count', ns .. 'ah:due-context'
local function forgetMoved()
  local over = text(now() - ${MOVED_MS})
  for _, member in ipairs(try('ZRANGEBYSCORE', exact, '-inf', over, 'LIMIT', 0, 2) or {}) do
    local second, raw = string.match(member, '^([^:]*):(.*)$')
    if second and not isDelayedAt(raw, second) then
      try('ZREM', exact, member)
      try('HDEL', dueContexts, member)
      if (try('HINCRBY', dueCounts, second, -1) or 1) <= 0 then try('HDEL', dueCounts, second) end
    end
  end
end
local function keepUntil(key, due)
  local keepMs = math.max(due - now(), 0) + ${KEEP_DUE_MS}
  if redis.call('PTTL', key) < keepMs then expire(key, text(keepMs + ${KEEP_DUE_MS})) end
end
local function delay(due, full, shift)
  local raw, context = splitContext(full)
  local second = text(math.floor(due / 1000 + 0.5) + shift)
  local times, bucket = ns .. 'timestamps:' .. raw, ns .. 'delayed:' .. second
  local schedule, member = ns .. 'delayed_queue_schedule', second .. ':' .. raw
  if rebuild('SISMEMBER', times, 'delayed:' .. second) == 1 and isDelayedAt(raw, second) then return false end
  redis.call('LLEN', bucket)
  rebuild('ZSCORE', schedule, second)
  rebuild('ZSCORE', exact, member)
  redis.call('RPUSH', bucket, raw)
  redis.call('SADD', times, 'delayed:' .. second)
  redis.call('ZADD', schedule, second, second)
  redis.call('ZADD', exact, text(due), member)
  rebuild('HINCRBY', dueCounts, second, 1)
  keepUntil(exact, due)
  keepUntil(dueCounts, due)
  if context then
    rebuild('HSET', dueContexts, member, context)
    keepUntil(dueContexts, due)
  else rebuild('HDEL', dueContexts, member) end
  forgetMoved()
  keepOwner(raw, due)
  if redis.call('ZRANGE', exact, 0, 0)[1] == member then
    try('DEL', ns .. 'ah:wake-scheduler')
    try('RPUSH', ns .. 'ah:wake-scheduler', '1')
  end
  return true
end
`;

/** How many records one command reads. */
const RECORD_PAGE = 500;

/**
 * `isUniqueHeld(lock, queue, class)`: whether the job of a lock is queued, delayed, waiting or running. A worker that was
 * found running it is cached in `<lock>:at`, so that the next call need not search all workers. Needs BASE.
 */
export const UNIQUE = `
${SPLIT_CONTEXT}${IS_DELAYED}
local function isUniqueHeld(lock, queue, class)
  local raw = try('GET', lock)
  if not raw then return false end
  if isDelayed((splitContext(raw))) then return true end
  if isIn(ns .. 'queue:' .. queue, raw) then return true end
  if isIn(ns .. 'ah:parked:' .. class, #queue .. ':' .. queue .. raw) then return true end
  local tail, at = ',"payload":' .. raw .. '}', lock .. ':at'
  local function holds(record)
    return record and #record >= #tail and string.find(record, tail, #record - #tail + 1, true)
  end
  local last = try('GET', at)
  if last and holds(try('GET', ns .. 'worker:' .. last)) then return true end
  local members = try('SMEMBERS', ns .. 'workers') or {}
  for first = 1, #members, ${RECORD_PAGE} do
    local keys = {}
    for i = first, math.min(first + ${RECORD_PAGE - 1}, #members) do keys[#keys + 1] = ns .. 'worker:' .. members[i] end
    for i, record in ipairs(redis.call('MGET', unpack(keys))) do
      if holds(record) then
        if try('SET', at, members[first + i - 1]) then expire(at, ${UNIQUE_SECONDS * 1000}) end
        return true
      end
    end
  end
  return false
end
`;

/** `openRecord(record)`: queue and job; nil for a text that is not a record. */
export const OPEN_RECORD = `
local function openRecord(record)
  local at = string.find(record, ',"payload":', 1, true)
  if not at then return nil end
  local isJson, head = pcall(cjson.decode, string.sub(record, 1, at - 1) .. '}')
  if not isJson or type(head) ~= 'table' or type(head.queue) ~= 'string' then return nil end
  return head.queue, string.sub(record, at + 11, -2)
end
`;

/**
 * `isKnown(id)`: whether the process is registered. Its registration, its lease and its members end together, so each of them that is
 * left says that the others were lost. Needs BASE.
 */
export const KNOWN = `
local function isKnown(id)
  local process = ns .. 'ah:proc:' .. id
  return redis.call('EXISTS', process, process .. ':members') > 0 or try('ZSCORE', ns .. 'ah:procs', id)
end
`;

/**
 * Two keys record whose a worker is, its owner and the members of the process; either may be missing.
 * - `isOf(id, member)`: whether the worker is the process's.
 * - `claim(id, member)`: the process, which is registered, says that the worker is its own: what was lost of its listing is written
 *   again. Its name; nil when it is another's, or there is no such process.
 *
 * Needs REBUILD.
 */
export const LISTING = `
${KNOWN}
local function isOf(id, member)
  local owner = try('GET', ns .. 'ah:owner:' .. member)
  if owner then return owner == id end
  return try('HEXISTS', ns .. 'ah:proc:' .. id .. ':members', member) == 1
end
local function claim(id, member)
  local members, key = ns .. 'ah:proc:' .. id .. ':members', ns .. 'ah:owner:' .. member
  local owner, name = rebuild('GET', key), string.match(member, '^[^:]*:[^:]*') or member
  if (owner and owner ~= id) or not isKnown(id) then return nil end
  allowWhenFull()
  if not owner then redis.call('SET', key, id) end
  rebuild('HSET', members, member, name)
  rebuild('SADD', ns .. 'workers', member)
  return name
end
`;

/** `requeueJobOf(id, member, name, isCrash, date)`: what, member, queue, job. Needs SLOTS, FAIL, JSON_TEXT. */
export const REQUEUE_JOB_OF = `
${OPEN_RECORD}${LISTING}
local function countCrash(queue, raw)
  local id, suspects = redis.sha1hex(queue .. raw), ns .. 'ah:suspect-jobs'
  local counter = ns .. 'ah:crash:' .. id
  local crashes = try('INCR', counter) or 1
  expire(counter, ${CRASH_SECONDS * 1000})
  if crashes == ${MAX_CRASHES} then
    rebuild('ZREMRANGEBYSCORE', suspects, '-inf', text(now()))
    redis.call('ZADD', suspects, text(now() + ${CRASH_SECONDS * 1000}), id)
    expire(suspects, ${CRASH_SECONDS * 1000})
  elseif crashes > ${MAX_CRASHES} then try('ZREM', suspects, id) end
  return crashes
end
-- a job that runs alone has not started while it waits for the other jobs of its process
local function isWaiting(id, member)
  local known = try('HMGET', ns .. 'ah:proc:' .. id, 'alone', 'started') or {}
  return known[1] == member and not known[2]
end
local function requeueJobOf(id, member, name, isCrash, date)
  local owner, record = ns .. 'ah:owner:' .. member, ns .. 'worker:' .. member
  local result = {'idle', member, '', ''}
  if not isOf(id, member) then return result end
  local job = try('GET', record)
  if job then
    local queue, raw = openRecord(job)
    if not queue then
      failed(json(name), '', json(job), 'Error', 'unreadable record of a worker', date)
      result = {'failed', member, '', job}
    elseif isCrash and not isWaiting(id, member) and countCrash(queue, raw) > ${MAX_CRASHES} then
      failed(json(name), queue, raw, 'WorkerCrashed', '${CRASHED}', date)
      result = {'failed', member, queue, raw}
    else
      requeue(queue, raw)
      result = {'requeued', member, queue, raw}
    end
  end
  local held = ns .. 'ah:held:' .. member
  local locks = try('HGETALL', held) or {}
  for i = 1, #locks, 2 do
    if try('GET', locks[i]) == locks[i + 1] then try('DEL', locks[i]) end
  end
  for _, class in ipairs(try('SMEMBERS', ns .. 'ah:limits') or {}) do releaseSlot(class, member) end
  try('SREM', ns .. 'workers', member)
  try('HDEL', ns .. 'ah:proc:' .. id .. ':members', member)
  redis.call('DEL', record, held, record .. ':started', owner, ns .. 'worker:ping:' .. name,
    ns .. 'stat:processed:' .. name, ns .. 'stat:failed:' .. name)
  return result
end
`;

// --- The frame of the scripts of the queue.

export { A, ARG, B, C, D, E, F, frame, G, H, I } from "../../../redis/script";

/** @param body Lua that returns something other than nil; `time` is the store's, in ms */
export function operation(parts: readonly string[], body: string): string {
  return frame(`${BASE}${parts.join("")}`, body);
}
