/** Periodic maintenance of a node: announces it to the cluster, and finds recurring tasks that were lost. */
import { api } from "../api";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { logFailure, runStopStep } from "../redis/outages";
import type { AwaitedRun } from "../resque/store/store";
import { requireQueue } from "./find";
import { jobsOf, NO_PLAN, planOf } from "./plans";
import {
  declare,
  declareAnew,
  enqueueFirst,
  isChanged,
  isStopped,
  type Planned,
  plannedHere,
} from "./recurrent";
import {
  announceNode,
  dropQueuesOfLostNodes,
  ownQueues,
  PRESENCE_MS,
  retireNode,
} from "./scope";
import type { Task } from "./task";

/** How often periodic tasks are looked for, in ms; one that is missed twice is enqueued. */
const SEARCH_MS = 15_000;

export class Upkeep {
  private timers: NodeJS.Timeout[] = [];
  private isAnnounced = false;
  private missed: ReadonlySet<string> = new Set();

  /** Begin, once the workers of this process run. */
  async start(): Promise<void> {
    const isWorking = api.resque.multiWorker?.running === true;
    if (isWorking) {
      await this.announce();
      this.every(PRESENCE_MS, () => this.announce());
    }
    if (isScheduler() || isWorking) this.every(SEARCH_MS, () => this.search());
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
  logFailure(tasks, error, "the upkeep of tasks failed", "warning");
}

// --- Keeps periodic tasks as declared: a task that neither waits nor runs, for example because its workers died, is enqueued
// again, and the declarations of a scheduler that is gone are replaced by those of this one.

/**
 * Check all recurring tasks, and enqueue those that are missing in two consecutive checks.
 * @param missedBefore the result of the previous call
 * @param onlyOwn leave out those that one worker of the cluster runs
 * @returns the names that are missing and were not enqueued
 */
export async function enqueueLostRecurrentTasks(
  missedBefore: ReadonlySet<string>,
  onlyOwn = false,
): Promise<Set<string>> {
  const missed = new Set<string>();
  const inForce: Planned[] = [];
  for (const planned of await plannedHere(onlyOwn))
    if (await isInForce(planned)) inForce.push(planned);
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
