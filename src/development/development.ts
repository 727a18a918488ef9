/** `config.general.developmentMode`: hot reload of changed code. */
import { api } from "../api";
import { env } from "../config/config";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { keepTypes } from "./actionTypes";
import { Reloader } from "./reloader";
import { sourceFolders, watchedRoots } from "./sources";
import { SourceWatcher } from "./sourceWatcher";

export class DevelopmentMode {
  private watcher?: SourceWatcher;

  /** Watch the project's code, if enabled; never in tests. */
  start(): void {
    keepTypes();
    if (!settings().general.developmentMode || env === "test") return;
    const folders = sourceFolders();
    const watcher = new SourceWatcher(watchedRoots(folders), (changed) => {
      void reloader.take(changed);
    });
    const reloader: Reloader = new Reloader(
      folders,
      () => watcher.files,
      () => restartServer(watcher, reloader),
    );
    this.watcher = watcher;
    watcher.start();
    log("development mode: changes of the code are taken at once", "notice");
  }

  stop(): void {
    this.watcher?.stop();
  }
}

/**
 * The new server starts its own watcher; if it does not start, this watcher waits for a change.
 * @returns whether it started
 */
async function restartServer(
  watcher: SourceWatcher,
  reloader: Reloader,
): Promise<boolean> {
  watcher.stop();
  let started = true;
  try {
    await api.commands.restart?.();
  } catch {
    started = false; // the process has reported why
    log("the server is down until the code changes", "error");
  }
  const missed = watcher.differences();
  if (missed.length > 0) void reloader.take(missed);
  if (!started) watcher.start();
  return started;
}
