/** The package as it would be published, made from the sources of this moment. */
import { createHash } from "crypto";
import * as fs from "fs";
import * as path from "path";
import { isRunning } from "../../src/environment/env";
import { runOk } from "./runCli";
import { repositoryRoot } from "./temporaryProject";
import { until } from "./until";

const isBuilt = require("../../scripts/isBuilt.js") as () => boolean;
/** Tarballs, named after the hash of what they were made from. */
const KEPT = path.join(repositoryRoot, "tmp", "package");
/** What compiles the package, beside the files that it ships. */
const COMPILED_FROM = [
  "src",
  "bin",
  "initializers",
  "package-lock.json",
  "scripts/buildClient.js",
  "scripts/plainImports.js",
];

/**
 * Compile and pack, without changing the repository's own `dist`, which other tests may be using. Suites that ask at the
 * same time, or later with the same sources, share one tarball.
 * @param folder where a copy of the tarball is put; it is created if it does not exist
 * @returns the path of the copy
 */
export async function packPackage(folder: string): Promise<string> {
  const kept = path.join(KEPT, `${hashOfSources()}.tgz`);
  const lock = `${kept}.lock`;
  fs.mkdirSync(KEPT, { recursive: true });
  await until(() => fs.existsSync(kept) || take(lock), 200_000, lock);
  if (!fs.existsSync(kept))
    await pack(kept).finally(() => fs.rmSync(lock, { force: true }));
  const { name, version } = manifest();
  const copy = path.join(folder, `${name}-${version}.tgz`);
  fs.mkdirSync(folder, { recursive: true });
  fs.copyFileSync(kept, copy);
  return copy;
}

function manifest(): { name: string; version: string; files: string[] } {
  const file = path.join(repositoryRoot, "package.json");
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

/** Names of the files that are shipped as they are. */
function shipped(): string[] {
  return ["package.json", "README.md", "LICENSE", ...manifest().files].filter(
    (name) => name !== "dist" && fs.existsSync(path.join(repositoryRoot, name)),
  );
}

function hashOfSources(): string {
  const hash = createHash("sha1");
  for (const name of [...shipped(), ...COMPILED_FROM].sort()) {
    const source = path.join(repositoryRoot, name);
    if (!fs.existsSync(source)) continue;
    const inside = fs.statSync(source).isDirectory()
      ? (fs.readdirSync(source, { recursive: true }) as string[]).sort()
      : [""];
    for (const file of inside.map((each) => path.join(source, each)))
      if (fs.statSync(file).isFile())
        hash.update(`${file}\0`).update(fs.readFileSync(file));
  }
  return hash.digest("hex");
}

/** @returns whether the lock is ours now; that of a process that has ended is removed for the next try */
function take(lock: string): boolean {
  try {
    fs.writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch {
    const owner = fs.existsSync(lock) ? fs.readFileSync(lock, "utf8") : "";
    if (owner && !isRunning(Number(owner))) discard(lock, owner);
    return false;
  }
}

/** Of several processes that find the lock of one that has ended, one removes it, and none that of a new owner. */
function discard(lock: string, owner: string): void {
  const stale = `${lock}.${process.pid}`;
  try {
    fs.renameSync(lock, stale);
    if (fs.readFileSync(stale, "utf8") === owner) fs.rmSync(stale);
    else fs.renameSync(stale, lock);
  } catch {
    // another process was faster
  }
}

/** @param kept the tarball that is written, whole or not at all */
async function pack(kept: string): Promise<void> {
  const folder = fs.mkdtempSync(path.join(KEPT, "draft-"));
  try {
    const staging = path.join(folder, "package");
    for (const name of shipped())
      fs.cpSync(path.join(repositoryRoot, name), path.join(staging, name), {
        recursive: true,
      });

    await build(path.join(staging, "dist"));
    const packed = await runOk(
      "npm",
      ["pack", "--ignore-scripts", "--json", "--pack-destination", folder],
      { cwd: staging },
    );
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
    for (const name of fs.readdirSync(KEPT))
      if (name.endsWith(".tgz")) fs.rmSync(path.join(KEPT, name));
    fs.renameSync(path.join(folder, filename), kept);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** As `npm run build` does; what that made of these sources is taken as it is. */
async function build(target: string): Promise<void> {
  if (isBuilt()) {
    const dist = path.join(repositoryRoot, "dist");
    fs.cpSync(dist, target, { recursive: true });
    return;
  }
  const tsc = path.join(repositoryRoot, "node_modules/typescript7/bin/tsc");
  await runOk(process.execPath, [tsc, "--outDir", target], {
    cwd: repositoryRoot,
  });
  for (const script of ["plainImports.js", "buildClient.js"]) {
    const file = path.join(repositoryRoot, "scripts", script);
    await runOk(process.execPath, [file, target]);
  }
}
