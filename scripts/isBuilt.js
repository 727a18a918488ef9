/** Whether `dist` is what `npm run build` makes of the sources as they are now. */
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
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
  "scripts/buildClient.js",
];

/** When a file or folder was changed last, in ms since the epoch. */
function changed(file) {
  return fs.statSync(file).mtimeMs;
}

/** A file, or a folder with all that is in it; folders change when a file in them is deleted. */
function within(name) {
  const top = path.join(root, name);
  if (!fs.statSync(top).isDirectory()) return [top];
  const inside = fs.readdirSync(top, { recursive: true });
  return [top, ...inside.map((file) => path.join(top, file))];
}

module.exports = function isBuilt() {
  if (!fs.existsSync(last)) return false;
  const built = changed(last);
  return SOURCES.flatMap(within).every((file) => changed(file) <= built);
};
