/** Prints `tests: N passed, N failed` from a report of jest; a suite that could not run counts as a failed test. */
const fs = require("node:fs");

const file = process.argv[2];
let passed = 0;
let failed = 0;
let finished = false;

if (fs.existsSync(file)) {
  const report = JSON.parse(fs.readFileSync(file, "utf8"));
  passed = report.numPassedTests;
  failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  finished = true;
} else {
  console.error(`no report at ${file}: the tests did not run to their end`);
}

console.log(`tests: ${passed} passed, ${failed} failed`);
process.exit(finished && failed === 0 && passed > 0 ? 0 : 1);
