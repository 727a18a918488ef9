/**
 * Whether `dist` is what `npm run build` makes of the sources as they are now. The build runs this file before the
 * compiler: what is saved while that runs is newer than the build.
 */
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
/** The hash of what was built. */
const note = path.join(root, "tmp", "built-from");
/** What the build writes last. */
const last = path.join(root, "dist", "client", "node.d.mts");
const SOURCES = [
  "src",
  "bin",
  "config",
  "actions",
  "tasks",
  "initializers",
  "tsconfig.json",
  "package-lock.json",
  "scripts/buildClient.js",
  "scripts/plainImports.js",
];

/** The names of a file, or of all files in a folder. */
function within(name) {
  if (!fs.statSync(path.join(root, name)).isDirectory()) return [name];
  return fs
    .readdirSync(path.join(root, name), { recursive: true })
    .map((file) => path.join(name, file))
    .filter((file) => fs.statSync(path.join(root, file)).isFile())
    .sort();
}

function hashOfSources() {
  const hash = createHash("sha1");
  for (const file of SOURCES.flatMap(within))
    hash.update(`${file}\0`).update(fs.readFileSync(path.join(root, file)));
  return hash.digest("hex");
}

module.exports = function isBuilt() {
  return (
    fs.existsSync(last) &&
    fs.existsSync(note) &&
    fs.readFileSync(note, "utf8") === hashOfSources()
  );
};

if (require.main === module) {
  fs.mkdirSync(path.dirname(note), { recursive: true });
  fs.writeFileSync(note, hashOfSources());
}
