/** What the pages for contributors and the comments say about the files of this repository. */
import * as fs from "node:fs";
import * as path from "node:path";
import { repositoryRoot } from "../support/temporaryProject";

const FOLDERS = [
  "actions",
  "bench",
  "bin",
  "config",
  "docs",
  "examples",
  "initializers",
  "scripts",
  "src",
  "tasks",
  "test",
];
const NOT_OURS = ["node_modules", "dist", "fixtures", "interop", ".vitepress"];

/** Pages about this repository; others name files of the reader's project. */
const PAGES = [
  "CONTRIBUTING.md",
  "SECURITY.md",
  "bench/README.md",
  "bench/RESULTS.md",
  "docs/architecture.md",
];

/** Files of the reader's project that comments name. */
const OF_PROJECTS =
  /^src\/(actions|tasks|config|initializers)\/|^config\/\w+\.js$|\.gen\.ts$/;

const read = (file: string) =>
  fs.readFileSync(path.join(repositoryRoot, file), "utf8");
const exists = (file: string) => fs.existsSync(path.join(repositoryRoot, file));

function listFiles(folder: string): string[] {
  return fs
    .readdirSync(path.join(repositoryRoot, folder), { withFileTypes: true })
    .filter(({ name }) => !NOT_OURS.includes(name))
    .flatMap((entry) => {
      const file = `${folder}/${entry.name}`;
      return entry.isDirectory() ? listFiles(file) : [file];
    });
}

/** The paths in a text that begin with a folder of this repository. */
function pathsIn(text: string, end: string): string[] {
  const name = `(?:${FOLDERS.join("|")})/[\\w./-]*${end}`;
  return [...text.matchAll(new RegExp(`(?<![\\w./@-])${name}`, "g"))].map(
    ([found]) => found,
  );
}

test.each(PAGES)("files and folders that %s names exist", (page) => {
  const named = [...read(page).matchAll(/`([^`\s]+)`/g)]
    .flatMap(([, text = ""]) => pathsIn(text, "\\w"))
    .filter((name) => !name.includes("*"));
  expect(named.filter((name) => !exists(name))).toEqual([]);
});

test("files that comments name with their folder exist", () => {
  const files = FOLDERS.filter((folder) => folder !== "docs")
    .flatMap(listFiles)
    .filter((file) => /\.(ts|js|mjs)$/.test(file));
  expect(files.length).toBeGreaterThan(500);
  const missing = files.flatMap((file) =>
    read(file)
      .split("\n")
      .filter((line) => /^\s*(\*|\/[/*])|\s\/\/ /.test(line))
      .flatMap((line) => pathsIn(line, "\\.(?:ts|js|mjs|md)\\b"))
      .filter((name) => !exists(name) && !OF_PROJECTS.test(name))
      .map((name) => `${file}: ${name}`),
  );
  expect(missing).toEqual([]);
});

test("docs/architecture.md names every folder of src", () => {
  const page = read("docs/architecture.md");
  const folders = fs
    .readdirSync(path.join(repositoryRoot, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `src/${name}`)
    .filter((folder) => listFiles(folder).length > 0);
  const named = new Set(pathsIn(page, "\\w"));
  expect(folders.filter((folder) => !named.has(folder))).toEqual([]);
});
