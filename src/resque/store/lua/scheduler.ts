/** Scripts of the scheduler: leadership, due jobs, and upkeep of slots and queues. */
import { CLOCK_SLACK_MS } from "../texts";
import {
  A,
  ARG,
  B,
  FAIL,
  JSON_TEXT,
  NOTE_CONTEXT,
  operation,
  QUEUE_OF,
  QUEUES,
  REBUILD,
  RELIST,
  REQUEUE,
  SLOTS,
} from "./shared";

/** The longest leadership of a scheduler of version 29, in ms. */
const LONGEST_LEAD_MS = 180_000;

// Arguments: name, ms. Returns 0 for the leader; else the ms after which the leadership of another one ends, or a negative number
// when that is unknown. One that lasts longer than it can was set before the clock was set back: it is cut, and its leader renews it
// if it is alive.
export const LEAD = operation(
  [REBUILD],
  `
  allowWhenFull()
  local key = ns .. 'resque_scheduler_leader_lock'
  local leader = rebuild('GET', key)
  if leader and leader ~= ${A} then
    local left = redis.call('PTTL', key)
    if left > math.max(${LONGEST_LEAD_MS}, ${B}) + ${CLOCK_SLACK_MS} then
      left = tonumber(${B})
      expire(key, left)
    end
    return text(left == 0 and 1 or left)
  end
  if not leader then redis.call('SET', key, ${A}) end
  expire(key, ${B})
  return '0'
`,
);

// Arguments: name.
export const RESIGN = operation(
  [],
  `
  local key = ns .. 'resque_scheduler_leader_lock'
  if try('GET', key) == ${A} then redis.call('DEL', key) end
  return 1
`,
);

/** Buckets of at least this length are rewritten as a whole, because finding a job in them costs too much. */
const LONG_BUCKET = 100;
/** Entries per command: the arguments of a Lua call are limited. */
const CHUNK = 1000;
/** The next promotion from a long bucket waits a ms per this many of its jobs. */
const JOBS_PER_MS = 500;

