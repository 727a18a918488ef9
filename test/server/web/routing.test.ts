import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config, route } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
let folder: string;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "public-"));
  fs.writeFileSync(path.join(folder, "index.html"), "<h1>index</h1>");
  app = await startWebApp();
  api.staticFile.searchLocations.unshift(folder);
  addActions({
    user: {
      inputs: { userID: {}, key: {} },
      run: ({ params, connection }) => ({
        params,
        matchedRoute: connection.matchedRoute,
        method: connection.rawConnection.method,
      }),
    },
    narrowed: { httpMethods: ["post"], run: () => ({ narrowed: true }) },
  });
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

let routes: typeof api.routes.routes;
beforeEach(() => {
  routes = api.routes.routes;
  api.routes.routes = {
    all: [],
    head: [],
    get: [],
    patch: [],
    post: [],
    put: [],
    delete: [],
  };
});
afterEach(() => {
  api.routes.routes = routes;
});

const received = async (path: string, method = "GET") => {
  const { status, json } = await app.ask(path, { method });
  return { status, params: json.requesterInformation.receivedParams };
};

test("route variables win over the query, and the route over a named action", async () => {
  route.registerRoute("get", "/user/:userID", "user");
  const answer = await received("/api/user/123?userID=x&action=someFakeAction");
  expect(answer).toEqual({
    status: 200,
    params: { action: "user", userID: "123" },
  });
});

test("variables are decoded; what cannot be decoded is left out", async () => {
  route.registerRoute("get", "/user/:userID", "user");
  expect((await received("/api/user/a+b%20%C3%A4")).params.userID).toBe(
    "a b ä",
  );
  expect((await received("/api/user/%zz")).params).toEqual({ action: "user" });
});

test("the first match wins", async () => {
  route.registerRoute("get", "/user/:key", "user");
  route.registerRoute("get", "/user/:userID", "user");
  expect((await received("/api/user/1")).params).toEqual({
    action: "user",
    key: "1",
  });
});

test("routes pushed or replaced in place are seen", async () => {
  expect((await received("/api/user")).status).toBe(404);
  api.routes.routes.get.push({ path: "/user", action: "user" });
  expect((await received("/api/user")).status).toBe(200);
  api.routes.routes.get = [{ path: "/other", action: "user" }];
  expect((await received("/api/user")).status).toBe(404);
  expect((await received("/api/other")).status).toBe(200);
});

test("all covers every method; a route to no action is a 404 that names it", async () => {
  route.registerRoute("all", "/x", "nobody");
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
    expect(await received("/api/x", method)).toEqual({
      status: 404,
      params: { action: "nobody" },
    });
  }
});

test("HEAD takes its own routes first, then those of GET", async () => {
  route.registerRoute("get", "/user", "user");
  const get = await app.ask("/api/user");
  const head = await app.ask("/api/user", { method: "HEAD" });
  expect([head.status, head.text]).toEqual([200, ""]);
  expect(Number(head.headers["content-length"])).toBeGreaterThan(
    get.bytes.length - 20,
  );
  route.registerRoute("head", "/user", "nobody");
  expect((await app.ask("/api/user", { method: "HEAD" })).status).toBe(404);
});

test("apiVersion: the route's, unless the client names one", async () => {
  api.actions.actions.versioned = Object.fromEntries(
    [1, 2, "three"].map((version) => [
      version,
      {
        name: "versioned",
        description: "x",
        version,
        run: () => ({ version }),
      },
    ]),
  ) as never;
  api.actions.versions.versioned = [1, 2];
  route.registerRoute("get", "/v:apiVersion/login", "versioned");
  route.registerRoute("get", "/login/v:apiVersion/stuff", "versioned");
  route.registerRoute("get", "/login", "versioned");
  route.registerRoute("get", "/old_login", "versioned", "1");
  const version = async (path: string) => (await app.ask(path)).json.version;
  expect(await version("/api/v1/login")).toBe(1);
  expect(await version("/api/vthree/login")).toBe("three");
  expect(await version("/api/login")).toBe(2);
  expect(await version("/api/login/v1/stuff")).toBe(1);
  expect(await version("/api/login/vthree/stuff")).toBe("three");
  expect(await version("/api/old_login")).toBe(1);
  expect(await version("/api/old_login?apiVersion=2")).toBe(2);
  for (const wrong of ["v0", "v9999", "1", "three", "foo", "vv"])
    expect((await app.ask(`/api/${wrong}/login`)).status).toBe(404);
  for (const wrong of ["/api/login/v1", "/api/login/v99/stuff"])
    expect((await app.ask(wrong)).status).toBe(404);
});

