/** Signals of the operating system, messages of the primary of a cluster, and uncaught errors: they stop the process. */
import { settings } from "../config/settings";
import { toError } from "../errors";
import { stopTimeout } from "../environment/env";
import {
  disconnectFromPrimary,
  type PrimaryMessage,
} from "../environment/primary";
import { reportError, wasReported } from "../log/exceptions";
import { log } from "../log/log";
import type { Process } from "./process";

/** Stops the server once, however often it is asked to, and calls back with the exit code. */
export class Stopper {
  private current?: Promise<void>;
  private exitCode = 0;
  /** Only the primary has asked for the delayed stop: a supervisor may send SIGTERM to all processes of a cluster. */
  private isDelayOfPrimary = false;

  constructor(
    private readonly server: Process,
    private readonly callback: (exitCode: number) => void,
  ) {}

  onSignal(signal: NodeJS.Signals): void {
    if (this.isDelayOfPrimary && signal === "SIGTERM")
      this.isDelayOfPrimary = false;
    else this.begin(signal, signal === "SIGTERM");
  }

  onError(name: string): void {
    const stopsAnyway = this.server.shuttingDown && !this.current; // by a restart or the project
    if (stopsAnyway) return;
    this.exitCode = 1;
    this.begin(`uncaught ${name.toLowerCase()}`, false);
  }

  /** A message of the primary of a cluster; a script of the project may receive others. */
  onPrimaryMessage(message: unknown): void {
    const { actionhero: command } = (message ?? {}) as Partial<PrimaryMessage>;
    if (command === undefined) return;
    const { server } = this;
    server.isPortShared = command === "join" || command === "leave";
    if (command === "leave") this.begin("other workers go on", false);
    if (command === "stop now") this.begin("the cluster stops", false);
    if (command !== "stop" || server.isStopDelayed) return;
    this.isDelayOfPrimary = true;
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

  /** The first call stops the server; one during `general.drainDelay` ends the delay. */
  private begin(reason: string, isDelayed: boolean): void {
    const { server } = this;
    if (this.current && server.isStopDelayed && !server.shuttingDown)
      void server.delayStop(); // ends it
    this.current ??= this.stop(reason, isDelayed).then(() => {
      this.current = undefined;
      this.callback(this.exitCode);
    });
  }

  private async stop(reason: string, isDelayed: boolean): Promise<void> {
    const { server } = this;
    if (isDelayed) await server.delayStop();
    const timer = armHardStop(); // the delay is not part of the stop
    try {
      if (server.running) await server.stop([reason]);
    } catch {
      // already reported by the process; only the exit remains
    }
    await disconnectFromPrimary();
    clearTimeout(timer);
  }
}

export function registerSignals(stopper: Stopper): void {
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