// Arguments: jobs at most, date. Returns ms until the next one ('' for none), then second and job of each one moved.
// A second whose jobs are all due is emptied from the head. Before, jobs of ours go at their exact time in ah:due, and the
// others at the whole second; ah:due-count tells whether there are others. A job goes on with the context that is beside it.
export const PROMOTE = operation(
  [JSON_TEXT, QUEUES, FAIL, QUEUE_OF, NOTE_CONTEXT],
  `
  allowWhenFull()
  local limit = tonumber(${A})
  local schedule, exact, counts = ns .. 'delayed_queue_schedule', ns .. 'ah:due', ns .. 'ah:due-count'
  local contexts = ns .. 'ah:due-context'
  local result, hasContexts = {''}, rebuild('HLEN', contexts) > 0
  local function takeContext(second, raw)
    if not hasContexts then return nil end
    local member = second .. ':' .. raw
    local context = try('HGET', contexts, member)
    if context then try('HDEL', contexts, member) end
    return context
  end
  local function forget(second, bare)
    try('SREM', ns .. 'timestamps:' .. bare, 'delayed:' .. second)
    return takeContext(second, bare)
  end
  local function move(second, bare)
    local raw, context = bare, forget(second, bare)
    if context then raw = string.sub(bare, 1, -2) .. ',"ah":' .. context .. '}' end
    local queue = queueOf(raw)
    local length = queue and try('RPUSH', ns .. 'queue:' .. queue, raw)
    if length then
      arrived(queue, length, 1)
      noteContext(queue, raw)
    elseif queue then failed('"scheduler"', queue, raw, 'Error', 'the key of the queue holds something else', ${B})
    else failed('"scheduler"', '', json(raw), 'Error', 'unreadable job', ${B}) end
    result[#result + 1] = second
    result[#result + 1] = raw
    limit = limit - 1
  end
  local function bucketOf(second) return ns .. 'delayed:' .. second end
  local function tidy(second)
    if redis.call('EXISTS', bucketOf(second)) == 1 then return end
    try('ZREM', schedule, second)
    try('HDEL', counts, second)
  end
  local function rewrite(bucket, items)
    redis.call('DEL', bucket)
    for first = 1, #items, ${CHUNK} do
      redis.call('RPUSH', bucket, unpack(items, first, math.min(first + ${CHUNK - 1}, #items)))
    end
  end

  local isOver = text(math.floor((time - 500) / 1000))
  for _, second in ipairs(rebuild('ZRANGEBYSCORE', schedule, '-inf', isOver, 'LIMIT', 0, 100)) do
    while limit > 0 do
      local raw = try('LPOP', bucketOf(second))
      if not raw then break end
      try('ZREM', exact, second .. ':' .. raw)
      move(second, raw)
    end
    if limit <= 0 then tidy(second) break end
    if problems[1] then try('ZREM', schedule, second) else tidy(second) end
  end

  local due, seconds = {}, {}
  if limit > 0 then
    for _, member in ipairs(try('ZRANGEBYSCORE', exact, '-inf', text(time), 'LIMIT', 0, limit) or {}) do
      local at = string.find(member, ':', 1, true)
      local second = string.sub(member, 1, at - 1)
      if not due[second] then due[second] = {} seconds[#seconds + 1] = second end
      local jobs = due[second]
      jobs[#jobs + 1] = string.sub(member, at + 1)
      try('ZREM', exact, member)
    end
  end
  for _, second in ipairs(seconds) do
    local jobs, bucket, found = due[second], bucketOf(second), {}
    local length = try('LLEN', bucket)
    if not length then
      -- something else was put there: only we still know the jobs
      for _, raw in ipairs(jobs) do found[raw] = true end
    elseif length > ${LONG_BUCKET} and #jobs > 4 then
      local isDue, kept = {}, {}
      for _, raw in ipairs(jobs) do isDue[raw] = true end
      for _, raw in ipairs(redis.call('LRANGE', bucket, 0, -1)) do
        if isDue[raw] and not found[raw] then found[raw] = true else kept[#kept + 1] = raw end
      end
      rewrite(bucket, kept)
    else
      for _, raw in ipairs(jobs) do found[raw] = redis.call('LREM', bucket, 1, raw) == 1 end
    end
    -- what is not there was lost, or moved by a scheduler of another kind, at the whole second
    for _, raw in ipairs(jobs) do
      if found[raw] then move(second, raw) else forget(second, raw) end
    end
    try('HINCRBY', counts, second, -#jobs)
    tidy(second)
  end

  local isReached = text(math.floor(time / 1000))
  for _, second in ipairs(try('ZRANGEBYSCORE', schedule, '(' .. isOver, isReached) or {}) do
    local bucket = bucketOf(second)
    local length, own = try('LLEN', bucket) or 0, tonumber(try('HGET', counts, second) or '0')
    if limit > 0 and length > own then
      local kept, ours = {}, 0
      for _, raw in ipairs(redis.call('LRANGE', bucket, 0, -1)) do
        if try('ZSCORE', exact, second .. ':' .. raw) then
          kept[#kept + 1] = raw
          ours = ours + 1
        elseif limit > 0 then move(second, raw)
        else kept[#kept + 1] = raw end
      end
      rewrite(bucket, kept)
      try('HSET', counts, second, ours)
      tidy(second)
    end
  end

  local first = try('ZRANGE', exact, 0, 0, 'WITHSCORES') or {}
  local next = nil
  if first[1] then
    next = tonumber(first[2])
    local length = try('LLEN', bucketOf(string.match(first[1], '^[^:]*'))) or 0
    if length > 1000 then next = math.max(next, time + length / ${JOBS_PER_MS}) end
  end
  local whole = (try('ZRANGE', schedule, 0, 0) or {})[1]
  if whole then
    local at = tonumber(whole) * 1000
    if at <= time then at = at + 500 end
    if not next or at < next then next = at end
  end
  if next then result[1] = text(math.max(0, math.ceil(next - time))) end
  return result
`,
);

