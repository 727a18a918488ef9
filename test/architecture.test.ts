/** The dependency rule: a file imports only from its own folder or from a lower layer, and nothing forms a cycle. */
import * as fs from "fs";
import * as path from "path";
import * as ts from "typescript";

const transform = jest.requireActual<{
  process(text: string, file: string): { code: string };
}>("./support/transform");

const root = path.join(__dirname, "..");

/** Highest first. Folders of one line do not import each other, except in SHARED_LINES. */
const LAYERS: string[][] = [
  ["bin"],
  ["config", "actions", "tasks", "initializers"],
  ["src/index.ts", "src/server.ts", "src/publicUtils.ts"],
  ["src/cli"],
  ["src/testing", "src/development"],
  ["src/boot"],
  ["src/server/web", "src/server/websocket", "src/server/socket"],
  ["src/server"],
  ["src/task", "src/route", "src/auth"],
  ["src/action", "src/staticFile"],
  ["src/context", "src/metrics"],
  ["src/connection"],
  [
    "src/chat",
    "src/cache",
    "src/resque",
    "src/cluster",
    "src/health",
    "src/overload",
    "src/session",
  ],
  ["src/redis"],
  ["src/input", "src/middleware", "src/cookie"],
  ["src/tracing"],
  ["src/exposure"],
  ["src/log"],
  ["src/config"],
  ["src/environment"],
  ["src/api.ts", "src/errors.ts", "src/utils"],
];

/** Lines whose members may import one another: the entry files, and the bottom. */
const SHARED_LINES = [2, LAYERS.length - 1];

/** The list of built-in servers is the one place that looks up, to the classes it lists. */
const ALLOWED_UPWARD: Record<string, string[]> = {
  "src/server/registry.ts": [
    "src/server/web",
    "src/server/websocket",
    "src/server/socket",
  ],
};

/** Code that stands on its own: built for browsers and bundlers, or imported by nobody. */
const STANDALONE = ["src/client", "src/legacy", "src/assets"];

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
  /** By a call in a function, not while the file loads. */
  isLate: boolean;
}

const files = ["src", "bin", "config", "actions", "tasks", "initializers"]
  .flatMap((folder) => listFiles(path.join(root, folder)))
  .map((file) => path.relative(root, file));
const imports = files.flatMap(importsOf);

test("the sources are found", () => {
  expect(files.length).toBeGreaterThan(250);
  expect(imports.length).toBeGreaterThan(1000);
});

test("a file imports only from its own folder or a lower layer", () => {
  const wrong = imports.filter(({ from, to }) => !isAllowed(from, to));
  expect(wrong.map(describeImport)).toEqual([]);
});

test("nothing inside src imports the public barrel", () => {
  const wrong = imports.filter(
    ({ from, to }) =>
      to === "src/index.ts" &&
      from.startsWith("src/") &&
      !(from === "src/server.ts"),
  );
  expect(wrong.map(describeImport)).toEqual([]);
});

test("files that generated projects copy import only ../src, and config only types of it", () => {
  const copied = /^(config|actions|tasks)\//;
  const wrong = imports.filter(
    ({ from, to, typeOnly }) =>
      copied.test(from) &&
      (to !== "src/index.ts" || (from.startsWith("config/") && !typeOnly)),
  );
  expect(wrong.map(describeImport)).toEqual([]);
});

/** `_toExpand` and `_arguments` are version 29's, `_test` is a key in redis, `_zod` is what zod documents for authors of libraries. */
const OWN_UNDERSCORES = ["_toExpand", "_arguments", "_test", "_zod"];

/** Members without a public equivalent, and what is missing where they do not exist, as in other runtimes. */
const INTERNALS: Record<string, string[]> = {
  // the bytes that the system has taken: the progress of readers is not measured
  "src/server/outbox.ts": ["_handle"],
  // the header lines of an incomplete request: they are counted when the request is complete
  "src/server/web/heads.ts": ["_headers"],
  // the response that is being written: the connection does not wait for its end
  "src/server/handOver.ts": ["_httpMessage"],
  // unfinished messages, of `ws`: test/server/heldBytes.test.ts fails with a version that names them otherwise
  "src/server/websocket/spark.ts": [
    "_receiver",
    "_buffers",
    "_bufferedBytes",
    "_fragments",
    "_messageLength",
    // what a message may be inflated to: test/server/websocket/lifecycle.test.ts fails with such a version
    "_totalPayloadLength",
    "_extensions",
    "_maxPayload",
  ],
};

test("members of node or of a library that begin with an underscore are used only where they are listed", () => {
  const used: Record<string, string[]> = {};
  for (const file of files) {
    const names = underscoresOf(file).filter(
      (name) => !OWN_UNDERSCORES.includes(name),
    );
    if (names.length > 0) used[file] = names.sort();
  }
  const listed = Object.entries(INTERNALS).map(
    ([file, names]) => [file, [...names].sort()] as const,
  );
  expect(used).toEqual(Object.fromEntries(listed));
});

