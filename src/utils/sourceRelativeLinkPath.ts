import * as fs from "node:fs";
import * as path from "node:path";

/**
 * The target of a legacy plugin link file: `<plugin path>/<name>/<type>`, the name being the file's name up to its
 * first dot and the type its content.
 * @returns false if no plugin path contains a folder of that name
 */
export function sourceRelativeLinkPath(
  linkFile: string,
  pluginPaths: readonly string[],
): string | false {
  const type = fs.readFileSync(linkFile, "utf8");
  const name = path.basename(linkFile).split(".")[0]!;
  const folder = pluginPaths
    .map((pluginPath) => path.normalize(path.join(pluginPath, name)))
    .find(isFolderOrLink);
  return folder === undefined ? false : path.normalize(path.join(folder, type));
}

function isFolderOrLink(candidate: string): boolean {
  const stats = fs.lstatSync(candidate, { throwIfNoEntry: false });
  return Boolean(stats && (stats.isDirectory() || stats.isSymbolicLink()));
}
