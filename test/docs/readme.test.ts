/** Keeps the tables of the README true. */
import * as fs from "node:fs";
import * as path from "node:path";
import { ERROR_CODES } from "../../src/errors";
import { pages } from "../support/documents";

const root = path.join(__dirname, "..", "..");
const readme = fs.readFileSync(path.join(root, "README.md"), "utf8");

function section(title: string): string {
  const [, text] = readme.split(`\n## ${title}\n`);
  return text.split("\n## ")[0];
}

test("the table of error codes is that of the code", () => {
  const rows = section("Error codes").matchAll(
    /^\| `(AH_\w+)`\s*\| (.*?)\s*\|$/gm,
  );
  const documented = Object.fromEntries(
    [...rows].map(([, code, meaning]) => [code, meaning]),
  );
  expect(documented).toEqual(ERROR_CODES);
});

test("every dependency has its line, and every line its dependency", () => {
  const { dependencies } = JSON.parse(
    fs.readFileSync(path.join(root, "package.json"), "utf8"),
  ) as { dependencies: Record<string, string> };
  const rows = section("Dependencies").matchAll(/^\| `([^`]+)`/gm);
  const documented = [...rows].map(([, name]) => name);
  expect(documented.sort()).toEqual(Object.keys(dependencies).sort());
});

test("links of the pages lead to files of the package, so that they work offline", () => {
  const { files } = JSON.parse(
    fs.readFileSync(path.join(root, "package.json"), "utf8"),
  ) as { files: string[] };
  // npm adds these by itself
  const packed = [...files, "README.md", "LICENSE", "package.json"];
  const broken = [...pages, "CHANGELOG.md", "SECURITY.md"].flatMap((page) => {
    const text = fs
      .readFileSync(path.join(root, page), "utf8")
      .replace(/^```.*?^```$/gms, "");
    return [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map(([, target]) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .map((target) => path.join(path.dirname(page), target))
      .filter(
        (target) =>
          !fs.existsSync(path.join(root, target)) ||
          !packed.some(
            (name) =>
              target === name ||
              target.startsWith(`${name}/`) ||
              target.startsWith(`${name}${path.sep}`),
          ),
      )
      .map((target) => `${page}: ${target}`);
  });
  expect(broken).toEqual([]);
});

test("anchors of the pages are headings", () => {
  const anchorsOf = (page: string) =>
    [
      ...fs
        .readFileSync(path.join(root, page), "utf8")
        .matchAll(/^#{1,6} (.*)$/gm),
    ].map(([, heading]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    );
  const broken = pages.flatMap((page) =>
    [
      ...fs
        .readFileSync(path.join(root, page), "utf8")
        .matchAll(/\]\(((?:[\w./-]+\.md)?)#([^)]+)\)/g),
    ]
      .filter(([, target, anchor]) => {
        const linked = target ? path.join(path.dirname(page), target) : page;
        return !anchorsOf(linked).includes(anchor);
      })
      .map(([link]) => `${page}: ${link}`),
  );
  expect(broken).toEqual([]);
});
