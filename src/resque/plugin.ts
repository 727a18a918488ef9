/** Plugins: code around the enqueueing and running of jobs. */
import type { JobView } from "./jobView";
import type { Queue } from "./queue";
import type { Job } from "./types";

export type HookName =
  "beforeEnqueue" | "afterEnqueue" | "beforePerform" | "afterPerform";

type Hook = () => Promise<boolean> | boolean;

/** The interface of plugins, compatible with plugins for node-resque. */
export interface PluginInstance extends Partial<Record<HookName, Hook>> {
  name: string;
}

export type PluginClass = new (
  worker: any,
  func: string,
  queue: string,
  job: any,
  args: any[],
  options: any,
) => PluginInstance;

/** A class, or the name of a bundled one. */
export type PluginReference = string | PluginClass;

/** Extend it, and define any of the hooks; a `before...` hook that returns false cancels its operation. */
export abstract class Plugin implements PluginInstance {
  name: string;
  /** While a job is enqueued this is the queue. */
  worker: JobView;
  queueObject: Queue;
  queue: string;
  func: string;
  job: Job;
  args: any[];
  options: any;

  constructor(
    worker: Queue | JobView,
    func: string,
    queue: string,
    job: Job,
    args: any[],
    options: any,
  ) {
    this.name = this.constructor.name;
    this.worker = worker as JobView;
    this.queueObject = (worker as JobView).queueObject ?? worker;
    this.queue = queue;
    this.func = func;
    this.job = job;
    this.args = args;
    this.options = options as unknown;
  }

  beforeEnqueue?(): Promise<boolean> | boolean;
  afterEnqueue?(): Promise<boolean> | boolean;
  beforePerform?(): Promise<boolean> | boolean;
  afterPerform?(): Promise<boolean> | boolean;
}
