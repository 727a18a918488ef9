/** Runs a program at its own terminal, like a user who types. */
import { spawn, spawnSync, type ChildProcess } from "child_process";
import { EventEmitter, once } from "events";
import { HIDDEN } from "./runCli";

/** Nothing that is waited for takes longer, in ms. */
const LIMIT_MS = 90_000;

/** `script` of util-linux makes the terminal; other systems have another one, or none. */
export const hasTerminal = /util-linux/.test(
  spawnSync("script", ["--version"], { encoding: "utf8" }).stdout ?? "",
);

export class Terminal {
  /** All that was shown. */
  screen = "";
  readonly exit: Promise<[number | null]>;
  private readonly child: ChildProcess;
  private readonly events = new EventEmitter();

  constructor(
    command: string,
    options: { cwd: string; env?: Record<string, string | undefined> },
  ) {
    this.child = spawn("script", ["-qfec", command, "/dev/null"], {
      cwd: options.cwd,
      env: { ...process.env, ...HIDDEN, TERM: "xterm", ...options.env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.screen += text;
      this.events.emit("output");
    });
    this.exit = once(this.child, "close") as typeof this.exit;
  }

  /** Type a line, and wait until this has appeared after it. */
  async type(line: string, expected: RegExp): Promise<void> {
    const from = this.screen.length;
    this.child.stdin!.write(`${line}\r`);
    await this.shows(expected, from);
  }

  /** Wait until this is on the screen. */
  async shows(expected: RegExp, from = 0): Promise<void> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), LIMIT_MS);
    const ended = this.exit.then(() => true);
    const shown = () => expected.test(this.screen.slice(from));
    while (!shown()) {
      const output = once(this.events, "output").then(() => false);
      if (await Promise.race([ended, output])) break;
    }
    clearTimeout(timer);
    if (!shown())
      throw new Error(`${expected} never came:\n${this.screen.slice(from)}`);
  }

  /** End it, if it has not ended. */
  async close(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exit;
  }
}
