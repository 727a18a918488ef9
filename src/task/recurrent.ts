/** Recurring tasks, by frequency or by cron. */
import { api } from "../api";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { log, type ActionheroLogLevel } from "../log/log";
import type {
  Due,
  Effect,
  PlanChange,
  PlannedTask,
  QueuedJob,
  AwaitedRun,
} from "../resque/store/store";
import { CLOCK_SLACK_MS } from "../resque/store/texts";
import { unlessFull, logFailure, runStopStep } from "../redis/outages";
import { requireQueue, requireTask, type Task } from "./task";
import {
  argsOfRuns,
  declaredPlan,
  isPeriodic,
  jobsOf,
  loadedPlan,
  nextDue,
  nextJob,
  NO_PLAN,
  nodeOf,
  openPlan,
  planInForce,
  planOf,
  renewDeclarations,
  textOf,
  type Plan,
} from "./plans";
import {
  announceNode,
  ownQueues,
  dropQueuesOfLostNodes,
  PRESENCE_MS,
  retireNode,
} from "./scope";

/**
 * Schedule the next run of a recurring task, replacing a waiting one.
 * @throws ActionheroError AH_TASK `task <name> not found`
 */
export async function enqueueRecurrentTask(taskName: string): Promise<void> {
  const task = requireTask(taskName);
  if (!isPeriodic(task)) return;
  const { plan } = await planInForce(task);
  if (!plan) return; // in newer code, the task is not recurring
  if (await planNextRun(task, plan, await nextDue(plan))) showPlanned(task);
}

/**
 * The effect that schedules the next run of a recurring task atomically with the report of the last one. If it came before, the
 * next run could be dropped as a duplicate of the last one; if it came later, the task would be lost with a worker that dies in
 * between.
 * @param unlessStopped a run in progress is the last one after `stopRecurrentTask`
 * @returns undefined for a task that is not recurring any more
 */
export async function nextRun(
  task: Task,
  unlessStopped: boolean,
): Promise<Effect | undefined> {
  if (unlessStopped && (await isStopped(task.name))) return undefined;
  const { plan, declared } = await planInForce(task);
  if (!plan) return undefined;
  const due = await nextDue(plan);
  if (due === "never") return void warnOfNoRun(task);
  showPlanned(task);
  return {
    do: "planRun",
    task: task.name,
    node: nodeOf(task),
    remove: waitingRuns(task, plan),
    next: { ...nextJob(task.name, plan), due },
    plan: declared,
    unlessStopped,
  };
}

/** The runs of a plan, and of the plan in the code if that differs. */
function waitingRuns(task: Task, plan: Plan): QueuedJob[] {
  const own = planOf(task);
  const plans = textOf(own) === textOf(plan) ? [plan] : [plan, own];
  return plans.flatMap((one) => jobsOf(task.name, one));
}

function showPlanned({ name }: Task): void {
  log(`re-enqueued recurrent job ${name}`, levelOf("reEnqueue"));
}

/** @returns false when it has no future time */
async function planNextRun(
  task: Task,
  plan: Plan,
  due: Due | "never",
): Promise<boolean> {
  if (due === "never") {
    warnOfNoRun(task);
    return false;
  }
  await change({
    task: task.name,
    node: nodeOf(task),
    remove: waitingRuns(task, plan),
    next: { ...nextJob(task.name, plan), due },
  });
  return true;
}

/**
 * Enqueue all recurring tasks: those with a `frequency` now, those with a `cron` for their next time; those for all nodes
 * only when this one works. One that was changed in the code is planned anew.
 * @returns the names of those that were not there yet, or not so
 */
export function enqueueAllRecurrentTasks(): Promise<string[]> {
  return enqueuePeriodic(false);
}

/** Plan tasks when a node starts: a scheduler all tasks, a worker only its own runs of tasks for all nodes. */
export async function startRecurrentTasks(): Promise<void> {
  if (isScheduler() || isWorking()) await enqueuePeriodic(!isScheduler());
}

function isWorking(): boolean {
  return api.resque.multiWorker?.running === true;
}

/** A task that this node plans, recurring or no longer. */
interface Planned {
  task: Task;
  /** The key of its plan. */
  node: string | undefined;
  /** Its plan in the code of this process. */
  own: string;
  declared?: PlannedTask;
}

