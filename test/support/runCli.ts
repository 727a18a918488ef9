/** Runs programs as a user would and keeps what they print. */
import { spawn } from "child_process";
import * as path from "path";
import { RUN_TYPESCRIPT } from "./sources";
import { repositoryRoot } from "./temporaryProject";

export interface Finished {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string | undefined>;
  /** Text for its standard input, which is then closed. */
  input?: string;
  /** The program is killed after this long, in ms. */
  limitMs?: number;
}

/** Variables of jest and ts-jest that would change how the program sees itself. */
export const HIDDEN = {
  JEST_WORKER_ID: undefined,
  NODE_ENV: undefined,
  TS_JEST: undefined,
};

/** Run a program to its end. */
export function run(
  command: string,
  args: readonly string[],
  { cwd, env, input = "", limitMs = 120_000 }: RunOptions = {},
): Promise<Finished> {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...HIDDEN, ...env },
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  child.stdin.on("error", () => undefined); // it may end without reading
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

/** Run a program that must succeed; what it printed is in the error otherwise. */
export async function runOk(
  command: string,
  args: readonly string[],
  options?: RunOptions,
): Promise<string> {
  const { exitCode, stdout, stderr } = await run(command, args, options);
  if (exitCode === 0) return stdout;
  throw new Error(
    `${command} ${args.join(" ")} ended with ${exitCode}\n${stdout}\n${stderr}`,
  );
}

/** Run the command line of this repository from its sources. */
export function runCli(
  args: readonly string[],
  options?: RunOptions,
): Promise<Finished> {
  return run(process.execPath, cliArguments(args), options);
}

/** The arguments of node that run the command line from its sources. */
export function cliArguments(args: readonly string[]): string[] {
  const entry = path.join(repositoryRoot, "bin", "actionhero.ts");
  return [...RUN_TYPESCRIPT, entry, ...args];
}
