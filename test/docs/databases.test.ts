/** The recipe of docs/databases.md is a project's code: it runs here, against SQLite. */
import { compileFunction } from "node:vm";
import * as ts from "typescript";

process.env.AUTOMATIC_ROUTES = "get,post";
import { blocksOf } from "../support/documents";
import { startWebApp, type WebApp } from "../support/webApp";
import * as actionhero from "../../src/index";

type Exports = Record<string, new () => any>;

let app: WebApp;
let database: actionhero.Initializer;

/** What a block exports; `actionhero` is this repository. */
function load(text: string): Exports {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
      esModuleInterop: true,
    },
  });
  const exported: Exports = {};
  const run = compileFunction(outputText, ["require", "exports"]) as (
    load: (name: string) => unknown,
    exports: object,
  ) => void;
  run((name) => (name === "actionhero" ? actionhero : require(name)), exported);
  return exported;
}

beforeAll(async () => {
  const [initializer, actions] = blocksOf("ts")
    .filter(({ page }) => page === "docs/databases.md")
    .map(({ text }) => load(text));
  app = await startWebApp();
  database = new initializer.Database();
  database.validate();
  await database.start!();
  for (const action of Object.values(actions).map((made) => new made())) {
    action.validate();
    actionhero.api.actions.actions[action.name] = { 1: action };
    actionhero.api.actions.versions[action.name] = [1];
  }
  actionhero.api.params.buildPostVariables();
  actionhero.api.routes.loadRoutes();
});

afterAll(async () => {
  await database.stop!();
  await app.stop();
});

const ask = (action: string, params: object) =>
  app.ask("/api", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ action, ...params }),
  });

test("a user is added, and listed", async () => {
  const made = await ask("user:create", { name: "Ada" });
  expect(made.json.user).toEqual({ id: 1, name: "Ada" });
  const { json } = await ask("user:list", {});
  expect(json.users).toEqual([{ id: 1, name: "Ada" }]);
});

test("a name is taken once", async () => {
  await ask("user:create", { name: "Grace" });
  const again = await ask("user:create", { name: "Grace" });
  expect(again.status).toBe(409);
  expect(again.json.error).toBe("this name is taken");
});

test("a name is a text", async () => {
  const { json } = await ask("user:create", { name: { x: 1 } });
  expect(json.error).toBe("name must be a text of 1 to 100 letters");
});
