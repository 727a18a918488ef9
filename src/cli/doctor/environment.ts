/** Checks of the machine and the project's folder. */
import * as fs from "node:fs";
import * as path from "node:path";
import { satisfies } from "semver";
import { packageRoot } from "../../environment/paths";
import { listSourceFiles } from "../../utils/listSourceFiles";
import { fail, ok, warn, type Finding } from "./finding";

/** The running Node against what the framework and the project ask for. */
export function checkNode(
  projectRoot: string,
  version = process.versions.node,
  frameworkRoot = packageRoot,
): Finding {
  for (const folder of [frameworkRoot, projectRoot]) {
    const { name, range } = readEngine(folder);
    if (range && !satisfies(version, range))
      return fail("node", `${version} is not ${range}, which ${name} asks for`);
  }
  return ok("node", version);
}

/** Compiled code that is older than its sources runs something else than what one reads. */
export function checkBuild(projectRoot: string): Finding {
  const source = path.join(projectRoot, "src");
  const compiled = path.join(projectRoot, "dist");
  if (!fs.existsSync(source)) return ok("build", "there is no src to compile");
  if (!fs.existsSync(compiled))
    return fail("build", "dist is missing: run `npm run build`");

  const stale = listSourceFiles(source, [".ts"]).find((file) => {
    const target = path
      .join(compiled, path.relative(source, file))
      .replace(/\.ts$/, ".js");
    const made = fs.statSync(target, { throwIfNoEntry: false });
    return !made || made.mtimeMs < fs.statSync(file).mtimeMs;
  });
  if (!stale) return ok("build", "dist is as new as src");
  const name = path.relative(projectRoot, stale);
  return warn("build", `${name} is newer than dist: run \`npm run build\``);
}

/** The server writes its log and its pid file. */
export function checkFolders(folders: readonly string[]): Finding {
  const refused = folders.find((folder) => !isWritable(folder));
  return refused
    ? fail("folders", `${refused} cannot be written`)
    : ok("folders", "log and pid folders can be written");
}

/** A folder that does not exist yet can be made when its parent can be written. */
function isWritable(folder: string): boolean {
  const present = fs.existsSync(folder) ? folder : path.dirname(folder);
  try {
    fs.accessSync(present, fs.constants.W_OK);
    return fs.statSync(present).isDirectory();
  } catch {
    return false;
  }
}

function readEngine(folder: string): { name: string; range?: string } {
  const file = path.join(folder, "package.json");
  if (!fs.existsSync(file)) return { name: folder };
  const { name = folder, engines } = JSON.parse(
    fs.readFileSync(file, "utf8"),
  ) as { name?: string; engines?: { node?: string } };
  return { name, range: engines?.node };
}
