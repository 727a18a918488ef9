import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
let ran = 0;

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    hello: {
      run: () => {
        ran++;
        return { hello: "\u2028world" };
      },
    },
    boom: {
      run: () => {
        throw new Error("boom");
      },
    },
  });
});

beforeEach(() => {
  ran = 0;
});

afterAll(() => app.stop());

const KNOWN = "fedcba9876543210fedcba9876543210fedcba98";
const jsonp = (callback: string, path = "/api/hello") =>
  app.ask(`${path}?callback=${encodeURIComponent(callback)}`, {
    headers: { Cookie: `sessionID=${KNOWN}` },
  });

test("on: the callback is cleaned, and the script is not sniffed", async () => {
  const { status, headers, text } = await jsonp("alert('hi');foo");
  expect(status).toBe(200);
  expect(headers).toMatchObject({
    "content-type": "application/javascript",
    "x-content-type-options": "nosniff",
  });
  expect(text).toMatch(/^alert&#39;hi&#39;;foo\(\{[^]*\}\);$/);
});

test.each([true, "strict"] as const)(
  "%s: neither a response nor an error names the session",
  async (setting) => {
    config.web.jsonp = setting;
    for (const path of ["/api/hello", "/api/boom", "/api/unknown"]) {
      const { text } = await jsonp("call", path);
      expect(text).toContain("requesterInformation");
      expect(text).toContain("messageId");
      expect(text).not.toContain(KNOWN);
      expect(text).not.toContain("fingerprint");
    }
    const { json } = await app.ask("/api/hello");
    expect(json.requesterInformation.fingerprint).toBeDefined();
  },
);

test("off: the callback is ignored", async () => {
  config.web.jsonp = false;
  const { status, headers, json } = await jsonp("alert(1)");
  expect(status).toBe(200);
  expect(headers["content-type"]).toContain("application/json");
  expect(json.requesterInformation.fingerprint).toBe(KNOWN);
});

describe("strict", () => {
  beforeEach(() => {
    config.web.jsonp = "strict";
  });

  test.each(["call", "app.callbacks[12]", "$", "_a", "x".repeat(128)])(
    "%s is called",
    async (callback) => {
      const { status, headers, text } = await jsonp(callback);
      expect(status).toBe(200);
      expect(headers["content-type"]).toBe("application/javascript");
      expect(text.startsWith(`/**/${callback}({`)).toBe(true);
      expect(text).toContain("\\u2028world");
    },
  );

  test.each([
    "a;b",
    "a++",
    "delete a",
    "a\n",
    "a(",
    "ä",
    "<b>",
    "x".repeat(129),
  ])("%j is a 400, and the action does not run", async (callback) => {
    const { status, headers, json } = await jsonp(callback);
    expect(status).toBe(400);
    expect(headers["content-type"]).toContain("application/json");
    expect(json.error).toBe("callback is not the name of a function");
    expect(ran).toBe(0);
  });

  test("a list is a 400, and an empty one is ignored", async () => {
    expect((await app.ask("/api/hello?callback[]=a")).status).toBe(400);
    const { status, json } = await app.ask("/api/hello?callback=");
    expect([status, json.hello]).toEqual([200, "\u2028world"]);
  });
});
