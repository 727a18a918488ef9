import type { ActionheroConfigInterface } from "../src";

const namespace = "tasks";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: (_config: ActionheroConfigInterface) => {
    return {
      // `queues` may be a function, which is called when the workers start and not when the config is built
      _toExpand: false,

      // Roles: a process that only serves requests has `scheduler: false` and no task processors; one that only works
      // has no servers. At least one process of the cluster must be a scheduler.

      // move delayed jobs to their queues, and enqueue periodic tasks; one of all schedulers leads
      scheduler: true,
      // the queues to work, most urgent first; "*" for all
      queues: ["*"] as string[] | (() => Promise<string[]>),
      // how many jobs run at a time: at least, and at most, as the event loop has time
      minTaskProcessors: 1,
      maxTaskProcessors: 10,
      // how often the number of task processors is looked at, in ms
      checkTimeout: 500,
      // the event loop counts as busy when a timer is late by more than this, in ms
      maxEventLoopDelay: 5,
      // the longest sleep between two looks at redis, in ms; jobs wake workers at once
      timeout: 5000,
      // a worker that gave no sign for this long is dead, and its job runs again, in ms
      heartbeatTimeout: 30 * 1000,
      // the same for a worker that is still connected, and for workers of other programs, in ms
      stuckWorkerTimeout: 60 * 60 * 1000,
      // what becomes of a job that no task of this process is there for: "fail", or "wait" for a process that has it
      unknownJobs: "fail" as "fail" | "wait",
      // it waits at most this long, then it fails, in ms
      unknownJobTimeout: 10 * 60 * 1000,
      // tasks of the framework to load: "cleanLogFiles"
      builtin: [] as string[],
      // enqueue the jobs of such workers of other programs again
      retryStuckJobs: false,

      // the levels of the log lines
      workerLogging: {
        failure: "error",
        success: "info",
        start: "info",
        end: "info",
        cleaning_worker: "info",
        poll: "debug",
        job: "debug",
        pause: "debug",
        reEnqueue: "debug",
        retry: "warning",
        internalError: "error",
        multiWorkerAction: "debug",
      },
      schedulerLogging: {
        start: "info",
        end: "info",
        poll: "debug",
        enqueue: "debug",
        working_timestamp: "debug",
        reEnqueue: "debug",
        transferred_job: "debug",
      },

      // classes to use instead of the framework's own, made with the same arguments
      resque_overrides: {
        queue: null as any,
        multiWorker: null as any,
        scheduler: null as any,
      },
      // more for the connection of the queue, e.g. `{ namespace: "resque" }`
      connectionOptions: { tasks: {} as Record<string, unknown> },
    };
  },
};

export const test = {
  [namespace]: () => {
    return {
      scheduler: false,
      minTaskProcessors: 0,
      maxTaskProcessors: 0,
      timeout: 100,
      checkTimeout: 50,
    };
  },
};
