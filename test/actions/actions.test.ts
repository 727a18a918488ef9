import * as fs from "node:fs";
import * as path from "node:path";

process.env.AUTOMATIC_ROUTES = "get";
import { startWebApp, type WebApp } from "../support/webApp";
import { action, api, config, file, id } from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
});

afterAll(async () => {
  await app.stop();
});

const root = path.join(__dirname, "..", "..");
const projectJson = JSON.parse(
  fs.readFileSync(path.join(root, "package.json"), "utf8"),
);

describe("status", () => {
  test("reports the health of the server", async () => {
    const { status, json } = await app.ask("/api/status");
    expect(status).toBe(200);
    expect(json).toMatchObject({
      id,
      actionheroVersion: projectJson.version,
      name: "actionhero",
      description: projectJson.description,
      version: projectJson.version,
      resqueTotalQueueLength: 0,
      nodeStatus: "Node Healthy",
      problems: [],
    });
    expect(json.uptime).toBeGreaterThan(0);
    expect(json.consumedMemoryMB).toBeGreaterThan(1);
  });

  test("counts the jobs of all queues, and says when they are too many", async () => {
    const saved = api.resque;
    const lengths: Record<string, number> = { high: 1000, low: 5 };
    api.resque = {
      queue: {
        queues: async () => Object.keys(lengths),
        length: async (name: string) => lengths[name],
      },
    } as any;
    try {
      const { json } = await app.ask("/api/status");
      expect(json.resqueTotalQueueLength).toBe(1005);
      expect(json.nodeStatus).toBe("Node Unhealthy");
      expect(json.problems).toEqual(["Resque Queues over 1000 jobs"]);
    } finally {
      api.resque = saved;
    }
  });
});

describe("without general.introspection", () => {
  beforeAll(() => {
    config.general.introspection = false;
  });
  afterAll(() => {
    config.general.introspection = true;
  });

  const bare = ({ json }: { json: Record<string, unknown> }) => {
    const { serverInformation: _, requesterInformation: __, ...rest } = json;
    return rest;
  };

  test("status says only that the server is healthy", async () => {
    const answer = await app.ask("/api/status");
    expect([answer.status, bare(answer)]).toEqual([200, { status: "healthy" }]);
  });

  test.each([
    ["jobs pile up", async () => ["high"]],
    [
      "redis does not respond",
      () => Promise.reject(new Error("redis is away")),
    ],
  ])("status is 503 when %s, and says no more", async (_why, queues) => {
    const saved = api.resque;
    api.resque = { queue: { queues, length: async () => 5000 } } as any;
    try {
      const answer = await app.ask("/api/status");
      expect([answer.status, bare(answer)]).toEqual([
        503,
        { status: "unhealthy" },
      ]);
      expect(await action.run("status")).toEqual({ status: "unhealthy" });
    } finally {
      api.resque = saved;
    }
  });

  test("swagger is not found", async () => {
    const answer = await app.ask("/api/swagger");
    expect([answer.status, bare(answer)]).toEqual([
      404,
      { error: "this server does not describe its API" },
    ]);
  });
});

test("randomNumber returns a number and a text", async () => {
  const { json } = await app.ask("/api/randomNumber");
  expect(json.randomNumber).toBeGreaterThanOrEqual(0);
  expect(json.randomNumber).toBeLessThan(1);
  expect(json.stringRandomNumber).toBe(
    `Your random number is ${json.randomNumber}`,
  );
});

describe("sleepTest", () => {
  test("sleepTest sleeps for the requested time", async () => {
    const { json } = await app.ask("/api/sleepTest?sleepDuration=20");
    expect(json.sleepDuration).toBe(20);
    expect(json.sleepDelta).toBe(json.sleepEnded - json.sleepStarted);
    expect(json.sleepDelta).toBeGreaterThanOrEqual(15);
  });

  test("sleepTest sleeps for a second by default", async () => {
    const { json } = await app.ask("/api/sleepTest");
    expect(json.sleepDuration).toBe(1000);
  });
});

test("sendFile responds with the logo", async () => {
  const { status, headers, bytes } = await app.ask("/api/sendFile");
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("image/png");
  const logo = path.join(root, "public", "logo", "actionhero.png");
  expect(bytes.equals(fs.readFileSync(logo))).toBe(true);
});

describe("validationTest", () => {
  test.each([
    ["", "string is a required parameter for this action"],
    ["string=a&number=5", "Param number is not a valid number!"],
    ["string=a&number=x", "Param number is not a valid number!"],
    ["string=a&number=123", "Failed formatting number correctly!"],
  ])("%s", async (query, error) => {
    const { json } = await app.ask(`/api/validationTest?${query}`);
    expect(json.error).toBe(error);
  });

  test("validationTest returns a valid text", async () => {
    const { json } = await app.ask("/api/validationTest?string=hello");
    expect(json.error).toBeUndefined();
    expect(json.string).toBe("hello");
  });

  test("validationTest refuses values that are not strings", async () => {
    await expect(
      action.run("validationTest", 1, { string: 5 }),
    ).rejects.toThrow('Input for parameter "string" failed validation!');
  });
});

