/** `npm run bench -- <name> [options]`: runs bench/<name>.ts against the compiled project. */
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const [name, ...options] = process.argv.slice(2);
const names = fs
  .readdirSync(__dirname)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => path.basename(file, ".ts"));

if (!names.includes(name)) {
  console.error(`usage: npm run bench -- <${names.join(" | ")}>`);
  process.exit(1);
}
if (!fs.existsSync(path.join(__dirname, "../dist/src/index.js"))) {
  console.error("run `npm run build` first: benchmarks measure dist");
  process.exit(1);
}
if (!fs.existsSync(path.join(__dirname, "node_modules"))) {
  console.error("run `npm ci` in bench/ first: it holds the peers");
  process.exit(1);
}
const { status } = spawnSync(
  process.execPath,
  ["--import", "tsx", path.join(__dirname, `${name}.ts`), ...options],
  { stdio: "inherit", cwd: path.join(__dirname, "..") },
);
process.exit(status ?? 1);
