/** Whether the project boots: tried in a child process, up to the point where servers would listen and workers start. */
import { fork } from "node:child_process";
import * as path from "node:path";
import { fail, ok, type Finding } from "./check";

/** How long the project may take to initialize, in ms. */
const LIMIT_MS = 60_000;

/** The result of the child: why the project cannot boot, or findings in a project that can. */
export interface BootReport {
  problem?: string[];
  findings?: Finding[];
}

/** @param limitMs how long it may take, in ms */
export async function checkBoot(limitMs = LIMIT_MS): Promise<Finding[]> {
  const { problem, findings = [] } = await bootChild(limitMs);
  if (problem) return [fail("boot", problem.join("\n      "))];
  return [ok("boot", "the project initializes"), ...findings];
}

function bootChild(limitMs: number): Promise<BootReport> {
  const script = path.join(__dirname, `bootChild${path.extname(__filename)}`);
  const child = fork(script, process.argv.slice(2), {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const lastLines = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name]!.setEncoding("utf8").on("data", (text: string) => {
      lastLines[name] = text.trim().split("\n").at(-1) || lastLines[name];
      if (process.env.LOG_LEVEL === "debug") process.stderr.write(text);
    });

  return new Promise((resolve) => {
    const end = (what: string) => {
      const lastLine = lastLines.stderr || lastLines.stdout;
      resolve({
        problem: [
          `cannot start: ${what}`,
          ...(lastLine === "" ? [] : [`  its last line: ${lastLine}`]),
          "  LOG_LEVEL=debug shows what it did",
        ],
      });
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      end(`the project did not initialize within ${limitMs / 1000} s`);
    }, limitMs);
    child.once("message", (report) => resolve(report as BootReport));
    child.once("error", (error) => end(error.message));
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      end(`the process ended with ${signal ?? code} before it had initialized`);
    });
  });
}
