/** `npm start`: the compiled server. It is compiled first when `git clone` or `git pull` has brought newer sources. */
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
const entry = path.join(root, "dist", "src", "server.js");

/** What tsconfig.json compiles. */
const SOURCES = ["src", "bin", "config", "actions", "tasks", "initializers"];

/** An install without dev dependencies (`npm ci --omit=dev`) has no compiler. */
function hasCompiler() {
  try {
    require.resolve("typescript");
    return true;
  } catch {
    return false;
  }
}

/** When a file was changed last, in ms since the epoch. */
function changed(file) {
  return fs.statSync(file).mtimeMs;
}

function isCurrent() {
  if (!fs.existsSync(entry)) return false;
  const compiled = changed(entry);
  return SOURCES.every((name) =>
    fs
      .readdirSync(path.join(root, name), { recursive: true })
      .every((file) => changed(path.join(root, name, file)) <= compiled),
  );
}

if (hasCompiler() && !isCurrent()) {
  execFileSync("npm", ["run", "--silent", "build"], {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
}
if (!fs.existsSync(entry)) {
  console.error("dist/ is missing: run `npm run build` first");
  process.exit(1);
}
require(entry);
