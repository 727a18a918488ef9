/** The framework's own version. */
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "./paths";

/** `version` of this package's package.json, read from disk. */
export function readActionheroVersion(): string {
  const file = path.join(packageRoot, "package.json");
  return (JSON.parse(fs.readFileSync(file, "utf8")) as { version: string })
    .version;
}
