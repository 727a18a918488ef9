/** `config.general.developmentMode`: watches the code, and loads what has changed into the running server. */
import * as fs from "node:fs";
import { api } from "../api";
import { env, projectRoot, rebuildConfig, typescript } from "../config/config";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { listSourceFiles } from "../utils/fileUtils";
import { keepTypes, isTypesFile } from "./actionTypes";
import * as path from "node:path";
import { warnOfRoutes, warnOfUnknownMiddleware } from "../boot/mistakes";
import { toError } from "../errors";
import { reportError } from "../log/exceptions";
import { reloadRoutes } from "../route/tables";
import { isLoadedFrom, loadModule, originOf } from "../utils/modules";
import { pluginFolders, projectFolders } from "../config/discover";
import { locateConfigDirectories, pluginConfigFolders } from "../config/load";
import { defaultsRoot, packageRoot } from "../environment/runtime";

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

// --- Reports changed, added and removed code files below some folders.

/** Editors write a file in several steps, compilers many files: wait until it is quiet for this long, in ms. */
const QUIET_MS = 50;

/**
 * Events of the file system only trigger a scan. Changes are found by comparing the files with the last scan, so
 * lost, duplicate or misnamed events do no harm.
 */
class SourceWatcher {
  private watchers = new Map<string, fs.FSWatcher>();
  private stamps = new Map<string, string>();
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly roots: readonly string[],
    private readonly changed: (files: string[]) => void,
  ) {}

  start(): void {
    this.stamps = stampsOf(this.roots);
    this.watchFolders();
  }

  stop(): void {
    clearTimeout(this.timer);
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  /** All files as of the last scan. */
  get files(): ReadonlySet<string> {
    return new Set(this.stamps.keys());
  }

  /** Scan now; each change is reported once. */
  differences(): string[] {
    const now = stampsOf(this.roots);
    const known = new Set([...this.stamps.keys(), ...now.keys()]);
    const different = [...known].filter(
      (file) => now.get(file) !== this.stamps.get(file),
    );
    this.stamps = now;
    return different;
  }

  private watchFolders(): void {
    const wanted = new Set(this.roots.flatMap(foldersBelow));
    for (const [folder, watcher] of this.watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.watchers.delete(folder);
    }
    for (const folder of wanted) {
      if (!this.watchers.has(folder)) this.watchFolder(folder);
    }
  }

  private watchFolder(folder: string): void {
    try {
      const watcher = fs.watch(folder, () => this.scanSoon());
      watcher.on("error", () => this.scanSoon()); // the folder was removed
      this.watchers.set(folder, watcher);
    } catch {
      // the folder went between being listed and being watched
    }
  }

  private scanSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.scan(), QUIET_MS);
  }

  private scan(): void {
    this.watchFolders();
    const different = this.differences();
    if (different.length > 0) this.changed(different);
  }
}

/** The size and modification time of a file at the last scan. */
function stampsOf(roots: readonly string[]): Map<string, string> {
  const stamps = new Map<string, string>();
  for (const file of roots.flatMap((root) => listSourceFiles(root))) {
    const stats = fs.statSync(file, { throwIfNoEntry: false });
    if (stats) stamps.set(file, `${stats.mtimeMs} ${stats.size}`);
  }
  return stamps;
}

