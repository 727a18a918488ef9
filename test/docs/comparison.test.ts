/** Keeps the tables of docs/comparison.md and docs/command-line.md true. */
import * as fs from "node:fs";
import * as path from "node:path";
import { runCli } from "../support/runCli";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const page = (name: string) =>
  fs.readFileSync(path.join(repositoryRoot, "docs", name), "utf8");

/** The cells of the table below a heading, without its first two rows. */
function table(text: string, heading: string): string[][] {
  const [, section] = text.split(`\n## ${heading}\n`);
  return section
    .split("\n## ")[0]
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(2)
    .map((line) => line.split("|").slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim().replace(/^`|`$/g, "")));
}

let commands: string[];
beforeAll(async () => {
  const { stdout } = await runCli(["help"], { cwd: repositoryRoot });
  const [, list] = stdout.split("Commands:\n");
  commands = [...list.matchAll(/^ {2}([a-z-]+)/gm)]
    .map(([, name]) => name)
    .filter((name) => name !== "help");
});

test("the comparison lists the commands that there are", () => {
  const rows = table(page("comparison.md"), "Commands");
  expect(rows.map(([name]) => name)).toEqual([...commands].sort());
  expect(rows.filter(([, in29]) => in29 === "yes")).toHaveLength(10);
  const [glance] = table(page("comparison.md"), "At a glance").filter(
    ([what]) => what === "commands",
  );
  expect(glance).toEqual(["commands", "10", String(commands.length)]);
});

test("the page of the command line tells of all of them", () => {
  const text = page("command-line.md");
  const told = [...text.matchAll(/^\| `([a-z-]+)` +\|/gm)]
    .map(([, name]) => name)
    .filter((name) => commands.includes(name));
  expect(told.sort()).toEqual([...commands].sort());
});

test("the defaults are those of the code", async () => {
  const project = new TemporaryProject({
    "package.json": JSON.stringify({ name: "plain", version: "1.0.0" }),
    "src/config/empty.js": "",
    "src/bin/show.js": `
      const { CLI, config } = require(${JSON.stringify(path.join(repositoryRoot, "src/index.ts"))});
      exports.Show = class Show extends CLI {
        name = "show";
        description = "shows the settings";
        initialize = false;
        async run() { console.log(JSON.stringify(config)); return true; }
      };`,
    "src/config/paths.js": `exports.DEFAULT = { general: () => ({ paths: { cli: [__dirname + "/../bin"] } }) };`,
  });
  const env = { NODE_ENV: "production", AUTOMATIC_ROUTES: undefined };
  const { stdout } = await runCli(["show"], { cwd: project.root, env });
  project.remove();
  const config = JSON.parse(stdout) as Record<string, Record<string, unknown>>;
  const rows = table(page("comparison.md"), "Defaults");
  expect(rows.length).toBeGreaterThan(10);
  const actual = rows.map(([name]) => {
    const [namespace, key] = name.split(".");
    return [name, JSON.stringify(config[namespace][key])];
  });
  expect(actual).toEqual(rows.map(([name, , now]) => [name, now]));
});
