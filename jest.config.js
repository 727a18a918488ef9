/** Tests run from source, which test/support/transform.js compiles. */
const os = require("node:os");

module.exports = {
  // suites wait for processes and sockets as often as they compute: two workers leave a fifth of two cores idle;
  // a redis-server has 16 databases, one for each worker
  maxWorkers: Math.min(os.availableParallelism() + 1, 8),
  globalSetup: "<rootDir>/test/support/compileAhead.js",
  testEnvironment: "node",
  testSequencer: "<rootDir>/test/support/sequencer.js",
  reporters: ["default", "<rootDir>/test/support/countsReporter.js"],
  roots: ["<rootDir>/test"],
  testMatch: ["**/*.test.ts"],
  testPathIgnorePatterns: ["/node_modules/", "<rootDir>/test/fixtures/"],
  modulePathIgnorePatterns: ["<rootDir>/dist/", "<rootDir>/test/fixtures/"],
  transform: {
    "^.+\\.ts$": "<rootDir>/test/support/transform.js",
  },
  // what a suite leaves in a worker's memory would make `status` call the next one's server unhealthy
  workerIdleMemoryLimit: "300MB",
  testTimeout: 60000,
};
