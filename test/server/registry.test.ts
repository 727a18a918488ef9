import { TemporaryProject } from "../support/temporaryProject";

const project = new TemporaryProject();
const indexFile = JSON.stringify(require.resolve("../../src/index"));

process.env.PORT = "0";
process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
  general: { paths: { server: [project.path("servers")] } },
  plugins: { transports: { path: project.path("plugin") } },
  one: { enabled: true, port: 1234, bindIP: "127.0.0.1" },
  two: { enabled: true },
  off: { enabled: false },
  ofPlugin: { enabled: true },
});

import { api, config, loggers, Process } from "../../src/index";
import { loadServers } from "../../src/server/registry";

function serverSource(type: string, body = ""): string {
  return `class extends Server {
    constructor() { super(); this.type = "${type}"; this.calls = []; ${body} }
    async initialize() { this.calls.push("initialize"); }
    async start() { (api.order ??= []).push("start ${type}"); }
    async stop() { (api.order ??= []).push("stop ${type}"); ${type === "two" ? 'throw new Error("stuck");' : ""} }
    async sendMessage() {} async sendFile() {} goodbye() {}
  }`;
}

function write(name: string, code: string): string {
  return project.write(
    name,
    `const { Server, api } = require(${indexFile});\n${code}`,
  );
}

write("servers/one.js", `exports.One = ${serverSource("one")};`);
write("servers/two.js", `module.exports = ${serverSource("two")};`);
write("servers/off.js", `exports.Off = ${serverSource("off")};`);
write("servers/notConfigured.js", `exports.No = ${serverSource("no")};`);
write("plugin/servers/p.js", `exports.P = ${serverSource("ofPlugin")};`);

const lines: [string, string][] = [];
const [logger] = loggers;
const { level } = logger;
const app = new Process();

beforeAll(async () => {
  logger.level = "debug";
  jest.spyOn(logger, "log").mockImplementation((...args: any[]) => {
    lines.push([args[0], args[1]]);
    return logger;
  });
  await app.start();
});

afterAll(async () => {
  logger.level = level;
  if (app.running) await app.stop().catch(() => undefined);
  project.remove();
});

test("the framework's own first, then the project's, then those of plugins; only enabled ones", () => {
  const types = Object.keys(api.servers.servers);
  expect(types[0]).toBe("web");
  expect(
    types.filter((type) => ["one", "two", "ofPlugin"].includes(type)),
  ).toEqual(["one", "two", "ofPlugin"]);
  expect(types).not.toContain("off");
  expect(types).not.toContain("no");
  expect(lines).toContainEqual(["debug", "Initialized server: one"]);
});

test("their configuration is the live one", () => {
  expect(api.servers.servers.one.config).toBe(config.one);
});

test("each start is logged, with the address where there is one", () => {
  expect(api.order).toEqual(["start one", "start two", "start ofPlugin"]);
  expect(lines).toContainEqual([
    "notice",
    "Starting server: `one` @ 127.0.0.1:1234",
  ]);
  expect(lines).toContainEqual(["notice", "Starting server: `two` "]);
  const web = lines.find(([, message]) => message.includes("`web`"));
  expect(web![1]).toMatch(/^Starting server: `web` @ http:\/\/localhost/);
  expect(lines).toContainEqual(["debug", "Server started: one"]);
});

test("a second server of a type replaces the first, loudly", async () => {
  const file = write("servers/z.js", `exports.Z = ${serverSource("one")};`);
  const saved = api.servers.servers;
  api.servers.servers = {};
  try {
    await loadServers();
    expect(lines).toContainEqual([
      "crit",
      `an existing server with the same type \`one\` will be overridden by the file ${file}`,
    ]);
    expect(api.servers.servers.one).toHaveProperty("calls", ["initialize"]);
  } finally {
    api.servers.servers = saved;
  }
});

test("exactly one server to a file", async () => {
  const saved = api.servers.servers;
  api.servers.servers = {};
  try {
    const both = write(
      "servers/both.js",
      "exports.A = class {}; exports.B = class {};",
    );
    await expect(loadServers()).rejects.toThrow(
      `server file ${both} exports more than one server`,
    );
    write("servers/both.js", "");
  } finally {
    api.servers.servers = saved;
  }
});

test("they stop in the reverse order, each even if another fails, and lose their listeners", async () => {
  const { one } = api.servers.servers;
  one.on("connection", () => undefined);
  api.order = [];
  await expect(app.stop()).rejects.toThrow("stuck");
  expect(api.order).toEqual(["stop ofPlugin", "stop two", "stop one"]);
  expect(one.listenerCount("connection")).toBe(0);
  expect(lines).toContainEqual(["notice", "Stopping server: one"]);
  expect(lines).toContainEqual(["debug", "Server stopped: one"]);
});
