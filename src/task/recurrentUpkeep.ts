/** Finds periodic tasks that neither wait nor run, e.g. because every worker died of them, and enqueues them again. */
import { api } from "../api";
import { log } from "../log/log";
import { requireQueue } from "./queueOf";
import {
  enqueueFirst,
  isPeriodic,
  isStopped,
  isWorking,
  argsOfRuns,
} from "./recurrent";
import { ownQueue } from "./scope";
import type { Task } from "./task";

/** How far a queue is searched; a longer one is taken to hold the task. */
const SEARCH_LENGTH = 1000;

/**
 * Look for all periodic tasks, and enqueue those that are missing now and were the last time.
 * @param missedBefore names that the last call gave back
 * @param onlyOwn leave out those that one worker of the cluster runs
 * @returns the names that are missing and were not enqueued
 */
export async function enqueueLostRecurrentTasks(
  missedBefore: ReadonlySet<string>,
  onlyOwn = false,
): Promise<Set<string>> {
  const missed = new Set<string>();
  const running = await runningTasks();
  for (const [name, task] of Object.entries(api.tasks.tasks)) {
    if (!isPeriodic(task)) continue;
    if (task.scope === "all" ? !isWorking() : onlyOwn) continue;
    if (running.has(runOf(task)) || (await isWaiting(task))) continue;
    if (await isStopped(name)) continue;
    if (!missedBefore.has(name)) missed.add(name);
    else if (await enqueueFirst(task))
      log(`enqueued the periodic task ${name}, which was lost`, "warning");
  }
  return missed;
}

/** What runs: of a task for all nodes, the run of this one. */
function runOf(task: Task): string {
  return task.scope === "all" ? `${ownQueue(task)} ${task.name}` : task.name;
}

async function runningTasks(): Promise<Set<string>> {
  const working = Object.values(await requireQueue().allWorkingOn());
  return new Set(
    working.flatMap((work) =>
      work === "started"
        ? []
        : [work.payload.class, `${work.queue} ${work.payload.class}`],
    ),
  );
}

async function isWaiting(task: Task): Promise<boolean> {
  const queue = requireQueue();
  const name = ownQueue(task);
  for (const args of argsOfRuns(task))
    if ((await queue.scheduledAt(name, task.name, args)).length > 0)
      return true;
  const jobs = await queue.queued(name, 0, SEARCH_LENGTH - 1);
  return (
    jobs.length === SEARCH_LENGTH || jobs.some((job) => job.class === task.name)
  );
}
