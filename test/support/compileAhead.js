/**
 * Jest calls it before the first suite: compiles the sources of the repository, for the suites and for the processes that
 * they start. Suites themselves are compiled when they run, unless all of them do: then each worker would load TypeScript
 * again and again, which takes longer than to compile.
 */
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { isMainThread, Worker, workerData } = require("node:worker_threads");
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

function filesOf(folder) {
  return fs
    .readdirSync(path.join(root, folder), { recursive: true })
    .filter((name) => /(?<!\.d)\.ts$/.test(name))
    .map((name) => path.join(root, folder, name));
}

/** Compile the files of the tests, in as many threads as there are processors. */
async function compileTests() {
  const others = /[\\/](?:node_modules|fixtures|interop)[\\/]/;
  const files = filesOf("test").filter((file) => !others.test(file));
  const count = os.availableParallelism();
  const shares = Array.from({ length: count }, (_, share) =>
    files.filter((_, index) => index % count === share),
  );
  await Promise.all(
    shares.map(
      (share) =>
        new Promise((resolve, reject) => {
          new Worker(__filename, { workerData: share })
            .once("error", reject)
            .once("exit", resolve);
        }),
    ),
  );
}

module.exports = async ({ nonFlagArgs }) => {
  forgetOld();
  const files = FOLDERS.flatMap(filesOf);
  await processes.compileAhead(files);
  await suites.compileAhead(files);
  if (nonFlagArgs.length === 0) await compileTests();
};

if (!isMainThread)
  for (const file of workerData)
    suites.process(fs.readFileSync(file, "utf8"), file);
