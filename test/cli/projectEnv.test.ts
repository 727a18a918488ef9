/** Commands of a project that asks for it read its file `.env`. */
import * as os from "os";
import * as path from "path";
import { runCli } from "../support/runCli";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const cliModule = JSON.stringify(path.join(repositoryRoot, "src/cli/cli"));
const sources = JSON.stringify(path.join(repositoryRoot, "src"));
let project: TemporaryProject;
afterEach(() => project.remove());

/** @param folder where in the package the project is, with a slash at the end */
function makeProject(actionhero: object | undefined, folder = ""): void {
  project = new TemporaryProject({
    "package.json": JSON.stringify({ name: "p", version: "1.0.0", actionhero }),
    ".env": "FROM_FILE=file\nALREADY_SET=file\nNODE_ENV=staging\n",
    [`${folder}src/config/seen.js`]:
      "exports.staging = { seen: () => ({ value: process.env.FROM_FILE }) };",
    [`${folder}src/bin/show.js`]: `
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
    [`${folder}src/config/paths.js`]: `exports.DEFAULT = { general: () => ({
      paths: { cli: [require("path").join(__dirname, "..", "bin")] } }) };`,
  });
}

/** What the configuration and a command see of the variables. */
async function show(
  actionhero: object | undefined,
  env: Record<string, string> = {},
): Promise<string> {
  makeProject(actionhero);
  return run(project.root, env);
}

async function run(cwd: string, env = {}): Promise<string> {
  const { stdout, stderr } = await runCli(["show"], { cwd, env });
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

test("PROJECT_ROOT says where the file is, and not the working directory", async () => {
  makeProject({ env: true });
  const env = { PROJECT_ROOT: project.root };
  expect(await run(os.tmpdir(), env)).toEqual(["file", "file", "file"]);
});

test("a project in a folder of a package has the package.json and the file above it, or a file of its own", async () => {
  makeProject({ env: true }, "api/");
  const api = project.path("api");
  expect(await run(api)).toEqual(["file", "file", "file"]);
  project.write("api/.env", "FROM_FILE=own\nNODE_ENV=staging\n");
  expect(await run(api)).toEqual(["own", null, "own"]);
});
