/** Tests run from source through ts-jest; each file is transpiled on its own (`npm run lint` checks the types). */
const os = require("node:os");

module.exports = {
  // suites wait for processes and sockets as often as they compute: two workers leave a fifth of two cores idle;
  // a redis-server has 16 databases, one for each worker
  maxWorkers: Math.min(os.availableParallelism() + 1, 8),
  globalSetup: "<rootDir>/test/support/typescript.js",
  testEnvironment: "node",
  reporters: ["default", "<rootDir>/test/support/countsReporter.js"],
  roots: ["<rootDir>/test"],
  testMatch: ["**/*.test.ts"],
  testPathIgnorePatterns: ["/node_modules/", "<rootDir>/test/fixtures/"],
  modulePathIgnorePatterns: ["<rootDir>/dist/", "<rootDir>/test/fixtures/"],
  transform: {
    "^.+\\.ts$": ["ts-jest", { tsconfig: "<rootDir>/test/tsconfig.json" }],
  },
  // what a suite leaves in a worker's memory would make `status` call the next one's server unhealthy
  workerIdleMemoryLimit: "300MB",
  testTimeout: 60000,
};
