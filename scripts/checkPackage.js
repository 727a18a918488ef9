/**
 * Packs the package as it would be published and checks the tarball: publint, are-the-types-wrong, and its size.
 * The last line is JSON with the figures, so that a change shows in the log of CI.
 */
const { execFileSync, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const { filesToChange } = require("./plainImports");

const root = path.join(__dirname, "..");
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "actionhero-pack-"));

/** Files that src/index.ts imports before it replaces its `require`, and what they import. */
const MAX_SEARCHED = 4;

function tool(name, ...args) {
  const entry = path.join(root, "node_modules", ".bin", name);
  const { status } = spawnSync(entry, args, { cwd: root, stdio: "inherit" });
  return status === 0;
}

/** Packages that an install brings along, with all that they need in turn. */
function countDependencies() {
  const lock = JSON.parse(
    fs.readFileSync(path.join(root, "package-lock.json"), "utf8"),
  );
  return Object.entries(lock.packages).filter(
    ([name, entry]) => name !== "" && !entry.dev && !entry.optional,
  ).length;
}

/** The same figures of version 29, which the tests of interoperability install; undefined without it. */
function figuresOf29() {
  const modules = path.join(root, "test", "interop", "node_modules");
  const home = path.join(modules, "actionhero");
  if (!fs.existsSync(home)) return undefined;
  const files = fs
    .readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !path.relative(home, file).includes("node_modules"));
  const { dependencies } = readJson(path.join(home, "package.json"));
  return {
    files: files.length,
    unpackedBytes: files.reduce((sum, file) => sum + fs.statSync(file).size, 0),
    dependencies: Object.keys(dependencies).length,
    installedPackages: countNeeded(modules, home),
  };
}

/** The packages that one needs, and those that they need, as Node finds them. */
function countNeeded(modules, home) {
  const found = new Set();
  const waiting = [home];
  while (waiting.length > 0) {
    const folder = waiting.pop();
    const { dependencies = {} } = readJson(path.join(folder, "package.json"));
    for (const name of Object.keys(dependencies)) {
      const nested = path.join(folder, "node_modules", name);
      const target = fs.existsSync(nested) ? nested : path.join(modules, name);
      if (found.has(target) || !fs.existsSync(target)) continue;
      found.add(target);
      waiting.push(target);
    }
  }
  return found.size;
}

/** Whether the build has replaced the copies of node's modules (plainImports.js). */
function hasPlainImports() {
  const left = filesToChange();
  for (const [file] of left)
    console.error(`${path.relative(root, file)} copies modules of node`);
  return left.length === 0;
}

/** Prints the relative names that node's own loader gets from files of the package, once it is loaded. */
const COUNT = `
  const Module = require("node:module");
  const load = Module._load;
  const seen = [];
  Module._load = function (name, parent) {
    if (name.startsWith(".") && parent?.filename?.startsWith(process.argv[1])) seen.push(name);
    return load.apply(this, arguments);
  };
  require(process.argv[1] + "/src/index.js");
  console.log(JSON.stringify(seen));`;

/** Whether the index loads all but its first files by ownRequire, past node's search. */
function loadsByOwnRequire() {
  const output = execFileSync(
    process.execPath,
    ["-e", COUNT, path.join(root, "dist")],
    {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, NODE_OPTIONS: "", NODE_COMPILE_CACHE: "" },
    },
  );
  const names = JSON.parse(output);
  if (names.length <= MAX_SEARCHED) return true;
  console.error(`node searched for ${names.length} files: ${names.join(", ")}`);
  return false;
}

function readJson(file) {
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

function pack() {
  const output = execFileSync(
    "npm",
    ["pack", "--ignore-scripts", "--json", "--pack-destination", folder],
    { cwd: root, encoding: "utf8" },
  );
  return JSON.parse(output)[0];
}

try {
  const { filename, entryCount, size, unpackedSize } = pack();
  const tarball = path.join(folder, filename);
  const { dependencies } = require("../package.json");

  const healthy = [
    tool("publint", tarball, "--strict"),
    tool("attw", tarball, "--format", "table-flipped"),
    hasPlainImports(),
    loadsByOwnRequire(),
  ].every(Boolean);

  const figures = {
    files: entryCount,
    packedBytes: size,
    unpackedBytes: unpackedSize,
    dependencies: Object.keys(dependencies).length,
    installedPackages: countDependencies(),
  };
  console.table({ "this version": figures, "version 29": figuresOf29() });
  console.log(JSON.stringify(figures));
  process.exitCode = healthy ? 0 : 1;
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