describe("the action named by a param", () => {
  test("runs for the bare prefix, from query or body, if it has a route for the method", async () => {
    expect((await received("/api?action=user")).status).toBe(404);
    route.registerRoute("get", "/elsewhere", "user");
    expect((await received("/api?action=user")).status).toBe(200);
    expect((await received("/api/?action=user")).status).toBe(200);
    expect((await received("/api?action=user", "POST")).status).toBe(404);
    route.registerRoute("post", "/elsewhere", "user");
    const { status } = await app.ask("/api", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: '{"action":"user"}',
    });
    expect(status).toBe(200);
  });

  test("HEAD reaches what GET does", async () => {
    route.registerRoute("get", "/elsewhere", "user");
    const { status } = await app.ask("/api?action=user", { method: "HEAD" });
    expect(status).toBe(200);
  });

  test("every action runs with queryRouting or with automatic routes for the method", async () => {
    config.web.queryRouting = true;
    expect((await received("/api?action=user", "PUT")).status).toBe(200);
    config.web.queryRouting = false;
    config.web.automaticRoutes = ["put"];
    expect((await received("/api?action=user", "PUT")).status).toBe(200);
    expect((await received("/api?action=user", "DELETE")).status).toBe(404);
  });

  test("httpMethods of the action hold, whatever names it", async () => {
    config.web.queryRouting = true;
    for (const path of ["/api?action=narrowed", "/api/x?action=narrowed"]) {
      expect((await received(path)).status).toBe(404);
      expect((await received(path, "DELETE")).status).toBe(404);
      expect((await received(path, "POST")).status).toBe(200);
    }
  });

  test("not for other paths, unless queryRouting is on", async () => {
    expect((await received("/api/what?action=user")).status).toBe(404);
    config.web.queryRouting = true;
    expect((await received("/api/what?action=user")).status).toBe(200);
  });

  test("names of the prototype are no actions", async () => {
    for (const name of ["constructor", "__proto__", "toString"])
      expect(
        (await received(`/api?action=${name}&apiVersion=create`)).status,
      ).toBe(404);
  });
});

describe("automatic routes", () => {
  test("automatic routes exist for all actions that accept the method", async () => {
    config.web.automaticRoutes = ["get", "post"];
    api.routes.loadRoutes({});
    config.web.automaticRoutes = [];
    expect((await received("/api/user")).status).toBe(200);
    expect((await received("/api/user", "PUT")).status).toBe(404);
    expect((await received("/api/narrowed")).status).toBe(404);
    expect((await received("/api/narrowed", "POST")).status).toBe(200);
  });

  test("httpMethods of the version that the client names hold", async () => {
    const run = () => ({});
    const template = { name: "versioned", description: "x", run };
    api.actions.actions.versioned = {
      1: { ...template, version: 1 },
      2: { ...template, version: 2, httpMethods: ["delete"] },
    } as never;
    api.actions.versions.versioned = [1, 2];
    config.web.automaticRoutes = ["get", "delete"];
    api.routes.loadRoutes({});
    config.web.automaticRoutes = [];
    const status = async (query: string, method: string) =>
      (await received(`/api/versioned${query}`, method)).status;
    expect(await status("", "GET")).toBe(404);
    expect(await status("?apiVersion=2", "GET")).toBe(404);
    expect(await status("?apiVersion=1", "GET")).toBe(200);
    expect(await status("?apiVersion=2", "DELETE")).toBe(200);
  });

  test("an explicit route says itself which method it is for", async () => {
    route.registerRoute("get", "/explicit", "narrowed");
    expect((await received("/api/explicit")).status).toBe(200);
  });

  test("a colon in the name of an action is a character", async () => {
    addActions({ "user:show": { run: ({ params }: any) => ({ params }) } });
    config.web.automaticRoutes = ["get"];
    api.routes.routes.get = [];
    api.routes.loadRoutes({});
    config.web.automaticRoutes = [];
    for (const path of ["/api/user:show", "/api/user%3Ashow"]) {
      const { status, json } = await app.ask(path);
      expect([status, json.params.action]).toEqual([200, "user:show"]);
    }
    expect((await received("/api/userList")).status).toBe(404);
    const { paths } = (await app.ask("/api/swagger")).json;
    expect(Object.keys(paths)).toContain("user:show");
    delete api.actions.actions["user:show"];
  });

  test("an unknown HTTP method fails the boot", () => {
    config.web.automaticRoutes = ["fetch"];
    expect(() => api.routes.loadRoutes({})).toThrow(
      "fetch is not an HTTP verb",
    );
  });
});