// Arguments: class and limit in turn; -1 for a class without one. Slots of dead workers are released, and jobs that
// wait for free slots are moved to their queues.
export const SWEEP_SLOTS = operation(
  [JSON_TEXT, QUEUES, FAIL, REQUEUE, SLOTS],
  `
  allowWhenFull()
  local limits = {}
  for i = ${ARG}, #ARGV, 2 do limits[ARGV[i]] = tonumber(ARGV[i + 1]) end
  for _, class in ipairs(try('SMEMBERS', ns .. 'ah:limits') or {}) do
    local slots, parked = ns .. 'ah:limit:' .. class, ns .. 'ah:parked:' .. class
    for _, member in ipairs(try('SMEMBERS', slots) or {}) do
      if redis.call('EXISTS', ns .. 'ah:owner:' .. member, ns .. 'worker:' .. member) == 0 then try('SREM', slots, member) end
    end
    local limit, taken = limits[class] or 1, try('SCARD', slots) or 0
    local free = limit == -1 and 1000 or limit - taken
    while free > 0 and callWaiting(class) do free = free - 1 end
    if redis.call('EXISTS', parked) == 0 and (limit == -1 or taken == 0) then
      redis.call('DEL', slots)
      redis.call('SREM', ns .. 'ah:limits', class)
    end
  end
  -- what could not be put on the failed list goes there now
  local aside = ns .. 'ah:failed-aside'
  for _, entry in ipairs(try('LRANGE', aside, 0, 99) or {}) do
    if not try('RPUSH', ns .. 'failed', entry) then break end
    redis.call('LPOP', aside)
  end
  return 1
`,
);

/** The minimum of queues per sweep, and the maximum, unless that is a smaller fraction of all. */
const SWEEP = 1000;
const LARGEST_SHARE = 0.02;

/** How many keys of redis one sweep looks at, for lists of jobs whose queue is in no list of queues. */
const KEYS_PER_SWEEP = 1000;

// Arguments: ms in which all queues are checked. Returns the ms until the next call.
// The cursors are shared, so that processes do not repeat each other's sweeps.
export const SWEEP_QUEUES = operation(
  [QUEUES, RELIST],
  `
  allowWhenFull()
  local state, queues, period = ns .. 'ah:sweep', ns .. 'queues', tonumber(${A})
  local known = try('HMGET', state, 'cursor', 'at', 'keys')
  if not known then redis.call('DEL', state) known = {} end
  local count = try('SCARD', queues) or 0
  local elapsed = time - tonumber(known[2] or '0')
  if elapsed < 0 or elapsed > period then elapsed = period end
  local least = math.min(count, ${SWEEP})
  local most = math.max(${SWEEP}, math.ceil(count * ${LARGEST_SHARE}))
  local share = math.min(math.ceil(count * elapsed / period), most)
  if share < least then return math.max(1, math.ceil((least - share) * period / count)) end
  local lists = ns .. 'queue:'
  local function check(queue)
    local length = try('LLEN', lists .. queue) or 0
    if length > 0 then relist(queue, length) end
  end
  local reply = count > 0 and redis.call('SSCAN', queues, known[1] or '0', 'COUNT', share) or {'0', {}}
  for _, queue in ipairs(reply[2]) do check(queue) end
  local pattern = string.gsub(lists, '[%[%]*?\\\\]', '\\\\%0') .. '*'
  local found = try('SCAN', known[3] or '0', 'MATCH', pattern, 'COUNT', ${KEYS_PER_SWEEP}) or {'0', {}}
  for _, list in ipairs(found[2]) do check(string.sub(list, #lists + 1)) end
  redis.call('HSET', state, 'cursor', reply[1], 'at', text(time), 'keys', found[1])
  if count <= ${SWEEP} then return period end
  return math.max(1, math.ceil(period * most / count))
`,
);
