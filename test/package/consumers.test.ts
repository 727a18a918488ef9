/** Consumers of the packed package: projects on other compilers and module systems, and those of version 29. */
import * as fs from "fs";
import * as path from "path";
import { expectAnswers, visit } from "../support/acceptance";
import { ask } from "../support/ask";
import { freePort } from "../support/freePort";
import { Journey } from "../support/journey";
import { packPackage } from "../support/packedPackage";
import { hasPeers, peerPath } from "../support/peers";
import { hasRedis, RedisServer } from "../support/redisServer";
import { run, runOk } from "../support/runCli";
import { Service } from "../support/service";
import { repositoryRoot } from "../support/temporaryProject";

/** An install may be slow, on a machine with other work. */
const LIMIT_MS = 240_000;

const OTHER_COMPILERS = ["~5.4.5", "~5.9.3", "~7.0.2"];

const journey = new Journey([
  "npm pack",
  "installed from the tarball, a project asks for the tarball",
]);
const { registry, workshop } = journey;
const project = workshop.path("project");
let tarball: string;
const step = journey.step.bind(journey);

const compilers = () => workshop.path("compilers");
/** One of OTHER_COMPILERS. */
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

step("npm pack", async () => {
  tarball = await packPackage(workshop.root);
});

step("installed from the tarball, a project asks for the tarball", async () => {
  fs.mkdirSync(project);
  const at = { cwd: project, env: registry.env, limitMs: LIMIT_MS };
  const install = async (...names: string[]) => {
    const { exitCode, stderr } = await run("npm", ["install", ...names], at);
    expect([exitCode, stderr.match(/npm (warn|error).*/g)]).toEqual([0, null]);
  };
  await install(tarball);
  await runOk("npx", ["--no-install", "actionhero", "generate"], at);
  const { dependencies } = JSON.parse(
    fs.readFileSync(path.join(project, "package.json"), "utf8"),
  );
  expect(path.resolve(project, dependencies.actionhero.slice(5))).toBe(tarball);
  await install();
});

step(
  "it has TypeScript 6.0, and compiles with 5.4, 5.9 and 7.0, too",
  async () => {
    fs.mkdirSync(compilers());
    const aliases = OTHER_COMPILERS.map(
      (range, i) => `ts${i}@npm:typescript@${range}`,
    );
    await runOk("npm", ["install", ...aliases], {
      cwd: compilers(),
      env: registry.env,
      limitMs: LIMIT_MS,
    });
    await Promise.all(
      OTHER_COMPILERS.map((_, i) =>
        runOk(process.execPath, [compiler(i), "--noEmit"], { cwd: project }),
      ),
    );
    const version = await runOk(process.execPath, [ownCompiler(), "--version"]);
    expect(version).toMatch(/^Version 6\.0\./);
  },
);

step(
  "the types of the repository's own tests, on TypeScript 5.4, 5.9, 6.0 and 7.0",
  async () => {
    const types = path.join(project, "types");
    fs.mkdirSync(types);
    const source = path.join(repositoryRoot, "test/types");
    for (const name of fs.readdirSync(source)) {
      const text = fs.readFileSync(path.join(source, name), "utf8");
      fs.writeFileSync(
        path.join(types, name),
        text
          .replaceAll('"../../src/index"', '"actionhero"')
          .replaceAll('"../../src/client/node"', '"actionhero/client"')
          .replaceAll('"../../tasks/', '"../src/tasks/'),
      );
    }
    fs.mkdirSync(path.join(types, "node_modules"));
    for (const name of ["valibot", "zod"])
      fs.symlinkSync(
        path.join(repositoryRoot, "node_modules", name),
        path.join(types, "node_modules", name),
      );
    const compilerOptions = {
      module: "commonjs",
      target: "es2022",
      strict: true,
      esModuleInterop: true, // the declarations of zod ask for it
      noEmit: true,
      types: ["node"],
    };
    fs.writeFileSync(
      path.join(types, "tsconfig.json"),
      JSON.stringify({ compilerOptions }),
    );
    try {
      const check = (tsc: string, ...more: string[]) =>
        runOk(process.execPath, [tsc, "-p", types, ...more]);
      // below, 6.0 reads all of the package's declarations for node16, and 5.9 for the project of v29
      await check(compiler(0));
      await check(compiler(1), "--skipLibCheck");
      await check(ownCompiler(), "--skipLibCheck");
      await check(compiler(2));
    } finally {
      fs.rmSync(types, { recursive: true });
    }
  },
);

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

