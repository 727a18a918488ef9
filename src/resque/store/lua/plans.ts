/**
 * Lua functions for recurring tasks. `ah:plans` holds an entry per task, `ah:plans:<node>` those of a node alone: who declared it,
 * when a run was planned last, and how the task runs, on a line each. `ah:node-runs:<node>` holds the next run of each of
 * those.
 */
import { REMOVE_DELAYED_PART, REMOVE_JOBS_PART } from "./producers";
import { NODES } from "./shared";

export const PLANS_PART = `
local function plansOf(node) return ns .. 'ah:plans' .. (node ~= '' and ':' .. node or '') end
local function openPlan(entry)
  local by, since, plan = string.match(entry or '', '^([^\\n]*)\\n(%d+)\\n(.*)$')
  return by or '', since or '0', plan or 'null'
end
`;

/**
 * - `removeWaiting(first, last)`: removes the jobs whose queues and texts are in ARGV, and returns how many there were.
 * - `delayRun({task, node, queue, raw, kind, ms})`: delays the next run of the task. Needs SLOTS, DELAY.
 */
export const PLANNED_RUN_PART = `
${NODES}${REMOVE_JOBS_PART}${REMOVE_DELAYED_PART}
local function removeWaiting(first, last)
  local removed = 0
  for at = first, last, 2 do
    removed = removed + removeJobs(ARGV[at], 0, ARGV[at + 1]) + #removeDelayed(ARGV[at + 1])
  end
  return removed
end
local function delayRun(run)
  local due = tonumber(run.ms)
  if run.kind == 'in' then due = now() + due end
  removeDelayed(run.raw)
  if run.node ~= '' then
    own(run.queue, run.node)
    rebuild('HSET', ns .. 'ah:node-runs:' .. run.node, run.task, run.raw)
  end
  delay(due, run.raw, 0)
  try('SREM', ns .. 'ah:stopped', run.task)
end
`;
