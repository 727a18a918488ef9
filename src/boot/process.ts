/** The server process: one state machine that loads, starts and stops everything. */
import cluster from "node:cluster";
import * as fs from "node:fs";
import * as path from "node:path";
import { api } from "../api";
import { env, id, rebuildConfig } from "../config/config";
import { settings } from "../config/settings";
import { switchContext } from "../context/context";
import { toError } from "../errors";
import { closeHealth, openHealth } from "../health/health";
import { reportError } from "../log/exceptions";
import { log } from "../log/log";
import { beginBoot, endBoot, failBoot } from "../server/booting";
import type { ResqueApi } from "../task/resqueApi";
import {
  type Initializer,
  type LoadedInitializer,
  loadInitializers,
  orderPhase,
  type PhaseFunction,
} from "./initializer";
import {
  checkServerToken,
  checkSettings,
  warnOfOverridden,
  warnOfRoutes,
  warnOfSettings,
  warnOfUnknownMiddleware,
} from "./mistakes";
import { announceReady } from "../environment/primary";
import { registerSignals, Stopper } from "./signals";

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
  isStopDelayed = false;
  /** Other workers of a cluster serve this one's ports, while it boots, or stops because it is replaced. */
  isPortShared = false;
  /** The primary of a cluster is obeyed. */
  private followsPrimary = false;

  private endDelay?: () => void;
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
  async delayStop(): Promise<void> {
    if (this.endDelay) return this.endDelay();
    const delayMs = settings().general.drainDelay;
    if (this.state !== "running" || !(delayMs > 0)) return;
    if (Object.keys(api.servers.servers).length === 0) return;
    this.isStopDelayed = true;
    // jobs can wait for another process
    const { resque } = api as { resque?: Partial<ResqueApi> };
    resque?.multiWorker?.stopFetching?.();
    log(`serving on for ${delayMs} ms before the stop`, "notice");
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.endDelay = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.endDelay = undefined;
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
    registerSignals(stopper);
    this.followsPrimary = cluster.isWorker;
    if (this.followsPrimary)
      process.on("message", (message) => stopper.onPrimaryMessage(message));
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
    this.isPortShared = false;
    endBoot();
    warnOfOverridden();
    warnOfUnknownMiddleware();
    warnOfRoutes();
    this.announceStart();
    announceReady(
      this.followsPrimary ? settings().general.drainDelay : undefined,
    );
  }

  /** Supervisors can probe a server, unlike a command, while its `initialize` functions run. */
  private async initializeServer(): Promise<void> {
    try {
      checkSettings();
      await openHealth();
    } catch (error) {
      await this.fatalError(toError(error), "start");
    }
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
    this.endDelay?.();
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
    this.isStopDelayed = false;
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
