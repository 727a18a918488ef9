/** Programs that a suite starts end with its process, also if that is interrupted or killed. */
import { spawn, type ChildProcess } from "child_process";

/** Waits for the end of its input, then ends the program; one process, which a terminal's Ctrl-C does not end. */
const GUARD = `trap "" INT TERM HUP; read -r line; kill -9 "$1"`;

/** End a program with SIGKILL when this process has ended, however it ends: a guard holds a pipe to it. */
export function endWithThisProcess(child: ChildProcess): void {
  if (child.pid === undefined || process.platform === "win32") return;
  const guard = spawn("sh", ["-c", GUARD, "guard", String(child.pid)], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.once("error", () => undefined); // without a shell, there is no guard
  guard.unref();
  (guard.stdin as unknown as { unref(): void }).unref();
  // its process id may soon belong to another program
  child.once("exit", () => guard.kill("SIGKILL"));
}
