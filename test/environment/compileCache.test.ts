import * as fs from "node:fs";
import * as nodeModule from "node:module";
import * as path from "node:path";
import { keepCompiledCode } from "../../src/environment/runtime";
import { run } from "../support/runCli";
import { RUN_TYPESCRIPT } from "../support/sources";
import { TemporaryProject } from "../support/temporaryProject";

describe("the compiled code of a project", () => {
  let project: TemporaryProject;

  beforeEach(() => {
    project = new TemporaryProject();
  });

  afterEach(() => project.remove());

  function keptBy(root: string): string[] {
    const folders: string[] = [];
    keepCompiledCode(root, {
      enableCompileCache: (folder) => folders.push(folder),
    });
    return folders;
  }

  test("is kept below its node_modules", () => {
    fs.mkdirSync(project.path("node_modules"), { recursive: true });
    expect(keptBy(project.path("."))).toEqual([
      project.path("node_modules/.cache/compiled"),
    ]);
  });

  test("is not kept where no packages are installed", () => {
    const empty = project.path("empty");
    fs.mkdirSync(empty);
    expect(keptBy(empty)).toEqual([]);
    expect(fs.readdirSync(empty)).toEqual([]);
  });

  test("is not kept by a Node.js that cannot do it", () => {
    fs.mkdirSync(project.path("node_modules"), { recursive: true });
    keepCompiledCode(project.path("."), {});
    expect(fs.existsSync(project.path("node_modules/.cache"))).toBe(false);
  });

  test("is kept by the command line, where Node.js can do it", async () => {
    fs.mkdirSync(project.path("node_modules"), { recursive: true });
    const bin = path.join(__dirname, "../../bin/actionhero.ts");
    const args = [...RUN_TYPESCRIPT, bin, "--version"];
    const cwd = project.path(".");
    const { exitCode } = await run(process.execPath, args, { cwd });
    expect(exitCode).toBe(0);
    expect(fs.existsSync(project.path("node_modules/.cache/compiled"))).toBe(
      "enableCompileCache" in nodeModule,
    );
  });
});
