/**
 * `npm test`: runs jest, and then once more, alone and one after the other, the suites that failed, if they are few. Most
 * suites start processes, browsers and redis-servers beside each other, and a busy machine can make one miss its
 * deadline. What fails twice fails the run; what passes alone is reported as unsteady, with its first error, here and in
 * tmp/test-counts.json. With arguments it is plain jest.
 */
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

/** More failed suites than this are no accident. */
const MAX_SUITES = 3;

const root = process.cwd();
const countsFile = path.join(root, "tmp", "test-counts.json");

function jest(args) {
  const { status } = spawnSync(
    process.execPath,
    [require.resolve("jest/bin/jest"), ...args],
    { cwd: root, stdio: "inherit" },
  );
  return status ?? 1;
}

function readCounts() {
  if (!fs.existsSync(countsFile)) return undefined;
  return JSON.parse(fs.readFileSync(countsFile, "utf8"));
}

/** @returns the counts of both runs together, or undefined if what failed is no accident */
function runAgain(first) {
  const suites = Object.keys(first?.failedSuites ?? {});
  const isAccident = suites.length > 0 && suites.length <= MAX_SUITES;
  if (!isAccident || first.unexplained.length > 0) return undefined;
  console.error(
    `\nThese suites failed, and run once more, alone: ${suites.join(", ")}\n`,
  );
  jest(["--runInBand", "--runTestsByPath", ...suites]);
  const second = readCounts();
  if (!second) return undefined;
  const passedBefore = Object.values(first.failedSuites).reduce(
    (sum, passed) => sum + passed,
    0,
  );
  return {
    ...second,
    passed: first.passed - passedBefore + second.passed,
    unsteady: first.failures,
  };
}

const args = process.argv.slice(2);
let status = jest(args);
if (status !== 0 && args.length === 0) {
  const counts = runAgain(readCounts());
  if (counts) {
    fs.writeFileSync(countsFile, JSON.stringify(counts));
    status = counts.failed === 0 ? 0 : 1;
    for (const failure of counts.unsteady)
      console.error(`failed in the whole run: ${failure}`);
    console.error(
      `tests of both runs: ${counts.passed} passed, ${counts.failed} failed`,
    );
  }
}
process.exit(status);