test("loadRoutes adds and counts", () => {
  route.registerRoute("get", "/mine", "user");
  const count = api.routes.loadRoutes({
    get: [{ path: "/a", action: "user" }],
    all: [{ path: "/b", action: "user" }],
  });
  expect(count).toBe(2);
  expect(api.routes.routes.get.map(({ path }) => path)).toEqual([
    "/mine",
    "/a",
    "/b",
  ]);
  expect(api.routes.routes.all.map(({ path }) => path)).toEqual(["/b"]);
});

test("an invalid route fails the boot", () => {
  expect(() => route.registerRoute("fetch", "/x", "user")).toThrow(
    "cannot route /x: fetch is not an HTTP verb",
  );
  expect(() => route.registerRoute("get", "/:x(((", "user")).toThrow(
    /cannot route .*Invalid regular expression/,
  );
});

test("dir routes serve files, and nothing outside their folder", async () => {
  route.registerRoute("get", "/my-files", "", undefined, true, folder);
  const { status, headers } = await app.ask("/my-files/index.html");
  expect([status, headers["content-type"]]).toEqual([200, "text/html"]);
  for (const path of [
    "/my-files/../package.json",
    "/my-files/%2e%2e/package.json",
  ])
    expect((await app.ask(path)).status).toBe(404);
});

test("dir routes below a prefix or with encoded parts find their files", async () => {
  route.registerRoute("get", "/my-files", "", undefined, true, folder);
  for (const path of [
    "/public/my-files/index.html",
    "/my%2Dfiles/index.html",
    "/my-files/",
    "/public/my-files",
  ]) {
    const { status, text } = await app.ask(path);
    expect([path, status, text]).toEqual([path, 200, "<h1>index</h1>"]);
  }
});

describe("literal parts of a path are compared decoded", () => {
  test.each([
    ["/über/x", "/api/%C3%BCber/x"],
    ["/über/x", "/api/%C3%9CBER/x"],
    ["/a b/x", "/api/a%20b/x"],
    ["/echo", "/api/%65cho"],
    ["/echo", "/%61pi/echo"],
    ["/%C3%BCber", "/api/%c3%bcber"],
    ["/a+b", "/api/a+b"],
    ["/a+b", "/api/a%2Bb"],
  ])("the route %s matches %s", async (path, requested) => {
    route.registerRoute("get", path, "user");
    expect((await received(requested)).status).toBe(200);
  });

  test.each([
    ["/a b", "/api/a+b"],
    ["/a/b", "/api/a%2Fb"],
    ["/a", "/api/a%zz"],
  ])("the route %s does not match %s", async (path, requested) => {
    route.registerRoute("get", path, "user");
    expect((await received(requested)).status).toBe(404);
  });
});

