/** What a node does from time to time, beside working: say that it is there, and find periodic tasks that were lost. */
import { api } from "../api";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { logFailure } from "../redis/connectionLog";
import { takeLeave } from "../redis/leaving";
import {
  announceNode,
  dropQueuesOfLostNodes,
  PRESENCE_MS,
  retireNode,
} from "./presence";
import { enqueueLostRecurrentTasks } from "./recurrentUpkeep";
import { ownQueues } from "./scope";

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
    await takeLeave(api.redis.clients.tasks, retireNode);
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

/** The next time may be better. */
function report(error: unknown): void {
  const { tasks } = api.redis.clients;
  logFailure(tasks, error, "the upkeep of tasks failed", "warning");
}
