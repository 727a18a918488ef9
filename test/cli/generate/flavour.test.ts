import * as fs from "fs";
import * as path from "path";
import * as ts from "typescript";
import { adaptSource } from "../../../src/cli/generate/templates";
import {
  generatedProject,
  generateQuietly,
  linkedProject,
} from "../../support/generatedProject";
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

test("nothing that a project of ES modules has needs what only CommonJS has", () => {
  const project = generatedProject({ esm: true });
  try {
    const files = fs
      .readdirSync(project.path("src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"));
    expect(files).toContain("server.ts");
    const left = files.filter((file) =>
      /\b__dirname\b|\brequire\(/.test(
        fs.readFileSync(project.path(`src/${file}`), "utf8"),
      ),
    );
    expect(left).toEqual([]);
  } finally {
    project.remove();
  }
});

test.each([
  [{ esm: true }, "module"],
  [{}, "commonjs"],
])("after `npm init`, generate %j makes the type %s", (options, type) => {
  const initialised = { name: "made", version: "1.0.0", type: "commonjs" };
  const project = generatedProject(options, {
    "package.json": JSON.stringify(initialised),
  });
  try {
    const text = fs.readFileSync(project.path("package.json"), "utf8");
    expect(JSON.parse(text)).toMatchObject({ ...initialised, type });
  } finally {
    project.remove();
  }
});

test.each([
  ["src/server.ts", { type: "commonjs" }],
  ["index.js", {}],
])("ES modules are not generated beside %s of %j", (file, type) => {
  const text = JSON.stringify({ name: "made", ...type });
  const project = linkedProject({ "package.json": text, [file]: "" });
  try {
    expect(() => generateQuietly(project.root, { esm: true })).toThrow(
      `has CommonJS sources (${path.basename(file)})`,
    );
    expect(fs.readFileSync(project.path("package.json"), "utf8")).toBe(text);
    expect(fs.existsSync(project.path("tsconfig.json"))).toBe(false);
  } finally {
    project.remove();
  }
});

test("a project of ES modules may be generated again", () => {
  const project = generatedProject({ esm: true });
  try {
    expect(() => generateQuietly(project.root, { esm: true })).not.toThrow();
  } finally {
    project.remove();
  }
});
