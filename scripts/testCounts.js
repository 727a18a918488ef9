/**
 * Prints what failed in the last `npm test`, as it left it in tmp/test-counts.json, and `tests: N passed, N failed`;
 * exits with 1 unless all passed.
 */
const fs = require("node:fs");
const path = require("node:path");

const file = path.join(__dirname, "..", "tmp", "test-counts.json");
const finished = fs.existsSync(file);
const { passed, failed, failures, unsteady } = finished
  ? JSON.parse(fs.readFileSync(file, "utf8"))
  : { passed: 0, failed: 0, failures: [] };

if (!finished)
  console.error(`${file} does not exist: the tests did not run to their end`);
for (const failure of unsteady ?? [])
  console.log(
    `failed in the whole run, see below for the run alone: ${failure}`,
  );
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`tests: ${passed} passed, ${failed} failed`);
process.exit(finished && failed === 0 && passed > 0 ? 0 : 1);
