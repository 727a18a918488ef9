/** From the packed tarball to a running server, in an empty folder, as the README tells it. */
import * as fs from "fs";
import * as path from "path";
import { freePort } from "../support/freePort";
import { packPackage } from "../support/packedPackage";
import { run, runOk } from "../support/runCli";
import { Service } from "../support/service";
import { TemporaryProject } from "../support/temporaryProject";

const QUIET = ["--no-audit", "--no-fund", "--prefer-offline"];
const COMPILERS = ["~5.4.5", "~5.9.3", "~6.0.3"];

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

step("compiles with TypeScript 5.4, 5.9 and 6.0", async () => {
  const compilers = workshop.path("compilers");
  fs.mkdirSync(compilers);
  const aliases = COMPILERS.map((range, i) => `ts${i}@npm:typescript@${range}`);
  await runOk("npm", ["install", ...QUIET, ...aliases], { cwd: compilers });
  for (const i of COMPILERS.keys()) {
    const tsc = path.join(compilers, `node_modules/ts${i}/bin/tsc`);
    await runOk(process.execPath, [tsc, "--noEmit"], { cwd: project });
  }
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
  const ask = async (url: string) => {
    const res = await fetch(`http://localhost:${port}${url}`);
    return { status: res.status, body: await res.text() };
  };
  expect(JSON.parse((await ask("/api/hello")).body)).toMatchObject({
    ok: true,
  });
  expect((await ask("/api/status")).body).toContain("Node Healthy");
  expect((await ask("/api/nothing")).status).toBe(404);
  expect((await ask("/public/index.html")).status).toBe(200);
  expect(await server.stop()).toBe(0);
});
