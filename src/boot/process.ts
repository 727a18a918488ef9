/** The server process: one state machine that loads, starts and stops everything. */
import cluster from "node:cluster";
import * as fs from "node:fs";
import * as path from "node:path";
import { api } from "../api";
import { env, id, rebuildConfig } from "../config/config";
import { discover, pluginFolders } from "../config/discover";
import { isKnownServerToken } from "../config/knownSettings";
import { settings } from "../config/settings";
import { switchContext } from "../context/context";
import { ActionheroError, toError } from "../errors";
import { closeHealth, openHealth } from "../health/health";
import { reportError, wasReported } from "../log/exceptions";
import { log } from "../log/log";
import { beginBoot, endBoot, failBoot } from "../server/booting";
import type { ResqueApi } from "../task/resqueApi";
import { instancesOf, loadModule } from "../utils/modules";
import type { Initializer } from "./initializer";
import {
  warnOfOverridden,
  warnOfRoutes,
  warnOfSettings,
  warnOfUnknownMiddleware,
} from "./mistakes";
import {
  announceReady,
  stopTimeout,
  disconnectFromPrimary,
  type PrimaryMessage,
} from "../environment/env";

/** The code of a reported error that ended the boot. */
const FATAL_ERROR_CODE = "FATAL_ACTIONHERO_ERROR";

export type ProcessState =
  | "idle"
  | "initializing"
  | "initialized"
  | "starting"
  | "running"
  | "stopping"
  | "stopped";

declare module "../api" {
  interface Api {
    /** The last constructed Process. */
    process?: Process;
  }
}

export class Process {
  /** The lifecycle state of this process; the booleans of v29 are derived from it. */
  state: ProcessState = "idle";
  /** The reasons passed to `stop`. */
  stopReasons: string[] = [];
  /** When the server was last started, in ms since the epoch. */
  bootTime = Date.now();
  /** 0 until the first start ended, then 1. */
  startCount = 0;
  /** When the current stop began, on the clock of `performance.now`; all its parts share one deadline. */
  stoppingSince?: number;
  initializers: { [name: string]: Initializer } = {};
  loadInitializers: PhaseFunction[] = [];
  startInitializers: PhaseFunction[] = [];
  stopInitializers: PhaseFunction[] = [];

  /** A stop is imminent; the process still serves until load balancers have noticed (`general.drainDelay`). */
  isDraining = false;
  /** Other workers of a cluster serve this one's ports, while it boots, or stops because it is replaced. */
  othersServe = false;
  /** The primary of a cluster is obeyed. */
  private obeysPrimary = false;

  private endDrain?: () => void;
  private initializePromise?: Promise<void>;
  private startPromise?: Promise<void>;
  private stopPromise?: Promise<void>;
  private restartPromise?: Promise<void>;

  constructor() {
    api.process = this;
    api.commands.initialize = () => this.initialize();
    api.commands.start = () => this.start();
    api.commands.stop = (reasons?: string | string[]) => this.stop(reasons);
    api.commands.restart = () => this.restart();
  }

  get initialized(): boolean {
    return ["initialized", "starting", "running"].includes(this.state);
  }

  get started(): boolean {
    return this.state === "running";
  }

  get running(): boolean {
    return this.state === "starting" || this.state === "running";
  }

  get stopped(): boolean {
    return this.state === "stopped";
  }

  get shuttingDown(): boolean {
    return this.state === "stopping";
  }

  /**
   * Load all initializers and run their `initialize`; a second call waits for the first.
   * @throws the error of the initializer that failed, after it was reported
   */
  initialize(): Promise<void> {
    if (this.initialized) return Promise.resolve();
    this.initializePromise ??= this.runInitialize().finally(() => {
      this.initializePromise = undefined;
    });
    return this.initializePromise;
  }

  /**
   * Initialize if needed, then run every `start`; does nothing on a running process, and waits for a stop in
   * progress.
   * @throws the error of the initializer that failed, after it was reported and every `stop` has run
   */
  start(): Promise<void> {
    if (this.state === "running") return Promise.resolve();
    this.startPromise ??= this.runStart().finally(() => {
      this.startPromise = undefined;
    });
    return this.startPromise;
  }

