/** An instance of every class that a file exports, and the objects that it exports instead of classes. */

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
        `its export \`${name}\` is no class of ${kind}s, and such a file exports nothing else`,
      );
    return instance;
  });
  return [...new Set(instances)]; // the default export may also have a name
}

/** Arrow functions and async functions have no prototype. */
function isConstructor(value: unknown): value is new () => unknown {
  return typeof value === "function" && value.prototype !== undefined;
}
