import { TemporaryProject } from "../support/temporaryProject";

const before = { ...process.env };
let project: TemporaryProject;

afterEach(() => {
  process.env = { ...before };
  project.remove();
});

const pluginFiles = {
  "plugin/dist/config/thing.js": `exports.DEFAULT = { thing: () => ({ a: "plugin", b: "plugin" }) };
    exports.test = { thing: () => ({ c: "plugin in test" }) };`,
  "plugin/config/routes.js": `exports.DEFAULT = { routes: () => ({ get: [
      { path: "/shared", action: "ofPlugin" }, { path: "/only", action: "ofPlugin" } ] }) };`,
  "plugin/config/ignored.ts":
    "throw new Error('sources of plugins are not read')",
};

/** The configuration of a project with one plugin. */
function configWith(packageJson: object, record: object = {}) {
  project = new TemporaryProject({
    ...pluginFiles,
    "plugin/package.json": JSON.stringify(packageJson),
    "config/plugins.js": `exports.DEFAULT = { plugins: () => ({ p: {
      path: __dirname + "/../plugin", ...${JSON.stringify(record)} } }) };`,
    "config/thing.js": `exports.DEFAULT = { thing: () => ({ a: "project" }) };`,
    "config/routes.js": `exports.DEFAULT = { routes: () => ({ get: [ { path: "/shared", action: "ofProject" } ] }) };`,
  });
  process.env.ACTIONHERO_CONFIG = project.path("config");
  jest.resetModules();
  return (require("../../src") as typeof import("../../src")).config;
}

test("a plugin that declares it brings defaults, over which the project has the last word", () => {
  const { thing } = configWith({ actionhero: { config: true } });
  expect(thing).toEqual({ a: "project", b: "plugin", c: "plugin in test" });
});

test("its routes come after those of the project", () => {
  const { routes } = configWith({ actionhero: { config: true } });
  expect(
    routes.get!.map(({ path, action }) => `${path} ${action}`).slice(-3),
  ).toEqual(["/shared ofProject", "/shared ofPlugin", "/only ofPlugin"]);
});

test("the config folder of a plugin made for v29 is not read", () => {
  expect(configWith({}).thing).toEqual({ a: "project" });
});

test("the project can ask for it, and can refuse it", () => {
  expect(configWith({}, { config: true }).thing.b).toBe("plugin");
  project.remove();
  const declared = { actionhero: { config: true } };
  expect(configWith(declared, { config: false }).thing.b).toBeUndefined();
});
