/** A reporter of jest: leaves the numbers of tests that passed and failed in tmp/test-counts.json, for .ci/run. */
const fs = require("node:fs");
const path = require("node:path");

const file = path.join(__dirname, "..", "..", "tmp", "test-counts.json");

module.exports = class CountsReporter {
  onRunStart() {
    fs.rmSync(file, { force: true });
  }

  onRunComplete(_contexts, results) {
    const counts = {
      passed: results.numPassedTests,
      // a suite that could not run counts as a failed test
      failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
    };
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, JSON.stringify(counts));
  }
};
