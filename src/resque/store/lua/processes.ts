/** Scripts of processes and their workers: registration, leases, and jobs of dead workers. */
import { CLOCK_SLACK_MS, MAX_EXPIRED, UNKNOWN_SECONDS } from "../texts";
import {
  A,
  ARG,
  B,
  C,
  D,
  DELAY,
  E,
  F,
  FAIL,
  REQUEUE_JOB_OF,
  IS_QUEUED_PART,
  JSON_TEXT,
  KNOWN,
  LISTING,
  operation,
  QUEUES,
  REBUILD,
  REQUEUE,
  SLOTS,
} from "./shared";

const RETURNING = [JSON_TEXT, QUEUES, FAIL, REQUEUE, SLOTS, REQUEUE_JOB_OF];

/**
 * `expired(ms)`: the time and the ids whose lease is over. A lease that ends later than it can was set before the clock was set back:
 * it begins anew. `ms` is that of the caller.
 */
const EXPIRED = `
local function expired(ms)
  for _, id in ipairs(try('ZRANGEBYSCORE', ns .. 'ah:procs', '(' .. text(time + ms + ${CLOCK_SLACK_MS}), '+inf') or {}) do
    local ends, lease = redis.call('ZSCORE', ns .. 'ah:procs', id), tonumber(try('HGET', ns .. 'ah:proc:' .. id, 'lease') or '')
    if lease and tonumber(ends) > time + lease + ${CLOCK_SLACK_MS} then
      redis.call('ZADD', ns .. 'ah:procs', text(time + lease), id)
    end
  end
  local ids = try('ZRANGEBYSCORE', ns .. 'ah:procs', '-inf', text(time), 'LIMIT', 0, ${MAX_EXPIRED}) or {}
  table.insert(ids, 1, text(time))
  return ids
end
`;

const PING = `
local function ping(name, quoted, queues, ms)
  local key = ns .. 'worker:ping:' .. name
  try('SET', key, '{"time":' .. text(math.floor(time / 1000)) .. ',"name":' .. quoted .. ',"queues":' .. json(queues) .. '}')
  expire(key, ms)
end
`;

/** `renewLocks(at)`: extends the locks whose key, value and seconds are in ARGV from `at` on. */
const RENEWAL = `
local function renewLocks(at)
  for lock = at, #ARGV, 3 do
    if try('GET', ARGV[lock]) == ARGV[lock + 1] then expire(ARGV[lock], tonumber(ARGV[lock + 2]) * 1000) end
  end
end
`;

// Arguments: id, ms, name of its connections. Returns the time and the ids whose lease is over.
// A process is never visible without its lease. A repetition does not change the number of its last call.
export const REGISTER = operation(
  [REBUILD, EXPIRED],
  `
  allowWhenFull()
  rebuild('ZADD', ns .. 'ah:procs', text(time + ${B}), ${A})
  redis.call('HSETNX', ns .. 'ah:proc:' .. ${A}, 'call', '0')
  redis.call('HSET', ns .. 'ah:proc:' .. ${A}, 'connection', ${C}, 'lease', ${B})
  return expired(${B})
`,
);

// Arguments: id, ms, name of its connections, number of workers, then name, name as JSON and queues of each, then key, value and
// seconds of each lock. Returns as above; false when the process is no longer registered. A worker that has left meanwhile gets no
// ping; what was lost of the registration and of the listing of the others is written again.
export const RENEW = operation(
  [JSON_TEXT, REBUILD, LISTING, EXPIRED, PING, RENEWAL],
  `
  if not isKnown(${A}) then return false end
  allowWhenFull()
  rebuild('ZADD', ns .. 'ah:procs', text(time + ${B}), ${A})
  rebuild('HSETNX', ns .. 'ah:proc:' .. ${A}, 'connection', ${C})
  redis.call('HSETNX', ns .. 'ah:proc:' .. ${A}, 'lease', ${B})
  local at = ${ARG + 4}
  for _ = 1, tonumber(${D}) do
    local member = ARGV[at] .. ':' .. ARGV[at + 2]
    if isOf(${A}, member) and claim(${A}, member) then ping(ARGV[at], ARGV[at + 1], ARGV[at + 2], ${B}) end
    at = at + 3
  end
  renewLocks(at)
  return expired(${B})
`,
);

/** The lease of a process whose lease was lost with its registration, until the next renewal. */
const RESTORED_MS = 30_000;

