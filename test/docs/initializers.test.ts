/** docs/initializers.md lists the priorities of the framework's own initializers. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Initializer } from "../../src/index";
import { repositoryRoot } from "../support/temporaryProject";

const folder = path.join(repositoryRoot, "initializers");
const PHASES = [
  ["initialize", "loadPriority"],
  ["start", "startPriority"],
  ["stop", "stopPriority"],
] as const;

const initializers = fs
  .readdirSync(folder)
  .map((file) => {
    const exported = jest.requireActual<Record<string, new () => Initializer>>(
      path.join(folder, file),
    );
    const [Class] = Object.values(exported);
    return new Class();
  })
  .sort((a, b) => a.loadPriority! - b.loadPriority!);

/** The cells of a row: a phase that an initializer lacks has no priority. */
function rowOf(initializer: Initializer): string[] {
  const priorities = PHASES.map(([phase, priority]) => {
    if (!initializer[phase]) return "";
    const value = initializer[priority]!;
    return value === Number.MAX_SAFE_INTEGER ? "last" : String(value);
  });
  return [initializer.name, ...priorities];
}

test("the table of priorities has every initializer, in the order in which they load", () => {
  const page = fs.readFileSync(
    path.join(repositoryRoot, "docs/initializers.md"),
    "utf8",
  );
  const [, table = ""] = page.split("| name ");
  const rows = table
    .split("\n\n")[0]
    .split("\n")
    .slice(2)
    .map((row) => row.slice(1, -1).split("|"))
    .map((cells) => cells.map((cell) => cell.trim()));
  expect(rows).toEqual(initializers.map(rowOf));
});
