/**
 * Starts the longest suites first, so that none of them is left running alone at the end. jest itself knows their times
 * only from the last run, which a clean clone has not had.
 */
const Sequencer = require("@jest/test-sequencer").default;

/** Parts of paths: what installs and compiles whole projects, and then what takes more than 20 s. The longest first. */
const LONG = [
  "/test/package/journey",
  "/test/package/consumers",
  "/test/package/",
  "/test/public/",
  "/test/cli/",
  "/test/hostile/",
  "/test/resque/",
  "/test/examples/",
  "/test/docs/",
];

function rank(file) {
  const found = LONG.findIndex((part) => file.includes(part));
  return found < 0 ? LONG.length : found;
}

module.exports = class LongestFirst extends Sequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    if (sorted.some(({ duration }) => duration !== undefined)) return sorted;
    return sorted.sort((a, b) => rank(a.path) - rank(b.path));
  }
};
