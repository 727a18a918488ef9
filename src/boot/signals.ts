/** Handles operating system signals and uncaught errors of a Process. */
import { settings } from "../config/settings";
import { stopTimeout, disconnectFromPrimary } from "../environment/env";
import { toError } from "../errors";
import { reportError, wasReported } from "../log/exceptions";
import { log } from "../log/log";
import type { Process } from "./process";

/**
 * @param stopCallback called once with the exit code when the server has stopped
 */
export function registerSignals(
  server: Process,
  stopCallback: (exitCode?: number) => void,
): void {
  const reportOnce = (
    thrown: unknown,
    name: string,
    level: "emerg" | "error",
  ) => {
    const error = toError(thrown);
    if (!wasReported(error)) reportError(error, "uncaught", name, level);
  };
  const stopForError = (name: string) => {
    if (server.shuttingDown) return;
    void stopWithin(server, [`uncaught ${name.toLowerCase()}`], () =>
      stopCallback(1),
    );
  };
  const stopForSignal = (signal: NodeJS.Signals) => {
    log(`[ SIGNAL ] - ${signal}`, "notice");
    if (server.shuttingDown) return; // the first signal's stop will call back
    if (server.isDraining) return void server.drain(); // ends the drain delay
    void stopWithin(server, [signal], () => stopCallback(0));
  };
  const restartForSignal = (signal: NodeJS.Signals) => {
    log(`[ SIGNAL ] - ${signal}`, "notice");
    const timer = armHardStop();
    server.restart().then(
      () => clearTimeout(timer),
      () => {
        clearTimeout(timer);
        stopCallback(1);
      },
    );
  };

  process.on("uncaughtException", (error) => {
    reportOnce(error, "Exception", "emerg");
    stopForError("Exception");
  });
  process.on("unhandledRejection", (reason) => {
    const isToStop = settings().general.exitOnUnhandledRejection;
    reportOnce(reason, "Rejection", isToStop ? "emerg" : "error");
    if (isToStop) stopForError("Rejection");
  });
  process.on("SIGINT", stopForSignal);
  process.on("SIGTERM", stopForSignal);
  process.on("SIGUSR2", restartForSignal);
}

async function stopWithin(
  server: Process,
  reasons: string[],
  done: () => void,
): Promise<void> {
  if (reasons[0] === "SIGTERM") await server.drain();
  const timer = armHardStop(); // the drain delay is not part of the stop
  try {
    if (server.running) await server.stop(reasons);
  } catch {
    // already reported by the process; only the exit remains
  }
  await disconnectFromPrimary();
  clearTimeout(timer);
  done();
}

/** Exits when stopping takes too long, because a supervisor is waiting. */
function armHardStop(): NodeJS.Timeout {
  const timeout = stopTimeout();
  return setTimeout(() => {
    console.error(
      `Process did not terminate within ${timeout}ms. Stopping now!`,
    );
    process.exit(1);
  }, timeout);
}
