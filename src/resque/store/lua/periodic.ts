/**
 * Scripts of recurring tasks and of nodes. `ah:planner:<name>` exists while the process of this name, which declared plans, is
 * alive.
 */
import {
  A,
  ARG,
  B,
  C,
  D,
  E,
  FAIL,
  IS_DELAYED,
  JSON_TEXT,
  NODES,
  OPEN_RECORD,
  operation,
  QUEUES,
  RELIST,
  REQUEUE,
  SLOTS,
} from "./shared";
import { PLANNED_RUN_PART, PLANS_PART } from "./effects";
import { APPLY_PARTS } from "./processes";
import { REMOVE_DELAYED_PART, REMOVE_QUEUE_PART } from "./producers";
import { RUN_SEARCH_LENGTH, UNSEEN_NODE_SECONDS } from "../texts";

// Arguments: node or '', who asks or '', ms that it counts as alive, ms that the plans of a node are kept. Returns task, who
// declared it, '1' when that one lives, when a run was planned last and the plan of each.
export const PLANS_OF = operation(
  [PLANS_PART],
  `
  local plans, result = plansOf(${A}), {}
  if ${B} ~= '' then
    allowWhenFull()
    local alive = ns .. 'ah:planner:' .. ${B}
    redis.call('SET', alive, '1')
    expire(alive, ${C})
    if ${A} ~= '' then expire(plans, ${D}) end
  end
  local entries, alive = try('HGETALL', plans) or {}, {}
  for i = 1, #entries, 2 do
    local by, since, plan = openPlan(entries[i + 1])
    alive[by] = alive[by] or (redis.call('EXISTS', ns .. 'ah:planner:' .. by) == 1 and '1' or '')
    for _, part in ipairs({entries[i], by, alive[by], since, plan}) do result[#result + 1] = part end
  end
  return result
`,
);

// Arguments: task, node or ''. Returns its plan, or ''.
export const PLAN_OF = operation(
  [PLANS_PART],
  `
  local entry = try('HGET', plansOf(${B}), ${A})
  if not entry then return '' end
  local _, _, plan = openPlan(entry)
  return plan
`,
);

// Arguments: task, node or '', who declares the plan or '', the plan, number of jobs to remove, then queue and text of each,
// then queue, text, 'at' or 'in' and ms of the next run, if there is one. Returns how many jobs were removed.
// A task has one next run at any time, and its entry says how it was planned.
export const PLAN = operation(
  [...APPLY_PARTS, PLANS_PART, PLANNED_RUN_PART],
  `
  allowWhenFull()
  local task, plans, at = ${A}, plansOf(${B}), ${ARG + 5} + 2 * ${E}
  local removed = removeWaiting(${ARG + 5}, at - 1)
  local by, since, plan = openPlan(try('HGET', plans, task))
  local isDeclared = ${C} ~= '' or by ~= ''
  if ${C} ~= '' then by, plan = ${C}, ${D} end
  if ARGV[at] then
    delayRun({task = task, node = ${B}, queue = ARGV[at], raw = ARGV[at + 1], kind = ARGV[at + 2], ms = ARGV[at + 3]})
    since = text(time)
  end
  if isDeclared then
    rebuild('HSET', plans, task, by .. '\\n' .. since .. '\\n' .. plan)
    -- the node may end before it renews its declarations
    if ${B} ~= '' then expire(plans, ${UNSEEN_NODE_SECONDS * 1000}) end
  end
  return removed
`,
);

/** How many records one command reads. */
const RECORD_PAGE = 500;

// Arguments, per run: task, queue, '1' when only runs of that queue count, number of texts, texts. Returns the tasks without
// a run. A job that moves from one place to another is always found, because all places are searched in one step. A queue with jobs
// whose listing was lost is listed again.
export const MISSING_RUNS = operation(
  [QUEUES, RELIST, OPEN_RECORD, IS_DELAYED],
  `
  allowWhenFull()
  local function classOf(raw)
    local class = string.match(raw, '^{"class":"([^"\\\\]*)"')
    if class then return class end
    local isJson, job = pcall(cjson.decode, raw)
    return isJson and type(job) == 'table' and tostring(job.class) or ''
  end
  local running, members = {}, try('SMEMBERS', ns .. 'workers') or {}
  for first = 1, #members, ${RECORD_PAGE} do
    local keys = {}
    for i = first, math.min(first + ${RECORD_PAGE - 1}, #members) do keys[#keys + 1] = ns .. 'worker:' .. members[i] end
    for _, record in ipairs(redis.call('MGET', unpack(keys))) do
      local queue, raw = openRecord(record or '')
      if queue then
        local class = classOf(raw)
        running[class] = true
        running[queue .. ' ' .. class] = true
      end
    end
  end
  local seen = {}
  local function classesIn(queue)
    if seen[queue] then return seen[queue] end
    local found = {}
    for _, raw in ipairs(redis.call('LRANGE', ns .. 'queue:' .. queue, 0, ${RUN_SEARCH_LENGTH - 1})) do found[classOf(raw)] = true end
    seen[queue] = found
    return found
  end
  -- a job is assumed to be in a longer list, or in one that cannot be read
  local function lengthOf(list)
    local length = try('LLEN', list)
    return length and length < ${RUN_SEARCH_LENGTH} and length
  end
  local function isQueued(task, queue, first, last)
    local list, parked, head = ns .. 'queue:' .. queue, ns .. 'ah:parked:' .. task, #queue .. ':' .. queue
    local length, waiting = lengthOf(list), lengthOf(parked)
    if not length or not waiting then return true end
    if length > 0 then relist(queue, length) end
    for i = first, last do
      if length > 0 and redis.call('LPOS', list, ARGV[i]) then return true end
    end
    if length > 0 and classesIn(queue)[task] then return true end
    for _, entry in ipairs(waiting > 0 and redis.call('LRANGE', parked, 0, -1) or {}) do
      if string.sub(entry, 1, #head) == head then return true end
    end
    return false
  end
  local function isAnyDelayed(first, last)
    for i = first, last do
      if isDelayed(ARGV[i]) then return true end
    end
    return false
  end
  local result, at = {}, ${ARG}
  while ARGV[at] do
    local task, queue, last = ARGV[at], ARGV[at + 1], at + 3 + ARGV[at + 3]
    local isThere = running[ARGV[at + 2] == '1' and queue .. ' ' .. task or task]
    isThere = isThere or isAnyDelayed(at + 4, last) or try('SISMEMBER', ns .. 'ah:stopped', task) == 1
    if not isThere and not isQueued(task, queue, at + 4, last) then result[#result + 1] = task end
    at = last + 1
  end
  return result
`,
);

// --- Scripts of the nodes, each of which may have queues and plans of its own.

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
    LIVE,
  ],
  `
  liveNodes()
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
