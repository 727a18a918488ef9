/** Type-checks every TypeScript block of the documentation against the sources. */
import * as fs from "node:fs";
import * as path from "node:path";
import * as ts from "typescript";

const root = path.join(__dirname, "..", "..");

interface Snippet {
  /** `docs/actions.md:12`: where the block begins. */
  place: string;
  file: string;
  text: string;
}

const pages = [
  "README.md",
  ...fs.readdirSync(path.join(root, "docs")).map((name) => `docs/${name}`),
].filter((page) => page.endsWith(".md"));

const snippets = pages.flatMap(snippetsOf);

function snippetsOf(page: string): Snippet[] {
  const found: Snippet[] = [];
  const text = fs.readFileSync(path.join(root, page), "utf8");
  for (const match of text.matchAll(/^```(?:ts|typescript)\n(.*?)^```/gms)) {
    const line = text.slice(0, match.index).split("\n").length;
    const name = `${page.replace(/\W/g, "_")}_${line}.ts`;
    const file = path.join(root, "src", name);
    found.push({ place: `${page}:${line}`, file, text: match[1] });
  }
  return found;
}

test("every block compiles", () => {
  process.stdout.write(`${snippets.length} snippets type-checked\n`);
  expect(snippets.length).toBeGreaterThan(0);
  expect(problemsOf(snippets)).toEqual([]);
}, 120_000);

test("the check finds what does not exist, in the package and in its types", () => {
  const file = path.join(root, "src", "wrong.ts");
  const lines = [
    'import { api, Action, nothing } from "actionhero";',
    "api.staticFile.searchLocations.push(5);",
    "export class A extends Action {}",
  ];
  const wrong = { place: "wrong", file, text: lines.join("\n") };
  expect(problemsOf([wrong])).toHaveLength(3);
}, 120_000);

test("every link between the pages leads somewhere", () => {
  const broken: string[] = [];
  for (const page of pages) {
    const text = fs.readFileSync(path.join(root, page), "utf8");
    for (const [, target] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(target)) continue;
      const file = path.join(root, path.dirname(page), target);
      if (!fs.existsSync(file)) broken.push(`${page}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

/** What TypeScript says against them, under `strict` and with the default configuration. */
function problemsOf(checked: Snippet[]): string[] {
  const texts = new Map(checked.map(({ file, text }) => [file, text]));
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    moduleDetection: ts.ModuleDetectionKind.Force,
    paths: {
      actionhero: [path.join(root, "src", "index.ts")],
      "actionhero/legacy": [path.join(root, "src", "legacy", "index.ts")],
    },
    types: ["node", "jest"],
    typeRoots: [path.join(root, "node_modules", "@types")],
    strict: true,
    skipLibCheck: true,
    noEmit: true,
  };
  const host = ts.createCompilerHost(options);
  const plain = ts.createCompilerHost(options);
  host.readFile = (file) => texts.get(file) ?? plain.readFile(file);
  host.fileExists = (file) => texts.has(file) || plain.fileExists(file);
  host.getSourceFile = (file, version, ...rest) => {
    const text = texts.get(file);
    return text === undefined
      ? plain.getSourceFile(file, version, ...rest)
      : ts.createSourceFile(file, text, version, true);
  };
  const configs = fs
    .readdirSync(path.join(root, "config"))
    .map((name) => path.join(root, "config", name));
  const program = ts.createProgram(
    [...configs, ...texts.keys()],
    options,
    host,
  );

  const problems: string[] = [];
  for (const { file, place } of checked) {
    const source = program.getSourceFile(file)!;
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ];
    for (const { messageText, start } of found) {
      const { line } = source.getLineAndCharacterOfPosition(start ?? 0);
      const message = ts.flattenDiagnosticMessageText(messageText, "\n");
      problems.push(`${place}, line ${line + 1} of the block: ${message}`);
    }
  }
  return problems;
}