/** The names of members that a file reads, or declares that objects have. */
function underscoresOf(file: string): string[] {
  const names = new Set<string>();
  const add = (name: ts.Node) => {
    const text = ts.isStringLiteralLike(name)
      ? name.text
      : ts.isIdentifier(name)
        ? name.text
        : "";
    if (/^_[a-z]/.test(text)) names.add(text);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node)) add(node.name);
    if (ts.isElementAccessExpression(node)) add(node.argumentExpression);
    if (ts.isPropertySignature(node)) add(node.name);
    if (ts.isBindingElement(node) && ts.isObjectBindingPattern(node.parent))
      add(node.propertyName ?? node.name);
    ts.forEachChild(node, visit);
  };
  visit(parse(file));
  return [...names];
}

test("imports form no cycle", () => {
  const graph = new Map<string, string[]>();
  for (const { from, to, typeOnly } of imports) {
    if (!typeOnly) graph.set(from, [...(graph.get(from) ?? []), to]);
  }
  expect(findCycle(graph)).toBeUndefined();
});

/** Files that are loaded without a project (commands like `generate`), or by a process of their own. */
const LOADED_ALONE =
  /^bin\/|^src\/(?:resque\/|redis\/(?:failover|commands)\.ts|log\/escape\.ts|client\/|environment\/)/;

/** The files of commands are all loaded for each command. */
const COMMAND = /^(?:bin|src\/cli)\//;

test("what is loaded without a project does not load the configuration", () => {
  const reached = new Set(files.filter((file) => LOADED_ALONE.test(file)));
  expect(reached.size).toBeGreaterThan(30);
  const chains = new Map<string, string>();
  for (const file of reached) {
    for (const { from, to, typeOnly, isLate } of imports) {
      if (from !== file || typeOnly || reached.has(to)) continue;
      if (isLate && COMMAND.test(from)) continue; // commands load a project's configuration when they run
      chains.set(to, `${chains.get(file) ?? file} > ${to}`);
      reached.add(to); // what is added to a set is visited, too
    }
  }
  expect(chains.get("src/config/config.ts")).toBeUndefined();
});

test("the cycle finder finds a planted cycle", () => {
  const graph = new Map([
    ["a", ["b"]],
    ["b", ["c"]],
    ["c", ["a"]],
  ]);
  expect(findCycle(graph)).toEqual(["a", "b", "c", "a"]);
});

test("the suites run the framework in strict mode, as its build does", () => {
  const file = path.join(root, "src", "errors.ts");
  const { code } = transform.process(fs.readFileSync(file, "utf8"), file);
  expect(code).toMatch(/^"use strict";/);
});

describe("the four journeys of docs/architecture.md", () => {
  const text = fs.readFileSync(
    path.join(root, "docs", "architecture.md"),
    "utf8",
  );
  const [, journeys = ""] = text.split("## Four journeys");
  const steps = journeys
    .split("\n## ")[0]
    .split(/\n(?=\d+\. )/)
    .filter((step) => /^\d+\. /.test(step));
  const named = (step: string) =>
    [...step.matchAll(/`(src\/[\w/]+\.ts)`/g)].map(([, file]) => file);

  test("each step names files that exist", () => {
    expect(steps.length).toBeGreaterThan(15);
    for (const step of steps) {
      expect(named(step).length).toBeGreaterThan(0);
      for (const file of named(step)) expect(files).toContain(file);
    }
  });

  test("a function that a step names is defined in one of its files", () => {
    const missing = steps.flatMap((step) => {
      const defined = new Set(named(step).flatMap(functionsOf));
      return [...step.matchAll(/`(\w+)\(\)`/g)]
        .map(([, name]) => name)
        .filter((name) => !defined.has(name));
    });
    expect(missing).toEqual([]);
  });

  test("a call is no definition", () => {
    expect(functionsOf("src/server/web/webServer.ts")).toContain("accept");
    expect(functionsOf("src/server/web/webServer.ts")).not.toContain(
      "routeRequest",
    );
  });
});

test("files that comments and CONTRIBUTING.md name exist", () => {
  const ofProjects = ["actions.gen.ts"];
  const known = new Set([
    ...files.map((file) => path.basename(file)),
    ...listFiles(path.join(root, "test")).map((file) => path.basename(file)),
    ...ofProjects,
  ]);
  const texts = files
    .map((file) => ({ file, lines: linesOf(file).filter(isComment) }))
    .concat({ file: "CONTRIBUTING.md", lines: linesOf("CONTRIBUTING.md") });
  const missing = texts.flatMap(({ file, lines }) =>
    lines
      .flatMap((line) => [...line.matchAll(/`([\w/.-]+(?<!\.d)\.ts)`/g)])
      .filter(([, name]) => !known.has(path.basename(name)))
      .map(([, name]) => `${file}: ${name}`),
  );
  expect(missing).toEqual([]);
});

