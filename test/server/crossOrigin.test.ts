/** What pages of other sites may do: CORS, CSRF over HTTP and websockets, security headers. */
import * as https from "node:https";
import type { AddressInfo } from "node:net";
import { api, config } from "../../src/index";
import type { CorsOptions } from "../../src/config/types";
import { currentCors, isForgedRequest } from "../../src/server/cors";
import { certificate } from "../support/certificate";
import { freePort } from "../support/freePort";
import { LogLines } from "../support/logLines";
import { rawUpgrade } from "../support/rawWebsocket";
import {
  addActions,
  startWebApp,
  type Answer,
  type WebApp,
} from "../support/webApp";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const SITE = "https://site.com";
const CORS = /^access-control-/;

let app: WebApp;
let runs = 0;

beforeAll(async () => {
  config.web.https = {
    enabled: true,
    port: await freePort(),
    serverOptions: certificate,
  };
  app = await startWebApp();
  addActions({
    act: { run: () => ({ runs: ++runs }) },
    listed: {
      run: ({ connection }) => ({
        isListed: connection.rawConnection.hasOwnHeaders,
      }),
    },
    piped: {
      run: async (data) => {
        data.toRender = false;
        await data.connection.pipe("piped", { "X-Own": "1" });
      },
    },
  });
});
afterAll(async () => {
  await app.stop();
});

function use(cors: CorsOptions): void {
  config.web.cors = cors as typeof config.web.cors;
}

/** The headers of CORS in a response. */
function corsOf({ headers }: Answer): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => CORS.test(name)),
  );
}

const from = (origin: string, path = "/api/act") =>
  app.ask(path, { headers: { Origin: origin } });

