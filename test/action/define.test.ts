/** Actions, tasks and middleware as values, and the routes of actions. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { z } from "zod";
import { startWebApp, type WebApp } from "../support/webApp";
import {
  action,
  Action,
  api,
  defineAction,
  defineMiddleware,
  defineTask,
  HttpError,
  specHelper,
} from "../../src/index";
import { reloadRoutes } from "../../src/route/tables";

let app: WebApp;
let folder: string;

const index = path.join(__dirname, "../../src/index");

/** Load a file of actions or tasks with these exports. */
async function load(
  name: string,
  exports: string,
  kind: "actions" | "tasks" = "actions",
): Promise<string> {
  const file = path.join(folder, `${name}.js`);
  const header = `const { Action, defineAction, defineTask, defineMiddleware } = require(${JSON.stringify(index)});\n`;
  fs.writeFileSync(file, header + exports);
  await api[kind].loadFile(file);
  return file;
}

/** Without the actions of a test, so that their routes go. */
function forget(...names: string[]): void {
  for (const name of names) {
    delete api.actions.actions[name];
    delete api.actions.versions[name];
  }
  reloadRoutes();
}

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "define-"));
  app = await startWebApp();
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(folder, { recursive: true });
});

test.each([
  ["action", () => defineAction({ name: "idle" } as never)],
  ["task", () => defineTask({ name: "idle" } as never)],
])(
  "a defined %s without a run is refused when it is loaded",
  (kind, define) => {
    expect(() => define().validate?.()).toThrow(
      `${kind} \`idle\` has no run method`,
    );
  },
);

describe("defineAction", () => {
  test("makes an action", async () => {
    const show = defineAction({
      name: "show",
      version: 2,
      inputs: z.object({ id: z.int() }),
      run: ({ params }) => ({ next: params.id + 1 }),
    });
    expect(show).toBeInstanceOf(Action);
    expect(show).toMatchObject({
      name: "show",
      description: "show",
      version: 2,
      middleware: [],
      logLevel: "info",
    });
    expect(() => show.validate()).not.toThrow();
    const none = defineAction({ name: "", run: () => ({}) });
    expect(() => none.validate()).toThrow("name is required");
  });

  test("is loaded beside classes, once for each value", async () => {
    await load(
      "both",
      `exports.one = defineAction({ name: "one", run: () => ({ is: 1 }) });
       exports.default = exports.one;
       exports.Two = class Two extends Action {
         name = "two"; description = "two";
         async run() { return { is: 2 }; }
       };`,
    );
    expect((await action.run("one")).is).toBe(1);
    expect((await action.run("two")).is).toBe(2);
  });

  test("a file that exports anything else is refused", async () => {
    for (const value of ["{}", "5", "null", "() => {}"])
      await expect(load("wrong", `exports.wrong = ${value};`)).rejects.toThrow(
        "its export `wrong` is no action",
      );
  });
});

describe("defineMiddleware", () => {
  test("is registered with the action that names it, and adds to the session", async () => {
    await load(
      "signedIn",
      `const signedIn = defineMiddleware({
         name: "signedIn",
         preProcessor: async ({ params }) => {
           if (params.token !== "x") throw new Error("please sign in");
           return { user: "Ada" };
         },
         postProcessor: ({ response }) => { response.after = true; },
       });
       exports.me = defineAction({
         name: "me", inputs: { token: {} }, middleware: [signedIn],
         run: ({ session }) => ({ user: session.user }),
       });`,
    );
    expect(await action.run("me", 1, { token: "x" })).toMatchObject({
      user: "Ada",
      after: true,
    });
    await expect(action.run("me")).rejects.toThrow("please sign in");
    expect(api.actions.globalMiddleware).not.toContain("signedIn");
  });

  test("other middleware of the same name is refused", async () => {
    const withOther = `exports.other = defineAction({
      name: "other", middleware: [defineMiddleware({ name: "signedIn" })], run: () => ({}) });`;
    await expect(load("other", withOther)).rejects.toThrow(
      "there is another middleware `signedIn` than that of the action `other`",
    );
  });

  test("is added for classes as any other", async () => {
    const counted = defineMiddleware({
      name: "counted",
      preProcessor: () => ({ count: 1 }),
    });
    action.addMiddleware(counted);
    await load(
      "classWith",
      `exports.C = class C extends Action {
        name = "classWith"; description = "c"; middleware = ["counted"];
        async run({ session }) { return { count: session.count }; }
      };`,
    );
    expect((await action.run("classWith")).count).toBe(1);
  });
});