describe("with strictPaths", () => {
  beforeAll(() => (config.web.strictPaths = true));
  afterAll(() => (config.web.strictPaths = false));

  test("a plus in a path is a plus", async () => {
    route.registerRoute("get", "/user/:userID", "user");
    expect((await received("/api/user/a+b%20%C3%A4")).params.userID).toBe(
      "a+b ä",
    );
  });

  test.each(["/api/user/%zz", "/api/%E0%A4%A", "/%zz", "/public/%E0%A4%A"])(
    "%s cannot be decoded: 400",
    async (path) => {
      const { status, json, headers } = await app.ask(path);
      expect(status).toBe(400);
      expect(json.error).toMatch("the path is not encoded correctly");
      expect(headers["access-control-allow-origin"]).toBe("*");
    },
  );
});

describe("methods", () => {
  test("OPTIONS answers for every path, without an action", async () => {
    for (const path of ["/api/user", "/", "/nothing"]) {
      const { status, headers, text } = await app.ask(path, {
        method: "OPTIONS",
      });
      expect([status, text, headers["content-length"]]).toEqual([200, "", "0"]);
      expect(headers["access-control-allow-origin"]).toBe("*");
      expect(headers["access-control-allow-methods"]).toBe(
        "HEAD, GET, POST, PUT, PATCH, DELETE, OPTIONS, TRACE",
      );
    }
  });

  test("OPTIONS adds the CORS headers that the config lacks", async () => {
    config.web.httpHeaders = undefined as never;
    const { headers } = await app.ask("/api", { method: "OPTIONS" });
    expect(headers["access-control-allow-methods"]).toBe(
      "HEAD, GET, POST, PATCH, PUT, DELETE, OPTIONS, TRACE",
    );
  });

  test("TRACE returns the received request without the cookie's value", async () => {
    const { status, json, text } = await app.ask("/api/x?key=1", {
      method: "TRACE",
      headers: { Cookie: "sessionID=thesecret" },
    });
    expect(status).toBe(200);
    expect(text).not.toContain("thesecret");
    expect(json).toEqual({
      messageId: expect.any(String),
      remoteIP: expect.any(String),
      receivedParams: { key: "1", action: null },
    });
  });
});

describe("TRACE with web.trace off", () => {
  beforeAll(() => {
    config.web.trace = false;
  });
  afterAll(() => {
    config.web.trace = true;
  });

  test.each(["/api/x", "/public/simple.html", "/"])(
    "%s is a 405 that says what is allowed",
    async (path) => {
      const { status, headers, json } = await app.ask(path, {
        method: "TRACE",
        headers: { Cookie: "sessionID=thesecret" },
      });
      expect(status).toBe(405);
      expect(headers.allow).toBe(
        "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
      );
      expect(json).toEqual({ error: "TRACE is not allowed" });
    },
  );
});

describe("prefixes", () => {
  const withConfig = async (
    changes: Record<string, unknown>,
    work: () => Promise<void>,
  ) => {
    const web = config.web as Record<string, unknown>;
    const before = Object.fromEntries(
      Object.keys(changes).map((key) => [key, web[key]]),
    );
    Object.assign(web, changes);
    try {
      await work();
    } finally {
      Object.assign(web, before);
    }
  };

  test("a prefix may have several parts and a leading slash", () =>
    withConfig({ urlPathForActions: "/craz/y/action/path" }, async () => {
      route.registerRoute("get", "/user", "user");
      expect((await app.ask("/craz/y/action/path/user")).status).toBe(200);
      expect((await app.ask("/api/user")).status).toBe(404);
    }));

  test("actions can be served at the root", () =>
    withConfig({ rootEndpointType: "api" }, async () => {
      route.registerRoute("get", "/user", "user");
      route.registerRoute("get", "/", "user");
      expect((await app.ask("/user")).json.params.action).toBe("user");
      expect((await app.ask("/")).status).toBe(200);
      expect((await app.ask("/api/user")).status).toBe(200);
      expect((await app.ask("/public/index.html")).status).toBe(200);
    }));

  test("files can be served without a prefix", () =>
    withConfig({ urlPathForFiles: null, rootEndpointType: "api" }, async () => {
      expect((await app.ask("/public/index.html")).status).toBe(404);
    }));
});

test("a proxy's absolute URL is understood", async () => {
  route.registerRoute("get", "/user", "user");
  expect((await received("http://localhost/api/user?key=1")).params.key).toBe(
    "1",
  );
});
