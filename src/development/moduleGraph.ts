/** The graph of loaded modules of the project, and how to reload some of them. */

/** The modules that were removed from the cache, to restore them if the new ones do not load. */
export type ForgottenModules = Map<string, NodeModule>;

/**
 * The files themselves and all that require them, directly or not.
 * @param within other modules (the framework's, dependencies) are not followed
 */
export function dependentsOf(
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
export function forget(files: Iterable<string>): ForgottenModules {
  const forgotten: ForgottenModules = new Map();
  for (const file of files) {
    const module = require.cache[file];
    if (module) forgotten.set(file, module);
    delete require.cache[file];
  }
  return forgotten;
}

export function restore(forgotten: ForgottenModules): void {
  for (const [file, module] of forgotten) require.cache[file] = module;
}
