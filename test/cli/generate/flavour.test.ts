import * as fs from "fs";
import * as path from "path";
import * as ts from "typescript";
import { adaptSource } from "../../../src/cli/generate/flavour";
import { repositoryRoot } from "../../support/temporaryProject";

const folder = path.join(repositoryRoot, "config");
const sources = fs.readdirSync(folder);

test.each(sources)(
  "config/%s is an ES module, when it is to be one",
  (name) => {
    const text = fs.readFileSync(path.join(folder, name), "utf8");
    const adapted = adaptSource(text, "esm");
    expect(adapted).not.toMatch(/\brequire\(|__dirname|"\.\.\/src"/);
    if (adapted.includes('load("')) expect(adapted).toMatch(/^const load = /m);
    const { diagnostics } = ts.transpileModule(adapted, {
      reportDiagnostics: true,
      compilerOptions: { module: ts.ModuleKind.NodeNext },
    });
    expect(diagnostics).toEqual([]);
  },
);

test("as CommonJS only the import of the package changes", () => {
  const text = fs.readFileSync(path.join(folder, "redis.ts"), "utf8");
  expect(adaptSource(text, "commonjs")).toBe(
    text.replaceAll('"../src"', '"actionhero"'),
  );
});