  /**
   * Run every `stop`; a second call waits for the first.
   * @param stopReasons shown in the log and kept in `this.stopReasons`
   */
  stop(stopReasons: string | string[] = []): Promise<void> {
    if (this.stopPromise) return this.stopPromise;
    if (!this.running) {
      log(`Cannot shut down ${serverName()}, not running`, "crit");
      return Promise.resolve();
    }
    this.stopReasons = Array.isArray(stopReasons) ? stopReasons : [stopReasons];
    this.stopPromise = this.stopAfterStart().finally(() => {
      this.stopPromise = undefined;
    });
    return this.stopPromise;
  }

  /**
   * Before a stop: report this process as not ready at once, and keep serving for `general.drainDelay` ms.
   * A second call, or a stop, ends the wait. A process without servers has nothing to wait for.
   */
  async drain(): Promise<void> {
    if (this.endDrain) return this.endDrain();
    const delayMs = settings().general.drainDelay;
    if (this.state !== "running" || !(delayMs > 0)) return;
    if (Object.keys(api.servers.servers).length === 0) return;
    this.isDraining = true;
    // jobs can wait for another process
    const { resque } = api as { resque?: Partial<ResqueApi> };
    resque?.multiWorker?.drain?.();
    log(`serving on for ${delayMs} ms before the stop`, "notice");
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.endDrain = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.endDrain = undefined;
  }

  /** Stop, read the configuration again, start; a process that is not running is only started. */
  restart(): Promise<void> {
    this.restartPromise ??= this.runRestart().finally(() => {
      this.restartPromise = undefined;
    });
    return this.restartPromise;
  }

  /**
   * Stop on SIGINT and SIGTERM, restart on SIGUSR2, and report and stop on uncaught errors.
   * @param stopCallback called with the exit code (0 or 1) when the server has stopped
   */
  registerProcessSignals(
    stopCallback: (exitCode?: number) => void = () => undefined,
  ): void {
    const stopper = new Stopper(this, stopCallback);
    registerSignals(this, stopper);
    this.obeysPrimary = cluster.isWorker;
    if (this.obeysPrimary)
      process.on("message", (message) => stopper.obey(message));
  }

  /**
   * Report fatal errors, stop the server if it runs, and throw the first error.
   * @param type the phase or file in which they occurred
   */
  async fatalError(
    errors: NodeJS.ErrnoException | NodeJS.ErrnoException[],
    type: string,
  ): Promise<void> {
    const list = Array.isArray(errors) ? errors : [errors];
    const hideStacks =
      (process.env.ACTIONHERO_FATAL_ERROR_STACK_DISPLAY ?? "true") !== "true";
    for (const error of list) {
      if (hideStacks) delete error.stack;
      reportError(error, "initializer", type);
    }
    if (this.state === "running")
      await this.stop(list.map((error) => error.message));
    const first = list[0]!;
    first.code ??= FATAL_ERROR_CODE;
    throw first;
  }

  /** All entries of `collection` in one list, lowest rank first. */
  flattenOrderedInitializer<T>(collection: { [rank: number]: T[] }): T[] {
    return Object.keys(collection)
      .map(Number)
      .sort((a, b) => a - b)
      .flatMap((rank) => collection[rank]!);
  }

  private async runInitialize(): Promise<void> {
    this.state = "initializing";
    const { context } = settings().general;
    switchContext(context);
    try {
      const loaded = loadInitializers();
      this.keep(loaded);
      for (const load of this.loadInitializers) await load();
      this.state = "initialized";
    } catch (error) {
      this.state = "stopped";
      await this.fatalError(toError(error), "initialize");
    }
  }

  private keep(loaded: LoadedInitializer[]): void {
    this.initializers = {};
    for (const { initializer } of loaded)
      this.initializers[initializer.name] = initializer;
    this.loadInitializers = orderPhase(loaded, "initialize");
    this.startInitializers = orderPhase(loaded, "start");
    this.stopInitializers = orderPhase(loaded, "stop");
  }

  private async runStart(): Promise<void> {
    await this.stopPromise;
    await this.initializeServer();
    this.state = "starting";
    writePidFile();
    api.running = true;
    beginBoot();
    log(`environment: ${env}`, "notice");
    log(`*** Starting ${serverName()} ***`, "info");

    try {
      checkServerToken();
      warnOfSettings();
      for (const start of this.startInitializers) await start();
    } catch (error) {
      await this.abandonStart(toError(error));
    }
    this.bootTime = Date.now();
    this.state = "running";
    this.othersServe = false;
    endBoot();
    warnOfOverridden();
    warnOfUnknownMiddleware();
    warnOfRoutes();
    this.announceStart();
    announceReady(
      this.obeysPrimary ? settings().general.drainDelay : undefined,
    );
  }