describe("the route of an action", () => {
  test("is there beside config/routes, for functions and classes", async () => {
    await load(
      "routed",
      `exports.f = defineAction({ name: "routedF", inputs: { id: {} },
         route: ["get /things/:id", "POST /things"], run: ({ params }) => ({ id: params.id ?? "new" }) });
       exports.C = class C extends Action {
         name = "routedC"; description = "c"; route = "get /classes"; version = 3;
         async run({ params }) { return { version: params.apiVersion }; }
       };`,
    );
    reloadRoutes();
    expect((await app.ask("/api/things/7")).json.id).toBe("7");
    const posted = await app.ask("/api/things", { method: "POST" });
    expect(posted.json.id).toBe("new");
    expect((await app.ask("/api/classes")).json.version).toBe(3);
    expect((await app.ask("/api/things")).status).toBe(404);
    forget("routedF", "routedC");
    expect((await app.ask("/api/things/7")).status).toBe(404);
  });

  test("may be that of several versions, and the client says which", async () => {
    const version = (number: number) =>
      `exports.v${number} = defineAction({ name: "versions", version: ${number}, route: "get /versions",
        run: () => ({ is: ${number} }) });`;
    await load("versions", version(1) + version(2));
    reloadRoutes();
    expect((await app.ask("/api/versions")).json.is).toBe(2);
    expect((await app.ask("/api/versions?apiVersion=1")).json.is).toBe(1);
    forget("versions");
  });

  test("one route of two actions is an error that names both places, and the routes stay unchanged", async () => {
    const before = api.routes.routes;
    const first = await load(
      "first",
      `exports.a = defineAction({ name: "first", route: "get /same/:id", run: () => ({}) });`,
    );
    const second = await load(
      "second",
      `exports.a = defineAction({ name: "second", route: "get /Same/:key", run: () => ({}) });`,
    );
    expect(() => reloadRoutes()).toThrow(
      `two actions have the route get /Same/:key: second (${second}) and first (${first})`,
    );
    expect(api.routes.routes).toBe(before);
    delete api.actions.actions.second;
    expect(() => reloadRoutes()).not.toThrow();
    forget("first");
  });

  test("that config/routes gives to another action is an error, too", async () => {
    const file = await load(
      "taken",
      `exports.a = defineAction({ name: "taken", route: "get /status", run: () => ({}) });`,
    );
    expect(() => reloadRoutes()).toThrow(
      `two actions have the route get /status: taken (${file}) and config/routes`,
    );
    forget("taken");
  });

  test("with a method that does not exist is an error", async () => {
    const file = await load(
      "gett",
      `exports.a = defineAction({ name: "gett", route: "gett /a", run: () => ({}) });`,
    );
    expect(() => reloadRoutes()).toThrow(
      `cannot route /a: gett is not an HTTP verb (gett (${file}))`,
    );
    forget("gett");
  });

  test("a class of version 29 may have a field `route` of another type", async () => {
    await load(
      "fields",
      `exports.C = class C extends Action {
        name = "fields"; description = "c"; route = { path: "/x" };
        async run() {}
      };
      exports.D = class D extends Action {
        name = "fieldsD"; description = "d"; route = "/path";
        async run() {}
      };`,
    );
    expect(() => reloadRoutes()).not.toThrow();
    forget("fields", "fieldsD");
  });
});

test("defineTask makes a task", async () => {
  const work = defineTask({
    name: "defined",
    inputs: z.object({ id: z.int() }),
    timeout: 1000,
    run: ({ id }, _worker, { attempt }) => ({ next: id + 1, attempt }),
  });
  expect(work).toMatchObject({
    name: "defined",
    description: "defined",
    queue: "default",
    frequency: 0,
    timeout: 1000,
  });
  expect(() => work.validate!()).not.toThrow();
  await load(
    "work",
    `exports.work = defineTask({ name: "loaded", run: (params) => params.a + 1 });`,
    "tasks",
  );
  expect(await specHelper.runFullTask("loaded", { a: 1 })).toBe(2);
});

test("an HttpError of middleware has its status", async () => {
  const never = defineMiddleware({
    name: "never",
    preProcessor: () => {
      throw new HttpError(401, "no");
    },
  });
  action.addMiddleware(never);
  await load(
    "guarded",
    `exports.a = defineAction({ name: "guarded", middleware: ["never"], route: "get /guarded", run: () => ({}) });`,
  );
  reloadRoutes();
  expect((await app.ask("/api/guarded")).status).toBe(401);
  forget("guarded");
});
