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

const KEPT = path.join(root, "tmp", "typescript");
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

/** Each edit of a source leaves a file there, which nobody needs again. */
function forgetOld() {
  if (!fs.existsSync(KEPT)) return;
  for (const name of fs.readdirSync(KEPT)) {
    const file = path.join(KEPT, name);
    const { mtimeMs } = fs.statSync(file, { throwIfNoEntry: false }) ?? {};
    if (Date.now() - mtimeMs > WEEK_MS) fs.rmSync(file, { force: true });
  }
}

module.exports = async () => {
  forgetOld();
  const files = FOLDERS.flatMap((folder) =>
    fs
      .readdirSync(path.join(root, folder), { recursive: true })
      .filter((name) => /(?<!\.d)\.ts$/.test(name))
      .map((name) => path.join(root, folder, name)),
  );
  await processes.compileAhead(files);
  await suites.compileAhead(files);
};
