import { api } from "../../../src/api";
import { CLI, formatTable } from "../../../src/cli/cli";
import type { Task } from "../../../src";
import { tableOf } from "../../../src/input/schemaPlan";

export class TaskList extends CLI {
  static readonly printsData = true;

  constructor() {
    super();
    this.name = "task-list";
    this.description = "list the tasks with their queues and when they run";
    this.example = "actionhero task-list --json";
    this.inputs = {
      json: { flag: true, letter: "j", description: "print JSON" },
    };
  }

  async run({ params }: { params: { json?: boolean } }) {
    const tasks = Object.values(api.tasks.tasks).sort((a, b) =>
      a.name.localeCompare(b.name),
    );
    if (params.json) {
      console.log(JSON.stringify(tasks.map(describeTask), null, 2));
      return true;
    }
    console.log(
      formatTable(
        tasks.map((task) => ({
          name: task.name,
          queue: task.queue,
          runs: whenItRuns(task),
          description: task.description,
        })),
      ),
    );
    await tellOrphans();
    return true;
  }
}

/** Behind the table: what a worker of any node repairs within two leases. */
async function tellOrphans(): Promise<void> {
  const orphans = await api.resque.queue.orphans();
  if (orphans.length === 0) return;
  console.log("\nWorkers that are listed although their process is gone:");
  for (const { member, record } of orphans)
    console.log(`${member}  ${record === undefined ? "no job" : record}`);
}

function whenItRuns({ frequency, cron, timeZone }: Task): string {
  if (cron !== undefined)
    return timeZone === undefined ? cron : `${cron} (${timeZone})`;
  return frequency! > 0 ? `every ${frequency} ms` : "when enqueued";
}

/** The declarations of the task; functions have no JSON. */
function describeTask(task: Task): Record<string, unknown> {
  const { name, description, queue, frequency, cron, timeZone } = task;
  const { inputs, middleware, retry, timeout, afterTimeout, unique } = task;
  const { concurrency, priority, maxFailed, scope } = task;
  return {
    name,
    description,
    queue,
    frequency,
    cron,
    timeZone,
    scope,
    priority,
    retry,
    timeout,
    afterTimeout,
    unique,
    concurrency,
    maxFailed,
    middleware,
    inputs: inputs && tableOf(inputs),
  };
}