/**
 * The tasks that this node plans: as a scheduler those of the cluster, as a worker those of all nodes. Renews its
 * declarations.
 */
async function plannedHere(onlyOwn: boolean): Promise<Planned[]> {
  const nodes = [...(onlyOwn ? [] : [undefined]), ...(isWorking() ? [id] : [])];
  const found: Planned[] = [];
  for (const node of nodes) {
    const plans = await renewDeclarations(node);
    for (const task of Object.values(api.tasks.tasks)) {
      const declared = Object.hasOwn(plans, task.name)
        ? plans[task.name]
        : undefined;
      const own = nodeOf(task) === node ? loadedPlan(task) : NO_PLAN;
      const isOurs = declared !== undefined || own !== NO_PLAN;
      if (isOurs) found.push({ task, node, own, declared });
    }
  }
  return found;
}

function isChanged({ own, declared }: Planned): boolean {
  return declared !== undefined && declared.plan !== own;
}

async function enqueuePeriodic(onlyOwn: boolean): Promise<string[]> {
  // a queue of this node is its own before the first job is there
  if (isWorking() && ownQueues().length > 0) await announceNode(ownQueues());
  const enqueued: string[] = [];
  for (const planned of await plannedHere(onlyOwn))
    if (await enqueueAtStart(planned)) enqueued.push(planned.task.name);
  return enqueued;
}

async function enqueueAtStart(planned: Planned): Promise<boolean> {
  if (isChanged(planned)) return declareAnew(planned);
  await declare(planned);
  const { task, own } = planned;
  if (own === NO_PLAN) return false;
  await markStopped(task, false);
  let isNew = false;
  await unlessFull(`enqueue the task ${task.name}`, async () => {
    isNew = await enqueueFirst(planned);
  });
  if (!isNew) return false;
  log(`enqueuing periodic task: ${task.name}`, levelOf("enqueue"));
  return true;
}

/** From now on, the plan of this process applies to the task. */
async function declare({ task, node, own }: Planned): Promise<void> {
  const declaration = { by: id, plan: own };
  await change({ task: task.name, node, declare: declaration, remove: [] });
}

/**
 * Like `declare`, for a changed task: the waiting job is replaced. The interval of a `frequency` begins when the
 * last run was scheduled.
 * @returns false when it has no next run
 */
async function declareAnew(planned: Planned): Promise<boolean> {
  const { task, node, own, declared } = planned;
  const { name } = task;
  const before = openPlan(declared!.plan);
  const plan = openPlan(own);
  const due = plan && (await nextDue(plan, declared!.sinceMs));
  const next =
    plan && due && due !== "never"
      ? { ...nextJob(name, plan), due }
      : undefined;
  await change({
    task: name,
    node,
    declare: { by: id, plan: own },
    remove: [before, plan].flatMap((one) => jobsOf(name, one)),
    next,
  });
  if (due === "never") warnOfNoRun(task);
  else if (plan) log(`the periodic task ${name} was changed: planned anew`);
  else log(`the task ${name} is not periodic any more: its next run is off`);
  return next !== undefined;
}

/**
 * Remove a recurring task from its queue and the schedule. A run in progress is the last one; the next start of a
 * scheduler, or a job enqueued by hand, schedules it again.
 * @returns how many jobs were removed; undefined for a task that is not recurring
 */
export async function stopRecurrentTask(
  taskName: string,
): Promise<number | undefined> {
  const task = requireTask(taskName);
  const own = planOf(task);
  if (!own) return undefined;
  await markStopped(task, true);
  const declared = await declaredPlan(task);
  const plans = [own, declared === undefined ? undefined : openPlan(declared)];
  const remove = plans.flatMap((plan) => jobsOf(taskName, plan));
  const node = nodeOf(task);
  const removed = await change({ task: taskName, node, remove });
  const queue = requireQueue();
  for (const args of argsOfRuns(own))
    await queue.delLock(
      `lock:${taskName}:${own.queue}:${JSON.stringify(args)}`,
    );
  return removed;
}

/** Whether `stopRecurrentTask` stopped it, and it was not started since. */
function isStopped(taskName: string): Promise<boolean> {
  return requireQueue().connection.store.isStopped(taskName);
}

/** A job that is enqueued by hand schedules the next one, also after `stopRecurrentTask`. */
export async function resumeRecurrentTask(task: Task): Promise<void> {
  if (isPeriodic(task)) await markStopped(task, false);
}