  /** Supervisors can probe a server, unlike a command, while its `initialize` functions run. */
  private async initializeServer(): Promise<void> {
    await openHealth().catch((error: unknown) =>
      this.fatalError(toError(error), "start"),
    );
    try {
      await this.initialize();
    } catch (error) {
      await closeHealth();
      throw error;
    }
  }

  /** Run every `stop`, also of initializers that were not started, so that a failed boot leaves nothing open. */
  private async abandonStart(error: Error): Promise<void> {
    this.stopReasons = [error.message];
    this.state = "stopping";
    failBoot();
    await this.runStoppers().catch((stopError: unknown) =>
      reportError(toError(stopError), "initializer", "stop"),
    );
    await this.endStop();
    endBoot();
    await this.fatalError(error, "start");
  }

  private announceStart(): void {
    if (this.startCount === 0) {
      log(`server ID: ${id}`, "notice");
      log(`*** ${serverName()} Started ***`, "notice");
      this.startCount++;
      return;
    }
    log(`*** ${serverName()} Restarted ***`, "notice");
  }

  private async stopAfterStart(): Promise<void> {
    // a stop during the start waits for its end: half-started parts cannot be stopped reliably
    if (this.startPromise) {
      const started = await this.startPromise.then(
        () => true,
        () => false,
      );
      if (!started) return;
    }
    this.endDrain?.();
    this.state = "stopping";
    this.stoppingSince = performance.now();
    log("stopping process...", "notice");
    if (this.stopReasons.length > 0)
      log(`stop reasons: ${this.stopReasons.join(", ")}`, "debug");
    try {
      await this.runStoppers();
    } catch (error) {
      await this.endStop();
      await this.fatalError(toError(error), "stop");
    }
    await this.endStop();
  }

  /** Every part is stopped even if an earlier one fails; the first failure is thrown at the end. */
  private async runStoppers(): Promise<void> {
    let failure: unknown;
    for (const stop of this.stopInitializers) {
      try {
        await stop();
      } catch (error) {
        if (failure === undefined) failure = error;
        else reportError(toError(error), "initializer", "stop");
      }
    }
    if (failure !== undefined) throw failure as Error;
  }

  private async endStop(): Promise<void> {
    await closeHealth();
    removePidFile();
    this.stoppingSince = undefined;
    this.initializers = {};
    this.isDraining = false;
    api.running = false;
    this.state = "stopped";
    log(`*** ${serverName()} Stopped ***`, "notice");
  }

  private async runRestart(): Promise<void> {
    if (this.running || this.stopPromise) {
      await this.stop();
      rebuildConfig();
    }
    await this.start();
  }
}

function serverName(): string {
  return String(settings().general.serverName ?? "actionhero");
}

// --- The pid file of this server.

function pidFile(): string | undefined {
  const { paths } = settings().general;
  const folder = paths?.pid?.[0];
  if (folder === undefined) return undefined;
  const title = id.trim().replaceAll(":", "-").replaceAll(" ", "_");
  return path.join(folder, `actionhero-${title}`);
}

/**
 * Write this process' id. If the folder is not writable, a warning is logged, and the server runs without the file.
 */
function writePidFile(): void {
  log(`pid: ${process.pid}`, "notice");
  const file = pidFile();
  if (file === undefined) return;
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, String(process.pid), "ascii");
  } catch (error) {
    log(`Unable to write pidfile: ${String(error)}`, "warning");
  }
}

/** Remove the file that `writePidFile` wrote. */
function removePidFile(): void {
  const file = pidFile();
  if (file === undefined) return;
  try {
    fs.rmSync(file, { force: true });
  } catch (error) {
    log("Unable to remove pidfile", "error", { error: String(error) });
  }
}

// --- Refuses to start without a secret server token, or warns.

/** Environments in which other hosts are not expected to reach the server. */
const PRIVATE_ENVIRONMENTS = ["development", "test"];

/** For the explanation of a missing token. */
const TOKEN_PLACE = {
  config: "api",
  remedy: "`openssl rand -hex 32` creates one; `.env` can hold it",
};

