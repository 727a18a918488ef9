/** Scripts of producers: jobs are added, delayed and removed. */
import { KEEP_JOB_SECONDS, nodeQueue, UNIQUE_SECONDS } from "../texts";
import {
  A,
  ARG,
  B,
  BASE,
  C,
  D,
  DELAY,
  E,
  F,
  FAIL,
  FIND_CARRIED,
  frame,
  G,
  H,
  I,
  JSON_TEXT,
  isNews,
  NODES,
  NOTE_CONTEXT,
  operation,
  QUEUES,
  REBUILD,
  REQUEUE,
  SLOTS,
  TRACKED,
  UNIQUE,
} from "./shared";

// Arguments: queue, the node that it belongs to or '', jobs... Returns 1. A queue with jobs is always registered, and every job has a token.
export const ENQUEUE = frame(
  "",
  `
  ${NOTE_CONTEXT}
  local queue, node, count = ${A}, ${B}, #ARGV - ${ARG + 1}
  local length = redis.call('RPUSH', ns .. 'queue:' .. queue, unpack(ARGV, ${ARG + 2}))
  noteContext(queue, ARGV[#ARGV])
  if node ~= '' then
    ${BASE}${QUEUES}${NODES}
    own(queue, node)
    arrived(queue, length, count)
  elseif ${isNews("length", "count")} then
    ${BASE}${QUEUES}
    arrived(queue, length, count)
  end
  return 1
`,
);

// Arguments: queue, job, '' or 'at' or 'in', ms, name of the unique lock or '', class, id to track or '', idempotency key
// or '', node or ''. Returns 1 when it was added, else state and id. A crash cannot leave a lock or a state without a job, and two producers cannot both add one.
export const PRODUCE = frame(
  BASE,
  `
  local queue, raw, kind, unique, class, id, key, node = ${A}, ${B}, ${C}, ${E}, ${F}, ${G}, ${H}, ${I}
  local idempotent, waitMs = ns .. 'ah:idempotent:' .. key, 0
  if key ~= '' then
    local known = try('GET', idempotent)
    if known then return {'known', known} end
  end
  local lock = ns .. 'ah:unique:' .. unique
  if unique ~= '' then
    ${UNIQUE}
    if isUniqueHeld(lock, queue, class) then return {'held'} end
  end
  if kind == '' then
    ${NOTE_CONTEXT}
    local length = redis.call('RPUSH', ns .. 'queue:' .. queue, raw)
    noteContext(queue, raw)
    if ${isNews("length", "1")} or node ~= '' then
      ${QUEUES}
      if node ~= '' then
        ${NODES}
        own(queue, node)
      end
      arrived(queue, length, 1)
    end
  else
    ${REBUILD}${DELAY}
    local due = tonumber(${D})
    if kind == 'in' then due = time + due end
    if not delay(due, raw, 0) then return {'duplicate'} end
    waitMs = math.max(0, due - time)
    if node ~= '' then
      ${QUEUES}${NODES}
      own(queue, node)
      keepOwner(raw, due)
    end
  end
  if unique ~= '' then
    redis.call('SET', lock, raw)
    expire(lock, text(waitMs + ${UNIQUE_SECONDS * 1000}))
  end
  if id ~= '' then
    local job = ns .. 'ah:job:' .. id
    redis.call('HSET', job, 'class', class, 'queue', queue, 'state', kind == '' and 'queued' or 'delayed')
    local keepMs = text(waitMs + ${KEEP_JOB_SECONDS * 1000})
    expire(job, keepMs)
    if key ~= '' then
      redis.call('SET', idempotent, id)
      expire(idempotent, keepMs)
    end
  end
  return 1
`,
);

// Arguments: name of the unique lock, member, job. One that has ended meanwhile leaves nothing.
export const NOTE_UNIQUE = operation(
  [],
  `
  local lock, tail = ns .. 'ah:unique:' .. ${A}, ',"payload":' .. ${C} .. '}'
  if try('GET', lock) ~= ${C} then return 1 end
  if string.sub(try('GET', ns .. 'worker:' .. ${B}) or '', -#tail) ~= tail then return 1 end
  allowWhenFull()
  redis.call('SET', lock .. ':at', ${B})
  expire(lock .. ':at', ${UNIQUE_SECONDS * 1000})
  return 1
`,
);

// Arguments: name of the unique lock, queue, class, job. The same job may have been added again since it failed.
export const RELEASE_UNIQUE = operation(
  [UNIQUE],
  `
  local lock = ns .. 'ah:unique:' .. ${A}
  if try('GET', lock) ~= ${D} or isUniqueHeld(lock, ${B}, ${C}) then return 1 end
  redis.call('DEL', lock, lock .. ':at')
  return 1
`,
);

// Arguments: entry, queue, job, name of the unique lock or '', class. Returns a state.
// The job is in the failed list or in the queue.
export const RETRY_FAILED = operation(
  [QUEUES, UNIQUE, TRACKED, NOTE_CONTEXT],
  `
  local entry, queue, raw, unique = ${A}, ${B}, ${C}, ${D}
  local lock, list = ns .. 'ah:unique:' .. unique, ns .. 'queue:' .. queue
  redis.call('LLEN', list)
  if unique ~= '' and isUniqueHeld(lock, queue, ${E}) then return 'held' end
  if (try('LREM', ns .. 'failed', 1, entry) or 0) == 0 then return 'missing' end
  arrived(queue, redis.call('RPUSH', list, raw), 1)
  noteContext(queue, raw)
  setState(raw, 'queued', '')
  if unique ~= '' then
    redis.call('SET', lock, raw)
    expire(lock, ${UNIQUE_SECONDS * 1000})
  end
  return 'added'
`,
);

