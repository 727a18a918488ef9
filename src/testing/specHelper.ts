/** The exported `specHelper`: runs actions, files and tasks from tests, without a network. */
import { randomUUID } from "node:crypto";
import type { Action } from "../action/action";
import type {
  ActionName,
  HelperArguments,
  RunResult,
} from "../action/actionTypes";
import { api, type Api } from "../api";
import type {
  RequesterInformation,
  ServerInformation,
} from "../server/web/respond";
import {
  testServer,
  type ReceivedFile,
  type SpecHelperConnection,
} from "./testServer";
import type { Redis } from "ioredis";
import { ActionheroError } from "../errors";
import type { ParsedJob } from "../resque/types";
import { Worker } from "../resque/worker";
import { isStandardSchema } from "../input/types";
import { contextOf } from "../task/jobWrapper";
import { configuredQueues } from "../task/resqueApi";
import { asQueued } from "../task/validateInputs";
import type {
  TaskContext,
  TaskName,
  TaskResult,
  TaskWorker,
} from "../task/task";

export type { SpecHelperConnection } from "./testServer";

/** The fields beside the response of an action, unless `api.specHelper.returnMetadata` is false. */
export interface ActionMetadata {
  messageId?: string;
  error?: any;
  requesterInformation?: RequesterInformation;
  serverInformation?: ServerInformation;
}

/** A client of the test server; `messages` collects its messages, the welcome first. */
export async function buildConnection(): Promise<SpecHelperConnection> {
  testServer(); // says what is missing
  return api.specHelper.Connection!.createAsync();
}

/**
 * Run an action as a client would, and get what the client would get. Names and params are typed by the project's
 * `actions.gen.ts`, if it has one; naming the action's class takes any params.
 * @param args the params (`params.action` is written into them), or a connection from `buildConnection`
 * @returns the response; an action's error is in its `error`, nothing is thrown. An action that sets `toRender` to
 *   false and sends no file never responds
 */
export function runAction<
  A extends Action | void = void,
  Name extends ActionName = ActionName,
>(
  actionName: Name,
  ...args: HelperArguments<A, Name, SpecHelperConnection>
): Promise<RunResult<A, Name> & ActionMetadata>;
export async function runAction(
  actionName: string,
  input: Partial<SpecHelperConnection> | { [key: string]: any } = {},
): Promise<any> {
  const connection = isConnection(input) ? input : await connectionWith(input);
  connection.params.action = actionName;
  connection.messageId =
    (connection.params.messageId as string | undefined) || randomUUID();
  return responseTo(connection, () => testServer().processAction(connection));
}

/** Ask for a file below the public folders. */
export async function getStaticFile(file: string): Promise<ReceivedFile> {
  const connection = await buildConnection();
  connection.params.file = file;
  return responseTo(connection, () => testServer().processFile(connection));
}

function isConnection(input: object): input is SpecHelperConnection {
  const { id, type } = input as Partial<SpecHelperConnection>;
  return Boolean(id) && type === "testServer";
}

async function connectionWith(params: {
  [key: string]: any;
}): Promise<SpecHelperConnection> {
  const connection = await buildConnection();
  connection.params = params;
  return connection;
}

/** The message with the connection's current message id. */
function responseTo<T>(
  connection: SpecHelperConnection,
  request: () => Promise<unknown>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    connection.actionCallbacks ??= {};
    connection.actionCallbacks[String(connection.messageId)] = resolve;
    request().catch(reject);
  });
}

// --- Tasks: runs them, and inspects their queues.

/** A job that was found, with when it is due. */
export interface EnqueuedTask extends ParsedJob {
  /** ms since the epoch; null when it only waits for a worker. */
  timestamp: number | null;
}

/** The part of a task that is needed here: version 29 calls its `run` without a worker. */
interface Runnable {
  queue?: string;
  inputs?: unknown;
  run(
    params: unknown,
    worker: TaskWorker | undefined,
    context: TaskContext,
  ): unknown;
}

/**
 * Call a task's `run` and nothing else: no validation, no middleware, no queue.
 * @throws what the task throws, or Error `task <name> not found`
 */
export async function runTask<T = void, Name extends TaskName = TaskName>(
  taskName: Name,
  params: object | any[] = {},
): Promise<TaskResult<T, Name>> {
  const task = taskOf(taskName);
  return (await task.run(params, undefined, contextOf())) as TaskResult<
    T,
    Name
  >;
}

/**
 * Run a task as a worker does, with its plugins and middleware, here and now.
 * @throws what the task throws
 */
export async function runFullTask<T = void, Name extends TaskName = TaskName>(
  taskName: Name,
  params: object | any[] = {},
): Promise<TaskResult<T, Name>> {
  const worker = new Worker(
    {
      connection: resque().connectionDetails ?? { redis: taskClient() },
      queues: await configuredQueues(),
    },
    tasks().jobs,
  );
  try {
    await worker.connect();
    const given: unknown[] = Array.isArray(params) ? params : [params];
    // a schema has to accept what the queue would hold
    const inputs = Object.hasOwn(tasks().tasks, taskName)
      ? taskOf(taskName).inputs
      : undefined;
    const args = isStandardSchema(inputs) ? asQueued(given) : given;
    return (await worker.performInline(taskName, args)) as TaskResult<T, Name>;
  } finally {
    await worker.end();
  }
}

/** All jobs of a task: queued ones first, then delayed ones. */
export async function findEnqueuedTasks(
  taskName: string,
): Promise<EnqueuedTask[]> {
  const { queue } = resque();
  const found: EnqueuedTask[] = [];
  const keep = (jobs: ParsedJob[], timestamp: number | null) => {
    for (const job of jobs)
      if (job.class === taskName) found.push({ ...job, timestamp });
  };
  for (const name of (await queue.queues()).sort())
    keep(await queue.queued(name, 0, -1), null);
  for (const [timestamp, jobs] of Object.entries(await queue.allDelayed()))
    keep(jobs, Number(timestamp));
  return found;
}

/** Remove the jobs of a task with these params, waiting and delayed, from every queue. */
export async function deleteEnqueuedTasks(
  taskName: string,
  params: object,
): Promise<void> {
  const { queue } = resque();
  const names = new Set(await queue.queues());
  // a queue that has had nothing but delayed jobs is not in the list of queues
  const { queue: own } = Object.hasOwn(tasks().tasks, taskName)
    ? taskOf(taskName)
    : {};
  if (own) names.add(own);
  for (const name of names) {
    await queue.del(name, taskName, [params]);
    await queue.delDelayed(name, taskName, [params]);
  }
}

function taskOf(name: string): Runnable {
  if (!Object.hasOwn(tasks().tasks, name))
    throw new ActionheroError("AH_TASK", `task ${name} not found`);
  return tasks().tasks[name]!;
}

function taskClient(): Redis {
  return api.redis.clients.tasks;
}

function tasks(): Api["tasks"] {
  const { tasks: existing }: Partial<Api> = api;
  if (!existing)
    throw new Error("the specHelper needs an initialized Process for tasks");
  return existing;
}

function resque(): Api["resque"] {
  const { resque: existing }: Partial<Api> = api;
  if (!existing)
    throw new Error("the specHelper needs an initialized Process for tasks");
  return existing;
}