// Arguments: id, name of its connections, number of a call, then member and job of each worker that reports in it. Writes a lost
// registration again, so that the call can be sent again; false when the process is not registered. If no worker has the job that
// it reports, the call has taken effect before.
export const RESTORE = operation(
  [REBUILD, KNOWN],
  `
  if not isKnown(${A}) then return false end
  allowWhenFull()
  local process, isDone = ns .. 'ah:proc:' .. ${A}, ARGV[${ARG + 3}] ~= nil
  for at = ${ARG + 3}, #ARGV, 2 do
    local tail = ',"payload":' .. ARGV[at + 1] .. '}'
    if string.sub(try('GET', ns .. 'worker:' .. ARGV[at]) or '', -#tail) == tail then isDone = false end
  end
  rebuild('HSETNX', process, 'connection', ${B})
  rebuild('ZADD', ns .. 'ah:procs', 'NX', text(time + ${RESTORED_MS}), ${A})
  redis.call('HSETNX', process, 'call', isDone and ${C} or ${C} - 1)
  return 1
`,
);

// Arguments: key, value and seconds of each lock.
export const RENEW_LOCKS = operation(
  [RENEWAL],
  `
  allowWhenFull()
  renewLocks(${ARG})
  return 1
`,
);

// Arguments: id, name, name as JSON, queues, ms, date. Returns 'joined', 'taken' or 'fenced'; what, member, queue and job of a dead
// worker whose name it is now.
// Two processes cannot get the same name, and so never write the same record.
export const JOIN = operation(
  [...RETURNING, PING],
  `
  allowWhenFull()
  local id, name, member = ${A}, ${B}, ${B} .. ':' .. ${D}
  local process, owner, record = ns .. 'ah:proc:' .. id, ns .. 'ah:owner:' .. member, ns .. 'worker:' .. member
  if not isKnown(id) then return 'fenced' end
  local other, returned = rebuild('GET', owner), 'joined'
  if other and other ~= id then
    if isKnown(other) then return 'taken' end
    returned = requeueJobOf(other, member, name, true, ${F})
  elseif not other and redis.call('EXISTS', record) == 1 then
    return 'taken'
  end
  redis.call('SET', owner, id)
  rebuild('HSET', process .. ':members', member, name)
  rebuild('SADD', ns .. 'workers', member)
  try('SET', record .. ':started', text(math.floor(time / 1000)))
  ping(name, ${C}, ${D}, ${E})
  return returned
`,
);

// Arguments: id, member, name, '1' to keep a running job. Returns what, member, queue, job.
// A worker that leaves has a job in its record or in the queue, never both.
export const LEAVE = operation(
  RETURNING,
  `
  local id, member = ${A}, ${B}
  if ${D} == '1' and isOf(id, member) then
    local job = try('GET', ns .. 'worker:' .. member)
    if job then
      local queue, raw = openRecord(job)
      return {'running', member, queue or '', raw or job}
    end
  end
  allowWhenFull()
  return requeueJobOf(id, member, ${C}, false, '')
`,
);

// Arguments: id, member. Returns 1, or 0 when the job that runs alone is not the worker's.
export const START_ALONE = operation(
  [],
  `
  local process = ns .. 'ah:proc:' .. ${A}
  if try('HGET', process, 'alone') ~= ${B} then return 0 end
  allowWhenFull()
  redis.call('HSET', process, 'started', '1')
  return 1
`,
);

const END_PROCESS = `
local function endProcess(id, isCrash, date)
  local process, result = ns .. 'ah:proc:' .. id, {}
  local members = try('HGETALL', process .. ':members') or {}
  for i = 1, #members, 2 do
    for _, part in ipairs(requeueJobOf(id, members[i], members[i + 1], isCrash, date)) do result[#result + 1] = part end
  end
  try('ZREM', ns .. 'ah:procs', id)
  redis.call('DEL', process, process .. ':members')
  return result
end
`;

// Arguments: id. Returns what, member, queue and job per worker. The jobs of its workers are requeued.
export const DEREGISTER = operation(
  [...RETURNING, END_PROCESS],
  `
  allowWhenFull()
  return endProcess(${A}, false, '')
`,
);

// Arguments: id, grace in ms, date. Returns as above; false when the lease expired later than that.
// The right to report is removed atomically with the requeueing of the jobs.
export const REAP = operation(
  [...RETURNING, END_PROCESS],
  `
  local ends = try('ZSCORE', ns .. 'ah:procs', ${A})
  if not ends or tonumber(ends) + tonumber(${B}) > time then return false end
  allowWhenFull()
  return endProcess(${A}, true, ${C})
`,
);

/** The number of workers checked per call. */
const ORPHAN_PAGE = 200;

/**
 * `orphansFrom(cursor)`: the next cursor, '0' at the end, member and owner of each that was found, and the processes without a
 * lease. Needs KNOWN.
 */
