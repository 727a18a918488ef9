/**
 * Packs the package as it would be published and checks the tarball: publint, are-the-types-wrong, and its size.
 * The last line is JSON with the figures, so that a change shows in the log of CI.
 */
const { execFileSync, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const root = path.join(__dirname, "..");
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "actionhero-pack-"));

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
  ].every(Boolean);

  const figures = {
    files: entryCount,
    packedBytes: size,
    unpackedBytes: unpackedSize,
    dependencies: Object.keys(dependencies).length,
    installedPackages: countDependencies(),
  };
  console.log(JSON.stringify(figures));
  process.exitCode = healthy ? 0 : 1;
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
