/** The framework's own metrics: of requests, jobs, redis commands, of what it holds, and of the process. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Command, Redis } from "ioredis";
import { api } from "../api";
import { toError } from "../errors";
import { isEmbedded } from "../redis/engine";
import type { MultiWorker } from "../resque/multiWorker";
import type { ParsedJob } from "../resque/types";
import { knownMethod } from "../tracing/tracer";
import type { Registry } from "./registry";
import type { Histogram, Watch, Gauge } from "./types";
import { createHash } from "node:crypto";
import { countRooms } from "../chat/roomStore";
import {
  constants,
  monitorEventLoopDelay,
  PerformanceObserver,
  type IntervalHistogram,
  type PerformanceEntry,
} from "node:perf_hooks";

/** Label values of what clients and producers made up. */
const UNKNOWN = "unknown";

export function watchFramework(registry: Registry): Watch {
  return {
    ...watchRequests(registry),
    ...watchTasks(registry),
    cache: watchCache(registry),
  };
}

function watchRequests(registry: Registry): Pick<Watch, "action" | "request"> {
  const actions = registry.cells({
    name: "actionhero_action_duration_seconds",
    help: "Duration of actions, those that were refused included",
    labels: ["transport", "action", "status"],
  });
  const requests = registry.cells({
    name: "http_server_request_duration_seconds",
    help: "Duration of HTTP requests, until the response is sent",
    labels: ["http_request_method", "http_response_status_code"],
  });
  const active = new Map<string, number>();
  registry.gauge({
    name: "http_server_active_requests",
    help: "HTTP requests in progress",
    labels: ["http_request_method"],
    collect: (gauge) => {
      for (const [http_request_method, count] of active)
        gauge.set(count, { http_request_method });
    },
  });
  const addActive = (method: string, by: number) =>
    active.set(method, (active.get(method) ?? 0) + by);
  return {
    action: (transport, action = UNKNOWN, status, ms) =>
      actions(transport, action, status).observe(ms / 1000),
    request: ({ method = "" }: IncomingMessage, res: ServerResponse) => {
      const begin = performance.now();
      const known = knownMethod(method);
      addActive(known, 1);
      res.once("close", () => {
        addActive(known, -1);
        // empty, which is as good as no label: the client left before
        const status = res.headersSent ? res.statusCode : "";
        requests(known, status).observe((performance.now() - begin) / 1000);
      });
    },
  };
}

function watchTasks(registry: Registry): Pick<Watch, "workers"> {
  const durations = registry.histogram({
    name: "actionhero_task_duration_seconds",
    help: "Duration of the jobs that this process ran to their end",
    labels: ["task", "queue", "status"],
  });
  const retries = registry.counter({
    name: "actionhero_task_retries_total",
    help: "Failed jobs that were retried",
    labels: ["task", "queue"],
  });
  const ended =
    (status: string, msAt: number) =>
    (_worker: number, queue: string, job: ParsedJob, ...facts: unknown[]) =>
      durations.observe(Number(facts[msAt]) / 1000, {
        task: taskOf(job),
        queue,
        status,
      });
  return {
    workers: (workers: MultiWorker) => {
      workers.on("success", ended("success", 1));
      workers.on("failure", ended("failure", 1));
      workers.on("reEnqueue", (_worker, queue: string, job, info) => {
        // plugins also postpone jobs, without a failure
        const { attempts } = info as { attempts?: number };
        if (attempts !== undefined)
          retries.inc({ task: taskOf(job as ParsedJob), queue });
      });
    },
  };
}

/** Producers can make up any number of names. */
function taskOf(job: ParsedJob): string {
  return Object.hasOwn(api.tasks.jobs, job.class) ? job.class : UNKNOWN;
}

function watchCache(registry: Registry): Watch["cache"] {
  const lookUps = registry.counter({
    name: "actionhero_cache_lookups_total",
    help: "Look-ups by cache.load, loadMany and wrap",
    labels: ["result"],
  });
  return (hits, misses) => {
    if (hits > 0) lookUps.inc({ result: "hit" }, hits);
    if (misses > 0) lookUps.inc({ result: "miss" }, misses);
  };
}

// --- The durations of redis commands, as their callers see them.

/** @param error undefined when redis replied */
type Observe = (command: string, error: unknown, ms: number) => void;

interface Follower {
  observe?: Observe;
}

/** A client that a project shares between servers keeps its follower. */
const followers = new WeakMap<Redis, Follower>();

