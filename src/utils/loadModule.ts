/** The only dynamic load in the framework. */

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
