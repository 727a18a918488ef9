/** The spec by which this copy of the framework was installed, for the package.json of new projects. */
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../../environment/paths";
import { readActionheroVersion } from "../../environment/version";

const NAME = "actionhero";

/** npm's record of an installed package. */
interface InstalledEntry {
  version?: string;
  resolved?: string;
  link?: boolean;
}

/**
 * The spec for `dependencies.actionhero` of a project: a tarball, folder or git address stays one (relative to the
 * project), a version from a registry becomes a caret range.
 * @param projectFolder where the package.json will be
 * @param installedAt where the framework is (default: this copy)
 */
export function ownSpec(
  projectFolder: string,
  installedAt = packageRoot,
): string {
  const host = hostFolder(installedAt);
  if (host === undefined) return fileSpec(projectFolder, installedAt); // a repository checkout

  const declared = declaredSpec(host) ?? resolvedSpec(host);
  if (declared === undefined) return `^${readActionheroVersion()}`;
  if (!declared.startsWith("file:")) return declared;
  const target = path.resolve(host, declared.slice("file:".length));
  return fileSpec(projectFolder, target);
}

/** The folder whose `node_modules` contains the framework, if it is installed there. */
function hostFolder(installedAt: string): string | undefined {
  const parent = path.dirname(installedAt);
  return path.basename(parent) === "node_modules"
    ? path.dirname(parent)
    : undefined;
}

function declaredSpec(host: string): string | undefined {
  const file = path.join(host, "package.json");
  if (!fs.existsSync(file)) return undefined;
  const { dependencies, devDependencies } = JSON.parse(
    fs.readFileSync(file, "utf8"),
  ) as Record<string, Record<string, string> | undefined>;
  return dependencies?.[NAME] ?? devDependencies?.[NAME];
}

/** The spec that npm recorded; for a registry URL, the version is used instead. */
function resolvedSpec(host: string): string | undefined {
  const file = path.join(host, "node_modules", ".package-lock.json");
  if (!fs.existsSync(file)) return undefined;
  const { packages } = JSON.parse(fs.readFileSync(file, "utf8")) as {
    packages?: { [name: string]: InstalledEntry };
  };
  const entry = packages?.[`node_modules/${NAME}`];
  if (!entry?.resolved) return undefined;
  if (entry.link) return `file:${entry.resolved}`;
  return /^(file|git)/.test(entry.resolved) ? entry.resolved : undefined;
}

function fileSpec(projectFolder: string, target: string): string {
  const relative = path.relative(projectFolder, target);
  return `file:${relative.split(path.sep).join("/") || "."}`;
}
