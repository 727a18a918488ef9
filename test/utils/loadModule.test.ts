import { execFileSync } from "node:child_process";
import { loadModule } from "../../src/utils/modules";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const project = new TemporaryProject();

afterAll(() => project.remove());

test("exports by name; a module that is a function is the default export", () => {
  const named = project.write("named.js", "exports.a = 1; exports.b = 2;");
  expect(loadModule(named)).toEqual({ a: 1, b: 2 });
  const alone = project.write("alone.js", "module.exports = class Alone {};");
  expect(Object.keys(loadModule(alone))).toEqual(["default"]);
});

test("an ES module has its exports and nothing else", () => {
  project.write("esm/package.json", '{ "type": "module" }');
  const file = project.write(
    "esm/both.js",
    "export default class A {}; export class B {}",
  );
  const script = `
    const { loadModule } = require("./src/utils/modules.ts");
    console.log(JSON.stringify(Object.keys(loadModule(${JSON.stringify(file)})).sort()));`;
  const out = execFileSync(
    process.execPath,
    ["--require", "tsx/cjs", "-e", script],
    { cwd: repositoryRoot, encoding: "utf8" },
  );
  expect(JSON.parse(out)).toEqual(["B", "default"]);
});

test("a reload reads the file anew, and only then", () => {
  const file = project.write("changing.js", "exports.value = 1;");
  const script = `
    const { loadModule } = require("./src/utils/modules.ts");
    const file = ${JSON.stringify(file)};
    const values = [loadModule(file).value];
    require("fs").writeFileSync(file, "exports.value = 2;");
    values.push(loadModule(file).value, loadModule(file, true).value);
    console.log(JSON.stringify(values));`;
  const out = execFileSync(
    process.execPath,
    ["--require", "tsx/cjs", "-e", script],
    { cwd: repositoryRoot, encoding: "utf8" },
  );
  expect(JSON.parse(out)).toEqual([1, 1, 2]);
});
