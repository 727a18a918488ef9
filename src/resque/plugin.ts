/** Plugins: code around the enqueueing and running of jobs. */
import type { Queue } from "./queue";
import type { Job } from "./types";
import type { Worker } from "./worker";

export type HookName =
  "beforeEnqueue" | "afterEnqueue" | "beforePerform" | "afterPerform";

type Hook = () => Promise<boolean> | boolean;

/** What the engine asks of a plugin: those written for node-resque will do. */
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

/** Extend it and give it any of the hooks; a hook that returns false stops what it stands before. */
export abstract class Plugin implements PluginInstance {
  name: string;
  worker: Worker;
  queueObject: Queue;
  queue: string;
  func: string;
  job: Job;
  args: any[];
  options: any;

  constructor(
    worker: Queue | Worker,
    func: string,
    queue: string,
    job: Job,
    args: any[],
    options: any,
  ) {
    this.name = this.constructor.name;
    this.worker = worker as Worker; // v29's type; while enqueueing it is the Queue
    this.queueObject = (worker as Worker).queueObject ?? worker;
    this.queue = queue;
    this.func = func;
    this.job = job;
    this.args = args;
    this.options = options;
  }

  beforeEnqueue?(): Promise<boolean> | boolean;
  afterEnqueue?(): Promise<boolean> | boolean;
  beforePerform?(): Promise<boolean> | boolean;
  afterPerform?(): Promise<boolean> | boolean;
}
