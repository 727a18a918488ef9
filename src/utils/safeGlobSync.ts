import type { GlobOptionsWithFileTypesFalse } from "glob";

/**
 * Files matching a pattern, sorted; absolute patterns give absolute paths, dot files are left out.
 * On Windows, backslashes in the pattern separate folders.
 */
export function safeGlobSync(
  match: string,
  args: GlobOptionsWithFileTypesFalse = {},
): string[] {
  // loaded here, because nothing at boot needs it
  const { globSync } = require("glob") as typeof import("glob");
  return globSync(match, {
    ...args,
    windowsPathsNoEscape: process.platform === "win32",
  }).sort((a, b) => a.localeCompare(b, "en"));
}
