/** The list of docs/production.md is what `doctor` checks. */
import * as fs from "node:fs";
import * as path from "node:path";
import { bootedChecks } from "../../src/cli/doctor/booted";
import { checks, folderChecks } from "../../src/cli/doctor/checks";
import { hazards } from "../../src/cli/doctor/settings";
import { repositoryRoot } from "../support/temporaryProject";

const page = fs.readFileSync(
  path.join(repositoryRoot, "docs/production.md"),
  "utf8",
);

/** The cells of the rows below a heading. */
function rowsBelow(heading: string): string[][] {
  const [, section = ""] = page.split(`${heading}\n`);
  return section
    .split(/^## |^### /m)[0]
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) =>
      line.split(" | ").map((cell) => cell.replace(/^\| | \|$/g, "")),
    )
    .map((cells) => cells.map((cell) => cell.trim()));
}

test("every check of doctor has its row, and every row its check", () => {
  const listed = [...folderChecks, ...checks, ...bootedChecks];
  expect(rowsBelow("## Checklist")).toEqual(
    listed.map(({ name, wants }) => [`\`${name}\``, wants]),
  );
});

test("every setting that doctor warns of has its row, with what it says", () => {
  expect(rowsBelow("### Unsafe settings")).toEqual(
    hazards.map(({ setting, message }) => [`\`${setting}\``, message]),
  );
});
