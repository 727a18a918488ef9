import { globSync, type GlobOptionsWithFileTypesFalse } from "glob";

/**
 * Files matching a pattern, sorted; absolute patterns give absolute paths, dot files are left out.
 * On Windows, backslashes in the pattern separate folders.
 */
export function safeGlobSync(
  match: string,
  args: GlobOptionsWithFileTypesFalse = {},
): string[] {
  return globSync(match, {
    ...args,
    windowsPathsNoEscape: process.platform === "win32",
  }).sort((a, b) => a.localeCompare(b, "en"));
}
