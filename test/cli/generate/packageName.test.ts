import {
  mergePackageJson,
  packageName,
  projectPackageJson,
} from "../../../src/cli/generate/packageJson";

test.each([
  ["shop", "shop"],
  ["My Shop", "my-shop"],
  ["_draft.", "draft."],
  ["Größe 7", "gr-e-7"],
  ["node_modules", "my_actionhero_project"],
  ["actionhero", "my_actionhero_project"],
  ["日本", "my_actionhero_project"],
])("a project in the folder %s is called %s", (folder, name) => {
  expect(packageName(folder)).toBe(name);
});

test("no script of a new project calls npm", () => {
  const { scripts } = projectPackageJson("shop", "commonjs");
  expect(
    Object.values(scripts!).filter((line) => /\bnpm\b/.test(line)),
  ).toEqual([]);
});

test("the tests of a new project do not depend on its formatting", () => {
  const { scripts } = projectPackageJson("shop", "commonjs");
  expect(`${scripts!.pretest} ${scripts!.test}`).not.toContain("prettier");
  expect(scripts!.check).toContain("prettier");
});

test("npm's placeholder for tests is replaced", () => {
  const placeholder = 'echo "Error: no test specified" && exit 1';
  const { merged, keptScripts } = mergePackageJson(
    { scripts: { test: placeholder } },
    { scripts: { test: "jest" } },
  );
  expect(merged.scripts).toEqual({ test: "jest" });
  expect(keptScripts).toEqual([]);
});
