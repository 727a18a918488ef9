/** `npm start`: the compiled server. It is compiled first when `git clone` or `git pull` has brought newer sources. */
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const isBuilt = require("./isBuilt");

const root = path.join(__dirname, "..");
const entry = path.join(root, "dist", "src", "server.js");

/** An install without dev dependencies (`npm ci --omit=dev`) has no compiler. */
function hasCompiler() {
  try {
    require.resolve("typescript");
    return true;
  } catch {
    return false;
  }
}

if (hasCompiler() && !isBuilt()) {
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
