/** The scripts of a new project or plugin that compile it, run without and with the tools that they need. */
import * as fs from "fs";
import * as path from "path";
import { projectPackageJson } from "../../../src/cli/generate/packageJson";
import { generatePlugin } from "../../../src/cli/generate/project";
import { run } from "../../support/runCli";
import { TemporaryProject } from "../../support/temporaryProject";

const folders: TemporaryProject[] = [];
afterAll(() => folders.forEach((folder) => folder.remove()));

/** A folder with compiled code. */
function built(): TemporaryProject {
  const folder = new TemporaryProject({ "dist/server.js": "" });
  folders.push(folder);
  return folder;
}

/** Run a script as npm does: programs of the project are in the path. */
function runScript(folder: TemporaryProject, script: string) {
  const bin = folder.path("node_modules/.bin");
  return run("sh", ["-c", script], {
    cwd: folder.root,
    env: { PATH: `${bin}${path.delimiter}${process.env.PATH}` },
  });
}

/** Install TypeScript and the programs of a build, which print their names. */
function installTools(folder: TemporaryProject, tscExitCode: number): void {
  folder.write("node_modules/typescript/index.js", "");
  const programs = { actionhero: 0, tsc: tscExitCode };
  for (const [name, exitCode] of Object.entries(programs)) {
    const text = `#!/bin/sh\necho ${name} $1, dist: $(ls dist 2>/dev/null)\nexit ${exitCode}\n`;
    fs.chmodSync(folder.write(`node_modules/.bin/${name}`, text), 0o755);
  }
}

const isBuilt = (folder: TemporaryProject) =>
  fs.existsSync(folder.path("dist/server.js"));

describe.each(["commonjs", "esm"] as const)("a project, %s", (flavour) => {
  const { build, postinstall, pretest } = projectPackageJson(
    "shop",
    flavour,
  ).scripts!;

  test("an install without dev dependencies succeeds, and keeps dist", async () => {
    const folder = built();
    expect(await runScript(folder, postinstall)).toMatchObject({
      exitCode: 0,
      stderr: "",
    });
    expect(isBuilt(folder)).toBe(true);
  });

  test.each([
    ["build", build],
    ["pretest", pretest],
  ])("%s without dev dependencies fails, and keeps dist", async (_, script) => {
    const folder = built();
    const { exitCode } = await runScript(folder, script);
    expect(exitCode).not.toBe(0);
    expect(isBuilt(folder)).toBe(true);
  });

  test("an install with dev dependencies compiles into an empty dist", async () => {
    const folder = built();
    installTools(folder, 0);
    const { exitCode, stdout } = await runScript(folder, postinstall);
    expect(stdout).toBe(
      "actionhero types, dist: server.js\ntsc --sourceMap, dist:\n",
    );
    expect(exitCode).toBe(0);
  });

  test("an install fails when the code does not compile", async () => {
    const folder = built();
    installTools(folder, 2);
    expect((await runScript(folder, postinstall)).exitCode).toBe(2);
  });
});

describe("a plugin", () => {
  const folder = built();
  beforeAll(() => {
    const print = jest
      .spyOn(console, "log")
      .mockImplementation(() => undefined);
    generatePlugin(folder.root, "ah-greeting");
    print.mockRestore();
  });
  const script = () =>
    (
      JSON.parse(fs.readFileSync(folder.path("package.json"), "utf8")) as {
        scripts: { prepare: string };
      }
    ).scripts.prepare;

  test("an install without dev dependencies succeeds", async () => {
    expect((await runScript(folder, script())).exitCode).toBe(0);
  });

  test("an install with dev dependencies compiles it", async () => {
    installTools(folder, 3);
    const { exitCode, stdout } = await runScript(folder, script());
    expect(stdout).toMatch(/^tsc/);
    expect(exitCode).toBe(3);
  });

  test.each("Bad Name,../x,UPPER,node_modules,.x,actionhero,@Up/x".split(","))(
    "npm would refuse the name %s, so that nothing is written",
    (name) => {
      const empty = new TemporaryProject({});
      expect(() => generatePlugin(empty.root, name)).toThrow(
        `npm takes no package with the name ${name}`,
      );
      expect(fs.existsSync(empty.path("package.json"))).toBe(false);
      empty.remove();
    },
  );

  describe("in a folder that is a package", () => {
    const written = (name?: string) => {
      const print = jest
        .spyOn(console, "log")
        .mockImplementation(() => undefined);
      generatePlugin(own.root, name);
      print.mockRestore();
      return JSON.parse(
        fs.readFileSync(own.path("package.json"), "utf8"),
      ) as Record<string, any>;
    };
    let own: TemporaryProject;
    beforeEach(() => {
      own = new TemporaryProject({
        "package.json": JSON.stringify({
          name: "ah-mine",
          version: "2.0.0",
          scripts: { test: 'echo "Error: no test specified" && exit 1' },
          dependencies: { actionhero: "^30.0.0", zod: "^4.0.0" },
        }),
        "README.md": "mine",
      });
    });
    afterEach(() => own.remove());

    test("what it lacks is added, and actionhero is a peer", () => {
      expect(written()).toMatchObject({
        name: "ah-mine",
        version: "2.0.0",
        actionhero: { config: true },
        dependencies: { zod: "^4.0.0" },
        devDependencies: { actionhero: "^30.0.0" },
        peerDependencies: { actionhero: expect.any(String) },
        scripts: { build: "tsc", test: "jest" },
      });
      const { dependencies } = written();
      expect(dependencies).toEqual({ zod: "^4.0.0" });
      expect(fs.readFileSync(own.path("README.md"), "utf8")).toBe("mine");
      for (const file of ["actions", "__tests__/actions"])
        expect(fs.existsSync(own.path(`${file}/pluginGreeting.ts`))).toBe(true);
    });

    test("a name that is given replaces its own", () => {
      expect(written("ah-other").name).toBe("ah-other");
    });

    test("a project is refused, and nothing is written", () => {
      own.write("src/server.ts", "");
      const before = fs.readFileSync(own.path("package.json"), "utf8");
      expect(() => written()).toThrow("this folder has code in `src`");
      expect(fs.readFileSync(own.path("package.json"), "utf8")).toBe(before);
      expect(fs.existsSync(own.path("actions"))).toBe(false);
    });
  });
});
