/** Checks of the machine and the project's folder. */
import * as fs from "node:fs";
import * as path from "node:path";
import { satisfies } from "semver";
import { packageRoot } from "../../environment/paths";
import { fail, ok, type Finding } from "./finding";

/** Compares the running Node with the requirements of the framework and the project. */
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

/** The server writes its log and its pid file. */
export function checkFolders(folders: readonly string[]): Finding {
  const refused = folders.find((folder) => !isWritable(folder));
  return refused
    ? fail("folders", `${refused} cannot be written`)
    : ok("folders", "log and pid folders can be written");
}

/** A folder that does not exist yet can be created if its parent is writable. */
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
