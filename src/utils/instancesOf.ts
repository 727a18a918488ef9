/** An instance of every class that a file exports, and the objects that it exports instead of classes. */

interface Valid {
  /** Every one has it, though some classes declare it as v29 did. @throws when it lacks what its kind needs */
  validate?(): void;
}

/**
 * @param kind for the error, e.g. `action`
 * @throws Error that names an export which is no such class
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
        `its export \`${name}\` is no class of ${kind}s, and such a file exports nothing else`,
      );
    return instance;
  });
  return [...new Set(instances)]; // the default export may have a name, too
}

/** Arrow functions and async ones have no prototype. */
function isConstructor(value: unknown): value is new () => unknown {
  return typeof value === "function" && value.prototype !== undefined;
}
