/** Runs one command, after loading or starting the project if the command requires it, and then exits. */
import type { Process } from "../boot/process";
import { explanationOf, wasExplained } from "../environment/bootErrors";
import { findProjectRoot } from "../environment/paths";
import { detectTypescript } from "../environment/typescript";
import { toError } from "../errors";
import { waitAtMost } from "../utils/promises";
import { beCommand, keepStdoutForData } from "../log/sinks";
import type { CLI } from "./cli";
import { checkBuild } from "./doctor/environment";
import type { CommandClass } from "./find";
import { withProgress } from "./progress";

/** How long resources that a command left open may delay the exit, in ms. */
const STOP_LIMIT_MS = 30_000;

/** Run the command and exit: with 0, with 1 after an error, or with what the command set as `process.exitCode`. */
export async function execute(
  command: CLI,
  params: { [key: string]: unknown },
): Promise<void> {
  const { printsData, isServer } = command.constructor as CommandClass;
  if (printsData) keepStdoutForData();
  if (!isServer) beCommand();
  let app: Process | undefined;
  try {
    app = await prepare(command);
    const result = await command.run({ params });
    if (result === false) return; // the command continues in the background
    await stopWithin(app, STOP_LIMIT_MS);
  } catch (thrown) {
    const error = toError(thrown);
    if (!wasExplained(error)) console.error(explanationOf(error));
    await stopWithin(app, STOP_LIMIT_MS).catch(() => undefined); // the first error is the one to show
    process.exit(1);
  }
  process.exit();
}

async function prepare(command: CLI): Promise<Process | undefined> {
  const { initialize, start } = command;
  if (initialize === false && start !== true) return undefined;
  warnOfStaleBuild();

  // loaded here, because commands that need no server should start at once
  const boot = require("../boot/process") as typeof import("../boot/process");
  const app = new boot.Process();
  return withProgress(async (progress) => {
    progress.show("loading the project");
    if (initialize !== false) await app.initialize();
    progress.show("starting");
    if (start) await app.start();
    return app;
  });
}

/** Warns that the compiled code is older than the sources. */
function warnOfStaleBuild(): void {
  if (detectTypescript()) return;
  const { verdict, message } = checkBuild(findProjectRoot());
  if (verdict === "warn") console.error(`warning: ${message}`);
}

/** A server that was only initialized has no requests to finish: its connections end with the process. */
async function stopWithin(
  app: Process | undefined,
  limitMs: number,
): Promise<void> {
  if (!app?.running) return;
  await waitAtMost(limitMs, app.stop());
}