describe("CORS", () => {
  test("a function that throws allows no origin, here nor for websockets", async () => {
    const lines = new LogLines();
    use({
      origins: (origin) => new URL(origin).hostname.endsWith("site.com"),
      credentials: true,
    });
    config.web.csrf = true;
    for (const origin of ["null", "x"]) {
      const answer = await from(origin);
      expect([answer.status, corsOf(answer)]).toEqual([200, {}]);
      const raw = await rawUpgrade("/primus", {
        Origin: origin,
        Cookie: "a=b",
      });
      expect(await raw.status()).toBe(403);
      raw.socket.destroy();
    }
    expect(corsOf(await from(SITE))).not.toEqual({});
    expect(lines.matching(/web.cors.origins failed/)).toHaveLength(1);
    lines.stop();
  });

  test("a promise of an async function allows no origin, here nor in the CSRF check", async () => {
    const lines = new LogLines();
    const origins = (async () => true) as never;
    use({ origins, credentials: true });
    config.web.csrf = true;
    expect(corsOf(await from(SITE))).toEqual({});
    const forged = await app.ask("/api/act", {
      method: "POST",
      headers: { Origin: SITE, Cookie: "a=b", "Sec-Fetch-Site": "cross-site" },
    });
    expect(forged.status).toBe(403);
    const raw = await rawUpgrade("/primus", { Origin: SITE, Cookie: "a=b" });
    expect(await raw.status()).toBe(403);
    raw.socket.destroy();
    expect(lines.matching(/must return a boolean/)).toHaveLength(1);
    lines.stop();
  });

  test("without web.cors the headers are those of web.httpHeaders, for every origin", async () => {
    const answer = await from("https://evil.com");
    expect(answer.headers).toMatchObject({
      "access-control-allow-origin": "*",
      "access-control-allow-headers": "Content-Type",
    });
    expect(answer.headers.vary).toBeUndefined();
  });

  test.each<[string, CorsOptions["origins"], string, boolean]>([
    ["an origin of the list", [SITE], SITE, true],
    ["an origin in another case", [SITE], "HTTPS://SITE.com", true],
    ["another scheme", [SITE], "http://site.com", false],
    ["another port", [SITE], "https://site.com:8443", false],
    ["a text with commas", `https://a.com, ${SITE}`, SITE, true],
    ["the empty text", "", SITE, false],
    ["a star for a part", ["https://*.site.com"], "https://a.site.com", true],
    [
      "nothing for the star",
      ["https://*.site.com"],
      "https://.site.com",
      false,
    ],
    [
      "a slash for the star",
      ["https://*.site.com"],
      "https://evil.com/.site.com",
      false,
    ],
    ["a pattern", [/https:\/\/\w+\.site\.com/], "https://a.site.com", true],
    [
      "a pattern with more behind",
      /https:\/\/site\.com/,
      `${SITE}.evil.com`,
      false,
    ],
    ["a pattern with more before", /site\.com/, "https://site.com", false],
    ["a pattern with the flag g, twice", /https:\/\/site\.com/g, SITE, true],
    ["null for a pattern", /.*/, "null", false],
    ["null for a list", ["null"], "null", true],
    ["a function", (origin) => origin === SITE, SITE, true],
    [
      "another one for the function",
      (origin) => origin === SITE,
      "https://a.com",
      false,
    ],
    ["an endless origin", /.*/, `https://${"a".repeat(600)}`, false],
  ])("%s", async (_name, origins, origin, isAllowed) => {
    use({ origins });
    for (let i = 0; i < 2; i++) {
      const answer = await from(origin);
      expect(answer.status).toBe(200);
      expect(answer.headers.vary).toBe("Origin");
      expect(corsOf(answer)).toEqual(
        isAllowed ? { "access-control-allow-origin": origin } : {},
      );
    }
  });

  test("the origin * sends a star, with or without an origin, and no Vary", async () => {
    use({ origins: "*", exposed: ["X-A", "X-B"] });
    for (const headers of [{}, { Origin: SITE }]) {
      const answer = await app.ask("/api/act", { headers });
      expect(corsOf(answer)).toEqual({
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "X-A, X-B",
      });
      expect(answer.headers.vary).toBeUndefined();
    }
  });

  test.each(["*", ["*"], `${SITE}, *`, "https://*"])(
    "%j with credentials is refused",
    (origins) => {
      use({ origins, credentials: true });
      expect(() => currentCors()).toThrow(
        "web.cors cannot allow every origin with credentials",
      );
    },
  );

  test.each([
    ["an action", "/api/act", 200],
    ["an unknown action", "/api/nothing", 404],
    ["a file", "/public/simple.html", 200],
    ["a missing file", "/public/none.html", 404],
    ["an action that pipes", "/api/piped", 200],
  ])("%s has the headers", async (_name, path, status) => {
    use({ origins: [SITE], credentials: true, exposed: ["X-A"] });
    const answer = await from(SITE, path);
    expect(answer.status).toBe(status);
    expect(answer.headers.vary).toBe("Origin");
    expect(corsOf(answer)).toEqual({
      "access-control-allow-origin": SITE,
      "access-control-allow-credentials": "true",
      "access-control-expose-headers": "X-A",
    });
  });

  test.each([
    "/api/act",
    "/api/piped",
    "/api/nothing",
    "/public/simple.html",
    "/primus/primus.js",
    "/primus/spec",
  ])("%s varies without an origin, too, for caches", async (path) => {
    use({ origins: [SITE] });
    const answer = await app.ask(path);
    expect(answer.headers.vary).toBe("Origin");
    expect(corsOf(answer)).toEqual({});
  });

  test.each(["/primus/primus.js", "/primus/spec"])(
    "%s may be read by the listed sites only, though any may open a websocket",
    async (path) => {
      use({ origins: [SITE], credentials: true });
      const of = async (origin: string) =>
        corsOf(await app.ask(path, { headers: { Origin: origin } }));
      expect(await of("https://evil.example")).toEqual({});
      expect(await of(SITE)).toMatchObject({
        "access-control-allow-origin": SITE,
      });
    },
  );

  test("a request without an origin is answered with the prepared headers", async () => {
    use({ origins: [SITE] });
    const { json, headers } = await app.ask("/api/listed");
    expect(json.isListed).toBe(false);
    expect(headers.vary).toBe("Origin");
  });

  describe("a preflight request", () => {
    const preflight = (origin: string, more = {}) =>
      app.ask("/api/act", {
        method: "OPTIONS",
        headers: {
          Origin: origin,
          "Access-Control-Request-Method": "PUT",
          "Access-Control-Request-Headers": "x-a, content-type",
          ...more,
        },
      });

    test("is answered with what is allowed", async () => {
      use({ origins: [SITE], credentials: true });
      const answer = await preflight(SITE);
      expect([answer.status, answer.text]).toEqual([204, ""]);
      expect(corsOf(answer)).toEqual({
        "access-control-allow-origin": SITE,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": "x-a, content-type",
        "access-control-max-age": "600",
      });
      expect(answer.headers["content-length"]).toBeUndefined();
    });

    test("has the methods, headers and age of the setting", async () => {
      use({ origins: "*", methods: ["put"], headers: ["X-B"], maxAge: 5 });
      expect(corsOf(await preflight(SITE))).toEqual({
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "X-B",
        "access-control-max-age": "5",
      });
    });

    test("a preflight request of another site is allowed nothing", async () => {
      use({ origins: [SITE] });
      const answer = await preflight("https://evil.com");
      expect(answer.status).toBe(204);
      expect(corsOf(answer)).toEqual({});
    });

    test("a preflight request gets back no invalid header names", async () => {
      use({ origins: [SITE] });
      const wanted = { "Access-Control-Request-Headers": "<script>" };
      const answer = await preflight(SITE, wanted);
      expect(corsOf(answer)).not.toHaveProperty("access-control-allow-headers");
    });

    test("without the preflight headers gets no CORS headers", async () => {
      use({ origins: [SITE] });
      const answer = await app.ask("/api/act", { method: "OPTIONS" });
      expect([answer.status, corsOf(answer)]).toEqual([200, {}]);
    });
  });
});

