/**
 * Runs the suites of one tier by jest: `node scripts/testTier.js unit|integration|package [parts of paths] [jest options]`;
 * an option with a value is written with `=`.
 *
 * `package` is what installs and runs the packed package (test/package). Of the others, a suite is of the tier `unit`
 * when neither it nor the support that it imports starts a process, a server or the framework, and of the tier
 * `integration` otherwise. The rule reads the sources of the tests, so that no list is to be kept.
 */
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
/** Modules and names by which tests start something. */
const STARTS =
  /(?:from|require\() *"(?:(?:node:)?(?:child_process|cluster|net|tls|http|https|worker_threads)|playwright-core|ws)"|\bnew Process\(|\bspecHelper\b/;
const IMPORTED = /(?:from|require\(|import\() *"(\.{1,2}\/[^"]+)"/g;

/** Whether a file of `test`, or one that it imports from there, starts something; by path. */
const known = new Map();

function starts(file) {
  if (known.has(file)) return known.get(file);
  known.set(file, false); // files may import each other
  const text = fs.readFileSync(file, "utf8");
  const found =
    STARTS.test(text) ||
    [...text.matchAll(IMPORTED)].some(([, name]) => {
      const imported = resolve(path.join(path.dirname(file), name));
      return imported !== undefined && starts(imported);
    });
  known.set(file, found);
  return found;
}

/** The file in `test` that an import means; what is in `src` starts nothing by being imported. */
function resolve(name) {
  if (!name.startsWith(path.join(root, "test") + path.sep)) return undefined;
  return [name, `${name}.ts`, `${name}.js`, path.join(name, "index.ts")].find(
    (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile(),
  );
}

function tierOf(file) {
  if (path.relative(root, file).startsWith(path.join("test", "package")))
    return "package";
  return starts(file) ? "integration" : "unit";
}

function suitesOf(tier) {
  const folder = path.join(root, "test");
  return fs
    .readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .filter((name) => !/(^|[\\/])(node_modules|fixtures)[\\/]/.test(name))
    .map((name) => path.join(folder, name))
    .filter((file) => tierOf(file) === tier);
}

const [tier, ...rest] = process.argv.slice(2);
const options = rest.filter((argument) => argument.startsWith("-"));
const parts = rest.filter((argument) => !argument.startsWith("-"));
const suites = suitesOf(tier).filter(
  (file) => parts.length === 0 || parts.some((part) => file.includes(part)),
);
if (suites.length === 0) {
  console.error(
    parts.length > 0
      ? `no suite of the tier "${tier}" has a path with ${parts.join(" or ")}`
      : `there is no tier "${tier}": unit, integration or package`,
  );
  process.exit(1);
}
const jest = require.resolve("jest/bin/jest");
const { status } = spawnSync(
  process.execPath,
  [jest, ...options, "--runTestsByPath", ...suites],
  { cwd: root, stdio: "inherit" },
);
process.exit(status ?? 1);