describe("cacheTest", () => {
  test("cacheTest saves, reads and removes an object", async () => {
    const { status, json } = await app.ask("/api/cacheTest?key=abc&value=def");
    expect(status).toBe(200);
    expect(json.cacheTestResults).toEqual({
      saveResp: true,
      sizeResp: 1,
      loadResp: {
        key: "cacheTest_abc",
        value: "def",
        createdAt: expect.any(Number),
      },
      deleteResp: true,
    });
  });

  test.each([
    ["", "key is a required parameter for this action"],
    ["key=abc", "value is a required parameter for this action"],
    ["key=ab&value=def", "inputs should be at least 3 letters long"],
  ])("%p is refused", async (query, error) => {
    const { json } = await app.ask(`/api/cacheTest?${query}`);
    expect(json.error).toBe(error);
  });
});

test("recursiveAction runs randomNumber", async () => {
  const { json } = await app.ask("/api/recursiveAction");
  expect(json.local).toBe(true);
  expect(json.randomNumber).toBeGreaterThanOrEqual(0);
});

describe("swagger", () => {
  const saved: Record<string, any> = {};

  beforeAll(() => {
    saved.routes = api.routes.routes;
    saved.hosts = config.web.allowedRequestHosts;
    saved.prefix = config.web.urlPathForActions;
    api.actions.actions.documented = {
      1: { name: "documented", description: "old", version: 1 } as never,
      2: {
        name: "documented",
        description: "new",
        version: 2,
        inputs: {
          zeta: { required: true },
          id: {},
          count: { default: 5 },
          list: { default: { a: 1 } },
          late: { default: () => "now" },
          broken: {
            default: () => {
              throw new Error("needs a request");
            },
          },
        },
      } as never,
    };
    api.actions.versions.documented = [1, 2];
    api.actions.actions["group:hidden"] = {
      1: {
        name: "group:hidden",
        description: "x",
        version: 1,
        toDocument: false,
      } as never,
    };
    api.actions.versions["group:hidden"] = [1];
    api.routes.loadRoutes({
      get: [
        { path: "/v:apiVersion/doc/:id(^\\d+$)", action: "documented" },
        { path: "/old", action: "documented", apiVersion: 1 },
        { path: "/nothing", action: "notThere" },
        { path: "/proto", action: "constructor" },
        { path: "/hidden", action: "group:hidden" },
      ],
    });
  });

  afterAll(() => {
    delete api.actions.actions.documented;
    delete api.actions.actions["group:hidden"];
    api.routes.loadRoutes();
  });

  const document = () => action.run("swagger");

  test("the document names its subject", async () => {
    const { json } = await app.ask("/api/swagger");
    expect(json).toMatchObject({
      swagger: "2.0",
      info: {
        title: "actionhero",
        version: projectJson.version,
        description: projectJson.description,
        license: { name: "Apache-2.0" },
      },
      host: `localhost:${config.web.port}`,
      basePath: "/api/",
      schemes: ["http"],
      securityDefinitions: {},
    });
  });

  test("describes uploaded files as parts of a form", async () => {
    api.actions.actions.uploading = {
      1: {
        name: "uploading",
        description: "x",
        version: 1,
        inputs: { picture: file(), note: {} },
      } as never,
    };
    api.routes.loadRoutes({ post: [{ path: "/up", action: "uploading" }] });
    const { paths } = await document();
    expect(paths["/up"].post).toMatchObject({
      consumes: ["multipart/form-data"],
      parameters: [
        { name: "note", in: "query", type: "string" },
        { name: "picture", in: "formData", type: "file" },
      ],
    });
    delete api.actions.actions.uploading;
  });

  test("the document has a path per action", async () => {
    const { paths } = await document();
    expect(paths["/status"].get.summary).toBe(
      "Tells how this server is, and which one it is",
    );
    expect(paths["/validationTest"].get.tags).toEqual(["validationTest"]);
  });

  test("variables in paths are in braces, without version and pattern, and inputs are sorted", async () => {
    const { paths } = await document();
    expect(paths["/doc/{id}"].get.summary).toBe("new");
    expect(paths["/doc/{id}"].get.parameters).toEqual([
      { in: "query", name: "broken", type: "string", required: false },
      {
        in: "query",
        name: "count",
        type: "string",
        required: false,
        default: 5,
      },
      { in: "path", name: "id", type: "string", required: true },
      {
        in: "query",
        name: "late",
        type: "string",
        required: false,
        default: "now",
      },
      {
        in: "query",
        name: "list",
        type: "string",
        required: false,
        default: '{"a":1}',
      },
      { in: "query", name: "zeta", type: "string", required: true },
    ]);
  });

  test("a route of an older version describes that one, which has no inputs", async () => {
    const { paths } = await document();
    expect(paths["/old"].get).toMatchObject({ summary: "old", parameters: [] });
  });

  test("missing and hidden actions are left out", async () => {
    const { paths } = await document();
    for (const path of ["/nothing", "/proto", "/hidden"])
      expect(paths[path]).toBeUndefined();
  });

  test("the host and the prefix come from the configuration", async () => {
    config.web.allowedRequestHosts = ["https://api.example.com"];
    config.web.urlPathForActions = "my/api";
    expect(await document()).toMatchObject({
      host: "api.example.com",
      basePath: "/my/api/",
      schemes: ["https", "http"],
    });
    config.web.allowedRequestHosts = ["http://api.example.com"];
    config.web.urlPathForActions = null;
    expect(await document()).toMatchObject({
      host: "api.example.com",
      basePath: "/",
    });
  });
});
