import * as path from "path";
import { compile } from "../support/compile";
import { runOk } from "../support/runCli";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const OWN_REQUIRE = "environment/ownRequire";

/** Files of a package, whose index loads the others as that of the framework does. */
const FILES = {
  "package.json": `{ "name": "actionhero" }`,
  "dist/src/index.js": `
    require = require("./${OWN_REQUIRE}").ownRequire(module, require);
    exports.name = "index";
    exports.require = require;
    exports.parts = require("./parts/one");`,
  "dist/src/parts/one.js": `
    exports.index = require("../index").name;
    exports.two = require("./two.js");
    exports.folder = require("../folder");
    exports.data = require("./data.json");
    exports.other = require("other");
    exports.fs = require("node:fs");
    exports.module = [__filename, __dirname, module.id, module.loaded, this === exports];`,
  "dist/src/parts/two.js": `exports.fail = () => {\n  throw new Error("here");\n};`,
  "dist/src/parts/bad.js": `globalThis.tries = (globalThis.tries ?? 0) + 1;\nthrow new Error("bad");`,
  "dist/src/parts/wrong.js": `const = 1;`,
  "dist/src/parts/data.json": `{ "a": 1 }`,
  "dist/src/folder/index.js": `exports.isFolder = true;`,
  "node_modules/other/index.js": `module.exports = "other";`,
};

describe("the loader of the package's own files", () => {
  let project: TemporaryProject;

  beforeAll(async () => {
    project = new TemporaryProject(FILES);
    await compile(repositoryRoot, ["src/environment"], project.path("dist"));
  });

  afterAll(() => project.remove());

  /** What `expression` is in a process that has loaded the index. */
  async function inProcess(expression: string, ...flags: string[]) {
    const script = `
      const index = require("./dist/src/index.js");
      console.log(JSON.stringify((() => { ${expression} })()));`;
    const args = [...flags, "-e", script];
    const cwd = project.path(".");
    return JSON.parse(await runOk(process.execPath, args, { cwd })) as unknown;
  }

  test("files find each other, also in circles", async () => {
    const { index, folder, data } = (await inProcess(
      "return index.parts",
    )) as Record<string, unknown>;
    expect({ index, folder, data }).toEqual({
      index: "index",
      folder: { isFolder: true },
      data: { a: 1 },
    });
  });

  test("packages and modules of node are those that all files get", async () => {
    expect(
      await inProcess(
        `return [index.parts.other, index.parts.fs === require("node:fs")]`,
      ),
    ).toEqual(["other", true]);
  });

  test("a file is a module like any other", async () => {
    const file = project.path("dist/src/parts/one.js");
    expect(
      await inProcess(
        `const { loaded, exports } = require.cache[${JSON.stringify(file)}];
         return [index.parts.module, loaded, exports === index.parts]`,
      ),
    ).toEqual([[file, path.dirname(file), file, false, true], true, true]);
  });

  test("a file that others require by its path is the same one", async () => {
    expect(
      await inProcess(
        `return require("./dist/src/parts/two") === index.parts.two`,
      ),
    ).toBe(true);
  });

  test("a file that was loaded before is not loaded again", async () => {
    const script = `
      const two = require("./dist/src/parts/two");
      console.log(two === require("./dist/src/index.js").parts.two);`;
    const cwd = project.path(".");
    const printed = await runOk(process.execPath, ["-e", script], { cwd });
    expect(printed.trim()).toBe("true");
  });

  test("stacks name the files", async () => {
    expect(
      await inProcess(
        "try { index.parts.two.fail() } catch ({ stack }) { return stack.split('\\n')[1] }",
      ),
    ).toContain(`${project.path("dist/src/parts/two.js")}:2:9`);
  });

  test("a file that fails is evaluated again by the next one that needs it", async () => {
    expect(
      await inProcess(
        `const messages = [1, 2].map(() => {
           try { index.require("./parts/bad") } catch ({ message }) { return message }
         });
         return [messages, tries]`,
      ),
    ).toEqual([["bad", "bad"], 2]);
  });

  test("a file that is not JavaScript is an error that names it", async () => {
    expect(
      await inProcess(
        `try { index.require("./parts/wrong") } catch ({ name, stack }) { return [name, stack.split('\\n')[0]] }`,
      ),
    ).toEqual(["SyntaxError", `${project.path("dist/src/parts/wrong.js")}:1`]);
  });

  test("a name may be as long as it likes", async () => {
    expect(
      await inProcess(
        `return ["./parts/../parts/two", "./parts/./two", "../src/parts/two", "../../dist/src/parts/two"].map(
           (name) => index.require(name) === index.parts.two)`,
      ),
    ).toEqual([true, true, true, true]);
  });

  test("a file that is missing is the error of node", async () => {
    expect(
      await inProcess(
        `try { index.require("./parts/none") } catch ({ code }) { return code }`,
      ),
    ).toBe("MODULE_NOT_FOUND");
  });

  test("a require without a cache, as hooks of imports give, loads the files itself", async () => {
    expect(
      await inProcess(
        `const { ownRequire } = require("./dist/src/${OWN_REQUIRE}");
         const given = (name) => name;
         return ownRequire(require.cache[require.resolve("./dist/src/index.js")], given) === given;`,
      ),
    ).toBe(true);
  });

  test("with source maps, node loads the files", async () => {
    const name = "return index.require.name";
    expect([
      await inProcess(name),
      await inProcess(name, "--enable-source-maps"),
    ]).toEqual(["load", "require"]);
  });
});
