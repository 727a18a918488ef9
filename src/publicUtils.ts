/** Assembles the exported `utils`. */
import { parseArgv } from "./environment/argv";
import {
  filterObjectForLogging,
  filterResponseForLogging,
} from "./log/filters";
import {
  arrayStartingMatch,
  arrayUnique,
  collapseObjectToArray,
} from "./utils/arrays";
import { deepCopy, hashMerge, isPlainObject } from "./utils/objects";
import {
  ensureNoTsHeaderOrSpecFiles,
  sourceRelativeLinkPath,
} from "./utils/fileUtils";
import { eventLoopDelay } from "./utils/eventLoopDelay";
import * as fileUtils from "./utils/fileUtils";
import {
  getExternalIPAddress,
  parseHeadersForClientAddress,
  parseIPv6URI,
} from "./utils/addresses";
import { isRunning } from "./utils/isRunning";
import { parseCookies } from "./utils/parseCookies";
import { replaceDistWithSrc } from "./config/discover";
import { safeGlobSync } from "./utils/safeGlobSync";
import { sleep } from "./utils/promises";
import { sortGlobalMiddleware } from "./middleware/stack";

/** The last value of each flag on the command line, `""` for one without a value. */
const argv: { [flag: string]: string } = Object.fromEntries(
  Object.entries(parseArgv(process.argv.slice(2))).map(([flag, values]) => [
    flag,
    values.at(-1)!,
  ]),
);

export const utils = {
  argv,
  arrayStartingMatch,
  arrayUnique,
  collapseObjectToArray,
  deepCopy,
  ensureNoTsHeaderOrSpecFiles,
  /** The name of `ensureNoTsHeaderOrSpecFiles` in version 28. */
  ensureNoTsHeaderFiles: ensureNoTsHeaderOrSpecFiles,
  eventLoopDelay,
  filterObjectForLogging,
  filterResponseForLogging,
  getExternalIPAddress,
  hashMerge,
  isPlainObject,
  parseHeadersForClientAddress,
  parseCookies,
  parseIPv6URI,
  replaceDistWithSrc,
  sleep,
  sortGlobalMiddleware,
  sourceRelativeLinkPath,
  fileUtils,
  safeGlobSync,
  isRunning,
};