/** Start measuring the commands of clients, by their names. @returns a function that stops it */
export function measureCommands(
  clients: Record<string, Redis>,
  durations: Histogram,
): () => void {
  const found: Follower[] = [];
  for (const [name, client] of Object.entries(clients)) {
    if (isEmbedded(client)) continue; // there is nothing to wait for
    const follower = followerOf(client);
    follower.observe = (command, error, ms) =>
      durations.observe(ms / 1000, {
        db_system_name: "redis",
        db_operation_name: command,
        db_client_connection_pool_name: name,
        error_type: error === undefined ? "" : typeOf(error),
      });
    found.push(follower);
  }
  return () => {
    for (const follower of found) follower.observe = undefined;
  };
}

function typeOf(error: unknown): string {
  const { code, name } = toError(error) as Error & { code?: unknown };
  return typeof code === "string" ? code : name;
}

function followerOf(client: Redis): Follower {
  const known = followers.get(client);
  if (known) return known;
  const follower: Follower = {};
  followers.set(client, follower);
  const seen = new WeakSet<Command>(); // a command is sent again over the next connection
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command, ...rest) => {
    const { observe } = follower;
    if (observe && !seen.has(command)) {
      seen.add(command);
      time(command, observe);
    }
    return send(command, ...rest);
  };
  return follower;
}

/** No handler is attached to the promise: it would hide an unhandled rejection. */
function time(command: Command, observe: Observe): void {
  const { name, resolve, reject } = command;
  const begin = performance.now();
  let isOver = false; // the time-out of a command that has failed rejects it again
  const end = (error: unknown) => {
    if (!isOver) observe(name, error, performance.now() - begin);
    isOver = true;
  };
  command.resolve = (result) => {
    end(undefined);
    resolve.call(command, result);
  };
  command.reject = (error) => {
    end(error);
    reject.call(command, error);
  };
}

// --- Metrics that are read at each scrape: connections, rooms, queues.

/** The maximum of queues that are measured, by their names. */
const MAX_QUEUES = 200;

export function collectState(registry: Registry): void {
  registry.gauge({
    name: "actionhero_connections",
    help: "Open connections of this process",
    labels: ["transport"],
    collect: (gauge) => {
      for (const { type } of api.connections.table.list())
        gauge.inc({ transport: type });
    },
  });
  registry.gauge({
    name: "actionhero_chat_members",
    help: "Memberships of this process's connections in chat rooms",
    collect: (gauge) => {
      let members = 0;
      for (const { rooms } of api.connections.table.list())
        members += rooms.length;
      gauge.set(members);
    },
  });
  registry.gauge({
    name: "actionhero_chat_rooms",
    help: "Chat rooms of the whole cluster",
    collect: async (gauge) => gauge.set(await countRooms()),
  });
  collectTasks(registry);
}

function collectTasks(registry: Registry): void {
  const heads = new Heads();
  let looking: Promise<QueueState[]> | undefined;
  // the collectors of one scrape begin together
  const look = () =>
    (looking ??= lookAtQueues(heads).finally(() => (looking = undefined)));
  const perQueue =
    (valueOf: (state: QueueState) => number) => async (gauge: Gauge) => {
      for (const state of await look())
        gauge.set(valueOf(state), { queue: state.queue });
    };
  registry.gauge({
    name: "actionhero_queue_jobs",
    help: "Jobs that wait in a queue of the cluster",
    labels: ["queue"],
    collect: perQueue(({ length }) => length),
  });
  registry.gauge({
    name: "actionhero_queue_oldest_job_seconds",
    help: "How long this process has seen the next job of a queue wait",
    labels: ["queue"],
    collect: perQueue(({ waitedMs }) => waitedMs / 1000),
  });
  registry.gauge({
    name: "actionhero_failed_jobs",
    help: "Entries of the cluster's list of failed jobs",
    collect: async (gauge) => gauge.set(await api.resque.queue.failedCount()),
  });
  registry.gauge({
    name: "actionhero_task_processors",
    help: "Workers of this process",
    labels: ["state"],
    collect: (gauge) => {
      const { workers } = api.resque.multiWorker ?? { workers: [] };
      const busy = workers.filter(({ working }) => working).length;
      gauge.set(busy, { state: "busy" });
      gauge.set(workers.length - busy, { state: "idle" });
    },
  });
}

interface QueueState {
  queue: string;
  length: number;
  waitedMs: number;
}

async function lookAtQueues(heads: Heads): Promise<QueueState[]> {
  const { queue } = api.resque;
  const names = (await queue.queues()).sort().slice(0, MAX_QUEUES);
  const lengths = await queue.lengths(names);
  return Promise.all(
    names.map(async (name) => {
      const { queued, waiting } = lengths[name]!;
      const [next] = queued > 0 ? await queue.queued(name, 0, 0) : [];
      const waitedMs = heads.see(name, queued, next);
      return { queue: name, length: queued + waiting, waitedMs };
    }),
  );
}

