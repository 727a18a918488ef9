/** Assembles the exported `utils`. */
import { performance } from "node:perf_hooks";
import { parseArgv, isRunning } from "./environment/env";
import {
  filterObjectForLogging,
  filterResponseForLogging,
} from "./log/filters";
import {
  arrayStartingMatch,
  arrayUnique,
  collapseObjectToArray,
  deepCopy,
  hashMerge,
  isPlainObject,
} from "./utils/objects";
import {
  ensureNoTsHeaderOrSpecFiles,
  sourceRelativeLinkPath,
} from "./utils/fileUtils";
import * as fileUtils from "./utils/fileUtils";
import {
  getExternalIPAddress,
  parseHeadersForClientAddress,
  parseIPv6URI,
} from "./utils/addresses";
import { parseCookies } from "./cookie/cookies";
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

/**
 * How busy the event loop is.
 * @param iterations hops to measure (default 10,000)
 * @returns ten times the mean milliseconds of one `process.nextTick` hop, to 3 decimals; the scale is version 29's
 * (`utils.eventLoopDelay`). `MultiWorker` does not use it: it measures how late its own timer fires
 */
async function eventLoopDelay(iterations = 10000): Promise<number> {
  let total = 0;
  for (let i = 0; i < iterations; i++) total += await measureHop();
  return Math.round((total / iterations) * 10000) / 1000;
}

function measureHop(): Promise<number> {
  return new Promise((resolve) => {
    const start = performance.now();
    process.nextTick(() => resolve(performance.now() - start));
  });
}
