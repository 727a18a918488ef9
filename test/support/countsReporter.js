/**
 * A reporter of jest: leaves the numbers of tests that passed and failed, and which failed, in tmp/test-counts.json,
 * for scripts/test.js and .ci/run, and says on which engines tests ran.
 */
const fs = require("node:fs");
const path = require("node:path");
const compareEngines = require("./engineCounts");

const file = path.join(process.cwd(), "tmp", "test-counts.json");

module.exports = class CountsReporter {
  constructor({ testNamePattern }) {
    this.isPart = Boolean(testNamePattern);
  }

  onRunStart() {
    fs.rmSync(file, { force: true });
  }

  onRunComplete(_contexts, results) {
    const { lines, unexplained } = compareEngines(results.testResults);
    for (const line of lines) process.stderr.write(`${line}\n`);
    this.unexplained = [...unexplained, ...this.leftOut(results)];

    const counts = {
      passed: results.numPassedTests,
      // a suite that could not run counts as a failed test, and so does a test that one engine lacks
      failed:
        results.numFailedTests +
        results.numRuntimeErrorTestSuites +
        this.unexplained.length,
      failures: [
        ...results.testResults.flatMap(failuresOf),
        ...this.unexplained,
      ],
      unexplained: this.unexplained,
      failedSuites: passedByFailedSuite(results),
    };
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, JSON.stringify(counts));
  }

  /** A forgotten `only` or `skip` leaves out a whole suite. Suites that lack a program are skipped on purpose. */
  leftOut({ testResults }) {
    if (this.isPart) return [];
    return testResults
      .map(({ testFilePath, testResults: tests }) => ({
        suite: path.relative(process.cwd(), testFilePath),
        skipped: tests.filter(isSkippedByMistake).length,
      }))
      .filter(({ skipped }) => skipped > 0)
      .map(({ suite, skipped }) => `${suite}: ${skipped} tests were skipped`);
  }

  /** What fails the run beside its tests. */
  getLastError() {
    if (!this.unexplained?.length) return undefined;
    return new Error(this.unexplained.join("\n"));
  }
};

/** A test that is skipped, but not by leaveOut (leftOut.ts). */
function isSkippedByMistake({ status, title }) {
  return status === "pending" && !title.startsWith("left out: ");
}

/** How many tests passed, by the path of a suite of which others failed, or which could not run. */
function passedByFailedSuite({ testResults }) {
  return Object.fromEntries(
    testResults
      .filter(
        ({ testExecError, numFailingTests }) =>
          testExecError || numFailingTests > 0,
      )
      .map(({ testFilePath, numPassingTests }) => [
        path.relative(process.cwd(), testFilePath),
        numPassingTests,
      ]),
  );
}

/** Each with the first lines of its error: the whole output may be too long for who reads it. */
function failuresOf({ testFilePath, testExecError, testResults }) {
  const suite = path.relative(process.cwd(), testFilePath);
  if (testExecError) return [describe(suite, testExecError.message)];
  return testResults
    .filter(({ status }) => status === "failed")
    .map(({ fullName, failureMessages }) =>
      describe(`${suite}: ${fullName}`, failureMessages[0]),
    );
}

function describe(name, message = "") {
  const lines = message.split("\n").filter((line) => line.trim() !== "");
  return [name, ...lines.slice(0, 8)].join("\n    ");
}
