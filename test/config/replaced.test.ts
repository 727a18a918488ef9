/** Settings of an environment that the DEFAULT of a later file replaces. */
import { TemporaryProject } from "../support/temporaryProject";

const before = { ...process.env };
const projects: TemporaryProject[] = [];

afterEach(() => {
  process.env = { ...before };
  for (const project of projects.splice(0)) project.remove();
});

/** The messages of a project with these config files, and its configuration. */
function load(files: Record<string, string>, folders = ["src/config"]) {
  const project = new TemporaryProject({
    "package.json": '{"name":"files","version":"1.0.0"}',
    ...files,
  });
  projects.push(project);
  process.env.PROJECT_ROOT = project.root;
  process.env.ACTIONHERO_CONFIG = folders.join(",");
  jest.resetModules();
  const { config } =
    require("../../src/config/config") as typeof import("../../src/config/config");
  const { overridden } =
    require("../../src/boot/mistakes") as typeof import("../../src/boot/mistakes");
  return { config, messages: overridden() };
}

const session = `exports.DEFAULT = { session: () => ({ enabled: false, ttl: 5, deep: { a: 1 } }) };`;

test("the repository and its defaults have none", () => {
  expect(load({ "src/config/a.js": "" }).messages).toEqual([]);
});

test("are named with both files, and the order stays that of version 29", () => {
  const { config, messages } = load({
    "src/config/mine.js": `exports.test = {
      metrics: () => ({ port: 1 }),
      session: () => ({ enabled: true, ttl: 5, deep: { a: 2, b: 3 } }) };`,
    "src/config/metrics.js": `exports.DEFAULT = { metrics: () => ({ port: 2 }) };`,
    "src/config/session.js": session,
  });
  expect(config.session).toMatchObject({
    enabled: false,
    deep: { a: 1, b: 3 },
  });
  expect(config.metrics.port).toBe(1);
  expect(messages).toEqual([
    "session.enabled, session.deep.a of `test` in src/config/mine.js: no effect, because files are applied in the order of their names, and the DEFAULT of src/config/session.js replaces it",
  ]);
});

test("a file whose name sorts later has its effect", () => {
  const { config, messages } = load({
    "src/config/zmine.js": `exports.test = { session: () => ({ enabled: true }) };`,
    "src/config/session.js": session,
  });
  expect(config.session.enabled).toBe(true);
  expect(messages).toEqual([]);
});

test("what another environment sets is not named, nor what a later block, directory or override sets again", () => {
  const mine = `{ session: () => ({ enabled: true }) }`;
  expect(
    load({
      "src/config/mine.js": `exports.production = ${mine};`,
      "src/config/session.js": session,
    }).messages,
  ).toEqual([]);
  expect(
    load({
      "src/config/mine.js": `exports.test = ${mine};`,
      "src/config/session.js": `${session} exports.test = ${mine};`,
    }).messages,
  ).toEqual([]);
  const files = {
    "src/config/mine.js": `exports.test = ${mine};`,
    "src/config/session.js": session,
    "more/session.js": `exports.test = ${mine};`,
  };
  expect(load(files, ["src/config", "more"]).messages).toEqual([]);
  process.env.ACTIONHERO_CONFIG_OVERRIDES = '{"session":{"enabled":true}}';
  expect(load(files).messages).toEqual([]);
});

test("a namespace whose functions are kept, and which is replaced as a whole", () => {
  const { config, messages } = load({
    "src/config/mine.js": `exports.test = { tasks: () => ({ scheduler: true }) };`,
    "src/config/tasks.js": `exports.DEFAULT = { tasks: () => ({ _toExpand: false, queues: async () => ["a"] }) };`,
  });
  expect(config.tasks.scheduler).toBeUndefined();
  expect(messages).toEqual([
    expect.stringMatching(
      /^tasks\.scheduler of `test` in src.config.mine.js: /,
    ),
  ]);
});

test("a file that was tried again counts where it was applied", () => {
  const { messages } = load({
    "src/config/a.js": `exports.DEFAULT = { late: ({ base }) => ({ on: base.off }) };`,
    "src/config/b.js": `exports.DEFAULT = { base: () => ({ off: false }) };
      exports.test = { late: () => ({ on: true }) };`,
  });
  expect(messages).toEqual([
    expect.stringMatching(/^late\.on of `test` in src.config.b.js: .*a\.js/),
  ]);
});

test("routes of several files are combined, so none is replaced", () => {
  const { messages } = load({
    "src/config/mine.js": `exports.test = { routes: () => ({ get: [{ path: "/a", action: "a" }] }) };`,
    "src/config/routes.js": `exports.DEFAULT = { routes: () => ({ get: [{ path: "/b", action: "b" }] }) };`,
  });
  expect(messages).toEqual([]);
});

test("values that contain themselves", () => {
  const { messages } = load({
    "src/config/mine.js": `exports.test = { own: () => {
      const made = { _toExpand: false, port: 1 }; made.self = made; return made; } };`,
    "src/config/own.js": `exports.DEFAULT = { own: () => ({ _toExpand: false, port: 2 }) };`,
  });
  expect(messages).toEqual([
    expect.stringMatching(/^own\.port of `test` in src.config.mine.js: /),
  ]);
});
