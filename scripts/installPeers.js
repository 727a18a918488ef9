/**
 * Runs before `npm test`: installs the packages that the interoperability tests run against (test/interop), unless the
 * installed ones are those of its lock file. Without a registry their suites are left out, except on CI (`CI` is set),
 * where that is a failure.
 */
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const folder = path.join(__dirname, "..", "test", "interop");
const lockFile = path.join(folder, "package-lock.json");
const installedLock = path.join(folder, "node_modules", ".installed-lock.json");

function isInstalled() {
  if (!fs.existsSync(installedLock)) return false;
  return fs.readFileSync(lockFile).equals(fs.readFileSync(installedLock));
}

if (!isInstalled()) {
  console.log("installing the packages of test/interop");
  const { status } = spawnSync(
    "npm",
    ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
    { cwd: folder, stdio: "inherit", shell: process.platform === "win32" },
  );
  if (status === 0) fs.copyFileSync(lockFile, installedLock);
  else if (process.env.CI) process.exit(1);
  else
    console.warn(
      "the packages of test/interop could not be installed: their suites are left out",
    );
}
