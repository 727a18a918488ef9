/** Commands of a project that asks for it read its file `.env`. */
import * as path from "path";
import { runCli } from "../support/runCli";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const cliModule = JSON.stringify(path.join(repositoryRoot, "src/cli/cli"));
const sources = JSON.stringify(path.join(repositoryRoot, "src"));
let project: TemporaryProject;
afterEach(() => project.remove());

/** What the configuration and a command see of the variables. */
async function show(
  actionhero: object | undefined,
  env: Record<string, string> = {},
): Promise<string> {
  project = new TemporaryProject({
    "package.json": JSON.stringify({ name: "p", version: "1.0.0", actionhero }),
    ".env": "FROM_FILE=file\nALREADY_SET=file\nNODE_ENV=staging\n",
    "src/config/seen.js":
      "exports.staging = { seen: () => ({ value: process.env.FROM_FILE }) };",
    "src/bin/show.js": `
      const { CLI } = require(${cliModule});
      exports.Show = class extends CLI {
        name = "show";
        description = "show";
        initialize = false;
        async run() {
          const { config } = require(${sources});
          const { FROM_FILE, ALREADY_SET } = process.env;
          console.log(JSON.stringify([FROM_FILE, ALREADY_SET, config.seen?.value]));
        }
      };`,
    "src/config/paths.js": `exports.DEFAULT = { general: () => ({
      paths: { cli: [require("path").join(__dirname, "..", "bin")] } }) };`,
  });
  const { stdout, stderr } = await runCli(["show"], { cwd: project.root, env });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as string;
}

test("with actionhero.env the variables of the file are set before the configuration is read", async () => {
  const env = { ALREADY_SET: "shell" };
  expect(await show({ env: true }, env)).toEqual(["file", "shell", "file"]);
});

test.each([undefined, {}, { env: "true" }])(
  "with %j in package.json, as in a v29 project, the file is left alone",
  async (actionhero) => {
    expect(await show(actionhero)).toEqual([null, null, null]);
  },
);
