/** The vocabulary of the queue: what lies in redis, and what users give to run it. */
import type { Redis } from "ioredis";
import type { PluginReference } from "./plugin";
import type { Worker } from "./worker";

/** One job as it lies in a queue. */
export interface ParsedJob {
  class: string;
  queue: string;
  args: any[];
}

/** How jobs of one class are done. */
export interface Job {
  plugins?: PluginReference[];
  pluginOptions?: { [pluginName: string]: any };
  perform: (this: Worker, ...args: any[]) => any;
}

export interface Jobs {
  [className: string]: Job | Job["perform"];
}

/** What a worker is doing, as it lies in redis. */
export interface WorkingOn {
  worker: string;
  queue: string;
  run_at: string;
  payload: ParsedJob;
}

/** An entry of the failed list. */
export interface ErrorPayload {
  worker: string;
  queue: string;
  payload: ParsedJob;
  exception: string;
  error: string;
  backtrace: string[] | null;
  failed_at: string;
}

export interface ConnectionOptions {
  /** A client to share; it is not closed by `end()`. */
  redis?: Redis;
  pkg?: string;
  host?: string;
  port?: number;
  database?: number;
  password?: string;
  /** Put before every key (default `resque`; `{resque}` on a Redis Cluster). */
  namespace?: string | string[];
  scanCount?: number;
  options?: Record<string, unknown>;
}
