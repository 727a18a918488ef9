/**
 * Jest calls it before the first suite: compiles the sources of the repository, for the suites and for the processes that
 * they start. Suites themselves are compiled when they run.
 */
const fs = require("node:fs");
const path = require("node:path");
const processes = require("./typescript");
const suites = require("./transform");

const root = path.join(__dirname, "..", "..");
const FOLDERS = ["src", "bin", "config", "actions", "tasks", "initializers"];

module.exports = async () => {
  const files = FOLDERS.flatMap((folder) =>
    fs
      .readdirSync(path.join(root, folder), { recursive: true })
      .filter((name) => /(?<!\.d)\.ts$/.test(name))
      .map((name) => path.join(root, folder, name)),
  );
  await processes.compileAhead(files);
  await suites.compileAhead(files);
};
