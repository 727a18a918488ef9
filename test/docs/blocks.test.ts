/** Checks the other blocks of the documentation: JavaScript and JSON by their syntax, sh also by the commands it names. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import * as ts from "typescript";
import { projectPackageJson } from "../../src/cli/generate/packageJson";
import { joinSpacedName } from "../../src/cli/runner";
import { blocks, blocksOf, pages, type Block } from "../support/documents";
import { runCli } from "../support/runCli";
import { repositoryRoot } from "../support/temporaryProject";

/** What a page would run, without what is around it. */
function inlineScripts(block: Block): Block {
  const scripts = block.text.matchAll(/<script>(.*?)<\/script>/gs);
  return { ...block, text: [...scripts].map(([, code]) => code).join("\n") };
}

/** Who sees to the blocks of a language. */
const CHECKED: Record<string, string> = {
  ts: "type-checked by snippets.test.ts",
  js: "type-checked by snippets.test.ts",
  json: "parsed here",
  html: "parsed here",
  sh: "run by journey.test.ts and clone.test.ts of test/package",
  transcript: "replayed by the tests of its server",
  "": "what is shown, not to be run",
};

test("every block is in a language that is checked", () => {
  const counts = Object.entries(CHECKED).map(
    ([language, how]) =>
      `${blocksOf(language).length} ${language || "without a language"} (${how})`,
  );
  process.stdout.write(`blocks: ${counts.join(", ")}\n`);
  const others = blocks.filter(({ language }) => !(language in CHECKED));
  expect(others.map(({ place }) => place)).toEqual([]);
  expect(blocks.length).toBeGreaterThan(50);
});

test("what is only shown holds no commands for a shell", () => {
  const commands = blocksOf("").filter(({ text }) =>
    /^(?:\w+=\S+ )*(?:npm|npx|node|actionhero|docker) /m.test(text),
  );
  expect(commands.map(({ place }) => place)).toEqual([]);
});

test("every json and html block is well-formed", () => {
  const scripts = [...blocksOf("json"), ...blocksOf("html").map(inlineScripts)];
  const wrong = scripts.filter(({ language, text }) => {
    const { diagnostics } = ts.transpileModule(
      language === "json" ? `(${text});` : text,
      { fileName: "a.js", reportDiagnostics: true },
    );
    return diagnostics!.length > 0;
  });
  expect(wrong.map(({ place }) => place)).toEqual([]);
});

test("every sh block is a script of commands that there are", async () => {
  const scripts = blocksOf("sh");
  expect(scripts.length).toBeGreaterThan(5);
  const help = await runCli(["help"], { cwd: repositoryRoot });
  const commands = [...help.stdout.matchAll(/^ {2}([a-z-]+)/gm)].map(
    ([, name]) => name,
  );
  const { scripts: own = {} } = JSON.parse(
    fs.readFileSync(path.join(repositoryRoot, "package.json"), "utf8"),
  ) as { scripts?: Record<string, string> };
  const { scripts: made = {} } = projectPackageJson(repositoryRoot, "commonjs");

  const wrong: string[] = [];
  for (const { place, text } of scripts) {
    const { status } = spawnSync("bash", ["-n"], { input: text });
    if (status !== 0) wrong.push(`${place}: bash cannot read it`);
    for (const [, words] of text.matchAll(/npx actionhero ([a-z][a-z -]*)/g)) {
      const [name] = joinSpacedName(words.trim().split(/ +/), commands);
      if (!commands.includes(name)) wrong.push(`${place}: actionhero ${name}`);
    }
    for (const [, name] of text.matchAll(/npm run ([\w:-]+)/g))
      if (!(name in own) && !(name in made))
        wrong.push(`${place}: npm run ${name}`);
  }
  expect(wrong).toEqual([]);
});

test("llms.txt leads to every page", () => {
  const text = fs.readFileSync(path.join(repositoryRoot, "llms.txt"), "utf8");
  const told = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, page]) => page);
  expect(told.sort()).toEqual([...pages].sort());
});

test("every page of docs is in the index, and leads on or back", () => {
  const index = fs.readFileSync(
    path.join(repositoryRoot, "docs", "README.md"),
    "utf8",
  );
  const missing = pages
    .filter((page) => page.startsWith("docs/") && page !== "docs/README.md")
    .filter((page) => !index.includes(`(${path.basename(page)})`));
  expect(missing).toEqual([]);
});
