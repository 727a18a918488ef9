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
      // `queues` may be a function, which is called when the workers start, not when the config is built
      _toExpand: false,

      // Roles: a process that only serves requests has `scheduler: false` and no task processors; a worker process
      // has no servers. At least one process of the cluster must run the scheduler.

      // run a scheduler, for delayed jobs and recurring tasks; one scheduler of the cluster leads
      scheduler: true,
      // the queues in order of preference; "*" for all others
      queues: ["*"] as string[] | (() => Promise<string[]>),
      // the minimum and maximum of jobs at a time, depending on the load of the event loop
      minTaskProcessors: 1,
      maxTaskProcessors: 10,
      // the interval of adjustments of the number of task processors, in ms
      checkTimeout: 500,
      // the event loop counts as busy when a timer is late by more than this, in ms
      maxEventLoopDelay: 5,
      // the longest interval between two polls of redis, in ms; jobs wake workers at once
      timeout: 5000,
      // a worker without a heartbeat for this long, in ms, is dead, and its job runs again
      heartbeatTimeout: 30 * 1000,
      // the same for a worker that is still connected, and for workers of other programs, in ms
      stuckWorkerTimeout: 60 * 60 * 1000,
      // handling of a job whose task this process does not define: "fail", or "wait" for a process that defines it
      unknownJobs: "fail" as "fail" | "wait",
      // how long such a job waits before it fails, in ms
      unknownJobTimeout: 10 * 60 * 1000,
      // sort the keys of inputs, so that the order in which they were given does not distinguish two jobs
      sortInputs: false,
      // jobs continue the request id and the trace of what enqueues them
      carryContext: false,
      // tasks of the framework to load: "cleanLogFiles"
      builtin: [] as string[],
      // requeue the running jobs of dead node-resque workers of other programs
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

      // replacements for the framework's classes, constructed with the same arguments
      resque_overrides: {
        queue: null as any,
        multiWorker: null as any,
        scheduler: null as any,
      },
      // further options of the queue's connection, e.g. `{ namespace: "resque" }`
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