/**
 * Check `general.serverToken` before anything starts: the token allows calling functions of all nodes and forging
 * sessions.
 * @throws ActionheroError AH_CONFIG when it is missing and `general.requireServerToken` is on
 */
function checkServerToken(): void {
  const { serverToken, requireServerToken } = settings().general;
  if (!isKnownServerToken(serverToken)) return;
  const fault = serverToken
    ? `general.serverToken is ${serverToken}, which everyone knows`
    : "general.serverToken is not set";
  if (requireServerToken === true && !PRIVATE_ENVIRONMENTS.includes(env)) {
    const error = new ActionheroError(
      "AH_CONFIG",
      `${fault}: set ACTIONHERO_SERVER_TOKEN to a secret that all nodes share`,
    );
    throw Object.assign(error, { data: TOKEN_PLACE });
  }
  if (env === "production")
    log(`${fault}: set it to a secret that all nodes share`, "warning");
}

// --- Loads the initializers and runs their phases in order of priority.

type Phase = "initialize" | "start" | "stop";
type PhaseFunction = () => Promise<void>;

/** An initializer with the file it came from, which error reports name. */
interface LoadedInitializer {
  initializer: Initializer;
  file: string;
}

const PHASES: Record<
  Phase,
  {
    priority: "loadPriority" | "startPriority" | "stopPriority";
    before: string;
    after: string;
  }
> = {
  initialize: {
    priority: "loadPriority",
    before: "Loading initializer",
    after: "Loaded initializer",
  },
  start: {
    priority: "startPriority",
    before: "Starting initializer",
    after: "Started initializer",
  },
  stop: {
    priority: "stopPriority",
    before: "Stopping initializer",
    after: "Stopped initializer",
  },
};

/**
 * Construct every initializer of the framework, the project and its plugins. If two have the same name, only the
 * later one is kept.
 * @throws the error of the first file that cannot be loaded, `error.data` naming the file
 */
function loadInitializers(): LoadedInitializer[] {
  pluginFolders("initializers"); // fails for a plugin whose path is missing, before anything is loaded
  const byName = new Map<string, LoadedInitializer>();
  for (const file of discover("initializers")) {
    for (const initializer of instantiate(file)) {
      const { name } = initializer;
      if (byName.delete(name)) {
        log(
          `an existing initializer with the same name \`${name}\` will be overridden by the file ${file}`,
          "warning",
        );
      }
      byName.set(name, { initializer, file });
    }
  }
  return [...byName.values()];
}

function instantiate(file: string): Initializer[] {
  try {
    const exported = loadModule(file, true);
    const found = instancesOf<Initializer>(exported, "initializer");
    if (found.length === 0)
      throw new Error(`no exported initializers found in ${file}`);
    for (const initializer of found) initializer.validate();
    return found;
  } catch (error) {
    throw describeFailure(error, { file, type: "load" });
  }
}

/** The functions of one phase, lowest priority first; equal priorities keep the order in which files were found. */
function orderPhase(
  loaded: readonly LoadedInitializer[],
  phase: Phase,
): PhaseFunction[] {
  const { priority } = PHASES[phase];
  return loaded
    .filter(({ initializer }) => typeof initializer[phase] === "function")
    .map((entry) => ({ entry, rank: entry.initializer[priority] ?? 0 }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ entry }) => wrapPhase(entry, phase));
}

/** A phase of an initializer that takes longer, in ms, is named in the log, because the boot waits for it. */
const SLOW_PHASE_MS = 10_000;

function wrapPhase(
  { initializer, file }: LoadedInitializer,
  phase: Phase,
): PhaseFunction {
  const { before, after } = PHASES[phase];
  const { name } = initializer;
  return async () => {
    log(`${before}: ${name}`, "debug", { file });
    const timer = setTimeout(() => {
      const seconds = SLOW_PHASE_MS / 1000;
      log(
        `still waiting for \`${phase}\` of the initializer \`${name}\`, after ${seconds} s`,
        "warning",
        { file },
      );
    }, SLOW_PHASE_MS).unref();
    try {
      await initializer[phase]!();
    } catch (error) {
      throw describeFailure(error, { name, file, type: phase });
    } finally {
      clearTimeout(timer);
    }
    log(`${after}: ${name}`, "debug", { file });
  };
}

