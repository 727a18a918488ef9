/** Scripts that only read, and those of nodes. */
import { EFFECTS } from "./effects";
import {
  A,
  ARG,
  B,
  C,
  FAIL,
  IS_DELAYED,
  IS_QUEUED_PART,
  JSON_TEXT,
  NODES,
  operation,
  QUEUES,
  REBUILD,
  REQUEUE,
  SLOTS,
} from "./shared";
import { APPLY_PARTS } from "./processes";
import { REMOVE_DELAYED_PART, REMOVE_QUEUE_PART } from "./producers";

// Returns the time.
export const CLOCK = `return now()`;

// Arguments: member, effects. For a job that runs outside of any queue.
export const APPLY = operation(
  [...APPLY_PARTS, EFFECTS],
  `
  allowWhenFull()
  apply(${A}, ${ARG + 1})
  return 1
`,
);

// Arguments: queues... Returns per queue the number of jobs and of those that wait for a slot.
export const LENGTHS = operation(
  [],
  `
  local result = {}
  for i = ${ARG}, #ARGV do
    result[#result + 1] = try('LLEN', ns .. 'queue:' .. ARGV[i]) or 0
    result[#result + 1] = tonumber(try('HGET', ns .. 'ah:waiting', ARGV[i]) or '0')
  end
  return result
`,
);

// Arguments: queue, start, stop. Returns the jobs of the list, then the jobs waiting for a slot.
export const JOBS = operation(
  [],
  `
  local queue, list = ${A}, ns .. 'queue:' .. ${A}
  if not try('HGET', ns .. 'ah:waiting', queue) then return redis.call('LRANGE', list, ${B}, ${C}) end
  local jobs, head = redis.call('LRANGE', list, 0, -1), #queue .. ':' .. queue
  for _, class in ipairs(try('SMEMBERS', ns .. 'ah:limits') or {}) do
    for _, entry in ipairs(try('LRANGE', ns .. 'ah:parked:' .. class, 0, -1) or {}) do
      if string.sub(entry, 1, #head) == head then jobs[#jobs + 1] = string.sub(entry, #head + 1) end
    end
  end
  local first, last, result = tonumber(${B}), tonumber(${C}), {}
  if first < 0 then first = math.max(0, #jobs + first) end
  if last < 0 then last = #jobs + last end
  for i = first + 1, math.min(last + 1, #jobs) do result[#result + 1] = jobs[i] end
  return result
`,
);

// Returns member and queue of each worker without a lease, and its ping.
export const FOREIGN_PINGS = operation(
  [],
  `
  local result = {}
  for _, member in ipairs(try('SMEMBERS', ns .. 'workers') or {}) do
    if redis.call('EXISTS', ns .. 'ah:owner:' .. member) == 0 then
      local ping = try('GET', ns .. 'worker:ping:' .. (string.match(member, '^[^:]*:[^:]*') or member))
      if ping then result[#result + 1] = ping end
    end
  end
  return result
`,
);

/** `liveNodes()`: their ids; dead ones are removed. */
const LIVE = `
local function liveNodes()
  local result = {}
  for _, node in ipairs(try('SMEMBERS', ns .. 'ah:nodes') or {}) do
    if redis.call('EXISTS', ns .. 'ah:node:' .. node) == 1 then result[#result + 1] = node
    else redis.call('SREM', ns .. 'ah:nodes', node) end
  end
  table.sort(result)
  return result
end
`;

// Arguments: node, ms that it counts as alive, ms that its queues are kept, queues...
export const ANNOUNCE = operation(
  [QUEUES, NODES],
  `
  allowWhenFull()
  local node = ${A}
  local live, seen = ns .. 'ah:node:' .. node, ns .. 'ah:node-seen:' .. node
  redis.call('SET', live, '1')
  expire(live, ${B})
  redis.call('SET', seen, '1')
  expire(seen, ${C})
  rebuild('SADD', ns .. 'ah:nodes', node)
  for i = ${ARG + 3}, #ARGV do
    assign(ARGV[i], node)
  end
  return 1
`,
);

// Arguments: node.
export const RETIRE = operation(
  [],
  `
  redis.call('DEL', ns .. 'ah:node:' .. ${A})
  try('SREM', ns .. 'ah:nodes', ${A})
  return 1
`,
);

// Returns the ids of live nodes.
export const LIVE_NODES = operation([LIVE], "return liveNodes()");

// Arguments: the prefix of the queue names. Returns the queue of each live node.
export const ASSIGN_QUEUES = operation(
  [QUEUES, NODES, LIVE],
  `
  local queues = liveNodes()
  for i, node in ipairs(queues) do
    queues[i] = ${A} .. node
    assign(queues[i], node)
  end
  return queues
`,
);

// Returns the names of the queues that were removed with their jobs: their nodes have been silent for too long.
// Delayed jobs of a node remain until they are due, and so does the owner of their queue.
export const REMOVE_LOST = operation(
  [
    JSON_TEXT,
    QUEUES,
    FAIL,
    REQUEUE,
    SLOTS,
    REMOVE_QUEUE_PART,
    REMOVE_DELAYED_PART,
  ],
  `
  local owners, result = try('HGETALL', ns .. 'ah:node-queues') or {}, {}
  for i = 1, #owners, 2 do
    local node = owners[i + 1]
    local runs, isKept = ns .. 'ah:node-runs:' .. node, redis.call('EXISTS', ns .. 'ah:node-delayed:' .. node) == 1
    local hasJobs = try('SISMEMBER', ns .. 'queues', owners[i]) == 1 or redis.call('EXISTS', runs) == 1
    if redis.call('EXISTS', ns .. 'ah:node-seen:' .. node) == 0 and (hasJobs or not isKept) then
      removeQueue(owners[i])
      for _, raw in ipairs(try('HVALS', runs) or {}) do removeDelayed(raw) end
      redis.call('DEL', runs, ns .. 'ah:wake-any:' .. node)
      if not isKept then redis.call('HDEL', ns .. 'ah:node-queues', owners[i]) end
      result[#result + 1] = owners[i]
    end
  end
  return result
`,
);

// Arguments: id, member, job, fields... A worker that no longer holds the job has reported its outcome.
export const UPDATE_JOB = operation(
  [...APPLY_PARTS, EFFECTS],
  `
  local tail = ',"payload":' .. ${C} .. '}'
  local record = try('GET', ns .. 'worker:' .. ${B})
  if not record or string.sub(record, -#tail) ~= tail then return 1 end
  allowWhenFull()
  updateJob(${A}, ${ARG + 3}, #ARGV)
  return 1
`,
);

// Arguments: queue, job, how far to search. Returns 1 when it exists, or the queue is longer.
export const IS_QUEUED = operation(
  [IS_QUEUED_PART],
  `return isQueued(${A}, ${B}, tonumber(${C})) and 1 or 0`,
);

// Arguments: bare job. Returns the seconds in which it is due.
export const SCHEDULED_AT = operation([IS_DELAYED], `return secondsOf(${A})`);

// Arguments: '1' or '0', name of a periodic task.
export const MARK_STOPPED = operation(
  [REBUILD],
  `return rebuild(${A} == '1' and 'SADD' or 'SREM', ns .. 'ah:stopped', ${B})`,
);

// Arguments: name of a periodic task. Returns 1 or 0.
export const IS_STOPPED = operation(
  [],
  `return try('SISMEMBER', ns .. 'ah:stopped', ${A}) or 0`,
);

// Arguments: the key to delete. Returns the number of deleted keys.
export const REMOVE_LOCK = operation([], `return redis.call('DEL', ${A})`);