async function markStopped({ name }: Task, stopped: boolean): Promise<void> {
  await requireQueue().connection.store.markStopped(name, stopped);
}

/** @returns false when it exists, or has no future time */
async function enqueueFirst({ task, declared }: Planned): Promise<boolean> {
  const plan = planOf(task);
  if (!plan) return false;
  const queue = requireQueue();
  const [args] = argsOfRuns(plan);
  if (plan.cron === undefined)
    return queue.enqueue(plan.queue, task.name, args, nodeOf(task));
  const due = await nextDue(plan);
  if (due === "never") {
    warnOfNoRun(task);
    return false;
  }
  const { atMs } = due as { atMs: number };
  const times = await delayedTimes(task, plan);
  // a queued run schedules the next one
  if (times.length === 0 && (await isQueued(task, plan))) return false;
  // an overdue run starts as soon as a scheduler promotes it
  const now = await queue.connection.store.now();
  if (times.some((s) => s * 1000 <= now || s * 1000 === atMs)) return false;
  // the time may have come meanwhile: a run that was planned before runs at present, the first one of all is due at once
  const isOver = now >= atMs && Boolean(declared?.sinceMs);
  return planNextRun(task, plan, isOver ? await nextDue(plan) : due);
}

/** The seconds for which runs are delayed. */
async function delayedTimes({ name }: Task, plan: Plan): Promise<number[]> {
  const queue = requireQueue();
  const times: number[] = [];
  for (const args of argsOfRuns(plan))
    times.push(...(await queue.scheduledAt(plan.queue, name, args)));
  return times;
}

async function isQueued({ name }: Task, plan: Plan): Promise<boolean> {
  const { store } = requireQueue().connection;
  for (const { queue, raw } of jobsOf(name, plan))
    if (await store.isQueued(queue, raw)) return true;
  return false;
}

function change(planChange: PlanChange): Promise<number> {
  return requireQueue().connection.store.plan(planChange);
}

function warnOfNoRun({ name, cron }: Task): void {
  log(`task ${name} is not planned: "${cron}" has no next time`, "warning");
}

function levelOf(key: "enqueue" | "reEnqueue"): ActionheroLogLevel | undefined {
  return settings().tasks.schedulerLogging[key];
}

// --- Periodic maintenance of a node: announces it to the cluster, and finds recurring tasks that were lost.

/** The interval at which recurring tasks are searched for, in ms; one that is missing twice is enqueued. */
const SEARCH_MS = 15_000;

export class RecurringTaskCheck {
  private timers: NodeJS.Timeout[] = [];
  private isAnnounced = false;
  private missed: ReadonlySet<string> = new Set();

  /** Begin, once the workers of this process run. */
  async start(): Promise<void> {
    const hasWorkers = isWorking();
    if (hasWorkers) {
      await this.announce();
      this.every(PRESENCE_MS, () => this.announce());
    }
    if (isScheduler() || hasWorkers) this.every(SEARCH_MS, () => this.search());
  }

  /** End, before the workers do. */
  async stop(): Promise<void> {
    for (const timer of this.timers.splice(0)) clearInterval(timer);
    if (!this.isAnnounced) return;
    this.isAnnounced = false;
    await runStopStep(api.redis.clients.tasks, retireNode);
  }

  private async announce(): Promise<void> {
    const queues = ownQueues();
    if (queues.length === 0) return;
    await announceNode(queues);
    this.isAnnounced = true;
  }

  private async search(): Promise<void> {
    this.missed = await enqueueLostRecurrentTasks(this.missed, !isScheduler());
    if (!isScheduler()) return;
    for (const queue of await dropQueuesOfLostNodes())
      log(`dropped the queue ${queue} of a node that is gone`, "warning");
  }

  private every(ms: number, work: () => Promise<void>): void {
    let isBusy = false;
    const timer = setInterval(() => {
      if (isBusy) return;
      isBusy = true;
      work()
        .catch(report)
        .finally(() => {
          isBusy = false;
        });
    }, ms);
    timer.unref();
    this.timers.push(timer);
  }
}

function isScheduler(): boolean {
  return settings().tasks.scheduler;
}

/** Logged only: the next round tries again. */
function report(error: unknown): void {
  const { tasks } = api.redis.clients;
  logFailure(tasks, error, "the check of recurring tasks failed", "warning");
}

