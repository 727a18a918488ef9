/**
 * Scripts of periodic tasks. `ah:plans` holds an entry per task, `ah:plans:<node>` those of a node alone: who declared it, when
 * a run was planned last, and how the task runs, on a line each. `ah:planner:<name>` is there while that one lives.
 */
import { A, ARG, B, C, D, E, operation } from "./operation";
import { REMOVE_DELAYED_PART, REMOVE_JOBS_PART } from "./producers";
import { APPLY_PARTS } from "./processes";

const PLANS = `
local function plansOf(node) return ns .. 'ah:plans' .. (node ~= '' and ':' .. node or '') end
local function openPlan(entry)
  local by, since, plan = string.match(entry or '', '^([^\\n]*)\\n(%d+)\\n(.*)$')
  return by or '', since or '0', plan or 'null'
end
`;

// Arguments: node or '', who asks or '', ms that it counts as alive, ms that the plans of a node are kept. Returns task, who
// declared it, '1' when that one lives, when a run was planned last and the plan of each.
export const PLANS_OF = operation(
  [PLANS],
  `
  local plans, result = plansOf(${A}), {}
  if ${B} ~= '' then
    allowWhenFull()
    local alive = ns .. 'ah:planner:' .. ${B}
    redis.call('SET', alive, '1')
    expire(alive, ${C})
    if ${A} ~= '' then expire(plans, ${D}) end
  end
  local entries = try('HGETALL', plans) or {}
  for i = 1, #entries, 2 do
    local by, since, plan = openPlan(entries[i + 1])
    local lives = redis.call('EXISTS', ns .. 'ah:planner:' .. by) == 1 and '1' or ''
    for _, part in ipairs({entries[i], by, lives, since, plan}) do result[#result + 1] = part end
  end
  return result
`,
);

// Arguments: task, node or '', who declares the plan or '', the plan, number of jobs to remove, then queue and text of each,
// then queue, text, 'at' or 'in' and ms of the next run, if there is one. Returns how many jobs were removed.
// A task has one next run at any time, and its entry says how it was planned.
export const PLAN = operation(
  [...APPLY_PARTS, PLANS, REMOVE_JOBS_PART, REMOVE_DELAYED_PART],
  `
  allowWhenFull()
  local task, plans, removed, at = ${A}, plansOf(${B}), 0, ${ARG + 5}
  for _ = 1, tonumber(${E}) do
    removed = removed + removeJobs(ARGV[at], 0, ARGV[at + 1]) + #removeDelayed(ARGV[at + 1])
    at = at + 2
  end
  local by, since, plan = openPlan(try('HGET', plans, task))
  local isDeclared = ${C} ~= '' or by ~= ''
  if ${C} ~= '' then by, plan = ${C}, ${D} end
  if ARGV[at] then
    local due = tonumber(ARGV[at + 3])
    if ARGV[at + 2] == 'in' then due = time + due end
    removeDelayed(ARGV[at + 1])
    delay(due, ARGV[at + 1], 0)
    try('SREM', ns .. 'ah:stopped', task)
    since = text(time)
  end
  if isDeclared then try('HSET', plans, task, by .. '\\n' .. since .. '\\n' .. plan) end
  return removed
`,
);
