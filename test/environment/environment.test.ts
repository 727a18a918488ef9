import { spawnSync } from "node:child_process";
import * as path from "node:path";
import { buildSync } from "esbuild";
import {
  parseArgv,
  detectTypescript,
  readActionheroVersion,
  readEnv,
} from "../../src/environment/env";
import { findProjectRoot, packageRoot } from "../../src/environment/runtime";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

describe("environment", () => {
  const before = { ...process.env };

  afterEach(() => {
    process.env = { ...before };
  });

  test("parseArgv reads --flag value for the framework's flags, --flag=value for all", () => {
    expect({
      ...parseArgv([
        "task",
        "--config",
        "a",
        "--config=b",
        "--other",
        "word",
        "--x=1=2",
        "--title",
        "--last",
      ]),
    }).toEqual({
      config: ["a", "b"],
      other: [""],
      x: ["1=2"],
      title: [""],
      last: [""],
    });
  });

  test("parseArgv stops at -- and survives hostile names", () => {
    const flags = parseArgv(["--__proto__=x", "--", "--config=a"]);
    expect(flags.config).toBeUndefined();
    expect(Object.getPrototypeOf(flags)).toBeNull();
  });

  test("env falls back to development", () => {
    expect(readEnv()).toBe("test");
    process.env.NODE_ENV = "";
    expect(readEnv()).toBe("development");
  });

  test("the project root can be named in three ways, in this order", () => {
    expect(findProjectRoot()).toBe(process.cwd());
    process.env.PROJECT_ROOT = "/c";
    expect(findProjectRoot()).toBe("/c");
    process.env.projectRoot = "/b";
    expect(findProjectRoot()).toBe("/b");
    process.env.project_root = "/a";
    expect(findProjectRoot()).toBe("/a");
  });

  test("the package is found, with its version", () => {
    expect(packageRoot).toBe(repositoryRoot);
    expect(readActionheroVersion()).toMatch(/^30\.\d+\.\d+/);
  });

  test("ACTIONHERO_TYPESCRIPT_MODE overrules what is detected", () => {
    expect(detectTypescript()).toBe(true);
    process.env.ACTIONHERO_TYPESCRIPT_MODE = "false";
    expect(detectTypescript()).toBe(false);
    process.env.ACTIONHERO_TYPESCRIPT_MODE = "TRUE";
    expect(detectTypescript()).toBe(true);
  });

  test("a node that knows TypeScript itself still runs compiled code as such", () => {
    const project = new TemporaryProject({ "typescript.js": compiledEnv() });
    const detected = (...args: string[]) =>
      spawnSync(process.execPath, args, {
        cwd: project.root,
        encoding: "utf8",
        env: { PATH: process.env.PATH },
      }).stdout;
    const script = `
      Object.defineProperty(process.features, "typescript", { value: "strip" });
      console.log(require("./typescript.js").detectTypescript());`;
    expect(detected("-e", script)).toBe("false\n");
    expect(detected("-e", script, "src/server.ts")).toBe("true\n");
    project.remove();
  });

  test("only the script and the loader mean TypeScript, never another word of the command line", () => {
    const show = `console.log(require("./typescript.js").detectTypescript());`;
    const project = new TemporaryProject({
      "typescript.js": compiledEnv(),
      "program.js": show,
      "server.ts": show,
      "tsx/loader.js": "",
    });
    const detected = (...args: string[]) =>
      spawnSync(process.execPath, args, {
        cwd: project.root,
        encoding: "utf8",
        env: { PATH: process.env.PATH },
      }).stdout;

    for (const words of [
      ["types", "--out=src/api.gen.ts"],
      ["types", "--out", "src/api.gen.ts"],
      ["generate-action", "--name", "main.ts"],
      ["src/server.ts"],
    ])
      expect([words, detected("program.js", ...words)]).toEqual([
        words,
        "false\n",
      ]);
    expect(detected("server.ts")).toBe("true\n");
    expect(detected("--require=./tsx/loader.js", "program.js")).toBe("true\n");
    expect(detected("--require", "./tsx/loader.js", "program.js")).toBe(
      "true\n",
    );
    project.remove();
  });
});

/** src/environment/env.ts with all that it imports, as one CommonJS script. */
function compiledEnv(): string {
  const built = buildSync({
    entryPoints: [path.join(repositoryRoot, "src/environment/env.ts")],
    bundle: true,
    format: "cjs",
    platform: "node",
    write: false,
  });
  return built.outputFiles[0].text;
}
