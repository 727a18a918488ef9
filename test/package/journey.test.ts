/** From the packed tarball to a running server, in an empty folder, as the README tells it. */
import * as fs from "fs";
import * as path from "path";
import { expectAnswers, visit } from "../support/acceptance";
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import { packPackage } from "../support/packedPackage";
import { hasRedis, RedisServer } from "../support/redisServer";
import { run, runOk } from "../support/runCli";
import { Service } from "../support/service";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const QUIET = ["--no-audit", "--no-fund", "--prefer-offline"];
const OLDER_COMPILERS = ["~5.4.5", "~5.9.3"];

let workshop: TemporaryProject;
let tarball: string;
let project: string;
const times: [step: string, seconds: string][] = [];

/** One step of the journey: its time is printed at the end, and nothing follows a step that failed. */
let broken: string | undefined;
function step(name: string, work: () => Promise<void>): void {
  test(
    name,
    async () => {
      if (broken) throw new Error(`not reached, because "${broken}" failed`);
      const started = performance.now();
      broken = name;
      await work();
      broken = undefined;
      times.push([name, ((performance.now() - started) / 1000).toFixed(1)]);
    },
    300_000,
  );
}

const npm = (...args: string[]) => runOk("npm", args, { cwd: project });
const actionhero = (...args: string[]) =>
  runOk("npx", ["--no-install", "actionhero", ...args], { cwd: project });
const read = (file: string) =>
  fs.readFileSync(path.join(project, file), "utf8");

const compilers = () => workshop.path("compilers");
/** One of OLDER_COMPILERS. */
const compiler = (index: number) =>
  path.join(compilers(), `node_modules/ts${index}/bin/tsc`);
const ownCompiler = () => path.join(project, "node_modules/typescript/bin/tsc");

/** The modules that the generated project has, but TypeScript as projects of v29 have it. */
function borrowModules(folder: string): void {
  const source = path.join(project, "node_modules");
  const target = path.join(folder, "node_modules");
  fs.mkdirSync(target);
  for (const name of fs.readdirSync(source)) {
    if (!["typescript", "ts-jest"].includes(name))
      fs.symlinkSync(path.join(source, name), path.join(target, name));
  }
  const typescript = path.join(compilers(), "node_modules/ts1");
  fs.symlinkSync(typescript, path.join(target, "typescript"));
  // a copy, since it looks for TypeScript beside itself
  fs.cpSync(path.join(source, "ts-jest"), path.join(target, "ts-jest"), {
    recursive: true,
  });
}

beforeAll(() => {
  workshop = new TemporaryProject();
  project = workshop.path("project");
  fs.mkdirSync(project);
});

afterAll(() => {
  workshop.remove();
  console.log(times.map(([name, time]) => `${time} s  ${name}`).join("\n"));
});

step("npm pack", async () => {
  tarball = await packPackage(workshop.root);
});

step("npm install of the tarball", async () => {
  await npm("install", ...QUIET, tarball);
});

step("npx actionhero generate", async () => {
  const printed = await actionhero("generate");
  expect(printed).toMatch(/^Generating a new actionhero project\.\.\./);
  expect(printed).toContain(
    `wrote file '${path.join(project, "src/config/api.ts")}'`,
  );
  expect(read("src/config/web.ts")).not.toContain("../src");
});

step("a second generate changes nothing", async () => {
  fs.writeFileSync(path.join(project, "src/config/api.ts"), "// mine");
  const before = read("package.json");
  const printed = await actionhero("generate");
  expect(printed).toContain(
    `Error: file '${path.join(project, "src/config/api.ts")}' already exists`,
  );
  expect(printed).toContain(
    `Error: directory '${path.join(project, "src")}' already exists`,
  );
  expect(read("src/config/api.ts")).toBe("// mine");
  expect(read("package.json")).toBe(before);
  fs.rmSync(path.join(project, "src/config/api.ts"));
  await actionhero("generate");
});

step("the project asks for the tarball it was made by", async () => {
  const { dependencies } = JSON.parse(read("package.json"));
  expect(path.resolve(project, dependencies.actionhero.slice(5))).toBe(tarball);
  for (const range of Object.values(dependencies))
    expect(range).not.toBe("latest");
});

step("npm install, which compiles", async () => {
  await npm("install", ...QUIET);
  expect(fs.existsSync(path.join(project, "dist/server.js"))).toBe(true);
});

step("which was TypeScript 6.0; compiles with 5.4 and 5.9, too", async () => {
  fs.mkdirSync(compilers());
  const aliases = OLDER_COMPILERS.map(
    (range, i) => `ts${i}@npm:typescript@${range}`,
  );
  await runOk("npm", ["install", ...QUIET, ...aliases], { cwd: compilers() });
  await Promise.all(
    OLDER_COMPILERS.map((_, i) =>
      runOk(process.execPath, [compiler(i), "--noEmit"], { cwd: project }),
    ),
  );
  const version = await runOk(process.execPath, [ownCompiler(), "--version"]);
  expect(version).toMatch(/^Version 6\.0\./);
});

step("every generator", async () => {
  await actionhero("generate-action", "--name=hello", "--description=greets");
  await actionhero(
    "generate",
    "task",
    "-n",
    "work",
    "-q",
    "low",
    "-f",
    "60000",
  );
  await actionhero("generate-initializer", "--name=setup");
  await actionhero("generate-server", "--name=pigeon");
  await actionhero("generate-cli", "--name=say-hi", "-e", "actionhero say-hi");
  expect(read("src/actions/hello.ts")).toMatch(/this\.name = "hello"/);
  expect(read("src/tasks/work.ts")).toMatch(/this\.frequency = 60000/);
  expect(read("src/initializers/setup.ts")).toMatch(/loadPriority = 1000/);
  expect(read("src/servers/pigeon.ts")).toMatch(/this\.type = "pigeon"/);
  expect(read("src/bin/say-hi.ts")).toMatch(/this\.name = "say-hi"/);
});

