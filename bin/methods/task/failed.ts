import { CLI, formatTable } from "../../../src/cli/cli";
import { wholeNumber } from "../../../src/cli/runner";
import { framework } from "../../framework";
import type { FailedJob } from "../../../src/task/inspect";

interface Params {
  name?: string;
  limit: number;
  retry?: boolean;
  remove?: boolean;
  json?: boolean;
}

/** Entries that are looked at in one step. */
const PAGE = 100;

export class TaskFailed extends CLI {
  static readonly printsData = true;

  constructor() {
    super();
    this.name = "task-failed";
    this.description = "list the failed jobs; run them again, or remove them";
    this.example = "actionhero task-failed --name=sendMail --retry";
    this.inputs = {
      name: {
        letter: "n",
        requiredValue: true,
        description: "only jobs of this task",
      },
      limit: {
        letter: "l",
        requiredValue: true,
        default: "100",
        description: "how many at most, oldest first; 0 for all",
        formatter: wholeNumber,
      },
      retry: {
        flag: true,
        letter: "r",
        description: "enqueue them again, and take them out of the list",
      },
      remove: {
        flag: true,
        letter: "d",
        description: "delete them from the list",
      },
      json: { flag: true, letter: "j", description: "print JSON" },
    };
  }

  async run({ params }: { params: Params }) {
    if (params.retry && params.remove)
      throw new Error("--retry and --remove exclude each other");
    const jobs = await find(params.name, Number(params.limit));
    let changed = 0;
    for (const job of jobs) if (await change(job, params)) changed++;

    if (params.json) console.log(JSON.stringify(jobs, null, 2));
    else if (!params.retry && !params.remove)
      console.log(formatTable(jobs.map(describe)));
    else
      console.log(`${params.retry ? "enqueued again" : "removed"}: ${changed}`);
    return true;
  }
}

async function find(
  name: string | undefined,
  limit: number,
): Promise<FailedJob[]> {
  const { task } = framework();
  const found: FailedJob[] = [];
  for (let start = 0; ; start += PAGE) {
    const page = await task.failed(start, start + PAGE - 1);
    for (const job of page) {
      if (name !== undefined && job.payload?.class !== name) continue;
      found.push(job);
      if (found.length === limit) return found;
    }
    if (page.length < PAGE) return found;
  }
}

/** @returns false when it is gone: another process was faster */
async function change(job: FailedJob, params: Params): Promise<boolean> {
  const { task } = framework();
  if (params.remove) return (await task.removeFailed(job)) > 0;
  if (!params.retry) return false;
  try {
    return await task.retryAndRemoveFailed(job);
  } catch (error) {
    if (/not in failed queue/.test(String(error))) return false;
    throw error;
  }
}

function describe({ failed_at, queue, payload, error }: FailedJob) {
  return {
    failed_at: new Date(failed_at).toISOString(),
    queue,
    task: payload?.class ?? "?",
    inputs: shorten(JSON.stringify(payload?.args?.[0] ?? null)),
    error: shorten(String(error)),
  };
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, " ");
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
