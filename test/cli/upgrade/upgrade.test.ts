import * as fs from "fs";
import * as path from "path";
import { EXPORTED_NOW } from "../../../src/cli/upgrade";
import { runCli } from "../../support/runCli";
import {
  repositoryRoot,
  TemporaryProject,
} from "../../support/temporaryProject";

const own = JSON.parse(
  fs.readFileSync(path.join(repositoryRoot, "package.json"), "utf8"),
);

let project: TemporaryProject;
beforeEach(() => {
  project = new TemporaryProject({
    "package.json": JSON.stringify({
      name: "old",
      engines: { node: ">=8.0.0" },
      dependencies: { actionhero: "29.3.4", ioredis: "latest", left: "latest" },
      devDependencies: { "ts-node-dev": "^2.0.0", jest: "^29.0.0" },
      scripts: {
        dev: "ts-node-dev --no-deps --transpile-only ./src/server",
        debug:
          "tsc && ts-node-dev --transpile-only --no-deps --inspect -- ./src/server ",
      },
    }),
    "tsconfig.json":
      '{\n  // mine\n  "compilerOptions": {\n    "outDir": "./dist"\n  }\n}\n',
    "src/actions/a.ts": `import { ActionsStatus } from "actionhero/dist/classes/actionProcessor";
import { Queue } from "node-resque";
import * as path from "path";
import IORedis from "ioredis";
`,
    "src/initializers/b.ts": `import { x } from 'actionhero/dist/modules/utils';
api.servers.servers.websocket.server.on("connection", () => {});
`,
  });
});
afterEach(() => project.remove());

const upgrade = async (...flags: string[]) => {
  const words = ["upgrade", "--json", ...flags];
  const { stdout, stderr } = await runCli(words, { cwd: project.root });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as {
    file: string;
    message: string;
    state: string;
  }[];
};

test("lists what a project made for v29 should change, and changes nothing", async () => {
  const before = fs.readFileSync(project.path("package.json"), "utf8");
  const listed = await upgrade();
  expect(
    listed.map(({ file, message, state }) => `${state} ${file} ${message}`),
  ).toEqual([
    `to do package.json dependencies.actionhero: "29.3.4" -> "^${own.version}"`,
    `to do package.json engines.node: ">=8.0.0" -> "${own.engines.node}"`,
    `to do package.json dependencies.ioredis: "latest" -> "${own.dependencies.ioredis}"`,
    `by hand package.json dependencies.left: "latest" should be a range`,
    `to do package.json scripts dev, debug: "ts-node-dev" -> "tsx watch"`,
    expect.stringContaining('to do tsconfig.json compilerOptions: "rootDir"'),
    expect.stringContaining('to do tsconfig.json compilerOptions: "types"'),
    expect.stringContaining('to do tsconfig.json compilerOptions: "strict"'),
    'to do src/actions/a.ts "actionhero/dist/classes/actionProcessor" -> "actionhero"',
    'to do package.json dependencies.node-resque: "^9.3.8" (src/actions/a.ts imports it, and v29 brought it along)',
    'by hand src/initializers/b.ts "actionhero/dist/modules/utils" is no longer there',
    expect.stringContaining("by hand src/initializers/b.ts uses the Primus"),
  ]);
  expect(fs.readFileSync(project.path("package.json"), "utf8")).toBe(before);
});

test("makes the changes with --write; a second run finds only what is to be done by hand", async () => {
  const made = await upgrade("--write");
  expect(made.filter(({ state }) => state === "done")).toHaveLength(9);
  const manifest = JSON.parse(
    fs.readFileSync(project.path("package.json"), "utf8"),
  );
  expect(manifest.scripts).toEqual({
    dev: 'tsx watch --include "./src/**/*.ts" --exclude "./src/actions.gen.ts" ./src/server.ts',
    debug:
      'tsc && tsx watch --include "./src/**/*.ts" --exclude "./src/actions.gen.ts" --inspect ./src/server.ts',
  });
  expect(manifest.dependencies["node-resque"]).toBe("^9.3.8");
  expect(manifest.devDependencies).toEqual({
    jest: "^29.0.0",
    tsx: own.devDependencies.tsx,
  });
  const tsconfig = fs.readFileSync(project.path("tsconfig.json"), "utf8");
  expect(tsconfig).toContain("// mine");
  expect(tsconfig).toContain('"rootDir": "./src",');
  // a project without @types/jest could not compile with its types
  expect(tsconfig).toContain('"types": ["node"],');

  const left = await upgrade();
  expect(left.map(({ state }) => state)).toEqual(Array(3).fill("by hand"));
});

