/** The types of the entry load without the optional peers. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { TemporaryProject } from "../support/temporaryProject";

const root = path.resolve(__dirname, "../..");
const { peerDependencies = {} } = JSON.parse(
  fs.readFileSync(path.join(root, "package.json"), "utf8"),
) as { peerDependencies?: Record<string, string> };

test("no declaration that the entry reaches names an optional peer", () => {
  const target = new TemporaryProject({});
  try {
    const compiler = path.join(root, "node_modules/typescript7/bin/tsc");
    execFileSync(process.execPath, [
      ...[compiler, "-p", root, "--emitDeclarationOnly"],
      ...["--outDir", target.path("types")],
    ]);
    const reached = new Map([[target.path("types/src/index.d.ts"), ""]]);
    const wrong: string[] = [];
    for (const [file, from] of reached) {
      const text = fs.readFileSync(file, "utf8");
      for (const [, name] of text.matchAll(
        /(?:from|import\(|require\()\s*"([^"]+)"/g,
      )) {
        if (name in peerDependencies) wrong.push(`${from} > ${file}: ${name}`);
        const next = `${path.resolve(path.dirname(file), name)}.d.ts`;
        if (name.startsWith(".") && fs.existsSync(next) && !reached.has(next))
          reached.set(next, `${from} > ${path.basename(file)}`);
      }
    }
    expect(reached.size).toBeGreaterThan(50);
    expect(wrong).toEqual([]);
  } finally {
    target.remove();
  }
});
