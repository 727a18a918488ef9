import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { isActiveType } from "../../../src/server/web/contentType";
import { api, config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

const ATTACK = "<img src=x onerror=alert(1)>";
const URL_ATTACK = encodeURIComponent(ATTACK);
const JSON_TYPE = "application/json; charset=utf-8";

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
  const inputs = { name: {} };
  const typed = (type: string, respond: (data: any) => unknown) => ({
    inputs,
    run: (data: any) => {
      data.connection.rawConnection.responseHeaders.push([
        "Content-Type",
        type,
      ]);
      return respond(data);
    },
  });
  addActions({
    object: {
      inputs,
      matchExtensionMimeType: true,
      run: ({ params }) => ({ name: params.name }),
    },
    text: {
      inputs,
      matchExtensionMimeType: true,
      run: (data) => void (data.response = `hello ${data.params.name}`),
    },
    bytes: {
      inputs,
      matchExtensionMimeType: true,
      run: (data) => void (data.response = Buffer.from("<b>")),
    },
    failedText: {
      inputs,
      matchExtensionMimeType: true,
      run: (data) => {
        data.response = "begun";
        throw new Error(data.params.name);
      },
    },
    list: {
      inputs,
      matchExtensionMimeType: true,
      run: (data) => void (data.response = [data.params.name]),
    },
    page: typed("text/html", (data) => void (data.response = "<p>own</p>")),
    objectPage: typed("text/html; charset=utf-8", ({ params }) => ({
      ...params,
    })),
    failedPage: typed("text/html", ({ params }) => {
      throw new Error(params.name);
    }),
    failedTextPage: typed("text/html", (data) => {
      data.response = "begun";
      throw new Error(data.params.name);
    }),
    ownType: {
      inputs: { name: {}, type: {} },
      run: async ({ params, connection }) => {
        await connection!.setHeader("Content-Type", params.type);
        return { name: params.name };
      },
    },
    explicit: {
      inputs,
      matchExtensionMimeType: true,
      run: async (data) => {
        await data.connection.setHeader("Content-Type", "text/plain");
        data.response = "<b>";
      },
    },
  });
  for (const action of [
    "object",
    "text",
    "bytes",
    "failedText",
    "list",
    "explicit",
  ])
    api.routes.routes.get.push({ path: `/${action}/:name`, action });
});

afterAll(() => app.stop());

const typeOf = async (path: string) =>
  (await app.ask(path)).headers["content-type"];

describe.each(["all", "safe"] as const)("web.extensionTypes: %s", (setting) => {
  beforeEach(() => {
    config.web.extensionTypes = setting;
  });

  test.each([
    "html",
    "svg",
    "xml",
    "xhtml",
    "js",
    "css",
    "pdf",
    "swf",
    "htm",
    "rss",
    "mjs",
    "xsl",
    "wasm",
  ])("an object is JSON, however the path ends: .%s", async (extension) => {
    for (const action of ["object", "list"]) {
      const path = `/api/${action}/${URL_ATTACK}.${extension}`;
      expect(await typeOf(path)).toBe(JSON_TYPE);
    }
  });

  test("an object has a passive type of the path", async () => {
    expect(await typeOf("/api/object/x.png")).toBe("image/png");
    expect(await typeOf("/api/object/x.txt")).toBe("text/plain");
  });

  test("the error of an action that had begun a text is JSON", async () => {
    const { headers, json } = await app.ask(
      `/api/failedText/${URL_ATTACK}.html`,
    );
    expect(headers["content-type"]).toBe(JSON_TYPE);
    expect(json).toBe(`Error: ${ATTACK}.html`);
  });

  test("a type that the project set is not changed by the path", async () => {
    expect(await typeOf("/api/explicit/x.html")).toBe("text/plain");
  });

  test("a text of the project with a type that it set keeps it", async () => {
    const { headers, text } = await app.ask("/api/page");
    expect([headers["content-type"], text]).toEqual([
      "text/html",
      "<p>own</p>",
    ]);
  });

  test.each([
    "application/json,text/html",
    "text/html; a=json",
    "image/png, text/html",
    "image/png; a=json, text/html",
    "*/*, text/html",
    "text/xsl",
  ])("JSON never has the type %s", async (type) => {
    const { headers, json } = await app.ask(
      `/api/ownType?type=${encodeURIComponent(type)}&name=${URL_ATTACK}`,
    );
    expect(headers["content-type"]).toBe(JSON_TYPE);
    expect(json.name).toBe(ATTACK);
  });

  test("JSON keeps a passive type that the project set", async () => {
    const type = "application/ld+json; profile=a";
    expect(await typeOf(`/api/ownType?type=${encodeURIComponent(type)}`)).toBe(
      type,
    );
  });

  test.each(["objectPage", "failedPage", "failedTextPage"])(
    "JSON never has an active type that the project set for something else: %s",
    async (action) => {
      const { headers, json } = await app.ask(
        `/api/${action}?name=${URL_ATTACK}`,
      );
      expect(headers["content-type"]).toBe(JSON_TYPE);
      expect(JSON.stringify(json)).toContain(ATTACK);
    },
  );
});

