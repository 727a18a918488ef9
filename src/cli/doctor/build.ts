/** Checks that the compiled code matches the sources. */
import * as fs from "node:fs";
import * as path from "node:path";
import { listSourceFiles } from "../../utils/listSourceFiles";
import { fail, ok, warn, type Finding } from "./finding";

/** The output of `actionhero types` is for clients: the server does not run it. */
const TYPES_FILE = "actions.gen.ts";

/** Compiled code that is older than its sources does not match them. */
export function checkBuild(projectRoot: string): Finding {
  const source = path.join(projectRoot, "src");
  const compiled = path.join(projectRoot, "dist");
  if (!fs.existsSync(source)) return ok("build", "there is no src to compile");
  if (!fs.existsSync(compiled))
    return fail("build", "dist is missing: run `npm run build`");

  const stale = listSourceFiles(source, [".ts"]).find((file) => {
    if (path.basename(file) === TYPES_FILE) return false;
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