describe("CSRF", () => {
  beforeEach(() => {
    config.web.csrf = true;
  });

  const own = "http://localhost";
  test.each<[string, string, Record<string, string>, boolean]>([
    ["another site", "POST", { "Sec-Fetch-Site": "cross-site" }, true],
    ["a neighbour", "POST", { "Sec-Fetch-Site": "same-site" }, true],
    ["the same origin", "POST", { "Sec-Fetch-Site": "same-origin" }, false],
    ["the user", "POST", { "Sec-Fetch-Site": "none" }, false],
    ["another site, by Origin", "PUT", { Origin: "https://evil.com" }, true],
    ["a sandboxed frame", "POST", { Origin: "null" }, true],
    ["the same host, by Origin", "POST", { Origin: own }, false],
    ["the same host over TLS", "POST", { Origin: "https://localhost" }, false],
    ["another port", "POST", { Origin: "http://localhost:99" }, true],
    ["no browser", "POST", {}, false],
    ["another site, reading", "GET", { Origin: "https://evil.com" }, false],
    ["an origin of CORS", "POST", { Origin: SITE }, false],
    [
      "the same, telling both",
      "POST",
      { Origin: SITE, "Sec-Fetch-Site": "cross-site" },
      false,
    ],
  ])("%s with %s %j", async (_name, method, headers, isForged) => {
    use({ origins: [SITE], credentials: true });
    const all = { Cookie: "sessionID=a", Host: "localhost", ...headers };
    const before = runs;
    const answer = await app.ask("/api/act", { method, headers: all });
    if (!isForged)
      return expect([answer.status, runs]).not.toEqual([403, before]);
    expect(answer.status).toBe(403);
    expect(answer.json.error).toBe("requests of other sites are not allowed");
    expect(runs).toBe(before);
  });

  test("an origin that CORS allows without credentials is another site", async () => {
    use({ origins: [SITE] });
    const headers = { Cookie: "a=1", Origin: SITE };
    const answer = await app.ask("/api/act", { method: "POST", headers });
    expect(answer.status).toBe(403);
    // the page may read that
    expect(answer.headers["access-control-allow-origin"]).toBe(SITE);
  });

  test("a request without cookies is checked with all only, and no request is in the v29 profile", async () => {
    const evil = { Origin: "https://evil.com" };
    const ask = (headers: Record<string, string>) =>
      app.ask("/api/act", { method: "POST", headers });
    expect((await ask(evil)).status).toBe(200);
    config.web.csrf = "all";
    expect((await ask(evil)).status).toBe(403);
    expect((await ask({})).status).toBe(200);
    config.web.csrf = false;
    expect((await ask({ ...evil, Cookie: "a=1" })).status).toBe(200);
  });

  test("a page over plain HTTP is another site for a server with TLS", () => {
    const req = (origin: string) => ({
      method: "POST",
      socket: { encrypted: true },
      headers: { cookie: "a=1", host: "localhost", origin },
    });
    expect(isForgedRequest(req("http://localhost") as never)).toBe(true);
    expect(isForgedRequest(req("https://localhost") as never)).toBe(false);
  });

  test("the host that a trusted proxy reports is the own one", () => {
    const req = {
      method: "POST",
      socket: { remoteAddress: "127.0.0.1" },
      headers: {
        cookie: "a=1",
        host: "inner:8080",
        origin: SITE,
        "x-forwarded-host": "site.com",
      },
    };
    config.web.trustProxy = false;
    expect(isForgedRequest(req as never)).toBe(true);
    config.web.trustProxy = "loopback";
    expect(isForgedRequest(req as never)).toBe(false);
  });

  test("the body of a refused request is read to its end", async () => {
    const answer = await app.ask("/api/act", {
      method: "POST",
      headers: { Cookie: "a=1", Origin: "https://evil.com" },
      body: "x".repeat(100_000),
    });
    expect(answer.status).toBe(403);
  });

  describe("a websocket", () => {
    test.each<[string, Record<string, string>, number]>([
      [
        "of another site with a cookie",
        { Origin: "https://evil.com", Cookie: "a=1" },
        403,
      ],
      ["of another site without one", { Origin: "https://evil.com" }, 101],
      ["of the same host", { Origin: "http://localhost", Cookie: "a=1" }, 101],
      ["of no browser", { Cookie: "a=1" }, 101],
      ["of an origin that CORS allows", { Origin: SITE, Cookie: "a=1" }, 101],
      [
        "of one that the websocket server names",
        { Origin: "https://ws.com", Cookie: "a=1" },
        101,
      ],
    ])("%s", async (_name, headers, status) => {
      use({ origins: [SITE], credentials: true });
      config.websocket.server = { origins: ["https://ws.com", "*"] };
      const raw = await rawUpgrade("/primus", headers);
      expect(await raw.status()).toBe(status);
      raw.socket.destroy();
      await raw.closed;
    });
  });
});

