/**
 * Runs after `npm ci`/`npm install` in the repository and before `npm pack`: builds `dist/`.
 * An install without dev dependencies (`npm ci --omit=dev`) has no compiler and keeps what is there.
 */
const { execFileSync } = require("node:child_process");

function hasCompiler() {
  try {
    require.resolve("typescript");
    return true;
  } catch {
    return false;
  }
}

if (hasCompiler()) {
  execFileSync("npm", ["run", "--silent", "build"], {
    stdio: "inherit",
    shell: process.platform === "win32",
  });
}
