/** The pid file of this server. */
import * as fs from "node:fs";
import * as path from "node:path";
import { id } from "../config/config";
import { settings } from "../config/settings";
import { log } from "../log/log";

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
export function writePidFile(): void {
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
export function removePidFile(): void {
  const file = pidFile();
  if (file === undefined) return;
  try {
    fs.rmSync(file, { force: true });
  } catch (error) {
    log("Unable to remove pidfile", "error", { error: String(error) });
  }
}
