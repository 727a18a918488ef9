/** The files that hold code to load: type declarations, specs and tests left out. */
export function ensureNoTsHeaderOrSpecFiles(
  files: readonly string[],
): string[] {
  return files.filter(
    (file) => !file.endsWith(".d.ts") && !/\.(spec|test)\.[jt]s$/.test(file),
  );
}
