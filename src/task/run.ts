/** Running a task without a queue. */
import { api } from "../api";
import { continueContext } from "../context/context";
import { Worker } from "../resque/worker";
import { requireTask } from "./find";
import type { TaskInputs } from "./task";
import { validateInputs } from "./validateInputs";

/**
 * Run a task here and now: its inputs are checked, its middleware and plugins run, no queue is involved.
 * @returns what it returns; undefined when middleware or a plugin refused it
 * @throws what it throws; ActionheroError AH_TASK `task <name> not found`
 */
export async function run<Result = any>(
  taskName: string,
  inputs?: TaskInputs,
): Promise<Result> {
  const task = requireTask(taskName);
  const args = [await validateInputs(task, inputs)];
  const { connectionDetails } = api.resque;
  const worker = new Worker(
    { connection: connectionDetails, queues: [task.queue] },
    api.tasks.jobs,
  );
  try {
    await worker.connect();
    return (await continueContext({ task: taskName }, () =>
      worker.performInline(taskName, args),
    )) as Result;
  } finally {
    await worker.end();
  }
}