function linesOf(file: string): string[] {
  return fs.readFileSync(path.join(root, file), "utf8").split("\n");
}

function isComment(line: string): boolean {
  return /^\s*(\*|\/[/*])/.test(line);
}

function listFiles(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return listFiles(full);
    return /\.ts$/.test(entry.name) && !/\.d\.ts$/.test(entry.name)
      ? [full]
      : [];
  });
}

function parse(file: string): ts.SourceFile {
  return ts.createSourceFile(
    file,
    fs.readFileSync(path.join(root, file), "utf8"),
    ts.ScriptTarget.ES2022,
    true,
  );
}

function importsOf(file: string): Import[] {
  const source = parse(file);
  const found: Import[] = [];
  const add = (
    specifier: ts.Expression | undefined,
    typeOnly: boolean,
    isLate = false,
  ) => {
    if (!specifier || !ts.isStringLiteral(specifier)) return;
    if (!specifier.text.startsWith(".")) return;
    const to = resolve(file, specifier.text);
    if (to !== undefined) found.push({ from: file, to, typeOnly, isLate });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, isTypeOnlyImport(node.importClause));
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, isTypeOnlyExport(node));
    } else if (
      ts.isCallExpression(node) &&
      (node.expression.kind === ts.SyntaxKind.ImportKeyword ||
        (ts.isIdentifier(node.expression) &&
          node.expression.text === "require"))
    ) {
      add(node.arguments[0], false, isInFunction(node));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The names of the functions and methods that a file defines. */
function functionsOf(file: string): string[] {
  const source = parse(file);
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    const isDefinition =
      ts.isFunctionDeclaration(node) ||
      ts.isMethodDeclaration(node) ||
      (ts.isVariableDeclaration(node) &&
        node.initializer !== undefined &&
        ts.isFunctionLike(node.initializer)) ||
      (ts.isPropertyAssignment(node) && ts.isFunctionLike(node.initializer));
    if (isDefinition && node.name) names.push(node.name.getText(source));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return names;
}

function isInFunction(node: ts.Node): boolean {
  return ts.findAncestor(node, ts.isFunctionLike) !== undefined;
}

function isTypeOnlyImport(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const bindings = clause.namedBindings;
  if (clause.name || !bindings || !ts.isNamedImports(bindings)) return false;
  return bindings.elements.every((element) => element.isTypeOnly);
}

function isTypeOnlyExport(node: ts.ExportDeclaration): boolean {
  if (node.isTypeOnly) return true;
  const clause = node.exportClause;
  if (!clause || !ts.isNamedExports(clause)) return false;
  return clause.elements.every((element) => element.isTypeOnly);
}

function resolve(file: string, specifier: string): string | undefined {
  const base = path.join(path.dirname(file), specifier.replace(/\.js$/, ""));
  return [`${base}.ts`, path.join(base, "index.ts")].find((candidate) =>
    fs.existsSync(path.join(root, candidate)),
  );
}

function layerOf(file: string): { line: number; member: string } | undefined {
  let best: { line: number; member: string } | undefined;
  LAYERS.forEach((members, line) => {
    for (const member of members) {
      const matches = file === member || file.startsWith(`${member}/`);
      if (matches && (!best || member.length > best.member.length))
        best = { line, member };
    }
  });
  return best;
}

function isAllowed(from: string, to: string): boolean {
  const alone = STANDALONE.find((folder) => from.startsWith(`${folder}/`));
  if (alone === "src/client") return to.startsWith("src/client/");
  if (alone) return true;
  const source = layerOf(from);
  const target = layerOf(to);
  if (!source || !target) return false;
  if (source.member === target.member) return true;
  if (source.line === target.line) return SHARED_LINES.includes(source.line);
  if (source.line < target.line) return true;
  return (ALLOWED_UPWARD[from] ?? []).includes(target.member);
}

function describeImport({ from, to }: Import): string {
  return `${from} -> ${to}`;
}

/** The first cycle met, its first file repeated at the end. */
function findCycle(graph: Map<string, string[]>): string[] | undefined {
  const done = new Set<string>();
  const trail: string[] = [];

  const visit = (node: string): string[] | undefined => {
    const seenAt = trail.indexOf(node);
    if (seenAt !== -1) return [...trail.slice(seenAt), node];
    if (done.has(node)) return undefined;
    trail.push(node);
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next);
      if (cycle) return cycle;
    }
    trail.pop();
    done.add(node);
    return undefined;
  };

  for (const node of graph.keys()) {
    const cycle = visit(node);
    if (cycle) return cycle;
  }
  return undefined;
}
