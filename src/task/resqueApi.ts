/** The parts of the queue that run in this process: `api.resque`. */
import type { MultiWorker } from "../resque/multiWorker";
import type { Queue } from "../resque/queue";
import type { Scheduler } from "../resque/scheduler";
import type { ConnectionOptions } from "../resque/types";

export interface ResqueApi {
  /** Connected when the server is initialized. */
  queue: Queue;
  multiWorker: MultiWorker;
  scheduler: Scheduler;
  connectionDetails: ConnectionOptions;
  startQueue(): Promise<void>;
  stopQueue(): Promise<void>;
  startScheduler(): Promise<void>;
  stopScheduler(): Promise<void>;
  startMultiWorker(): Promise<void>;
  stopMultiWorker(): Promise<void>;
}

declare module "../api" {
  interface Api {
    resque: ResqueApi;
  }
}
