/** `/healthz` and `/readyz`: the health of this process for load balancers and supervisors. */
import type { Redis } from "ioredis";
import type {
  IncomingMessage,
  OutgoingHttpHeaders,
  Server,
  ServerResponse,
} from "node:http";
import { api } from "../api";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { startPlainServer, stopPlainServer } from "../utils/plainServer";
import { errorText, toError } from "../errors";
import { isCluster, isEmbedded } from "../redis/engine";
import { tryToStore } from "../redis/failover";
import { defineScript, runScript } from "../redis/script";
import { withTimeout } from "../utils/promises";

/** The prefix of the keys of this package. */
const PREFIX = "actionhero:";
const PROBE = defineScript("return 1");

/** `api.health` */
export interface HealthApi {
  /** The checks of readiness. */
  checks: Checks;
  /** Set while `health.enabled` is: responds to a request for one of the two paths; false for all others. */
  answer?: (req: IncomingMessage, res: ServerResponse) => boolean;
}

declare module "../api" {
  interface Api {
    health: HealthApi;
  }
}

const HEAD = {
  "content-type": "application/json; charset=utf-8",
  "cache-control": "no-store",
};

export function createHealthApi(): HealthApi {
  const checks = new Checks(() => settings().health);
  checks.add("redis", () => {
    // the queue may have a server of its own
    const { client, tasks, subscriber } = api.redis.clients;
    const queue = api.resque?.queue?.connection.namespacePrefix;
    return Promise.all([
      requireStorage(client),
      requireStorage(tasks),
      requireScripts(client, `${PREFIX}ah:probe`),
      requireScripts(tasks, queue && `${queue}queues`),
      isEmbedded(subscriber) || isCluster(subscriber) || subscriber.ping(),
    ]);
  });
  return { checks };
}

/** A replica, or a full redis, responds to pings, but refuses writes. A user without the right to write this key may have others. */
async function requireStorage(client: Redis): Promise<void> {
  try {
    await tryToStore(client);
  } catch (error) {
    if (!/^NOPERM/.test(toError(error).message)) throw error;
  }
}

/** A user without the right to scripts, or to the keys of the queue, may still read and write others. */
async function requireScripts(client: Redis, key?: string): Promise<void> {
  if (key !== undefined && !isEmbedded(client))
    await runScript(client, PROBE, [key], []);
}

/**
 * Add a check of readiness, in an initializer: of a database, a disk, another service.
 * @param check fails by throwing, rejecting, returning false, or taking too long
 */
export function addCheck(
  name: string,
  check: Check,
  options?: CheckOptions,
): void {
  api.health.checks.add(name, check, options);
}

export function removeCheck(name: string): void {
  api.health.checks.remove(name);
}

let pulse: Pulse | undefined;
let listener: Server | undefined;

/**
 * Before anything else of a server's boot: listen on `web.healthPort`, if it is set.
 * @throws ActionheroError AH_SERVER_START when that port is taken
 */
export async function openHealth(): Promise<void> {
  if (!settings().health.enabled) return;
  pulse ??= new Pulse();
  const { healthPort: port, bindIP } = settings().web;
  if (port === undefined) return;
  listener = await startPlainServer(
    {
      purpose: "health checks",
      config: "web",
      port,
      host: bindIP ?? undefined,
    },
    (req, res) => {
      if (!respond(req, res)) res.writeHead(404, HEAD).end("{}");
    },
  );
  log(`health checks @ ${bindIP ?? "::"}:${port}`, "notice");
}

/** Without `web.healthPort`, the web server's port responds as soon as it listens. */
export function startHealth(): void {
  const { enabled } = settings().health;
  if (enabled && settings().web.healthPort === undefined)
    api.health.answer = respond;
}

export function stopHealth(): void {
  delete api.health.answer;
}

/** After everything else of a server's stop, or of a boot that failed. */
export async function closeHealth(): Promise<void> {
  pulse?.stop();
  pulse = undefined;
  const open = listener;
  listener = undefined;
  await stopPlainServer(open);
}

function respond(req: IncomingMessage, res: ServerResponse): boolean {
  const { livePath, readyPath } = settings().health;
  const { url = "", method } = req;
  const isLive = isFor(url, livePath);
  if (!isLive && !isFor(url, readyPath)) return false;
  if (method === "OPTIONS") return refuseOptions(req, res);
  if (method !== "GET" && method !== "HEAD") return false;
  req.resume();
  if (isLive) send(req, res, live());
  else
    void ready().then(
      (report) => send(req, res, report),
      () => res.destroy(),
    );
  return true;
}

/** Pages of other sites cannot read the responses: a preflight request must not allow what then fails. */
function refuseOptions(req: IncomingMessage, res: ServerResponse): true {
  req.resume();
  res.writeHead(405, { allow: "GET, HEAD", "content-length": 0 }).end();
  return true;
}

/** Whether a URL has this path, whatever its query: asked for every request. */
function isFor(url: string, path: string): boolean {
  return (
    url.startsWith(path) &&
    (url.length === path.length || url[path.length] === "?")
  );
}

interface Report {
  isGood: boolean;
  body: object;
}

function live(): Report {
  const isGood = pulse?.isAlive() !== false;
  return { isGood, body: { status: isGood ? "alive" : "blocked" } };
}

/** The state of the process is never cached: a stop is known at once. */
async function ready(): Promise<Report> {
  const state = stateOf();
  if (state === "covered")
    return { isGood: true, body: { status: "ready", checks: {} } };
  if (state !== "running") return { isGood: false, body: { status: state } };
  const { isReady, results } = await api.health.checks.run();
  const now = stateOf();
  if (now !== "running" && now !== "covered")
    return { isGood: false, body: { status: now, checks: results } };
  const status = isReady ? "ready" : "failing";
  return { isGood: isReady, body: { status, checks: results } };
}