describe("security headers", () => {
  const NAMES = [
    "content-security-policy",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "strict-transport-security",
    "x-content-type-options",
  ];
  const named = ({ headers }: Pick<Answer, "headers">) =>
    NAMES.filter((name) => headers[name] !== undefined);
  const sts = "strict-transport-security";

  function askTls(path: string): Promise<Pick<Answer, "headers">> {
    const { port } = (
      api.servers.servers.web as unknown as { httpsServer: https.Server }
    ).httpsServer.address() as AddressInfo;
    return new Promise((resolve, reject) =>
      https
        .get(
          { port, path, host: "localhost", rejectUnauthorized: false },
          (response) => {
            response.resume();
            response.once("end", () => resolve(response));
          },
        )
        .once("error", reject),
    );
  }

  const PATHS = [
    "/api/act",
    "/api/nothing",
    "/public/index.html",
    "/public/none.html",
    "/primus2",
  ];

  test.each(PATHS)(
    "%s has only Strict-Transport-Security in the v29 profile",
    async (path) => {
      expect(named(await app.ask(path))).toEqual([sts]);
      expect(named(await askTls(path))).toEqual([sts]);
    },
  );

  test.each(PATHS)("%s has all of them in a new project", async (path) => {
    config.securityHeaders.enabled = true;
    config.web.nosniff = true;
    const [plain, tls] = [await app.ask(path), await askTls(path)];
    expect(named(plain)).toEqual(NAMES.filter((name) => name !== sts));
    expect(named(tls)).toEqual(NAMES);
    expect(tls.headers[sts]).toBe("max-age=31536000; includeSubDomains");
  });

  test("responses to unrouted requests have the security headers, too", async () => {
    config.securityHeaders.enabled = true;
    config.web.allowedRequestHosts = ["https://site.com"];
    const redirect = await app.ask("/");
    expect(redirect.status).toBe(302);
    expect(named(redirect)).toContain("content-security-policy");
    const broken = await app.ask("/", { headers: { Host: "a b" } });
    expect(broken.status).toBe(400);
    expect(named(broken)).toContain("content-security-policy");
  });

  test("HSTS is sent behind a trusted proxy that terminates TLS", async () => {
    config.securityHeaders.enabled = true;
    const headers = { "X-Forwarded-Proto": "https" };
    config.web.trustProxy = "loopback";
    expect(named(await app.ask("/api/act", { headers }))).toContain(sts);
    config.web.trustProxy = false;
    expect(named(await app.ask("/api/act", { headers }))).not.toContain(sts);
  });

  test("null omits a security header, a header of the project replaces it, and changes in place count", async () => {
    const valueOf = async (name: string) =>
      (await app.ask("/api/act")).headers[name];
    config.securityHeaders = {
      enabled: true,
      headers: { "Referrer-Policy": "origin", "X-Other": "a" },
      tlsHeaders: {},
    };
    expect(await valueOf("referrer-policy")).toBe("origin");
    expect(await valueOf(sts)).toBeDefined(); // web.httpHeaders has it
    config.securityHeaders.headers["X-Other"] = null;
    expect(await valueOf("x-other")).toBeUndefined();
    config.web.httpHeaders["Referrer-Policy"] = "no-referrer";
    expect(await valueOf("referrer-policy")).toBe("no-referrer");
  });
});
