/** Effects of finished jobs, as a script reads them. */
import { delayedText } from "../../jobText";
import type { Due, Effect, NextRun } from "../store";
import { flatFields, KEEP_JOB_SECONDS, UNIQUE_SECONDS } from "../texts";
import { REMOVE_DELAYED_PART, REMOVE_JOBS_PART } from "./producers";
import { NODES } from "./shared";

// --- Lua functions for recurring tasks. `ah:plans` holds an entry per task, `ah:plans:<node>` those of a node alone: who declared it,
// when a run was planned last, and how the task runs, on a line each. `ah:node-runs:<node>` holds the next run of each of
// those.

export const PLANS_PART = `
local function plansOf(node) return ns .. 'ah:plans' .. (node ~= '' and ':' .. node or '') end
local function openPlan(entry)
  local by, since, plan = string.match(entry or '', '^([^\\n]*)\\n(%d+)\\n(.*)$')
  return by or '', since or '0', plan or 'null'
end
`;

/**
 * - `removeWaiting(first, last)`: removes the jobs whose queues and texts are in ARGV, and returns how many there were. Runs of
 *   recurring tasks carry no context.
 * - `delayRun({task, node, queue, raw, kind, ms})`: delays the next run of the task. Needs SLOTS, DELAY.
 */
export const PLANNED_RUN_PART = `
${NODES}${REMOVE_JOBS_PART}${REMOVE_DELAYED_PART}
local function removeWaiting(first, last)
  local removed = 0
  for at = first, last, 2 do
    removed = removed + removeJobs(ARGV[at], 0, ARGV[at + 1], lrem) + #removeDelayed(ARGV[at + 1])
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

/** The effects of one job, flat: their number, then a letter and the arguments of each. */
export function encodeEffects(
  effects: readonly Effect[],
  out: (string | number)[],
): void {
  out.push(effects.length);
  for (const effect of effects) encode(effect, out);
}

function encode(effect: Effect, out: (string | number)[]): void {
  switch (effect.do) {
    case "delay":
      return void out.push("D", delayedText(effect), ...dueArgs(effect.due));
    case "unlockUnique":
      return void out.push("U", effect.key, effect.raw);
    case "moveUnique":
      return void out.push("M", effect.key, effect.raw);
    case "releaseLock":
      return void out.push("L", effect.key, effect.value);
    case "releaseSlot":
      return void out.push("S", effect.class);
    case "boundFailed":
      return void out.push("B", effect.class, effect.most);
    case "updateJob": {
      const fields = flatFields(effect.fields);
      return void out.push("J", effect.id, fields.length, ...fields);
    }
    case "keepRetry":
      return void out.push("K", effect.key, effect.failure, effect.seconds);
    case "planRun": {
      const args = runArgs(effect);
      return void out.push("P", args.length, ...args);
    }
    case "stopTask":
      return void out.push("T", effect.task);
  }
}

export function dueArgs(due: Due): [kind: string, ms: number] {
  return "atMs" in due ? ["at", due.atMs] : ["in", due.inMs];
}

function runArgs({ task, node, plan, ...run }: NextRun): (string | number)[] {
  const { next, remove, unlessStopped } = run;
  const stop = unlessStopped ? "1" : "";
  const due = dueArgs(next.due);
  const jobs = remove.flatMap(({ queue, raw }) => [queue, raw]);
  const head = [task, node ?? "", plan ?? "", stop];
  return [...head, next.queue, next.raw, ...due, ...jobs];
}

/**
 * `apply(member, at)`: the effects that begin at ARGV[at]; returns the index behind them. A key of a wrong type
 * affects only one effect. `skip(at)`: the index behind them. Needs SLOTS, DELAY. Functions for recurring tasks are defined
 * on demand.
 */
export const EFFECTS = `
local function updateJob(id, first, last)
  local job = ns .. 'ah:job:' .. id
  if redis.call('EXISTS', job) == 0 then return end
  try('HSET', job, unpack(ARGV, first, last))
  expire(job, ${KEEP_JOB_SECONDS * 1000})
