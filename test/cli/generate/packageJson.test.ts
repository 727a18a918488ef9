import {
  mergePackageJson,
  type PackageJson,
} from "../../../src/cli/generate/packageJson";

const wanted = {
  name: "new",
  version: "0.1.0",
  scripts: { test: "jest", build: "tsc" },
  dependencies: { actionhero: "^30.0.0", ws: "^8.0.0" },
  devDependencies: { jest: "^30.0.0" },
  jest: { testEnvironment: "node" },
};

test("missing entries are added", () => {
  const present = { dependencies: { actionhero: "file:a.tgz" } };
  expect(mergePackageJson(present, wanted).merged).toEqual({
    ...wanted,
    dependencies: { actionhero: "file:a.tgz", ws: "^8.0.0" },
  });
});

test("a present value stays, and a script that was kept is named", () => {
  const present = {
    name: "mine",
    scripts: { test: "mocha", build: "tsc" },
    jest: { preset: "x" },
  };
  const { merged, keptScripts } = mergePackageJson(present, wanted);
  expect(merged.name).toBe("mine");
  expect(merged.scripts).toEqual({ test: "mocha", build: "tsc" });
  expect(merged.jest).toEqual({ preset: "x" });
  expect(keptScripts).toEqual(["test"]);
});

test("settings of actionhero are added one by one", () => {
  const settings = (present: PackageJson) =>
    mergePackageJson(present, { ...wanted, actionhero: { env: true } }).merged
      .actionhero;
  expect(settings({})).toEqual({ env: true });
  expect(settings({ actionhero: { config: true } })).toEqual({
    config: true,
    env: true,
  });
  expect(settings({ actionhero: { env: false } })).toEqual({ env: false });
});

test("install scripts that were allowed stay allowed", () => {
  const allowScripts = { esbuild: true, other: true };
  const { merged } = mergePackageJson(
    { allowScripts },
    { ...wanted, allowScripts: { esbuild: false, watcher: false } },
  );
  expect(merged.allowScripts).toEqual({ ...allowScripts, watcher: false });
});

test("a package is not asked for in two sections", () => {
  const present = {
    dependencies: { jest: "^29.0.0" },
    devDependencies: { ws: "^7.0.0" },
  };
  const { merged } = mergePackageJson(present, wanted);
  expect(merged.dependencies).toEqual({
    actionhero: "^30.0.0",
    jest: "^29.0.0",
  });
  expect(merged.devDependencies).toEqual({ ws: "^7.0.0" });
});