function foldersBelow(root: string): string[] {
  if (!fs.existsSync(root)) return [];
  const inside = fs
    .readdirSync(root, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`);
  return [root, ...inside];
}

// --- Loads changed code into the running server.

/** The files that the framework loads itself; helpers are loaded by the files that require them. */
const LOADED: readonly SourceKind[] = ["action", "task", "routes", "built"];

class Reloader {
  /** Changed files that could not be loaded yet: they are tried again with the next change. */
  private readonly waiting = new Set<string>();
  private work: Promise<void> = Promise.resolve();
  /** True after a restart that failed: any change is a reason to try again. */
  private down = false;

  /**
   * @param knownFiles the project's files; others are never reloaded
   * @param restart resolves with whether it runs again
   */
  constructor(
    private readonly folders: SourceFolders,
    private readonly knownFiles: () => ReadonlySet<string>,
    private readonly restart: () => Promise<boolean>,
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
      this.down = !(await this.restart());
      return;
    }
    if (kinds.has("routes")) rebuildConfig();
    for (const file of affected) await this.replace(file);
    if (kinds.has("action")) api.params.buildPostVariables();
    if (kinds.has("action") || kinds.has("routes")) reloadRoutes();
    warnOfUnknownMiddleware();
    warnOfRoutes();
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
        `not reloaded, the old code remains active: ${error.message}`,
        "error",
        error.stack,
      );
      return false;
    }
  }

  private async replace(file: string): Promise<void> {
    const kind = kindOf(file, this.folders);
    const exists = fs.existsSync(file);
    try {
      if (kind === "action") await replaceActions(file, exists);
      if (kind === "task") await replaceTasks(file, exists);
    } catch (error) {
      this.waiting.add(file);
      log(
        `not reloaded, the old code remains active: ${toError(error).message}`,
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

// --- Replaces actions and tasks in the registries by those of their files.

/** Load the actions of a file; actions that it no longer exports are removed. */
async function replaceActions(file: string, exists: boolean): Promise<void> {
  const { actions, versions } = api.actions;
  const before = Object.entries(actions).flatMap(([name, known]) =>
    Object.entries(known).map(([version, action]) => ({
      name,
      version,
      action,
    })),
  );
  if (exists) await api.actions.loadFile(file, true);

  for (const { name, version, action } of before) {
    const known = actions[name];
    const isReplaced = known?.[version] !== action;
    if (!isLoadedFrom(action, file)) {
      if (isReplaced) noteDisplaced(`action ${name}@${version}`, action, file);
      continue;
    }
    if (isReplaced || !known) continue;
    delete known[version];
    versions[name] = (versions[name] ?? []).filter(
      (present) => String(present) !== version,
    );
    if (versions[name].length > 0) continue;
    delete actions[name];
    delete versions[name];
  }
  await restoreDisplaced(
    (key) => {
      const at = key.lastIndexOf("@"); // the name may have one, too
      const name = key.slice("action ".length, at);
      return actions[name]?.[key.slice(at + 1)] !== undefined;
    },
    "action ",
    (origin) => api.actions.loadFile(origin, true),
  );
}

/** The files of actions and tasks that a file with the same name has replaced, such as a copy that is not renamed yet. */
const displaced = new Map<string, string>();

function noteDisplaced(key: string, instance: object, file: string): void {
  const origin = originOf(instance);
  if (origin === undefined) return;
  displaced.set(key, origin);
  log(
    `the ${key} of ${names([origin])} is replaced by that of ${names([file])}: two files have one name`,
    "warning",
  );
}

/** Once the other file is gone, or has another name, the first one is there again. */
async function restoreDisplaced(
  isThere: (key: string) => boolean,
  kind: string,
  load: (file: string) => Promise<void>,
): Promise<void> {
  for (const [key, origin] of displaced) {
    if (!key.startsWith(kind) || isThere(key)) continue;
    displaced.delete(key);
    if (fs.existsSync(origin)) await load(origin);
  }
}

/** Load the tasks of a file; tasks that it no longer exports are removed. */
async function replaceTasks(file: string, exists: boolean): Promise<void> {
  const { tasks, jobs } = api.tasks;
  const before = Object.entries(tasks);
  if (exists) await api.tasks.loadFile(file, true);

  for (const [name, task] of before) {
    const isReplaced = tasks[name] !== task;
    if (!isLoadedFrom(task, file)) {
      if (isReplaced) noteDisplaced(`task ${name}`, task, file);
      continue;
    }
    if (isReplaced) continue;
    delete tasks[name];
    delete jobs[name];
  }
  await restoreDisplaced(
    (key) => tasks[key.slice("task ".length)] !== undefined,
    "task ",
    (origin) => api.tasks.loadFile(origin, true),
  );
}

// --- The graph of loaded modules of the project, and how to reload some of them.

/** The modules that were removed from the cache, to restore them if the new ones do not load. */
type ForgottenModules = Map<string, NodeModule>;

/**
 * The files themselves and all that require them, directly or not.
 * @param within other modules (the framework's, dependencies) are not followed
 */
function dependentsOf(
  files: Iterable<string>,
  within: ReadonlySet<string>,
): Set<string> {
  const parents = new Map<string, string[]>();
  for (const file of within) {
    for (const child of require.cache[file]?.children ?? []) {
      const known = parents.get(child.filename);
      if (known) known.push(file);
      else parents.set(child.filename, [file]);
    }
  }
  const found = new Set<string>();
  const waiting = [...files];
  while (waiting.length > 0) {
    const file = waiting.pop()!;
    if (found.has(file)) continue;
    found.add(file);
    waiting.push(...(parents.get(file) ?? []));
  }
  return found;
}

/** Remove modules from the cache, so that the next `require` evaluates their files again. */
function forget(files: Iterable<string>): ForgottenModules {
  const forgotten: ForgottenModules = new Map();
  for (const file of files) {
    const module = require.cache[file];
    if (module) forgotten.set(file, module);
    delete require.cache[file];
  }
  return forgotten;
}

function restore(forgotten: ForgottenModules): void {
  for (const [file, module] of forgotten) require.cache[file] = module;
}

// --- The kinds of code files: actions, tasks, routes, and parts that require a restart.

/** `built`: initializers, servers and settings, which a running server cannot change. `code`: anything else. */
type SourceKind = "action" | "task" | "routes" | "built" | "code";

/** Folders of each kind, as real paths. */
interface SourceFolders {
  actions: string[];
  tasks: string[];
  built: string[];
  config: string[];
  /** The folder that holds all code of the project; helpers are anywhere in it. */
  code: string[];
}

function sourceFolders(): SourceFolders {
  const found = locateConfigDirectories(projectRoot, typescript);
  const own = found.isOwnProject ? [found.defaults] : [];
  const plugins = pluginConfigFolders(settings().plugins);
  return {
    actions: foldersOf("actions"),
    tasks: foldersOf("tasks"),
    built: [...foldersOf("initializers"), ...foldersOf("servers")],
    config: real([...found.project, ...own, ...plugins]),
    code: real([codeFolder()]).filter((folder) => !isFramework(folder)),
  };
}

function kindOf(file: string, folders: SourceFolders): SourceKind {
  const isIn = (list: readonly string[]) =>
    list.some((folder) => file.startsWith(folder + path.sep));
  if (isIn(folders.config))
    return /^routes\.[jt]s$/.test(path.basename(file)) ? "routes" : "built";
  if (isIn(folders.built)) return "built";
  if (isIn(folders.actions)) return "action";
  if (isIn(folders.tasks)) return "task";
  return "code";
}

/** The folders that are to be watched, none inside another. */
function watchedRoots(folders: SourceFolders): string[] {
  const all = [...new Set(Object.values(folders).flat() as string[])];
  return all.filter(
    (folder) =>
      !all.some(
        (other) => other !== folder && folder.startsWith(other + path.sep),
      ),
  );
}

function foldersOf(
  kind: "actions" | "tasks" | "initializers" | "servers",
): string[] {
  return real([...projectFolders(kind), ...pluginFolders(kind)]);
}

function codeFolder(): string {
  const { paths } = settings().general;
  const folder = typescript ? paths.src : paths.dist;
  return folder ?? path.join(projectRoot, typescript ? "src" : "dist");
}

/** When this repository is the project, its `src` is the framework, which runs the reload. */
function isFramework(folder: string): boolean {
  return [path.join(packageRoot, "src"), defaultsRoot].some(
    (own) => fs.existsSync(own) && fs.realpathSync(own) === folder,
  );
}

function real(folders: readonly string[]): string[] {
  return folders
    .filter((folder) => fs.existsSync(folder))
    .map((folder) => fs.realpathSync(folder));
}
