/** Compiles TypeScript without looking at types, for projects that tests run as users do after a build. */
import { build } from "esbuild";
import * as fs from "fs";
import * as path from "path";

/** Compile all TypeScript files of these folders below `root` into CommonJS modules below `outDir`. */
export async function compile(
  root: string,
  folders: readonly string[],
  outDir: string,
): Promise<void> {
  const files = folders.flatMap((folder) =>
    fs
      .readdirSync(path.join(root, folder), { recursive: true })
      .map((name) => path.join(root, folder, String(name)))
      .filter((file) => /(?<!\.d)\.ts$/.test(file)),
  );
  await build({
    entryPoints: files,
    outdir: outDir,
    outbase: root,
    format: "cjs",
    platform: "node",
    target: "node20",
    // node would not find the names that a CommonJS module exports
    supported: { "dynamic-import": false },
    logLevel: "error",
    tsconfigRaw: { compilerOptions: { strict: true } }, // strict mode, as the build
  });
}
