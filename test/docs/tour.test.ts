/** The action of the README's five minutes does what the README says. */
import * as fs from "node:fs";
import * as path from "node:path";
import { compileFunction } from "node:vm";
import * as ts from "typescript";
import * as zod from "zod";

process.env.AUTOMATIC_ROUTES = "get,post";
import { closeAll, SocketPeer } from "../support/socketApp";
import { startWebApp, type WebApp } from "../support/webApp";
import * as actionhero from "../../src/index";

let app: WebApp;
let readme: string;

beforeAll(async () => {
  Object.assign(actionhero.config.socket, { port: 0, bindIP: "127.0.0.1" });
  app = await startWebApp();
  const file = path.join(__dirname, "..", "..", "README.md");
  readme = fs.readFileSync(file, "utf8");
  const [, source] = readme.match(/^```ts\n(.*?const greet.*?)^```/ms)!;
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
    },
  });
  const exported: { greet?: actionhero.Action } = {};
  const load = compileFunction(outputText, ["require", "exports"]) as (
    require: (name: string) => unknown,
    exports: object,
  ) => void;
  load((name) => (name === "actionhero" ? actionhero : zod), exported);

  const greet = exported.greet!;
  greet.validate();
  actionhero.api.actions.actions.greet = { 1: greet };
  actionhero.api.actions.versions.greet = [1];
  actionhero.api.params.buildPostVariables();
  actionhero.api.routes.loadRoutes();
});

afterAll(() => app.stop());

test("it greets", async () => {
  const { json } = await app.ask("/api/greet?name=Ada");
  expect(json.greeting).toBe("Hello Ada! ");
});

test("it says what is missing and what is wrong", async () => {
  const missing = await app.ask("/api/greet");
  expect(missing.status).toBe(422);
  expect(missing.json.error).toBe(
    "name is a required parameter for this action",
  );
  const short = await app.ask("/api/greet?name=Al");
  expect(short.json.error).toBe("name: at least 3 letters");
});

test("it takes a body", async () => {
  const { json } = await app.ask("/api/greet", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name: "Ada", times: 2 }),
  });
  expect(json.greeting).toBe("Hello Ada! Hello Ada! ");
});

test.each([
  [{ name: 5 }, "name: Invalid input: expected string, received number"],
  [
    { name: { length: 9 } },
    "name: Invalid input: expected string, received object",
  ],
  [
    { name: ["Ada", "Eve", "Joe"] },
    "name: Invalid input: expected string, received array",
  ],
  [{ name: "Ada", times: 1e9 }, "times: from 1 to 10"],
  [
    { name: "Ada", times: {} },
    "times: Invalid input: expected number, received object",
  ],
])("it refuses %j", async (params, error) => {
  const { json } = await app.ask("/api/greet", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(params),
  });
  expect(json.error).toBe(error);
  expect(json.greeting).toBeUndefined();
});

test("it answers over TCP, as the session shows", async () => {
  const [, session] = /^\$ telnet localhost 5000\n(.*?)^```/ms.exec(readme)!;
  const { general } = actionhero.config;
  const lines = session
    .replace("my-project api", `${general.serverName} api`)
    .trimEnd()
    .split("\n");
  const peer = await SocketPeer.connect();
  for (const line of lines) {
    if (line.startsWith("> ")) peer.send(line.slice(2));
    else expect(await peer.next()).toEqual(JSON.parse(line));
  }
  await closeAll();
});
