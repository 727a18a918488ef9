/** Creates files and folders without overwriting existing ones; used by the generators. */
import * as fs from "node:fs";
import * as path from "node:path";

function codedError(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Whether a directory, or a symbolic link to one, exists. */
export function dirExists(dir: string): boolean {
  const stats = fs.lstatSync(dir, { throwIfNoEntry: false });
  return Boolean(stats && (stats.isDirectory() || stats.isSymbolicLink()));
}

/** Whether a file, or a symbolic link to one, exists. */
export function fileExists(file: string): boolean {
  const stats = fs.lstatSync(file, { throwIfNoEntry: false });
  return Boolean(stats && (stats.isFile() || stats.isSymbolicLink()));
}

/**
 * Create one directory (its parent must exist).
 * @returns what was done, to be printed
 * @throws Error with code EEXIST when it is there already
 */
export function createDirSafely(dir: string): string {
  const target = path.normalize(dir);
  if (dirExists(dir))
    throw codedError(`directory '${target}' already exists`, "EEXIST");
  fs.mkdirSync(target);
  return `created directory '${target}'`;
}

/**
 * Write a file.
 * @param overwrite replace a present file (default false)
 * @returns what was done, to be printed
 * @throws Error with code EEXIST when it is there already and `overwrite` is not set
 */
export function createFileSafely(
  file: string,
  data: string | NodeJS.ArrayBufferView,
  overwrite = false,
): string {
  const target = path.normalize(file);
  const present = fileExists(file);
  if (present && !overwrite)
    throw codedError(`file '${target}' already exists`, "EEXIST");
  fs.writeFileSync(target, data);
  return present ? ` - overwritten file '${target}'` : `wrote file '${target}'`;
}

/**
 * Write a legacy plugin link file, whose content is the kind of thing linked.
 * @throws Error with code EEXIST when it is there already
 */
export function createLinkfileSafely(filePath: string, type: string): string {
  if (fileExists(filePath))
    throw codedError(`link file '${filePath}' already exists`, "EEXIST");
  fs.writeFileSync(filePath, type);
  return `creating linkfile '${filePath}'`;
}

/**
 * Remove a legacy plugin link file.
 * @throws Error with code ENOEXIST if it does not exist
 */
export function removeLinkfileSafely(filePath: string): string {
  if (!fileExists(filePath))
    throw codedError(`link file '${filePath}' doesn't exist`, "ENOEXIST");
  fs.unlinkSync(filePath);
  return `removing linkfile '${filePath}'`;
}

/**
 * Link a directory.
 * @throws Error with code EEXIST when the destination is there already
 */
export function createSymlinkSafely(
  destination: string,
  source: string,
): string {
  if (dirExists(destination))
    throw codedError(`symbolic link '${destination}' already exists`, "EEXIST");
  fs.symlinkSync(source, destination, "dir");
  return `creating symbolic link '${destination}' => '${source}'`;
}

/**
 * The code files below a folder, sorted: no dot files, no type declarations, no specs and tests.
 * @param extensions which files count (default `.js` and `.ts`)
 * @returns absolute paths; empty if the folder does not exist
 */
export function listSourceFiles(
  folder: string,
  extensions: readonly string[] = [".js", ".ts"],
): string[] {
  const files: string[] = [];
  collect(path.resolve(folder), extensions, files);
  return ensureNoTsHeaderOrSpecFiles(files.sort());
}

function collect(
  folder: string,
  extensions: readonly string[],
  files: string[],
): void {
  if (!fs.existsSync(folder)) return;
  for (const entry of fs.readdirSync(folder)) {
    if (entry.startsWith(".")) continue;
    const full = path.join(folder, entry);
    const stats = fs.statSync(full, { throwIfNoEntry: false });
    if (stats?.isDirectory()) collect(full, extensions, files);
    else if (stats?.isFile() && extensions.includes(path.extname(entry)))
      files.push(full);
  }
}

/** The files that hold code to load: type declarations, specs and tests left out. */
export function ensureNoTsHeaderOrSpecFiles(
  files: readonly string[],
): string[] {
  return files.filter(
    (file) => !file.endsWith(".d.ts") && !/\.(spec|test)\.[jt]s$/.test(file),
  );
}

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
