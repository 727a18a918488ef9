/** Keeps the tables of the README true. */
import * as fs from "node:fs";
import * as path from "node:path";
import { ERROR_CODES } from "../../src/errors";

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