end
local function delayAgain(raw, kind, ms)
  local due = tonumber(ms)
  if kind == 'in' then due = now() + due end
  for shift = 0, 1000 do
    local isDone, isAdded = pcall(delay, due, raw, shift)
    if not isDone then problems[#problems + 1] = tostring(isAdded.err or isAdded) break end
    if isAdded then return end
  end
  -- where delayed jobs are kept there is something else: it goes at once
  requeue(queueOf(raw), raw)
end
local function boundFailed(class, most)
  local own = ns .. 'ah:failed:' .. class
  local entry = try('LINDEX', ns .. 'failed', -1)
  if not entry then return end
  rebuild('RPUSH', own, entry)
  while redis.call('LLEN', own) > most do try('LREM', ns .. 'failed', 1, redis.call('LPOP', own)) end
end
local function planRun(at, last)
  ${PLANS_PART}${PLANNED_RUN_PART}
  local task, plans, plan = ARGV[at], plansOf(ARGV[at + 1]), ARGV[at + 2]
  if ARGV[at + 3] ~= '' and try('SISMEMBER', ns .. 'ah:stopped', task) == 1 then return end
  local entry = try('HGET', plans, task)
  local by, _, declared = openPlan(entry)
  if plan ~= '' and entry and declared ~= plan then return end
  removeWaiting(at + 8, last)
  local node = ARGV[at + 1]
  delayRun({task = task, node = node, queue = ARGV[at + 4], raw = ARGV[at + 5], kind = ARGV[at + 6], ms = ARGV[at + 7]})
  if entry then try('HSET', plans, task, by .. '\\n' .. text(now()) .. '\\n' .. declared) end
end
local function apply(member, at)
  local count = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, count do
    local kind, first, second, third = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    at = at + 3
    if kind == 'S' then
      releaseSlot(first, member)
      at = at - 1
    elseif kind == 'D' then
      delayAgain(first, second, third)
      at = at + 1
    elseif kind == 'J' then
      local size = tonumber(second)
      updateJob(first, at, at + size - 1)
      at = at + size
    elseif kind == 'P' then
      local size = tonumber(first)
      local isDone, problem = pcall(planRun, at - 1, at + size - 2)
      if not isDone then problems[#problems + 1] = tostring(problem.err or problem) end
      at = at + size - 1
    elseif kind == 'T' then
      try('SADD', ns .. 'ah:stopped', first)
      at = at - 1
    elseif kind == 'U' then
      local lock = ns .. 'ah:unique:' .. first
      if try('GET', lock) == second then redis.call('DEL', lock, lock .. ':at') end
    elseif kind == 'M' then
      try('SET', ns .. 'ah:unique:' .. first, second)
      expire(ns .. 'ah:unique:' .. first, ${UNIQUE_SECONDS * 1000})
    elseif kind == 'L' then
      local held = ns .. 'ah:held:' .. member
      local listed = try('HGET', held, first)
      -- another value is of an earlier run: redis was rolled back
      if listed then redis.call('HDEL', held, first) end
      local value = try('GET', first)
      if value and (value == second or value == listed) then redis.call('DEL', first) end
    elseif kind == 'B' then
      boundFailed(first, tonumber(second))
    elseif kind == 'K' then
      local failure = ns .. 'failure-' .. first
      expire(ns .. first, tonumber(third) * 1000)
      redis.call('SET', failure, second)
      expire(failure, tonumber(third) * 1000)
      at = at + 1
    end
  end
  return at
end
local sizes = {S = 1, T = 1, D = 3, U = 2, M = 2, L = 2, B = 2, K = 3}
local function skip(at)
  local count = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, count do
    local kind = ARGV[at]
    if kind == 'J' then at = at + 3 + tonumber(ARGV[at + 2])
    elseif kind == 'P' then at = at + 2 + tonumber(ARGV[at + 1])
    else at = at + 1 + sizes[kind] end
  end
  return at
end
`;
