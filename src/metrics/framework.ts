/** The framework's own metrics. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Command, Redis } from "ioredis";
import { api } from "../api";
import { toError } from "../errors";
import { isEmbedded } from "../redis/engine";
import type { MultiWorker } from "../resque/multiWorker";
import type { ParsedJob } from "../resque/types";
import { knownMethod } from "../tracing/tracer";
import type { Registry } from "./registry";
import type { Histogram, Watch } from "./types";

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

/** @param error undefined when redis answered */
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
