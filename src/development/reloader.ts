/** Loads changed code into the running server. */
import * as fs from "node:fs";
import * as path from "node:path";
import { api } from "../api";
import { warnOfUnknownMiddleware } from "../boot/mistakes";
import { projectRoot, rebuildConfig } from "../config/config";
import { toError } from "../errors";
import { reportError } from "../log/exceptions";
import { log } from "../log/log";
import { reloadRoutes } from "../route/tables";
import { loadModule } from "../utils/loadModule";
import { isTypesFile, keepTypes } from "./actionTypes";
import {
  dependentsOf,
  forget,
  restore,
  type ForgottenModules,
} from "./moduleGraph";
import { replaceActions, replaceTasks } from "./registries";
import { kindOf, type SourceFolders, type SourceKind } from "./sources";

/** What the framework loads itself; helpers come along with what requires them. */
const LOADED: readonly SourceKind[] = ["action", "task", "routes", "built"];

export class Reloader {
  /** Changed files that could not be loaded yet: they are tried again with the next change. */
  private readonly waiting = new Set<string>();
  private work: Promise<void> = Promise.resolve();
  /** True after a restart that failed: any change is a reason to try again. */
  private down = false;

  /**
   * @param knownFiles the project's files; others are never reloaded
   * @param restartServer resolves with whether it runs again
   */
  constructor(
    private readonly folders: SourceFolders,
    private readonly knownFiles: () => ReadonlySet<string>,
    private readonly restartServer: () => Promise<boolean>,
  ) {}

  /** Processes one change at a time; never rejects. */
  take(changed: readonly string[]): Promise<void> {
    this.work = this.work.then(() =>
      this.reload(changed).catch((error: unknown) =>
        reportError(toError(error), "development", "reload"),
      ),
    );
    return this.work;
  }

  private async reload(files: readonly string[]): Promise<void> {
    const changed = files.filter((file) => !isTypesFile(file));
    if (changed.length === 0) return;
    for (const file of changed) this.waiting.add(file);
    const within = new Set([...this.knownFiles(), ...this.waiting]);
    const affected = [...dependentsOf(this.waiting, within)];
    warnAboutEntry(affected);

    const forgotten = forget(affected);
    if (!this.loads(affected, forgotten)) return;
    this.waiting.clear();

    const kinds = new Set(affected.map((file) => kindOf(file, this.folders)));
    if (this.down || kinds.has("built")) {
      log(`restarting, because of ${names(changed)}`, "notice");
      this.down = !(await this.restartServer());
      return;
    }
    if (kinds.has("routes")) rebuildConfig();
    for (const file of affected) await this.replace(file, forgotten);
    if (kinds.has("action")) api.params.buildPostVariables();
    if (kinds.has("action") || kinds.has("routes")) reloadRoutes();
    warnOfUnknownMiddleware();
    keepTypes();
    log(`reloaded: ${names(changed)}`, "notice");
  }

  /** Whether all dependents of the change can be loaded; otherwise nothing changes. */
  private loads(
    affected: readonly string[],
    forgotten: ForgottenModules,
  ): boolean {
    const wanted = affected.filter(
      (file) =>
        LOADED.includes(kindOf(file, this.folders)) && fs.existsSync(file),
    );
    try {
      for (const file of wanted) loadModule(file);
      return true;
    } catch (thrown) {
      forget(affected);
      restore(forgotten);
      const error = toError(thrown);
      log(
        `not reloaded, the old code goes on: ${error.message}`,
        "error",
        error.stack,
      );
      return false;
    }
  }

  private async replace(
    file: string,
    forgotten: ForgottenModules,
  ): Promise<void> {
    const old = forgotten.get(file)?.exports as
      Record<string, unknown> | undefined;
    const kind = kindOf(file, this.folders);
    const exists = fs.existsSync(file);
    try {
      if (kind === "action") await replaceActions(file, exists, old);
      if (kind === "task") await replaceTasks(file, exists, old);
    } catch (error) {
      this.waiting.add(file);
      log(
        `not reloaded, the old code goes on: ${toError(error).message}`,
        "error",
      );
    }
  }
}

function warnAboutEntry(affected: readonly string[]): void {
  const entry = require.main?.filename;
  if (entry === undefined || !affected.includes(entry)) return;
  log(
    `${names([entry])} started this process: its change is seen after a start by hand`,
    "warning",
  );
}

function names(files: readonly string[]): string {
  return files.map((file) => path.relative(projectRoot, file)).join(", ");
}