test("remains of older versions are reported, and a plugin keeps its range", async () => {
  project.write(
    "package.json",
    JSON.stringify({
      name: "plugin",
      peerDependencies: { actionhero: ">=27" },
      devDependencies: { "ts-node-dev": "latest" },
      scripts: { dev: "ts-node-dev ./src/server" },
    }),
  );
  project.write(
    "node_modules/typescript/package.json",
    JSON.stringify({ version: "4.4.4" }),
  );
  project.write(
    "package-lock.json",
    JSON.stringify({
      packages: { "node_modules/@types/node": { version: "14.18.0" } },
    }),
  );
  project.write("src/config/servers/web.ts", "");
  project.write(
    "src/config/mine.ts",
    "const DEFAULT = { mine: () => ({}) };\nmodule.exports.production = DEFAULT.mine();\n",
  );
  project.write(
    "src/actions/a.ts",
    `import { Action } from "actionhero/dist/classes/action";
connection.localize("hello");
`,
  );
  const listed = await upgrade();
  const messages = listed.map(({ message }) => message);
  expect(messages).toEqual(
    expect.arrayContaining([
      expect.stringContaining("typescript 4.4.4 is installed: 5.4.0"),
      expect.stringContaining("@types/node 14.18.0 is installed: 20.0.0"),
      '"actionhero/dist/classes/action" -> "actionhero"',
      expect.stringContaining("uses localization"),
      expect.stringContaining("the block of an environment is DEFAULT.x(...)"),
      expect.stringContaining("config/servers belongs to versions before 28"),
    ]),
  );
  expect(messages.join("\n")).not.toContain("actionhero is missing");
  expect(messages.join("\n")).not.toContain('"latest" should be a range');
});

test("a project in a folder of a package has the package.json and the packages of that", async () => {
  project.write("api/tsconfig.json", '{ "compilerOptions": {} }');
  project.write(
    "api/src/actions/a.ts",
    'import { Action } from "actionhero/dist/classes/action";\nimport "node-resque";\n',
  );
  project.write(
    "node_modules/typescript/package.json",
    JSON.stringify({ version: "4.4.4" }),
  );
  const words = ["upgrade", "--write"];
  const cwd = project.path("api");
  const { stdout } = await runCli([...words, "--json"], { cwd });
  const files = new Set<string>(
    JSON.parse(stdout).map(({ file }: { file: string }) => file),
  );
  expect([...files].sort()).toEqual([
    path.join("..", "package.json"),
    path.join("src", "actions", "a.ts"),
    "tsconfig.json",
  ]);
  expect(stdout).toContain("typescript 4.4.4 is installed");
  const manifest = JSON.parse(
    fs.readFileSync(project.path("package.json"), "utf8"),
  );
  expect(manifest.dependencies.actionhero).toBe(`^${own.version}`);
  expect(manifest.dependencies["node-resque"]).toBe("^9.3.8");
  expect(fs.existsSync(project.path("api/package.json"))).toBe(false);
  const again = await runCli(words, { cwd });
  expect(again.stdout).toContain("Not seen by reading: what plugins do");
});

test("the names reported as exported are exported", () => {
  const index = fs.readFileSync(
    path.join(repositoryRoot, "src", "index.ts"),
    "utf8",
  );
  const missing = EXPORTED_NOW.filter(
    (name) => !new RegExp(`\\b${name}\\b`).test(index),
  );
  expect(missing).toEqual([]);
});
