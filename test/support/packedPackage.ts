/** The package as it would be published, made from the sources of this moment. */
import * as fs from "fs";
import * as path from "path";
import { runOk } from "./runCli";
import { repositoryRoot } from "./temporaryProject";

/**
 * Compile and pack into a folder, without touching the repository's own `dist`, which other tests may be using.
 * @returns the path of the tarball
 */
export async function packPackage(folder: string): Promise<string> {
  const staging = path.join(folder, "package");
  const { files } = JSON.parse(
    fs.readFileSync(path.join(repositoryRoot, "package.json"), "utf8"),
  ) as { files: string[] };
  const copied = ["package.json", "README.md", "LICENSE", ...files];
  for (const name of copied.filter((name) => name !== "dist")) {
    const source = path.join(repositoryRoot, name);
    if (fs.existsSync(source))
      fs.cpSync(source, path.join(staging, name), { recursive: true });
  }

  const tsc = require.resolve("typescript/bin/tsc");
  const outDir = path.join(staging, "dist");
  await runOk(process.execPath, [tsc, "--outDir", outDir], {
    cwd: repositoryRoot,
  });
  const bundle = path.join(repositoryRoot, "scripts/buildClient.js");
  await runOk(process.execPath, [bundle, outDir]);
  const packed = await runOk(
    "npm",
    ["pack", "--ignore-scripts", "--json", "--pack-destination", folder],
    { cwd: staging },
  );
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  return path.join(folder, filename);
}