const ORPHANS = `
local function orphansFrom(cursor)
  local page, found = try('SSCAN', ns .. 'workers', cursor, 'COUNT', ${ORPHAN_PAGE}) or {'0', {}}, {}
  local unleased = {}
  for _, member in ipairs(page[2]) do
    local owner = try('GET', ns .. 'ah:owner:' .. member)
    if owner and not isKnown(owner) then found[#found + 1] = {member, owner}
    elseif owner and not try('ZSCORE', ns .. 'ah:procs', owner) then unleased[#unleased + 1] = owner end
  end
  return page[1], found, unleased
end
`;

// Arguments: cursor. Returns the next one, then member and record ('' for none) of each.
export const FIND_ORPHANS = operation(
  [KNOWN, ORPHANS],
  `
  local cursor, orphans = orphansFrom(${A})
  local result = {cursor}
  for _, orphan in ipairs(orphans) do
    result[#result + 1] = orphan[1]
    result[#result + 1] = try('GET', ns .. 'worker:' .. orphan[1]) or ''
  end
  return result
`,
);

/** `repairSchedule(cursor)`: schedules some buckets again that the schedule has lost; returns the next cursor. */
const REPAIR_SCHEDULE = `
local function repairSchedule(cursor)
  local schedule = ns .. 'delayed_queue_schedule'
  local page = try('HSCAN', ns .. 'ah:due-count', cursor, 'COUNT', ${ORPHAN_PAGE}) or {'0', {}}
  for i = 1, #page[2], 2 do
    local second = page[2][i]
    local isLost = not try('ZSCORE', schedule, second) and (try('LLEN', ns .. 'delayed:' .. second) or 0) > 0
    if isLost then rebuild('ZADD', schedule, second, second) end
  end
  return page[1]
end
`;

// Arguments: date, cursor or '', ms in which all workers are checked. Returns the next cursor, then what, member, queue and
// job per worker. Without a cursor, a shared one is used, so that processes do not repeat each other's checks.
export const REPAIR_ORPHANS = operation(
  [...RETURNING, ORPHANS, REPAIR_SCHEDULE],
  `
  allowWhenFull()
  local state, cursor = ns .. 'ah:orphan-sweep', ${B}
  local isShared = cursor == ''
  if isShared then
    local known = try('HMGET', state, 'cursor', 'at', 'buckets')
    if not known then redis.call('DEL', state) known = {} end
    local count, elapsed = try('SCARD', ns .. 'workers') or 0, time - tonumber(known[2] or '0')
    -- a page of a small set is all of it
    local waitMs = count <= ${ORPHAN_PAGE} and tonumber(${C}) or ${C} * ${ORPHAN_PAGE} / count
    if elapsed >= 0 and elapsed < waitMs then return {''} end
    cursor = known[1] or '0'
    redis.call('HSET', state, 'buckets', repairSchedule(known[3] or '0'))
  end
  local nextCursor, orphans, unleased = orphansFrom(cursor)
  -- their leases were lost: those that do not renew the new ones are reaped
  for _, owner in ipairs(unleased) do rebuild('ZADD', ns .. 'ah:procs', text(time + math.max(1, ${C})), owner) end
  local result = {nextCursor}
  for _, orphan in ipairs(orphans) do
    local name = string.match(orphan[1], '^[^:]*:[^:]*') or orphan[1]
    for _, part in ipairs(requeueJobOf(orphan[2], orphan[1], name, true, ${A})) do result[#result + 1] = part end
  end
  if isShared then redis.call('HSET', state, 'cursor', nextCursor, 'at', text(time)) end
  return result
`,
);

// Arguments: member, name, record that the worker was seen with or '', entry of the failed list or ''. Returns 1, or 0 when the
// worker has another record: it is alive, and may have taken its next job.
export const REMOVE_WORKER = operation(
  [...RETURNING],
  `
  local member, name = ${A}, ${B}
  local record = ns .. 'worker:' .. member
  if (try('GET', record) or '') ~= ${C} then return 0 end
  allowWhenFull()
  if ${D} ~= '' then
    try('INCR', ns .. 'stat:failed')
    fail(${D})
    local isJson, failure = pcall(cjson.decode, ${D})
    local _, raw = openRecord(${C})
    if raw and isJson then setState(raw, 'failed', failure.error) end
  end
  redis.call('DEL', record)
  local owner = try('GET', ns .. 'ah:owner:' .. member)
  if owner then requeueJobOf(owner, member, name, false, '') return 1 end
  try('SREM', ns .. 'workers', member)
  redis.call('DEL', record .. ':started', ns .. 'worker:ping:' .. name, ns .. 'stat:processed:' .. name, ns .. 'stat:failed:' .. name)
  return 1
`,
);