// --- Keeps recurring tasks as declared: a task that neither waits nor runs, for example because its workers died, is enqueued
// again, and the declarations of a scheduler that is gone are replaced by those of this one.

/**
 * Check all recurring tasks. Those whose run is missing in two consecutive checks are enqueued; those whose scheduler is silent in two,
 * and has another plan, are planned anew.
 * @param missedBefore the result of the previous call
 * @param onlyOwn leave out those that one worker of the cluster runs
 * @returns the names of which one is so, and which were left as they are
 */
export async function enqueueLostRecurrentTasks(
  missedBefore: ReadonlySet<string>,
  onlyOwn = false,
): Promise<Set<string>> {
  const missed = new Set<string>();
  const inForce: Planned[] = [];
  for (const planned of await plannedHere(onlyOwn)) {
    const { name } = planned.task;
    if (isOfSilentScheduler(planned) && !missedBefore.has(name))
      missed.add(name);
    else if (await isInForce(planned)) inForce.push(planned);
  }
  for (const planned of inForce) await planAgainIfAhead(planned);
  const runs = inForce.flatMap(({ task }) => awaitedRun(task));
  const missing = new Set(
    await requireQueue().connection.store.missingRuns(runs),
  );
  for (const planned of inForce) {
    const { name } = planned.task;
    if (!missing.has(name)) continue;
    if (!missedBefore.has(name)) missed.add(name);
    else if (await enqueueFirst(planned))
      log(`enqueued the periodic task ${name}, which was lost`, "warning");
  }
  return missed;
}

/**
 * A delayed run that was planned before the clock of the queue was set back is planned anew: it would wait until the clock has
 * caught up. One that is queued or runs plans the next one itself.
 */
async function planAgainIfAhead({ task, declared }: Planned): Promise<void> {
  const plan = planOf(task);
  if (!plan) return;
  const aheadMs = await aheadOf(task, plan, declared?.sinceMs);
  if (aheadMs <= CLOCK_SLACK_MS || (await isStopped(task.name))) return;
  if ((await delayedTimes(task, plan)).length === 0) return;
  if (await planNextRun(task, plan, await nextDue(plan)))
    log(
      `the clock of the queue was set back by ${aheadMs} ms or more: the periodic task ${task.name} was planned anew`,
      "warning",
    );
}

/** By how many ms the clock was ahead when the next run was planned, as far as it can be seen; 0 if it was not. */
async function aheadOf(
  task: Task,
  plan: Plan,
  sinceMs: number | undefined,
): Promise<number> {
  const now = await requireQueue().connection.store.now();
  if (sinceMs) return sinceMs - now;
  // nothing says when it was planned, but a plan made now would be due by then
  const due = await nextDue(plan);
  const times = await delayedTimes(task, plan);
  if (due === "never" || times.length === 0) return 0;
  const latestMs = "atMs" in due ? due.atMs : now + due.inMs;
  return Math.min(...times) * 1000 - latestMs;
}

/**
 * Whether a scheduler with another plan has been silent. After an outage of redis all are: the first check of each renews its
 * declarations.
 */
function isOfSilentScheduler(planned: Planned): boolean {
  return isChanged(planned) && !planned.declared!.isLive;
}

/** Empty for a task that is not recurring any more: it was changed in this process. */
function awaitedRun(task: Task): AwaitedRun[] {
  const plan = planOf(task);
  if (!plan) return [];
  const { name, scope } = task;
  const raws = jobsOf(name, plan).map(({ raw }) => raw);
  return [
    { task: name, queue: plan.queue, raws, onlyInQueue: scope === "all" },
  ];
}

/**
 * Whether the task is recurring by the code of this process; unless another process says otherwise, that applies from
 * now on.
 */
async function isInForce(planned: Planned): Promise<boolean> {
  const { task, own, declared } = planned;
  if (!isChanged(planned)) {
    if (!declared?.isLive) await declare(planned);
    return own !== NO_PLAN;
  }
  // the plan of another scheduler is in force, with newer or older code, until that scheduler is gone; a reload of the
  // file may also have changed ours
  if (declared!.isLive && declared!.by !== id) return false;
  if (await isStopped(task.name)) await declare(planned);
  else await declareAnew(planned);
  return false;
}
