/** Runs one command, after loading or starting the project if the command requires it, and then exits. */
import type { Process } from "../boot/process";
import { explanationOf, wasExplained } from "../environment/bootErrors";
import { detectTypescript } from "../environment/env";
import { findProjectRoot } from "../environment/runtime";
import { toError } from "../errors";
import { beCommand, keepStdoutForData } from "../log/sinks";
import { waitAtMost } from "../utils/promises";
import type { CLI } from "./cli";
import { checkBuild } from "./doctor/environment";
import type { CommandClass } from "./runner";

/** How long resources that a command left open may delay the exit, in ms. */
const STOP_LIMIT_MS = 30_000;
/** How long the stop of a failed command may delay its error, in ms. */
const QUICK_STOP_MS = 1_000;

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
    const stopped = stopWithin(app, STOP_LIMIT_MS).catch(() => undefined); // the first error is the one to show
    // the last line on the screen, below those of the stop
    await waitAtMost(QUICK_STOP_MS, stopped);
    const error = toError(thrown);
    if (!wasExplained(error)) console.error(explanationOf(error));
    await stopped;
    await written();
    process.exit(1);
  }
  await written();
  process.exit();
}

/** The exit would cut what a pipe has not taken yet: it takes 64 KiB at once. */
function written(): Promise<unknown> {
  const taken = [process.stdout, process.stderr].map(
    (stream) =>
      new Promise<void>((resolve) => stream.write("", () => resolve())),
  );
  return waitAtMost(STOP_LIMIT_MS, Promise.all(taken));
}

async function prepare(command: CLI): Promise<Process | undefined> {
  const { initialize, start } = command;
  if (initialize === false && start !== true) return undefined;
  process.stderr.write(warningOfStaleBuild());

  // loaded here, because commands that need no server should start at once
  const boot = require("../boot/process") as typeof import("../boot/process");
  if ((command.constructor as CommandClass).withoutRedis) replaceRedis();
  const app = new boot.Process();
  return withProgress(async (progress) => {
    progress.show("loading the project");
    if (initialize !== false) await app.initialize();
    progress.show("starting");
    if (start) await app.start();
    return app;
  });
}

/** A build can reach no redis server. */
function replaceRedis(): void {
  const { config } =
    require("../config/config") as typeof import("../config/config");
  const connection = { konstructor: EmbeddedRedis, args: [], buildNew: true };
  config.redis = {
    ...config.redis,
    client: connection,
    subscriber: connection,
    tasks: connection,
  };
}

function EmbeddedRedis(...args: unknown[]): object {
  const Client = require("ioredis-mock") as new (...args: unknown[]) => object;
  return new Client(...args);
}

/** A line that says that the sources are not compiled, or newer than the compiled code; empty if neither is so. */
export function warningOfStaleBuild(): string {
  if (detectTypescript()) return "";
  const { verdict, message } = checkBuild(findProjectRoot());
  return verdict === "ok" ? "" : `warning: ${message}\n`;
}

/** A server that was only initialized has no requests to finish: its connections end with the process. */
async function stopWithin(
  app: Process | undefined,
  limitMs: number,
): Promise<void> {
  if (!app?.running) return;
  await waitAtMost(limitMs, app.stop());
}

// --- One line on the terminal that shows the progress of a long command, and disappears at the end.

/** Moves to the start of the line, and clears it. */
const ERASE = "\r\x1b[K";

/** Width assumed for a terminal that does not report it, in columns. */
const DEFAULT_COLUMNS = 80;

/** Progress is shown only on a terminal that can erase a line, unless plain output was requested. */
export function showsProgress(
  isTerminal: boolean,
  { NO_COLOR, TERM }: NodeJS.ProcessEnv,
): boolean {
  return isTerminal && !NO_COLOR && TERM !== "dumb";
}

export class Progress {
  private readonly isOn: boolean;
  private readonly write = process.stderr.write.bind(process.stderr);
  private shown = "";
  private release?: () => void;

  /** @param quiet show nothing, for example with `--json` */
  constructor(quiet = false) {
    this.isOn = !quiet && showsProgress(process.stderr.isTTY, process.env);
  }

  /** Replace the line. */
  show(text: string): void {
    if (!this.isOn) return;
    this.release ??= this.watchOutput();
    this.shown = text;
    this.draw();
  }

  /** Erase the line; a later `show` restores it. */
  done(): void {
    if (!this.release) return;
    this.release();
    this.release = undefined;
    this.write(ERASE);
  }

  /** The cursor returns to the start, so that lines of other processes begin there. */
  private draw(): void {
    const columns = process.stderr.columns || DEFAULT_COLUMNS;
    // a line that wraps, or moves the cursor, could not be erased
    const text = this.shown.replace(/\p{Cc}/gu, "?").slice(0, columns - 1);
    this.write(`${ERASE}${text}\r`);
  }

  /** Output of this process replaces the line, which is then shown again below it. */
  private watchOutput(): () => void {
    const streams = [process.stdout, process.stderr].filter((s) => s.isTTY);
    const releases = streams.map((stream) => {
      const original = stream.write.bind(stream);
      stream.write = ((...args: Parameters<typeof original>) => {
        this.write(ERASE);
        const result = original(...args);
        if (String(args[0]).endsWith("\n")) this.draw();
        return result;
      }) as typeof original;
      return () => (stream.write = original);
    });
    return () => releases.forEach((release) => release());
  }
}

/** Run work with progress; the line is erased at the end, also after an error. */
export async function withProgress<T>(
  work: (progress: Progress) => T | Promise<T>,
  quiet = false,
): Promise<T> {
  const progress = new Progress(quiet);
  try {
    return await work(progress);
  } finally {
    progress.done();
  }
}