/**
 * Run the tests of a project of v29, and ask its server, with a redis of its own.
 * @param started a line of its log
 */
async function useV29Project(
  folder: string,
  modules: string,
  started: RegExp,
  visit: (port: number, server: Service) => Promise<void>,
): Promise<void> {
  const redis = new RedisServer();
  await redis.start();
  try {
    const at = { cwd: folder, env: { REDIS_URL: redis.url } };
    const jest = path.join(modules, "node_modules/jest/bin/jest.js");
    const words = [jest, "--testTimeout=60000"];
    const tested = await run(process.execPath, words, at);
    expect(tested.stderr).toMatch(/Tests: +2 passed, 2 total/);

    const port = await freePort();
    const server = new Service("node", ["./dist/server.js"], {
      ...at,
      env: { ...at.env, PORT: String(port), ENABLE_TCP_SERVER: "false" },
    });
    await server.saw(started);
    await visit(port, server);
    expect(await server.stop()).toBe(0);
  } finally {
    await redis.stop();
  }
}

if (hasRedis)
  step(
    "a project of v29 compiles, passes its tests and boots, unchanged",
    async () => {
      const old = workshop.path("v29");
      fs.cpSync(path.join(repositoryRoot, "test/fixtures/v29-project"), old, {
        recursive: true,
      });
      borrowModules(old);
      await runOk(
        process.execPath,
        [compiler(1), "--sourceMap", "false", "--declaration"],
        { cwd: old },
      );
      const started = /^mine notice: .*Started/;
      await useV29Project(old, project, started, async (port, { lines }) => {
        expect(lines).toContain("mine notice: the counter has started");
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
      });
    },
  );

if (hasRedis && hasPeers)
  step(
    "what `actionhero generate` of v29 writes compiles, passes its tests and boots, unchanged",
    async () => {
      const old = workshop.path("v29-generated");
      fs.mkdirSync(old);
      const v29 = peerPath("actionhero/dist/bin/actionhero.js");
      await runOk(process.execPath, [v29, "generate"], { cwd: old });
      const wanted = `dependencies.actionhero=file:${tarball}`;
      await runOk("npm", ["pkg", "set", wanted], { cwd: old });
      const from = { cwd: old, env: registry.env, limitMs: LIMIT_MS };
      await runOk("npm", ["install"], from); // compiles, too
      const started = /my_actionhero_project Started/;
      await useV29Project(old, old, started, async (port) => {
        const status = await ask(port, "/api/status");
        expect(status.json).toMatchObject({
          nodeStatus: "Node Healthy",
          name: "my_actionhero_project",
        });
        expect((await ask(port, "/")).text).toMatch(/<html/i);
      });
    },
  );

step("generate --esm compiles, passes its tests and starts", async () => {
  const esm = workshop.path("esm");
  fs.mkdirSync(esm);
  const modules = path.join(project, "node_modules");
  fs.symlinkSync(modules, path.join(esm, "node_modules"));
  const at = { cwd: esm };
  const made = ["--no-install", "actionhero", "generate", "--esm"];
  await runOk("npx", made, at);

  await runOk("npm", ["run", "build"], at); // `npm test` needs it, as `npm install` did
  const tested = await run("npm", ["test"], at);
  expect(tested.stderr).toMatch(/Tests: +2 passed, 2 total/);
  const port = await freePort();
  const server = new Service("node", ["./dist/server.js"], {
    ...at,
    env: { PORT: String(port), ENABLE_TCP_SERVER: "false" },
  });
  await server.saw(/Started/);
  try {
    expectAnswers(await visit(port));
  } finally {
    expect(await server.stop()).toBe(0);
  }
});

step("generate --minimal leaves out what a server can do without", async () => {
  const minimal = workshop.path("minimal");
  fs.mkdirSync(minimal);
  const modules = path.join(project, "node_modules");
  fs.symlinkSync(modules, path.join(minimal, "node_modules"));
  const made = ["--no-install", "actionhero", "generate", "--minimal"];
  await runOk("npx", made, { cwd: minimal });
  const has = (name: string) => fs.existsSync(path.join(minimal, name));
  for (const name of ["Dockerfile", ".github", "src/actions/cacheTest.ts"])
    expect([name, has(name)]).toEqual([name, false]);
  for (const name of ["src/server.ts", "src/actions/status.ts"])
    expect([name, has(name)]).toEqual([name, true]);
  await runOk(process.execPath, [ownCompiler(), "--noEmit"], { cwd: minimal });
});