test.each(["text", "bytes"])(
  "all: %s has the type of the path, and is not sniffed if that is active",
  async (action) => {
    const active = await app.ask(`/api/${action}/x.html`);
    expect(active.headers).toMatchObject({
      "content-type": "text/html",
      "x-content-type-options": "nosniff",
    });
    const passive = await app.ask(`/api/${action}/x.png`);
    expect(passive.headers["content-type"]).toBe("image/png");
    expect(passive.headers["x-content-type-options"]).toBeUndefined();
  },
);

test.each(["text", "bytes"])(
  "safe: %s has the type of the path only if that is passive",
  async (action) => {
    config.web.extensionTypes = "safe";
    expect(await typeOf(`/api/${action}/x.html`)).toBe(JSON_TYPE);
    expect(await typeOf(`/api/${action}/x.png`)).toBe("image/png");
  },
);

describe("web.nosniff", () => {
  const nosniffOf = async (path: string, method = "GET") =>
    (await app.ask(path, { method })).headers["x-content-type-options"];

  const EVERY = [
    ["/api/object", "GET"],
    ["/api/object", "HEAD"],
    ["/api/object", "OPTIONS"],
    ["/api/nothing", "GET"],
    ["/api/failedPage", "GET"],
    ["/simple.html", "GET"],
    ["/missing.html", "GET"],
    ["/primus/spec", "GET"],
    ["/primus", "GET"],
  ] as const;

  test.each(EVERY)("on: %s %s has it", async (path, method) => {
    config.web.nosniff = true;
    expect(await nosniffOf(path, method)).toBe("nosniff");
  });

  test.each(EVERY)("off: %s %s does not", async (path, method) => {
    expect(await nosniffOf(path, method)).toBeUndefined();
  });

  test("on: a refused expectation has it", async () => {
    config.web.nosniff = true;
    const answer = await app.ask("/api/object", {
      headers: { Expect: "payment" },
    });
    expect(answer.status).toBe(417);
    expect(answer.json.error).toContain("100-continue");
    expect(answer.headers["x-content-type-options"]).toBe("nosniff");
  });

  test("on: a redirect to an allowed host has it", async () => {
    config.web.nosniff = true;
    config.web.allowedRequestHosts = ["https://www.site.test"];
    expect(await nosniffOf("/api/object")).toBe("nosniff");
  });

  test("on: a value of the project wins, and is sent once", async () => {
    config.web.nosniff = true;
    config.web.httpHeaders["X-Content-Type-Options"] = "own";
    expect(await nosniffOf("/api/object")).toBe("own");
  });
});

test.each([
  ["text/html", true],
  ["text/html; charset=utf-8", true],
  [" TEXT/HTML;x", true],
  ["application/xhtml+xml", true],
  ["image/svg+xml", true],
  ["application/xml", true],
  ["text/xml", true],
  ["application/xml-dtd", true],
  ["application/rss+xml", true],
  ["text/javascript", true],
  ["application/x-javascript", true],
  ["application/ecmascript", true],
  ["text/jscript", true],
  ["text/css", true],
  ["application/pdf", true],
  ["multipart/x-mixed-replace", true],
  ["message/rfc822", true],
  ["text/plain", false],
  ["text/csv", false],
  ["image/png", false],
  ["application/json", false],
  [
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    false,
  ],
  ["application/octet-stream", false],
  ["", true], // browsers guess
  ["*/*", true],
  ["application/unknown", true],
  ["image", true],
  ["image/", true],
  ["image/png/x", true],
  ["image/png, text/html", true],
  ["application/json,text/html", true],
  ["*/*, text/html", true],
  ["image/png; a=b, text/html", true],
  ['image/png; a="b", text/html', true],
  ['image/png; a="\\", text/html; b="', true],
  ["text/html json", true],
  ["text/xsl", true],
  ["text/xsl; charset=utf-8", true],
  ["text/x-xml", true],
  ["text/rdf", true],
  ['video/mp4; codecs="a, b"', false],
  ["application/json; charset=utf-8;", false],
  ["application/ld+json ; profile=a", false],
])("%s is active: %s", (type, isActive) => {
  expect(isActiveType(type)).toBe(isActive);
});
