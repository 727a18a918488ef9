/** The table of docs/security.md has the values that the two profiles really have. */
import * as fs from "node:fs";
import * as path from "node:path";
import { newProjectSettings } from "../../src/cli/generate/newProjectSettings";
import { repositoryRoot } from "../support/temporaryProject";

const page = fs.readFileSync(
  path.join(repositoryRoot, "docs/security.md"),
  "utf8",
);
const section = page.slice(
  page.indexOf("## Settings"),
  page.indexOf("## What you decide"),
);
const rows = section
  .split("\n")
  .filter((line) => line.startsWith("| ") && line.includes("`"))
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .map(([, attack, setting, v29, newProject]) => ({
    attack,
    setting: setting.replaceAll("`", ""),
    v29,
    newProject,
  }));

/** Values are code, unless the row brings its own marks. */
const shown = (value: string) => (value.includes("`") ? value : `\`${value}\``);

test.each(rows)("$setting has the documented values", (row) => {
  const setting = newProjectSettings.find((one) => one.setting === row.setting);
  expect(setting).toBeDefined();
  expect(row.v29).toBe(shown(setting!.v29));
  expect(row.newProject).toBe(shown(setting!.newProject));
});

test("the table has rows", () => {
  expect(rows.length).toBeGreaterThan(5);
});