/**
 * `removeJobs(queue, count, raw, remove)` also removes jobs that wait for a slot, and returns the number of removed jobs.
 * `remove` is LREM, unless jobs with a context count as well. Needs SLOTS.
 */
export const REMOVE_JOBS_PART = `
local function lrem(list, count, text) return try('LREM', list, count, text) or 0 end
local function removeJobs(queue, count, raw, remove)
  local own = remove(ns .. 'queue:' .. queue, count, raw)
  if not try('HGET', ns .. 'ah:waiting', queue) then return own end
  for _, class in ipairs(try('SMEMBERS', ns .. 'ah:limits') or {}) do
    if count ~= 0 and own >= math.abs(count) then break end
    local left = count == 0 and 0 or math.abs(count) - own
    local parked = ns .. 'ah:parked:' .. class
    local found = try('LLEN', parked) and remove(parked, left, #queue .. ':' .. queue .. raw) or 0
    if found > 0 then countWaiting(queue, -found) end
    own = own + found
  end
  return own
end
`;

/** In place of a job, until all of them are removed at once. */
const REMOVED = "ah:removed";

// Arguments: queue, count, jobs... Returns how many were removed. A bare job stands for itself with any context, too.
export const REMOVE_JOBS = operation(
  [JSON_TEXT, QUEUES, FAIL, REQUEUE, SLOTS, FIND_CARRIED, REMOVE_JOBS_PART],
  `
  local function removeCarried(list, count, bare)
    local found = findCarried(list, bare, math.huge)
    local most = count == 0 and #found or math.min(#found, math.abs(count))
    for i = 1, most do
      redis.call('LSET', list, found[count < 0 and #found + 1 - i or i], '${REMOVED}')
    end
    if most > 0 then lrem(list, 0, '${REMOVED}') end
    return most
  end
  local removed, count, carries = 0, tonumber(${B}), isCarrying(${A})
  for i = ${ARG + 2}, #ARGV do
    local raw = ARGV[i]
    local isBare = carries and not select(2, splitContext(raw))
    removed = removed + removeJobs(${A}, count, raw, isBare and removeCarried or lrem)
  end
  return removed
`,
);

/** Needs SLOTS. */
export const REMOVE_QUEUE_PART = `
local function removeQueue(queue)
  redis.call('DEL', ns .. 'queue:' .. queue, ns .. 'ah:wake:' .. queue)
  try('SREM', ns .. 'queues', queue)
  try('SREM', ns .. 'ah:carrying', queue)
  local node = try('HGET', ns .. 'ah:node-queues', queue)
  try('ZREM', ns .. 'ah:ready' .. (node and ':' .. node or ''), queue)
  if not try('HGET', ns .. 'ah:waiting', queue) then return end
  local head = #queue .. ':' .. queue
  for _, class in ipairs(try('SMEMBERS', ns .. 'ah:limits') or {}) do
    local list = ns .. 'ah:parked:' .. class
    for _, entry in ipairs(try('LRANGE', list, 0, -1) or {}) do
      if string.sub(entry, 1, #head) == head then try('LREM', list, 1, entry) end
    end
  end
  try('HDEL', ns .. 'ah:waiting', queue)
end
`;

// Arguments: queue. A job that is added meanwhile is never left in an unregistered queue.
export const REMOVE_QUEUE = operation(
  [JSON_TEXT, QUEUES, FAIL, REQUEUE, SLOTS, REMOVE_QUEUE_PART],
  `
  removeQueue(${A})
  return 1
`,
);

/** `removeDelayed(raw)`: the seconds in which it was due. Needs BASE. */
export const REMOVE_DELAYED_PART = `
local function removeDelayed(raw)
  local result, times, schedule = {}, ns .. 'timestamps:' .. raw, ns .. 'delayed_queue_schedule'
  for _, member in ipairs(try('SMEMBERS', times) or {}) do
    local second = string.match(member, '([^:]*)$')
    local bucket = ns .. 'delayed:' .. second
    if (try('LREM', bucket, 0, raw) or 0) > 0 then result[#result + 1] = second end
    if (try('ZREM', ns .. 'ah:due', second .. ':' .. raw) or 0) > 0 then try('HINCRBY', ns .. 'ah:due-count', second, -1) end
    try('HDEL', ns .. 'ah:due-context', second .. ':' .. raw)
    if redis.call('EXISTS', bucket) == 0 then
      try('ZREM', schedule, second)
      try('HDEL', ns .. 'ah:due-count', second)
    end
  end
  redis.call('DEL', times)
  return result
end
`;

// Arguments: job. Returns the seconds in which it was due.
export const REMOVE_DELAYED = operation(
  [REMOVE_DELAYED_PART],
  `return removeDelayed(${A})`,
);

// Arguments: entry. Returns how many were removed.
export const REMOVE_FAILED = operation(
  [],
  `return try('LREM', ns .. 'failed', 1, ${A}) or 0`,
);

// Arguments: '1' to pause or '0' to resume, queue. It stands for the queues of it that belong to one node, too.
export const PAUSE = operation(
  [QUEUES],
  `
  local paused, queue = ns .. 'ah:paused', ${B}
  if ${A} == '1' then rebuild('SADD', paused, queue) return 1 end
  if rebuild('SREM', paused, queue) == 0 then return 0 end
  local function wake(name)
    local length = try('LLEN', ns .. 'queue:' .. name) or 0
    if length > 0 then arrived(name, length, length) end
  end
  wake(queue)
  local owners = try('HGETALL', ns .. 'ah:node-queues') or {}
  for i = 1, #owners, 2 do
    if owners[i] == queue .. '${nodeQueue("", "")}' .. owners[i + 1] then wake(owners[i]) end
  end
  return 1
`,
);
