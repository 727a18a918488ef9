/** Reports two files that define one name. */
import * as path from "node:path";
import { projectRoot } from "../config/config";
import { settings } from "../config/settings";
import { ActionheroError } from "../errors";
import { log, type ActionheroLogLevel } from "./log";

interface Duplicate {
  kind: "action" | "task";
  name: string;
  /** The file that is being loaded. */
  file: string;
  /** The file that has the name already; undefined if code added it. */
  earlier: string | undefined;
  /** The level of the line in the log. */
  level: ActionheroLogLevel;
}

/**
 * The later file replaces the earlier one, which depends on their names.
 * @throws ActionheroError AH_BOOT with `general.uniqueNames`
 */
export function reportDuplicate(duplicate: Duplicate): void {
  const { kind, name, file, earlier, level } = duplicate;
  if (settings().general.uniqueNames) {
    const place = earlier && path.relative(projectRoot, earlier);
    throw new ActionheroError(
      "AH_BOOT",
      `the ${kind} \`${name}\` exists twice${place === undefined ? "" : `, also in ${place}`}`,
    );
  }
  log(
    `an existing ${kind} with the same name \`${name}\` will be overridden by the file ${file}`,
    level,
  );
}
