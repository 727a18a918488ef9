/** A long-running program, watched by what it prints. */
import { spawn, type ChildProcess } from "child_process";
import { EventEmitter, once } from "events";
import * as readline from "readline";
import { endWithThisProcess } from "./endWithProcess";
import { HIDDEN } from "./runCli";

export interface ServiceOptions {
  cwd: string;
  env?: Record<string, string | undefined>;
  /** Put it at the head of a group of its own. */
  detached?: boolean;
  /** Run it as this user and group (default: those of the tests). */
  uid?: number;
  gid?: number;
}

export class Service {
  readonly lines: string[] = [];
  /** All that it printed, with what readline takes for the end of a line. */
  printed = "";
  readonly child: ChildProcess;
  /** Exit code and signal. */
  readonly exit: Promise<[number | null, NodeJS.Signals | null]>;
  private readonly output = new EventEmitter().setMaxListeners(0);

  constructor(
    command: string,
    args: readonly string[],
    options: ServiceOptions,
  ) {
    const { env, ...others } = options;
    this.child = spawn(command, args, {
      ...others,
      env: { ...process.env, ...HIDDEN, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    endWithThisProcess(this.child);
    this.exit = once(this.child, "close") as typeof this.exit;
    for (const input of [this.child.stdout!, this.child.stderr!]) {
      input.setEncoding("utf8").on("data", (text: string) => {
        this.printed += text;
      });
      readline.createInterface({ input }).on("line", (line) => {
        this.lines.push(line);
        this.output.emit("line");
      });
    }
  }

  /** Wait until this many lines match; fails when the program ends before. */
  async saw(pattern: RegExp, count = 1): Promise<void> {
    const found = () =>
      this.lines.filter((line) => pattern.test(line)).length >= count;
    const ended = this.exit.then(() => true);
    while (!found()) {
      const next = once(this.output, "line").then(() => false);
      if (await Promise.race([ended, next])) break;
    }
    if (!found())
      throw new Error(`${pattern} never came:\n${this.lines.join("\n")}`);
  }

  /** Send a signal, unless the program has ended; resolves with its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null)
      this.child.kill(signal);
    const [code] = await this.exit;
    return code;
  }
}
