/** Runs the examples as they are, on the sources of the framework. */
import * as fs from "node:fs";
import type * as http from "node:http";
import * as path from "node:path";
import { ask } from "../support/ask";
import { describeInBrowser, startBrowser } from "../support/browser";
import { freePort } from "../support/freePort";
import { runOk } from "../support/runCli";
import { Service } from "../support/service";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

const tsx = require.resolve("tsx", { paths: [repositoryRoot] });
let folder: TemporaryProject;
const servers: Service[] = [];

beforeAll(() => {
  folder = new TemporaryProject();
  fs.cpSync(path.join(repositoryRoot, "examples"), folder.root, {
    recursive: true,
  });
  // what `npm install` would put there, leading to the sources
  const source = (name: string) =>
    JSON.stringify(path.join(repositoryRoot, "src", name));
  folder.write(
    "node_modules/actionhero/package.json",
    JSON.stringify({
      name: "actionhero",
      exports: { ".": "./index.js", "./client": "./client.js" },
    }),
  );
  folder.write(
    "node_modules/actionhero/index.js",
    `module.exports = require(${source("index.ts")});`,
  );
  folder.write(
    "node_modules/actionhero/client.js",
    `module.exports = require(${source("client/node.ts")});`,
  );
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  folder.remove();
});

/** `npm start` of an example. */
async function start(example: string): Promise<number> {
  const port = await freePort();
  const server = new Service(
    process.execPath,
    ["--import", tsx, "src/server.ts"],
    {
      cwd: folder.path(example),
      env: {
        PORT: String(port),
        ENABLE_TCP_SERVER: "false",
        REDIS_URL: undefined,
      },
    },
  );
  servers.push(server);
  await server.saw(/\*\*\* .* Started \*\*\*/);
  return port;
}

const json = (body: object) => ({
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

describe("chat", () => {
  let port: number;
  beforeAll(async () => {
    port = await start("chat");
  }, 60_000);

  test("the node client hears what it says, with manners", async () => {
    const printed = await runOk(
      process.execPath,
      ["--import", tsx, "client.ts", `http://localhost:${port}`, "heck", "no"],
      { cwd: folder.path("node-client") },
    );
    expect(printed).toBe("heard: **** no\nmembers: 1\n");
  }, 60_000);

  describeInBrowser("its page", () => {
    test("shows what is said, and never as HTML", async () => {
      const browser = await startBrowser();
      try {
        const page = await browser.newPage();
        await page.goto(`http://localhost:${port}/`);
        await page.waitForSelector("body[data-joined=yes]");
        await page.fill("#message", "<b>darn</b>");
        await page.press("#message", "Enter");
        const line = await page.waitForSelector("#said li");
        expect(await line.textContent()).toBe("<b>****</b>");
      } finally {
        await browser.close();
      }
    }, 60_000);
  });
});

test("session-auth: up, in, who, out", async () => {
  const port = await start("session-auth");
  const user = { name: "ada", password: "correct horse" };
  const session = (method: string, headers = {}, body?: object) =>
    ask(port, "/api/session", {
      method,
      ...(body ? json(body) : {}),
      headers: { ...headers, ...(body ? json(body).headers : {}) },
    });

  const signUp = () =>
    ask(port, "/api/users", { method: "POST", ...json(user) });
  const atOnce = await Promise.all([signUp(), signUp()]);
  expect(atOnce.map(({ status }) => status).sort()).toEqual([200, 409]);
  expect((await signUp()).json.error).toBe("that name is taken");
  expect((await session("GET")).json.error).toBe("please sign in");

  const wrong = { ...user, password: "battery staple" };
  expect((await session("POST", {}, wrong)).json.error).toMatch(/is wrong/);
  const signedIn = await session("POST", {}, user);
  expect(signedIn.json.user).toBe("ada");
  const [set] = signedIn.headers["set-cookie"]!;
  expect(set).toMatch(/HttpOnly/i);

  const cookie = { cookie: set.split(";")[0] };
  expect((await session("GET", cookie)).json.user).toBe("ada");
  const stranger = { cookie: "session=0123456789" };
  expect((await session("GET", stranger)).json.error).toBe("please sign in");
  await session("DELETE", cookie);
  expect((await session("GET", cookie)).json.error).toBe("please sign in");
}, 60_000);

test("session-auth: only texts are names and passwords", async () => {
  const port = await start("session-auth");
  const post = (path: string, body: object) =>
    ask(port, path, { method: "POST", ...json(body) });
  const password = "correct horse";
  await post("/api/users", { name: "ada", password });
  const strange = [
    { name: { x: 1 }, password },
    { name: ["ada"], password },
    { name: 5, password },
    { name: "ada", password: 12345678 },
    { name: "ada", password: { length: 9 } },
    { name: "ada", password: ["correct horse"] },
  ];
  for (const path of ["/api/users", "/api/session"])
    for (const body of strange) {
      const { status, json } = await post(path, body);
      expect([body, status, json.error]).toEqual([
        body,
        422,
        expect.stringMatching(/^a (name|password) is a text/),
      ]);
    }
}, 60_000);

test("session-auth: a cookie that was planted before the sign-in is worth nothing", async () => {
  const port = await start("session-auth");
  const user = { name: "eve", password: "correct horse" };
  const planted = { cookie: "session=planted" };
  await ask(port, "/api/users", { method: "POST", ...json(user) });
  const signIn = (headers: object) =>
    ask(port, "/api/session", {
      method: "POST",
      ...json(user),
      headers: { ...headers, ...json(user).headers },
    });
  const who = async (headers: http.OutgoingHttpHeaders) =>
    (await ask(port, "/api/session", { headers })).json;

  const [set] = (await signIn(planted)).headers["set-cookie"]!;
  const cookie = { cookie: set.split(";")[0] };
  expect((await who(cookie)).user).toBe("eve");
  expect((await who(planted)).error).toBe("please sign in");

  const [again] = (await signIn(cookie)).headers["set-cookie"]!;
  expect((await who({ cookie: again.split(";")[0] })).user).toBe("eve");
  expect((await who(cookie)).error).toBe("please sign in");
}, 60_000);

test("plugin: its action, route and setting, in a project", async () => {
  folder.write(
    "host/package.json",
    JSON.stringify({ name: "host", version: "1.0.0" }),
  );
  fs.cpSync(folder.path("chat/src"), folder.path("host/src"), {
    recursive: true,
  });
  folder.write(
    "host/src/config/plugins.ts",
    `export const DEFAULT = { plugins: () => ({
      greet: { path: ${JSON.stringify(folder.path("plugin"))} } }) };`,
  );
  const port = await start("host");
  const { json: answer } = await ask(port, "/api/plugin/greet/Ann");
  expect(answer.greeting).toBe("hello Ann");
}, 60_000);

test("each folder is in the list of examples", () => {
  const examples = path.join(repositoryRoot, "examples");
  const readme = fs.readFileSync(path.join(examples, "README.md"), "utf8");
  const told = [...readme.matchAll(/^\| \[([\w-]+)\]/gm)].map(
    ([, name]) => name,
  );
  const folders = fs
    .readdirSync(examples, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  expect(told.sort()).toEqual(folders.sort());
});
