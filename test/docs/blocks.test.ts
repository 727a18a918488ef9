/** Checks the other blocks of the documentation: JavaScript and JSON by their syntax, sh also by the commands it names. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import * as ts from "typescript";
import { projectPackageJson } from "../../src/cli/generate/packageJson";
import { joinSpacedName } from "../../src/cli/spacedNames";
import { runCli } from "../support/runCli";
import { repositoryRoot } from "../support/temporaryProject";

interface Block {
  /** `docs/actions.md:12` */
  place: string;
  language: string;
  text: string;
}

const pages = [
  "README.md",
  "examples/README.md",
  ...fs
    .readdirSync(path.join(repositoryRoot, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

const blocks = pages.flatMap((page): Block[] => {
  const text = fs.readFileSync(path.join(repositoryRoot, page), "utf8");
  return [...text.matchAll(/^```(\w+)\n(.*?)^```/gms)].map((match) => ({
    place: `${page}:${text.slice(0, match.index).split("\n").length}`,
    language: match[1],
    text: match[2],
  }));
});
const written = (...languages: string[]) =>
  blocks.filter(({ language }) => languages.includes(language));

test("every js and json block is well-formed", () => {
  const scripts = written("js", "javascript", "mjs", "json");
  process.stdout.write(`${scripts.length} js and json blocks checked\n`);
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
  const scripts = written("sh", "bash");
  process.stdout.write(`${scripts.length} sh blocks checked\n`);
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
