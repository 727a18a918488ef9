/** The schedules of recurring tasks: the plan of the code, and the plan that the latest scheduler declared. */
import { id } from "../config/config";
import { settings } from "../config/settings";
import { encode } from "../resque/jobText";
import { wholeMs } from "../resque/inspect";
import type { Due, PlannedTask, QueuedJob } from "../resque/store/store";
import { sortKeys } from "../utils/objects";
import { nextCronTime } from "./cronTimes";
import { requireQueue, type Task, type TaskInputs } from "./task";
import { ownQueue } from "./scope";
import { fixedDefaults } from "./validateInputs";

/** A plan is stored as its JSON, so equal plans have their keys in one order. */
export interface Plan {
  queue: string;
  /** The inputs of each run. */
  inputs: TaskInputs;
  /** In ms, as the task says it. */
  frequency?: number;
  cron?: string;
  timeZone?: string;
}

/** The stored text for a task that is no longer recurring. */
export const NO_PLAN = "null";
/** A scheduler that has been silent for this long, in ms, is gone, and its declarations expire. */
const LIVE_MS = 60_000;
/** How long the plans of an inactive node are kept, in ms: as long as its queue. */
const KEEP_MS = 3_600_000;

/** The arguments that a job without inputs can have. */
const NO_INPUTS = [[{}], [null], []];

export function isPeriodic(task: Task): boolean {
  return task.frequency! > 0 || task.cron !== undefined;
}

/** The plan of the task itself; undefined if it is not recurring. */
export function planOf(task: Task): Plan | undefined {
  if (!isPeriodic(task)) return undefined;
  const { cron, timeZone } = task;
  // those of `task.enqueue(name, {})`, so that both are one job to the locks
  const [inputs] = argsOf(fixedDefaults(task)) as [Plan["inputs"]];
  const plan: Plan = { queue: ownQueue(task), inputs };
  if (cron === undefined) plan.frequency = task.frequency;
  else Object.assign(plan, { cron, timeZone });
  return plan;
}

export function textOf(plan: Plan | undefined): string {
  return plan ? JSON.stringify(plan) : NO_PLAN;
}

/** @returns undefined for a task that is not recurring, and for an unreadable plan */
export function openPlan(text: string): Plan | undefined {
  try {
    return (JSON.parse(text) as Plan | null) ?? undefined;
  } catch {
    return undefined;
  }
}

/** The schedule of each task as it was loaded; its properties may change while the process runs. */
const plansWhenLoaded = new WeakMap<Task, string>();

/** Store the schedule of a task that was just loaded. */
export function keepLoadedPlan(task: Task): void {
  if (!plansWhenLoaded.has(task))
    plansWhenLoaded.set(task, textOf(planOf(task)));
}

export function loadedPlan(task: Task): string {
  return plansWhenLoaded.get(task) ?? textOf(planOf(task));
}

/** The key of a task's plan: tasks of all nodes have one per node. */
export function nodeOf(task: Task): string | undefined {
  return task.scope === "all" ? id : undefined;
}

/** The declared plan of a task, if there is one. */
export function declaredPlan(task: Task): Promise<string | undefined> {
  return store().planOf(task.name, nodeOf(task));
}

/** The declared plans, by task. Renews the declarations of this process. */
export function renewDeclarations(
  node: string | undefined,
): Promise<Record<string, PlannedTask>> {
  const asker = { by: id, liveMs: LIVE_MS, keepMs: KEEP_MS };
  return store().plans(node, asker);
}

/**
 * The plan of the next run. That is the declared one: in a rolling deploy a process that runs the old code plans what the new
 * code says. A task that was changed while this process runs is planned as it says now.
 * @returns the text of the plan as well when it is a declared one
 */
export async function planInForce(
  task: Task,
): Promise<{ plan?: Plan; declared?: string }> {
  const own = planOf(task);
  if (textOf(own) !== loadedPlan(task)) return { plan: own };
  const declared = await declaredPlan(task);
  return declared === undefined
    ? { plan: own }
    : { plan: openPlan(declared), declared };
}

/** The arguments that a run without inputs of its own can have; those of the next one are the first. */
export function argsOfRuns({ inputs }: Plan): unknown[][] {
  const hasDefaults = Object.keys(inputs).length > 0;
  return hasDefaults ? [[inputs], ...NO_INPUTS] : NO_INPUTS;
}

/** The jobs of runs without inputs of their own. */
export function jobsOf(taskName: string, plan: Plan | undefined): QueuedJob[] {
  if (!plan) return [];
  const { queue } = plan;
  return argsOfRuns(plan).map((args) => ({
    queue,
    raw: encode(queue, taskName, args),
  }));
}

export function nextJob(taskName: string, { queue, inputs }: Plan): QueuedJob {
  return { queue, raw: encode(queue, taskName, [inputs]) };
}

/**
 * When a plan is due next by the clock of the store.
 * @param sinceMs when the last run was planned; later than now, if the clock was set back
 * @returns "never" when its cron expression has no future time
 */
export async function nextDue(
  plan: Plan,
  sinceMs?: number,
): Promise<Due | "never"> {
  const { cron, timeZone } = plan;
  if (cron === undefined) {
    const frequency = wholeMs(plan.frequency, "the frequency of a task");
    return sinceMs === undefined
      ? { inMs: frequency }
      : { atMs: Math.min(sinceMs, await store().now()) + frequency };
  }
  const atMs = nextCronTime(cron, timeZone, await store().now());
  return atMs === undefined ? "never" : { atMs };
}

function store() {
  return requireQueue().connection.store;
}

// --- `tasks.sortInputs`: jobs are the same whatever the order in which the keys of their inputs were given.

/** The arguments of a job with these inputs. */
export function argsOf(inputs: TaskInputs | null | undefined): unknown[] {
  return [settings().tasks.sortInputs ? sorted(inputs) : inputs];
}

/**
 * The different arguments that existing jobs with these inputs may have: those of `argsOf`, and the inputs as given, because
 * jobs may have been enqueued before `tasks.sortInputs` was set, or by a process of version 29.
 */
export function possibleArgsOf(inputs: TaskInputs | undefined): unknown[][] {
  const args = argsOf(inputs);
  const given = [inputs];
  const isSame =
    !settings().tasks.sortInputs ||
    JSON.stringify(args) === JSON.stringify(given);
  return isSame ? [args] : [args, given];
}

/** The inputs as a worker will get them, with sorted keys. */
function sorted(inputs: unknown): unknown {
  const json = JSON.stringify(inputs) as string | undefined;
  return json === undefined ? undefined : JSON.parse(json, sortKeys);
}