/** The `Process` of this process, whose module is in a higher layer. */
interface Lifecycle {
  started: boolean;
  shuttingDown: boolean;
  stopped: boolean;
  isStopDelayed: boolean;
  isPortShared: boolean;
}

function lifecycle(): Lifecycle | undefined {
  return (api as { process?: Lifecycle }).process;
}

/**
 * "covered": this process does not serve, but the other workers of its cluster do. A probe asks their common port, and
 * checks need what only a process that has started has.
 */
function stateOf(): "starting" | "running" | "covered" | "stopping" {
  const process = lifecycle();
  if (process === undefined || process.isStopDelayed) return "stopping";
  if (process.started) return "running";
  if (process.isPortShared) return "covered";
  return process.shuttingDown || process.stopped ? "stopping" : "starting";
}

function send(
  { method }: IncomingMessage,
  res: ServerResponse,
  { isGood, body }: Report,
): void {
  if (res.headersSent || res.destroyed) return;
  const text = JSON.stringify(body);
  const head: OutgoingHttpHeaders = {
    ...HEAD,
    "content-length": Buffer.byteLength(text),
  };
  if (!isGood) head["retry-after"] = "1";
  if (lifecycle()?.shuttingDown) head.connection = "close";
  res.writeHead(isGood ? 200 : 503, head);
  res.end(method === "HEAD" ? undefined : text);
}

// --- Detects a blocked event loop.

const PERIOD_MS = 250;
/** After a longer event loop turn, `/healthz` fails for the same time, so that a probe notices it. */
const STILL_MS = 1_000;

class Pulse {
  private last = performance.now();
  private stillUntil = 0;
  private readonly timer = setInterval(() => this.beat(), PERIOD_MS).unref();

  /** False for a second after a turn of the event loop that took more than 1.25 s. */
  isAlive(): boolean {
    this.beat(); // the timer may be late, too
    return performance.now() >= this.stillUntil;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private beat(): void {
    const now = performance.now();
    if (now - this.last > STILL_MS + PERIOD_MS)
      this.stillUntil = now + STILL_MS;
    this.last = now;
  }
}

// --- Checks of readiness: redis, and those of the project.

export interface CheckOptions {
  /** How long it may take, in ms (default `health.timeout`). */
  timeout?: number;
  /** Whether the process is not ready while it fails (default true). */
  critical?: boolean;
}

/** Fails by throwing, rejecting, or returning false. */
export type Check = () => unknown;

interface CheckResult {
  status: "ok" | "failed";
  /** How long it took, in ms. */
  ms: number;
  critical: boolean;
}

interface Entry extends CheckOptions {
  check: Check;
  isFailing: boolean;
}

/** The results of all checks, as clients see them. */
interface ChecksReport {
  isReady: boolean;
  results: Record<string, CheckResult>;
}

class Checks {
  private readonly entries = new Map<string, Entry>();
  private cached: { report: Promise<ChecksReport>; until: number } | undefined =
    undefined;

  /** @param limits read with each run, in ms */
  constructor(
    private readonly limits: () => { cacheFor: number; timeout: number },
  ) {}

  /** A second check of one name replaces the first. */
  add(name: string, check: Check, options: CheckOptions = {}): void {
    this.entries.set(name, { ...options, check, isFailing: false });
    this.cached = undefined;
  }

  remove(name: string): void {
    this.entries.delete(name);
    this.cached = undefined;
  }

  /** However many ask, the checks run once in `cacheFor` ms, and never twice at once. */
  run(): Promise<ChecksReport> {
    if (this.cached && performance.now() < this.cached.until)
      return this.cached.report;
    const cached = { report: this.runAll(), until: Infinity };
    this.cached = cached;
    void cached.report.then(() => {
      cached.until = performance.now() + this.limits().cacheFor;
    });
    return cached.report;
  }

  private async runAll(): Promise<ChecksReport> {
    const names = [...this.entries.keys()];
    const results = await Promise.all(
      names.map((name) => this.runOne(name, this.entries.get(name)!)),
    );
    return {
      isReady: results.every(
        ({ status, critical }) => status === "ok" || !critical,
      ),
      results: Object.fromEntries(names.map((name, i) => [name, results[i]!])),
    };
  }

  private async runOne(name: string, entry: Entry): Promise<CheckResult> {
    const { critical = true, timeout = this.limits().timeout } = entry;
    const begin = performance.now();
    const error = await failureOf(entry.check, timeout);
    const ms = Math.round(performance.now() - begin);
    const isFailing = error !== undefined;
    if (isFailing !== entry.isFailing) logChange(name, error);
    entry.isFailing = isFailing;
    return { status: isFailing ? "failed" : "ok", ms, critical };
  }
}

/** Once when a check begins to fail, and once when it is over: probes come by the second. */
function logChange(name: string, error: unknown): void {
  if (error === undefined)
    return log(`the health check \`${name}\` passes again`, "notice");
  log(`the health check \`${name}\` fails: ${errorText(error)}`, "error");
}

/** @returns what went wrong, or undefined */
async function failureOf(check: Check, timeoutMs: number): Promise<unknown> {
  try {
    const result = await withTimeout(
      timeoutMs,
      call(check),
      "AH_CHECK_TIMEOUT",
      () => `it did not end within ${timeoutMs} ms`,
    );
    return result === false ? new Error("it returned false") : undefined;
  } catch (error) {
    return error ?? new Error("it failed without an error");
  }
}

async function call(check: Check): Promise<unknown> {
  return check();
}