// Arguments: process, member, class, limit, waiting entry, queue. Returns a state.
// The job is in the record or waits, and the number of occupied slots never exceeds the limit.
export const ACQUIRE_SLOT = operation(
  [JSON_TEXT, QUEUES, FAIL, REQUEUE, SLOTS, LISTING],
  `
  local process, member, class = ${A}, ${B}, ${C}
  local slots, record = ns .. 'ah:limit:' .. class, ns .. 'worker:' .. member
  local owner = rebuild('GET', ns .. 'ah:owner:' .. member)
  local _, raw = openWaiting(${E})
  local tail = ',"payload":' .. raw .. '}'
  local isHeld = string.sub(try('GET', record) or '', -#tail) == tail
  if owner and owner ~= process then return 'lost' end
  -- a worker that has the job has lost no more than the key that says whose it is
  if not owner and not (isHeld and claim(process, member)) then return 'lost' end
  if rebuild('SISMEMBER', slots, member) == 1 then return 'acquired' end
  -- a repetition that comes late must not touch the next job of the worker
  if not isHeld then return 'waiting' end
  allowWhenFull()
  rebuild('SADD', ns .. 'ah:limits', class)
  local free = tonumber(${D}) - redis.call('SCARD', slots)
  if free > 0 then
    redis.call('SADD', slots, member)
    if free > 1 then callWaiting(class) end
    return 'acquired'
  end
  rebuild('RPUSH', ns .. 'ah:parked:' .. class, ${E})
  countWaiting(ARGV[${ARG + 5}], 1)
  redis.call('DEL', record)
  return 'waiting'
`,
);

// Arguments: key, seconds, owner's number or '', member or ''. Returns the value; false when someone else holds it, or the
// worker is not registered. A worker that dies leaves no lock without a known owner.
export const TAKE_LOCK = operation(
  [],
  `
  local key, held = ${A}, ns .. 'ah:held:' .. ${D}
  if ${D} ~= '' and redis.call('EXISTS', ns .. 'ah:owner:' .. ${D}, ns .. 'worker:' .. ${D}) == 0 then return false end
  local holder = try('GET', key)
  if holder and ${D} ~= '' and try('HGET', held, key) == holder then
    expire(key, ${B} * 1000)
    return holder
  end
  if holder then return false end
  local value = text(math.floor(time / 1000) + ${B} + 1)
  if ${C} ~= '' then value = value .. '.' .. ${C} end
  allowWhenFull()
  redis.call('SET', key, value)
  expire(key, ${B} * 1000)
  if ${D} ~= '' then try('HSET', held, key, value) end
  return value
`,
);

// Arguments: key, value, member or ''. Returns 1 when deleted.
export const RELEASE_LOCK = operation(
  [],
  `
  if ${C} ~= '' then try('HDEL', ns .. 'ah:held:' .. ${C}, ${A}) end
  if try('GET', ${A}) ~= ${B} then return 0 end
  return redis.call('DEL', ${A})
`,
);

// Arguments: key, seconds, how long it is believed in s, queue, job, how far to search. Returns 1 when taken.
// A lock is valid while it is younger than that or its job exists; the lock of a missing job, e.g. of a deleted
// queue, is taken over.
export const TAKE_QUEUE_LOCK = operation(
  [IS_QUEUED_PART],
  `
  local key, seconds = ${A}, tonumber(${B})
  local now = math.floor(time / 1000)
  local ends = tonumber(string.match(try('GET', key) or '', '^%d+'))
  if ends and ends >= now then
    if ends - seconds - 1 > now - ${C} then return 0 end
    if isQueued(${D}, ${E}, tonumber(${F})) then return 0 end
  end
  redis.call('SET', key, text(now + seconds + 1))
  expire(key, seconds * 1000)
  return 1
`,
);

// Arguments: queue, job, how long it may be unknown in ms. Returns how long it has been unknown; -1 when that is too
// long.
// A job that is known again does not appear here, and its record expires soon.
export const WAIT_UNKNOWN = operation(
  [],
  `
  allowWhenFull()
  local key = ns .. 'ah:unknown:' .. redis.sha1hex(${A} .. ':' .. ${B})
  local elapsed = time - (tonumber(try('GET', key) or '') or time)
  if elapsed >= tonumber(${C}) then redis.call('DEL', key) return -1 end
  redis.call('SET', key, text(time - elapsed))
  expire(key, ${UNKNOWN_SECONDS * 1000})
  return elapsed
`,
);

// Arguments: key. Returns how often it was counted before.
export const COUNT_RETRY = operation(
  [],
  `
  allowWhenFull()
  local key = ns .. ${A}
  if not try('GET', key) then redis.call('SET', key, -1) end
  return redis.call('INCR', key)
`,
);

// Arguments: key.
export const FORGET_RETRY = operation(
  [],
  `
  redis.call('DEL', ns .. ${A}, ns .. 'failure-' .. ${A})
  return 1
`,
);

export const APPLY_PARTS = [
  JSON_TEXT,
  QUEUES,
  FAIL,
  REQUEUE,
  SLOTS,
  DELAY,
] as const;
