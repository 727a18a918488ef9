/** The command as a user runs it: a good project, and one for each fault that it looks for. */
import { once } from "events";
import * as net from "net";
import * as path from "path";
import { freePort } from "../../support/freePort";
import { runCli } from "../../support/runCli";
import {
  repositoryRoot,
  TemporaryProject,
} from "../../support/temporaryProject";

const framework = JSON.stringify(path.join(repositoryRoot, "src", "index.ts"));

const action = (name: string) => `
const { Action } = require(${framework});
exports.Made = class Made extends Action {
  name = "${name}";
  description = "made";
  async run() {}
};`;

/** A project without a fault, for production. */
const good = (port: number): Record<string, string> => ({
  "package.json": JSON.stringify({ name: "good", version: "1.0.0" }),
  "dist/config/all.js": `
    const path = require("path");
    const below = (name) => [path.join(__dirname, "..", name)];
    exports.DEFAULT = {
      general: () => ({
        serverToken: "of my own",
        paths: { action: below("actions"), task: below("tasks") },
      }),
      web: () => ({ port: ${port} }),
    };`,
  "dist/actions/one.js": action("one"),
});

const addition = (text: string) => ({
  "dist/config/zz.js": `exports.DEFAULT = { ${text} };`,
});

const taken = net.createServer();
let takenPort: number;
let port: number;
beforeAll(async () => {
  port = await freePort();
  taken.listen(0);
  await once(taken, "listening");
  takenPort = (taken.address() as net.AddressInfo).port;
});
afterAll(() => taken.close());

async function doctor(
  files: Record<string, string>,
  env: Record<string, string | undefined> = {},
) {
  const project = new TemporaryProject({ ...good(port), ...files });
  const { stdout, stderr, exitCode } = await runCli(["doctor", "--json"], {
    cwd: project.root,
    env: {
      NODE_ENV: "production",
      ACTIONHERO_TYPESCRIPT_MODE: "false",
      REDIS_URL: undefined,
      REDIS_HOST: undefined,
      ...env,
    },
  });
  project.remove();
  const findings = JSON.parse(stdout) as { verdict: string; check: string }[];
  return { findings, stderr, exitCode };
}

test("a good project has no fault", async () => {
  const { findings, stderr, exitCode } = await doctor({});
  expect(findings.filter(({ verdict }) => verdict === "fail")).toEqual([]);
  expect(findings.map(({ check }) => check)).toEqual(
    expect.arrayContaining([
      "node",
      "build",
      "config",
      "server token",
      "folders",
      "actions",
      "tasks",
      "redis",
      "web port",
    ]),
  );
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
});

interface Fault {
  files?: () => Record<string, string>;
  env?: Record<string, string>;
}

const faults: Record<string, Fault> = {
  node: {
    files: () => ({
      "package.json": JSON.stringify({
        name: "bad",
        version: "1.0.0",
        engines: { node: ">=99" },
      }),
    }),
  },
  config: { files: () => ({ "dist/config/zz.js": "throw new Error('no')" }) },
  "server token": {
    files: () => addition(`general: () => ({ serverToken: "change-me" })`),
  },
  certificate: {
    files: () => addition("web: () => ({ secure: true, serverOptions: {} })"),
  },
  folders: {
    files: () =>
      addition(`general: () => ({ paths: { log: ["/proc/no/such"] } })`),
  },
  actions: { files: () => ({ "dist/actions/two.js": action("one") }) },
  tasks: { files: () => ({ "dist/tasks/bad.js": "throw new Error('no')" }) },
  redis: { env: { REDIS_URL: "redis://127.0.0.1:1" } },
  "web port": {
    files: () => addition(`web: () => ({ port: ${takenPort} })`),
  },
};

test.each(Object.keys(faults))("a fault of %s is found", async (check) => {
  const { files = () => ({}), env } = faults[check];
  const { findings, exitCode } = await doctor(files(), env);
  expect(findings).toContainEqual(
    expect.objectContaining({ verdict: "fail", check }),
  );
  expect(exitCode).toBe(1);
});

test("the boot warns of a taken socket port in development, and so does the doctor", async () => {
  const { findings, exitCode } = await doctor(
    addition(`socket: () => ({ port: ${takenPort} })`),
    { NODE_ENV: "development", ENABLE_TCP_SERVER: undefined },
  );
  expect(findings).toContainEqual(
    expect.objectContaining({ verdict: "warn", check: "socket port" }),
  );
  expect(exitCode).toBe(0);
});

test("a taken socket port is a fault when the server was asked for", async () => {
  const { findings, exitCode } = await doctor(
    addition(`socket: () => ({ port: ${takenPort} })`),
    { ENABLE_TCP_SERVER: "true" },
  );
  expect(findings).toContainEqual(
    expect.objectContaining({ verdict: "fail", check: "socket port" }),
  );
  expect(exitCode).toBe(1);
});

test("a plugin that is not there is found", async () => {
  const { findings, exitCode } = await doctor(
    addition(`plugins: () => ({ gone: { path: "/no/plugin" } })`),
  );
  expect(findings).toContainEqual({
    verdict: "fail",
    check: "config",
    message: "plugin path does not exist: /no/plugin",
  });
  expect(exitCode).toBe(1);
});

test("a missing build is a fault", async () => {
  const project = new TemporaryProject({
    "package.json": "{}",
    "src/actions/a.ts": "",
  });
  const result = await runCli(["doctor"], {
    cwd: project.root,
    env: { ACTIONHERO_TYPESCRIPT_MODE: "false" },
  });
  project.remove();
  expect(result.stdout).toMatch(/^fail {2}build: dist is missing/m);
  expect(result.exitCode).toBe(1);
});
