/** What v29's users and their tests do to the registries: change them in place, replace them, put literals there. */
import { startWebApp, type WebApp } from "../support/webApp";
import { action, api, route, specHelper } from "../../src/index";

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
});

afterAll(() => app.stop());

const status = async (path: string) => (await app.ask(path)).status;

describe("api.actions", () => {
  test("a literal with nothing but run is an action, over every transport", async () => {
    api.actions.actions.literal = {
      1: { run: async () => ({ ok: true }) } as never,
    };
    api.actions.versions.literal = [1];
    api.routes.routes.get.push({ path: "/literal", action: "literal" });
    const { json } = await app.ask("/api/literal");
    expect(json.ok).toBe(true);
    expect(json.requesterInformation.receivedParams.action).toBe("literal");
    expect(await specHelper.runAction("literal")).toMatchObject({ ok: true });
    expect(await action.run("literal")).toEqual({ ok: true });
  });

  test("without matchExtensionMimeType a literal stays JSON", async () => {
    api.routes.routes.get.push({ path: "/literal.html", action: "literal" });
    const { headers } = await app.ask("/api/literal.html");
    expect(headers["content-type"]).toBe("application/json; charset=utf-8");
  });

  test("an action is replaced, changed and taken away between two requests", async () => {
    const ran = async () => (await specHelper.runAction("changing")).ran;
    api.actions.versions.changing = [1];
    api.actions.actions.changing = {
      1: { run: async () => ({ ran: "first" }) } as never,
    };
    expect(await ran()).toBe("first");
    api.actions.actions.changing[1] = {
      run: async () => ({ ran: "second" }),
    } as never;
    expect(await ran()).toBe("second");
    api.actions.actions.changing[1].run = async () => ({ ran: "third" });
    expect(await ran()).toBe("third");

    const template: any = api.actions.actions.changing[1];
    template.inputs = { needed: { required: true } };
    const missing = await specHelper.runAction("changing");
    expect(missing.error).toMatch(/needed is a required parameter/);
    template.inputs.needed.required = false;
    expect(await ran()).toBe("third");
    template.blockedConnectionTypes = ["testServer"];
    const blocked = await specHelper.runAction("changing");
    expect(blocked.error).toMatch(/does not support/);

    delete api.actions.actions.changing;
    delete api.actions.versions.changing;
    const gone = await specHelper.runAction("changing");
    expect(gone.error).toBe("Error: unknown action or invalid apiVersion");
  });

  test("another version is the latest when the list says so", async () => {
    api.actions.actions.twoVersions = {
      1: { run: async () => ({ v: 1 }) } as never,
      2: { run: async () => ({ v: 2 }) } as never,
    };
    api.actions.versions.twoVersions = [1];
    expect((await specHelper.runAction("twoVersions")).v).toBe(1);
    api.actions.versions.twoVersions.push(2);
    expect((await specHelper.runAction("twoVersions")).v).toBe(2);
  });

  test("middleware is reset by replacing both registries", async () => {
    action.addMiddleware({
      name: "mark",
      global: true,
      preProcessor: (data) => void (data.response.marked = true),
    });
    expect((await specHelper.runAction("literal")).marked).toBe(true);
    api.actions.middleware = {};
    api.actions.globalMiddleware = [];
    expect((await specHelper.runAction("literal")).marked).toBeUndefined();
    action.addMiddleware({
      name: "again",
      global: true,
      postProcessor: (data) => void (data.response.again = true),
    });
    expect((await specHelper.runAction("literal")).again).toBe(true);
    api.actions.globalMiddleware.splice(0);
    api.actions.middleware = {};
    expect((await specHelper.runAction("literal")).again).toBeUndefined();
  });

  test("middleware reads extra properties of the action", async () => {
    api.actions.actions.guarded = {
      1: { needsRole: "admin", run: async () => ({ in: true }) } as never,
    };
    api.actions.versions.guarded = [1];
    action.addMiddleware({
      name: "roles",
      global: true,
      preProcessor: ({ actionTemplate }) => {
        if (actionTemplate.needsRole) throw new Error("not for you");
      },
    });
    expect((await specHelper.runAction("guarded")).error).toBe(
      "Error: not for you",
    );
    expect((await specHelper.runAction("literal")).ok).toBe(true);
    api.actions.middleware = {};
    api.actions.globalMiddleware = [];
  });
});

describe("api.routes", () => {
  test("pushed, removed, and the whole table replaced and put back", async () => {
    const saved = api.routes.routes;
    expect(await status("/api/pushed")).toBe(404);
    api.routes.routes.get.push({ path: "/pushed", action: "literal" });
    expect(await status("/api/pushed")).toBe(200);
    api.routes.routes.get.pop();
    expect(await status("/api/pushed")).toBe(404);

    api.routes.routes = {
      ...saved,
      get: [{ path: "/only", action: "literal" }],
    };
    expect(await status("/api/only")).toBe(200);
    expect(await status("/api/literal")).toBe(404);
    api.routes.routes = saved;
    expect(await status("/api/only")).toBe(404);
    expect(await status("/api/literal")).toBe(200);
  });

  test("registerRoute works while the server runs, for all methods at once, too", async () => {
    route.registerRoute("get", "/registered/:x", "literal");
    expect(await status("/api/registered/1")).toBe(200);
    route.registerRoute("all", "/everyMethod", "literal");
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"])
      expect((await app.ask("/api/everyMethod", { method })).status).toBe(200);
  });

  test("an entry may be swapped after the table was used", async () => {
    expect(await status("/api/registered/1")).toBe(200);
    api.routes.routes.get.push({ path: "/swap", action: "literal" });
    expect(await status("/api/swap")).toBe(200);
    api.routes.routes.get.pop();
    api.routes.routes.get.push({ path: "/swapped", action: "literal" });
    expect(await status("/api/swap")).toBe(404);
    expect(await status("/api/swapped")).toBe(200);
  });
});

describe("other registries", () => {
  test("exception reporters", async () => {
    const seen: string[] = [];
    const reporter = (error: Error) => void seen.push(error.message);
    api.exceptionHandlers.reporters.push(reporter as never);
    api.actions.actions.failing = {
      1: {
        run: async () => {
          throw new Error("seen");
        },
      } as never,
    };
    api.actions.versions.failing = [1];
    await specHelper.runAction("failing");
    api.exceptionHandlers.reporters.pop();
    await specHelper.runAction("failing");
    expect(seen).toEqual(["seen"]);
  });

  test("search locations of static files", async () => {
    const folder = __dirname;
    api.staticFile.searchLocations.push(folder);
    const name = "registries.test.ts";
    expect(await status(`/public/${name}`)).toBe(200);
    api.staticFile.searchLocations.pop();
    expect(await status(`/public/${name}`)).toBe(404);
  });

  test("functions of api are looked up when they are called", async () => {
    const found = jest
      .spyOn(api.staticFile, "get")
      .mockImplementation(async (connection) => ({
        connection,
        error: "replaced",
        mime: "text/plain",
        length: 8,
      }));
    const { error } = await specHelper.getStaticFile("simple.html");
    found.mockRestore();
    expect(error).toBe("replaced");

    const routed = jest
      .spyOn(api.routes, "processRoute")
      .mockImplementation((connection) => {
        connection.params.action = "literal";
      });
    expect(await status("/api/anything")).toBe(200);
    routed.mockRestore();
    expect(await status("/api/anything")).toBe(404);
  });

  test("own things of a project on api", () => {
    api.mine = { count: 1 };
    expect((globalThis as any).api.mine.count).toBe(1);
    delete api.mine;
  });
});