/** The thrown error itself, with its place of origin in `error.data`, for the reporters. */
function describeFailure(
  thrown: unknown,
  where: { name?: string; file: string; type: string },
): Error {
  const error = toError(thrown) as Error & { data?: object };
  try {
    error.data = { ...error.data, ...where };
    return error;
  } catch {
    return new ActionheroError("AH_BOOT", error.message, { cause: error });
  }
}

// --- Signals of the operating system, and uncaught errors.

/** Stops the server once, however often it is asked to, and calls back with the exit code. */
class Stopper {
  private current?: Promise<void>;
  private exitCode = 0;
  /** Only the primary has asked for the drain: a supervisor may send SIGTERM to all processes of a cluster. */
  private isDrainOfPrimary = false;

  constructor(
    private readonly server: Process,
    private readonly callback: (exitCode: number) => void,
  ) {}

  onSignal(signal: NodeJS.Signals): void {
    if (this.isDrainOfPrimary && signal === "SIGTERM")
      this.isDrainOfPrimary = false;
    else this.begin(signal, signal === "SIGTERM");
  }

  onError(name: string): void {
    const isRestart = this.server.shuttingDown && !this.current;
    if (isRestart) return;
    this.exitCode = 1;
    this.begin(`uncaught ${name.toLowerCase()}`, false);
  }

  /** A message of the primary of a cluster; a script of the project may receive others. */
  obey(message: unknown): void {
    const { actionhero: word } = (message ?? {}) as Partial<PrimaryMessage>;
    if (word === undefined) return;
    const { server } = this;
    server.othersServe = word === "join" || word === "leave";
    if (word === "leave") this.begin("other workers go on", false);
    if (word === "stop now") this.begin("the cluster stops", false);
    if (word !== "stop" || server.isDraining) return;
    this.isDrainOfPrimary = true;
    this.begin("the cluster stops", true);
  }

  /** Call back with 1 when a restart failed. */
  async restart(): Promise<void> {
    const timer = armHardStop();
    const isStarted = await this.server.restart().then(
      () => true,
      () => false,
    );
    clearTimeout(timer);
    if (!isStarted) this.callback(1);
  }

  /** The first call stops the server; one during its drain ends the drain. */
  private begin(reason: string, drains: boolean): void {
    const { server } = this;
    if (this.current && server.isDraining && !server.shuttingDown)
      void server.drain(); // ends it
    this.current ??= this.stop(reason, drains).then(() => {
      this.current = undefined;
      this.callback(this.exitCode);
    });
  }

  private async stop(reason: string, drains: boolean): Promise<void> {
    const { server } = this;
    if (drains) await server.drain();
    const timer = armHardStop(); // the drain delay is not part of the stop
    try {
      if (server.running) await server.stop([reason]);
    } catch {
      // already reported by the process; only the exit remains
    }
    await disconnectFromPrimary();
    clearTimeout(timer);
  }
}

function registerSignals(server: Process, stopper: Stopper): void {
  const reportOnce = (
    thrown: unknown,
    name: string,
    level: "emerg" | "error",
  ) => {
    const error = toError(thrown);
    if (!wasReported(error)) reportError(error, "uncaught", name, level);
  };
  const onStop = (signal: NodeJS.Signals) => {
    log(`[ SIGNAL ] - ${signal}`, "notice");
    stopper.onSignal(signal);
  };

  process.on("uncaughtException", (error) => {
    reportOnce(error, "Exception", "emerg");
    stopper.onError("Exception");
  });
  process.on("unhandledRejection", (reason) => {
    const isToStop = settings().general.exitOnUnhandledRejection;
    reportOnce(reason, "Rejection", isToStop ? "emerg" : "error");
    if (isToStop) stopper.onError("Rejection");
  });
  process.on("SIGINT", onStop);
  process.on("SIGTERM", onStop);
  process.on("SIGUSR2", (signal) => {
    log(`[ SIGNAL ] - ${signal}`, "notice");
    void stopper.restart();
  });
}

/** Exits when stopping takes too long, because a supervisor is waiting. */
function armHardStop(): NodeJS.Timeout {
  const timeout = stopTimeout();
  return setTimeout(() => {
    const message = `Process did not terminate within ${timeout}ms. Stopping now!`;
    log(message, "crit");
    if (settings().logger.format !== "json") console.error(message); // as in version 29
    process.exit(1);
  }, timeout);
}
