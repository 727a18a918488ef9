/** Type-checks every TypeScript block of the documentation against the sources. */
import * as fs from "node:fs";
import * as path from "node:path";
import * as ts from "typescript";
import { blocksOf, pages } from "../support/documents";
import { repositoryRoot as root } from "../support/temporaryProject";

interface Snippet {
  /** `docs/actions.md:12`: where the block begins. */
  place: string;
  file: string;
  text: string;
}

const snippets = [...blocksOf("ts"), ...blocksOf("js")].map(
  ({ place, language, text }): Snippet => {
    const name = `${place.replace(/\W/g, "_")}.${language}`;
    return { place, file: path.join(root, "src", name), text };
  },
);

/** What `actionhero types` writes in a project with the actions of the blocks, without its effect on all calls. */
const GENERATED = {
  file: path.join(root, "src", "actions.gen.ts"),
  text: `export interface Actions {
    "user:show": { params: { id: number }; response: { name: string } };
  }
  export const routes = { "user:show": ["get", "/users/:id"] } as const;`,
};

test("every block compiles", () => {
  process.stdout.write(`${snippets.length} snippets type-checked\n`);
  expect(snippets.length).toBeGreaterThan(0);
  expect(problemsOf(snippets)).toEqual([]);
}, 120_000);

test("a block that exports a class of the framework is a file as it could be: it exports nothing else", () => {
  const mixed = blocksOf("ts").filter(
    ({ text }) =>
      /^export class \w+ extends (?:Action|CLI|Initializer|Server|Task)\b/m.test(
        text,
      ) && /^export (?!class|interface|type)/m.test(text),
  );
  expect(mixed.map(({ place }) => place)).toEqual([]);
});

test("a block exports no middleware: files of actions export nothing but actions", () => {
  const exporting = blocksOf("ts").filter(({ text }) =>
    /^export const \w+ = (?:auth\.requireUser|rateLimit|defineMiddleware)\(/m.test(
      text,
    ),
  );
  expect(exporting.map(({ place }) => place)).toEqual([]);
});

test("prose calls nothing of `api` that may be undefined without `?.`", () => {
  const calls = pages.flatMap((page) => {
    const text = fs.readFileSync(path.join(root, page), "utf8");
    return text.match(/api\.storedSessions\.\w+\(/g) ?? [];
  });
  expect(calls).toEqual([]);
});

function readExamples() {
  const folder = path.join(root, "examples");
  return fs
    .readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.ts$/.test(name) && !/node_modules|dist/.test(name))
    .map((name) => ({
      place: name,
      text: fs.readFileSync(path.join(folder, name), "utf8"),
    }));
}

test("no action of a block or an example signs in, signs out or writes by GET", () => {
  const actions = [...blocksOf("ts"), ...readExamples()]
    .flatMap(({ place, text }) =>
      text.split(/^(?=export )/m).map((part) => ({ place, text: part })),
    )
    .filter(({ text }) => /defineAction\(|extends Action/.test(text));
  const changing = actions.filter(({ text }) =>
    /\bpassword\b|idempotent: true|store\.(regenerate|destroy)\(|rotateFingerprint\(|\.insert\(|setStatusCode\?\.\(201/.test(
      text,
    ),
  );
  expect(changing.length).toBeGreaterThan(8);
  const reachable = changing.filter(({ text }) => !/httpMethods/.test(text));
  expect(reachable.map(({ place }) => place)).toEqual([]);
});

test("no block, and no example, needs `any`", () => {
  const examples = readExamples();
  expect(examples.length).toBeGreaterThan(5);
  const loose = [...blocksOf("ts"), ...examples].filter(({ text }) =>
    /\bas any\b|: any\b|<any>/.test(text),
  );
  expect(loose.map(({ place }) => place)).toEqual([]);
});

test("the check finds what does not exist, in the package and in its types", () => {
  const file = path.join(root, "src", "wrong.ts");
  const lines = [
    'import { api, Action, nothing } from "actionhero";',
    "api.staticFile.searchLocations.push(5);",
    "export class A extends Action {}",
  ];
  const wrong = { place: "wrong", file, text: lines.join("\n") };
  const script = {
    place: "script",
    file: path.join(root, "src", "script.js"),
    text: 'require("actionhero").nothing();',
  };
  expect(problemsOf([wrong, script])).toHaveLength(4);
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
  const texts = new Map(
    [...checked, GENERATED].map(({ file, text }) => [file, text]),
  );
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    moduleDetection: ts.ModuleDetectionKind.Force,
    paths: {
      actionhero: [path.join(root, "src", "index.ts")],
      "actionhero/legacy": [path.join(root, "src", "legacy", "index.ts")],
      "actionhero/client": [path.join(root, "src", "client", "node.ts")],
    },
    types: ["node", "jest"],
    typeRoots: [path.join(root, "node_modules", "@types")],
    allowJs: true,
    checkJs: true,
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
