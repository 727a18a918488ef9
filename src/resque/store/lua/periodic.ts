/** Scripts of periodic tasks. `ah:planner:<name>` is there while that one lives, which may have declared some. */
import { A, ARG, B, C, D, E, operation } from "./operation";
import { PLANNED_RUN_PART, PLANS_PART } from "./plans";
import { APPLY_PARTS } from "./processes";

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
  if isDeclared then rebuild('HSET', plans, task, by .. '\\n' .. since .. '\\n' .. plan) end
  return removed
`,
);