step("a generator never overwrites", async () => {
  const result = await run(
    "npx",
    ["--no-install", "actionhero", "generate-action", "--name=hello"],
    { cwd: project },
  );
  const file = path.join(project, "src/actions/hello.ts");
  expect(result.stderr).toBe(`Error: file '${file}' already exists\n`);
  expect(result.exitCode).toBe(1);
});

step("npm test: build, lint and the tests of the project", async () => {
  const { stdout, stderr, exitCode } = await run("npm", ["test"], {
    cwd: project,
    limitMs: 240_000,
  });
  expect({ exitCode, tail: exitCode ? stdout + stderr : "" }).toEqual({
    exitCode: 0,
    tail: "",
  });
  expect(stderr).toMatch(/Test Suites: 3 passed, 3 total/);
});

step("the listing commands", async () => {
  expect(await actionhero("actions-list")).toMatch(
    /--- hello ---\n {2}version: 1\n {4}greets\n {4}inputs:/,
  );
  const listed = JSON.parse(await actionhero("actions", "list", "--json"));
  expect(listed).toContainEqual({
    name: "hello",
    version: 1,
    description: "greets",
    inputs: {},
  });
  expect(await actionhero("routes-list")).toMatch(/GET +\/status +status/);
  expect(await actionhero("say-hi")).toContain("{");
});

step("npm start, ask, stop", async () => {
  const port = await freePort();
  const server = new Service("node", ["./dist/server.js"], {
    cwd: project,
    env: { PORT: String(port), ENABLE_TCP_SERVER: "false" },
  });
  await server.saw(/Started/);
  expect((await ask(port, "/api/hello")).json).toMatchObject({ ok: true });
  expect((await ask(port, "/public/index.html")).status).toBe(200);
  expectAnswers(await visit(port));
  expect(await server.stop()).toBe(0);
});

step(
  "types and values for require and import, under node16 and strict",
  async () => {
    const consumer = path.join(project, "consumer");
    const use = `
    const action: Action = api.actions.actions.any[1];
    export const values: unknown[] = [Process, action, config.web.port];`;
    const names = "{ Action, api, config, Process }";
    const files: Record<string, string> = {
      "package.json": '{ "type": "module" }',
      "imported.ts": `import ${names} from "actionhero";${use}`,
      "required.cts": `import ${names} from "actionhero";${use}`,
      "deep.ts": `import { ActionProcessor } from "actionhero/dist/src/action/actionProcessor.js"; export { ActionProcessor };`,
      "tsconfig.json": JSON.stringify({
        compilerOptions: {
          module: "node16",
          target: "es2022",
          strict: true,
          noEmit: true,
          types: ["node"],
        },
      }),
      "run.mjs": `import { Action, ActionProcessor } from "actionhero"; console.log(typeof Action, typeof ActionProcessor);`,
      "run.cjs": `const { Action, ActionProcessor } = require("actionhero"); console.log(typeof Action, typeof ActionProcessor);`,
    };
    fs.mkdirSync(consumer);
    for (const [name, content] of Object.entries(files))
      fs.writeFileSync(path.join(consumer, name), content);
    try {
      await runOk(process.execPath, [ownCompiler(), "-p", consumer]);
      for (const name of ["run.mjs", "run.cjs"]) {
        const file = path.join(consumer, name);
        const printed = await runOk(process.execPath, [file], { cwd: project });
        expect(printed).toBe("function function\n");
      }
    } finally {
      fs.rmSync(consumer, { recursive: true });
    }
  },
);

if (hasRedis)
  step(
    "a project of v29 compiles, passes its tests and boots, unchanged",
    async () => {
      const old = workshop.path("v29");
      fs.cpSync(path.join(repositoryRoot, "test/fixtures/v29-project"), old, {
        recursive: true,
      });
      borrowModules(old);
      const redis = new RedisServer();
      await redis.start();
      try {
        const at = { cwd: old, env: { REDIS_URL: redis.url } };
        await runOk(
          process.execPath,
          [compiler(1), "--sourceMap", "false", "--declaration"],
          at,
        );
        const jest = path.join(project, "node_modules/jest/bin/jest.js");
        const tested = await run(process.execPath, [jest], at);
        expect(tested.stderr).toMatch(/Tests: +2 passed, 2 total/);

        const port = await freePort();
        const server = new Service("node", ["./dist/server.js"], {
          ...at,
          env: { ...at.env, PORT: String(port), ENABLE_TCP_SERVER: "false" },
        });
        await server.saw(/^mine notice: .*Started/);
        expect(server.lines).toContain("mine notice: the counter has started");
        const greeting = await ask(port, "/api/greetings/Ann?times=2&tags=a,b");
        expect(greeting.json).toMatchObject({
          greeting: "hello Ann! hello Ann!",
          count: 1,
          tags: ["a", "b"],
          stamped: true,
        });
        const red = await ask(port, "/api/plugin/red");
        expect(red.json.colour).toBe("red");
        const page = await ask(port, "/public/plugin.txt");
        expect(page.text).toBe("a page of the plugin\n");
        const index = await ask(port, "/");
        expect(index.text).toBe("a page of the project\n");
        expect(await server.stop()).toBe(0);
      } finally {
        await redis.stop();
      }
    },
  );
