/** Loads code files of projects, plugins and the framework, and finds what they export. */
import * as fs from "node:fs";

/** Converts exports of another style to the form that the framework expects. */
export type ModuleAdapter = (
  exported: Record<string, unknown>,
  file: string,
) => Record<string, unknown>;

const adapters = new Set<ModuleAdapter>();

/** Register an adapter for the exports of all files loaded from now on. */
export function adaptModules(adapter: ModuleAdapter): void {
  adapters.add(adapter);
}

/**
 * Load a file and return its exports by name.
 *
 * `require` on purpose: it works under jest, tsx, ts-node and in compiled form, and loads ES modules on
 * every Node version we support; a native `import()` fails inside jest.
 * @param reload evaluate the file again even if it was loaded before
 */
export function loadModule(
  file: string,
  reload = false,
): Record<string, unknown> {
  if (reload) delete require.cache[require.resolve(file)];
  const loaded = require(file) as unknown;
  if (typeof loaded === "function") return { default: loaded };
  // node adds this export to an ES module with a default export, for compilers
  const { __esModule: _, ...exported } = loaded as Record<string, unknown>;
  let adapted: Record<string, unknown> = exported;
  for (const adapt of adapters) adapted = adapt(adapted, file);
  return adapted;
}

// --- An instance of every class that a file exports, and the objects that it exports instead of classes.

interface Valid {
  /**
   * Every instance has it, although some classes declare it as optional, as in v29. @throws Error for a missing
   * property
   */
  validate?(): void;
}

/**
 * @param kind for the error, e.g. `action`
 * @throws Error naming an export that is not such a class
 */
export function instancesOf<T extends Valid>(
  exported: Record<string, unknown>,
  kind: string,
): T[] {
  const instances = Object.entries(exported).map(([name, value]) => {
    const instance = isConstructor(value)
      ? (new value() as T)
      : (value as T | null | undefined);
    if (typeof instance?.validate !== "function")
      throw new Error(
        `its export \`${name}\` is no ${kind}, and such a file exports nothing else`,
      );
    return instance;
  });
  return [...new Set(instances)]; // the default export may also have a name
}

/** Arrow functions and async functions have no prototype. */
function isConstructor(value: unknown): value is new () => unknown {
  return typeof value === "function" && value.prototype !== undefined;
}

// --- Records the file that an action or task was loaded from, for error messages and hot reload.

const filesOfExports = new WeakMap<object, string>();
const realFiles = new WeakMap<object, string>();

/** @param file the framework's own actions and tasks have the setting that enables them instead */
export function setOrigin(instance: object, file: string): void {
  filesOfExports.set(instance, file);
  // now, because a deleted file has no real path
  if (fs.existsSync(file)) realFiles.set(instance, fs.realpathSync(file));
}

/** Whether an action or task was loaded from a file, which may have been deleted since. */
export function isLoadedFrom(instance: object, realFile: string): boolean {
  return realFiles.get(instance) === realFile;
}

/** The recorded file; undefined for objects created by code. */
export function originOf(instance: object): string | undefined {
  return filesOfExports.get(instance);
}
