/** Scripts that inspect the queues, and scripts that change one job, plan or lock. */
import { EFFECTS } from "./effects";
import {
  A,
  ARG,
  B,
  C,
  IS_DELAYED,
  IS_QUEUED_PART,
  operation,
  REBUILD,
} from "./shared";
import { APPLY_PARTS } from "./processes";

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
  if not try('HGET', ns .. 'ah:waiting', queue) then return try('LRANGE', list, ${B}, ${C}) or {} end
  local jobs, head = try('LRANGE', list, 0, -1) or {}, #queue .. ':' .. queue
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
