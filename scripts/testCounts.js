/** Prints `tests: N passed, N failed` from what the last `npm test` left in tmp/test-counts.json; exits with 1 unless all passed. */
const fs = require("node:fs");
const path = require("node:path");

const file = path.join(__dirname, "..", "tmp", "test-counts.json");
const finished = fs.existsSync(file);
const { passed, failed } = finished
  ? JSON.parse(fs.readFileSync(file, "utf8"))
  : { passed: 0, failed: 0 };

if (!finished)
  console.error(`${file} does not exist: the tests did not run to their end`);
console.log(`tests: ${passed} passed, ${failed} failed`);
process.exit(finished && failed === 0 && passed > 0 ? 0 : 1);
