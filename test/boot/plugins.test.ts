/** What plugins bring beside initializers: actions, tasks, servers and files, in both layouts, each unless switched off. */
import { TemporaryProject } from "../support/temporaryProject";

const indexFile = JSON.stringify(require.resolve("../../src/index"));

function source(base: string, name: string, body: string): string {
  return `const { ${base} } = require(${indexFile});
    module.exports = class extends ${base} {
      constructor() { super(); this.name = this.type = "${name}"; this.description = "d"; ${body} }
      async initialize() {} async start() {} async stop() {}
      async sendMessage() {} async sendFile() {} goodbye() {}
      async run() { return { ran: "${name}" }; }
    };`;
}

/** The same things in every plugin, with its name in front of theirs. */
function makePlugin(name: string): TemporaryProject {
  const action = (layout: string) =>
    source(
      "Action",
      `${name}${layout}`,
      `this.inputs = { ${name}${layout}Param: {} };`,
    );
  return new TemporaryProject({
    "actions/a.js": action("Old"),
    "dist/actions/a.js": action("Compiled"),
    "dist/tasks/t.js": source(
      "Task",
      `${name}Task`,
      'this.queue = "default"; this.frequency = 0;',
    ),
    "servers/s.js": source("Server", `${name}Server`, ""),
    "public/file.txt": `a file of ${name}`,
    [`public/only-${name}.txt`]: name,
    "src/actions/ignored.js":
      "throw new Error('sources of plugins are not loaded');",
    "actions/types.d.ts": "this is not loaded",
    "actions/a.test.js": "throw new Error('tests are not loaded');",
  });
}

const full = makePlugin("full");
const none = makePlugin("none");

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "get";
process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
  plugins: {
    full: { path: full.root },
    none: {
      path: none.root,
      actions: false,
      tasks: false,
      servers: false,
      public: false,
    },
  },
  fullServer: { enabled: true },
  noneServer: { enabled: true },
});

import { api, specHelper } from "../../src/index";
import { startWebApp, type WebApp } from "../support/webApp";

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
});

afterAll(async () => {
  await app.stop();
  full.remove();
  none.remove();
});

test("a plugin brings actions of both layouts, with params and automatic routes", async () => {
  expect(Object.keys(api.actions.actions)).toEqual(
    expect.arrayContaining(["fullOld", "fullCompiled"]),
  );
  expect(api.params.postVariables).toEqual(
    expect.arrayContaining(["fullOldParam", "fullCompiledParam"]),
  );
  const { ran } = await specHelper.runAction("fullCompiled");
  expect(ran).toBe("fullCompiled");
  expect((await app.ask("/api/fullOld")).json.ran).toBe("fullOld");
});

test("a plugin brings tasks", async () => {
  expect(api.tasks.tasks.fullTask.queue).toBe("default");
  expect(await specHelper.runTask("fullTask", {})).toEqual({
    ran: "fullTask",
  });
});

test("a plugin brings servers", () => {
  expect(api.servers.servers.fullServer.type).toBe("fullServer");
});

test("a plugin brings files, which rank after those of the project", async () => {
  const { searchLocations } = api.staticFile;
  expect(searchLocations.at(-1)).toBe(full.path("public"));
  expect((await app.ask("/public/file.txt")).text).toBe("a file of full");
});

test("disabled sections are not loaded", async () => {
  expect(Object.keys(api.actions.actions).join()).not.toContain("none");
  expect(api.tasks.tasks).not.toHaveProperty("noneTask");
  expect(api.servers.servers).not.toHaveProperty("noneServer");
  expect((await app.ask("/public/only-none.txt")).status).toBe(404);
});