interface Head {
  digest: string;
  length: number;
  /** ms since the process began. */
  since: number;
}

/**
 * Tracks how long the first job of each queue has been there. Jobs contain no enqueue time, because they are compared
 * byte by byte. A different text or a shorter queue means a different job.
 */
class Heads {
  private readonly heads = new Map<string, Head>();

  /** @returns how long this job has been the first one, in ms */
  see(queue: string, length: number, job: object | undefined): number {
    if (!job) {
      this.heads.delete(queue);
      return 0;
    }
    const now = performance.now();
    const digest = createHash("sha1").update(JSON.stringify(job)).digest("hex");
    const known = this.heads.get(queue);
    const isSame = known?.digest === digest && length >= known.length;
    const since = isSame ? known.since : now;
    this.heads.set(queue, { digest, length, since });
    return now - since;
  }
}

// --- Memory, processor, event loop and garbage collection, by the names that dashboards for Node.js know.

const GC_KINDS: Record<number, string> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: "major",
  [constants.NODE_PERFORMANCE_GC_MINOR]: "minor",
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: "incremental",
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: "weakcb",
};

const GC_BUCKETS = [0.001, 0.01, 0.1, 1, 2, 5];
const DELAY_RESOLUTION_MS = 10;
const NS = 1e9;

/** Start measuring this process. @returns a function that stops it */
export function measureProcess(registry: Registry): () => void {
  collectUsage(registry);
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  collectDelay(registry, delay);
  const observer = observeGc(
    registry.histogram({
      name: "nodejs_gc_duration_seconds",
      help: "Garbage collection by kind: major, minor, incremental, weakcb",
      labels: ["kind"],
      buckets: GC_BUCKETS,
    }),
  );
  return () => {
    delay.disable();
    observer.disconnect();
  };
}

function collectUsage(registry: Registry): void {
  let last = { user: 0, system: 0 };
  registry.counter({
    name: "process_cpu_seconds_total",
    help: "Processor time of this process",
    collect: (counter) => {
      const usage = process.cpuUsage();
      const used = usage.user - last.user + usage.system - last.system;
      last = usage;
      counter.inc(undefined, used / 1e6);
    },
  });
  const gauge = (name: string, help: string, valueOf: () => number) =>
    registry.gauge({ name, help, collect: (one) => one.set(valueOf()) });
  const start = Math.round(Date.now() / 1000 - process.uptime());
  gauge(
    "process_start_time_seconds",
    "When this process began, in seconds since the epoch",
    () => start,
  );
  gauge("process_resident_memory_bytes", "Memory of this process", () =>
    process.memoryUsage.rss(),
  );
  gauge(
    "nodejs_heap_size_used_bytes",
    "Memory of JavaScript objects",
    () => process.memoryUsage().heapUsed,
  );
  gauge(
    "nodejs_heap_size_total_bytes",
    "Memory that is there for JavaScript objects",
    () => process.memoryUsage().heapTotal,
  );
  gauge(
    "nodejs_external_memory_bytes",
    "Memory of buffers and other objects outside of the heap",
    () => process.memoryUsage().external,
  );
  registry.gauge({
    name: "nodejs_version_info",
    help: "The version of Node.js",
    labels: ["version"],
    collect: (one) => one.set(1, { version: process.version }),
  });
}

/** Delays since the last scrape. */
function collectDelay(registry: Registry, delay: IntervalHistogram): void {
  const values: [name: string, valueOf: () => number][] = [
    ["mean", () => delay.mean],
    ["min", () => delay.min],
    ["p50", () => delay.percentile(50)],
    ["p90", () => delay.percentile(90)],
    ["p99", () => delay.percentile(99)],
    ["max", () => delay.max],
  ];
  values.forEach(([name, valueOf], i) => {
    registry.gauge({
      name: `nodejs_eventloop_lag_${name}_seconds`,
      help: `Delay of timers since the last scrape: ${name}`,
      collect: (gauge) => {
        const seconds = (valueOf() - DELAY_RESOLUTION_MS * 1e6) / NS;
        // nothing was measured yet
        if (delay.count > 0) gauge.set(Math.max(seconds, 0));
        if (i === values.length - 1) delay.reset();
      },
    });
  });
}

function observeGc(durations: Histogram): PerformanceObserver {
  const observer = new PerformanceObserver((list) => {
    // the types of node 20 do not know the detail
    const entries = list.getEntries() as (PerformanceEntry & {
      detail: { kind: number };
    })[];
    for (const { duration, detail } of entries) {
      const { kind } = detail;
      durations.observe(duration / 1000, { kind: GC_KINDS[kind] ?? "other" });
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return observer;
}
