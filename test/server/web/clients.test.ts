import type * as http from "node:http";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    who: {
      run: ({ connection: { fingerprint, id, remoteIP, remotePort } }) => ({
        fingerprint,
        id,
        remoteIP,
        remotePort,
      }),
    },
  });
});

afterAll(() => app.stop());

const who = (headers: http.OutgoingHttpHeaders = {}) =>
  app.ask("/api/who", { headers });

describe("fingerprint", () => {
  test("a new client gets one, as a cookie that expires", async () => {
    const { json, headers } = await who();
    expect(json.fingerprint).toMatch(/^[\da-f]{40}$/);
    const [cookie] = headers["set-cookie"]!;
    const expires = Date.parse(/expires=([^;]+)/.exec(cookie)![1]);
    expect(cookie).toContain(`sessionID=${json.fingerprint};path=/;`);
    expect(Math.abs(expires - Date.now() - 3_600_000)).toBeLessThan(60_000);
    expect((await who()).json.fingerprint).not.toBe(json.fingerprint);
  });

  test("a cookie or header is kept, and no other is set", async () => {
    for (const given of [
      { Cookie: "a=1; sessionID=mine; b=2" },
      { "X-SessionID": "mine" },
      { Cookie: "othersessionID=no; sessionID=mine" },
    ] as http.OutgoingHttpHeaders[]) {
      const { json, headers } = await who(given);
      expect(json.fingerprint).toBe("mine");
      expect(headers["set-cookie"]).toBeUndefined();
    }
  });

  test.each(["", "x".repeat(300), "a b"])(
    "one that we cannot have given (%j) is replaced",
    async (value) => {
      const { json } = await who({ Cookie: `sessionID=${value}` });
      expect(json.fingerprint).toMatch(/^[\da-f]{40}$/);
    },
  );

  test("options: static, without a cookie, other settings", async () => {
    config.web.fingerprintOptions = {
      cookieKey: "k",
      onlyStaticElements: true,
      toSetCookie: false,
    } as never;
    const [first, second] = [await who(), await who()];
    expect(first.json.fingerprint).toBe(second.json.fingerprint);
    expect(first.headers["set-cookie"]).toBeUndefined();

    config.web.fingerprintOptions = {
      settings: { HttpOnly: "", SameSite: "Lax" },
    } as never;
    expect((await who()).headers["set-cookie"]![0]).toMatch(
      /^sessionID=[\da-f]{40};HttpOnly;SameSite=Lax;$/,
    );
    config.web.fingerprintOptions = { cookieKey: "" } as never;
    const unnamed = await who({ Cookie: "a=1; b=2" });
    expect(unnamed.headers["set-cookie"]![0]).toMatch(/^sessionID=/);

    config.web.fingerprintOptions = undefined as never;
    expect((await who()).headers["set-cookie"]![0]).toMatch(
      /^sessionID=[\da-f]{40}$/,
    );
  });
});

describe("address", () => {
  test.each([
    [{ "X-Forwarded-For": "1.2.3.4, 5.6.7.8" }, "1.2.3.4"],
    [{ "X-Forwarded-For": "::ffff:1.2.3.4" }, "1.2.3.4"],
    [{ "X-Forwarded-For": "[2001:db8::1]:99" }, "2001:db8::1"],
    [{ "X-Forwarded-For": "1.2.3.4", "X-Real-IP": "9.9.9.9" }, "9.9.9.9"],
  ])("%j", async (headers, ip) => {
    expect((await who(headers)).json.remoteIP).toBe(ip);
  });

  test("text that is not an address is not taken for one", async () => {
    const { remoteIP } = (await who()).json;
    for (const name of ["X-Forwarded-For", "X-Real-IP"]) {
      const forged = { [name]: "a to=FORGED action=admin" };
      expect((await who(forged)).json.remoteIP).toBe(remoteIP);
    }
  });

  test("without a proxy it is the socket's", async () => {
    const { remoteIP, remotePort } = (await who()).json;
    expect(remoteIP).toMatch(/^(?:::1|127\.0\.0\.1)$/);
    expect(remotePort).toBeGreaterThan(0);
  });
});

describe("allowedRequestHosts", () => {
  beforeAll(() => {
    config.web.allowedRequestHosts = ["https://www.site.com"];
  });
  afterAll(() => {
    config.web.allowedRequestHosts = [];
  });

  test("requests to other hosts are redirected, whatever their path", async () => {
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const { status, headers, text } = await app.ask("/api/who?a=1", {
        method,
      });
      expect(status).toBe(302);
      expect(headers.location).toBe("https://www.site.com/api/who?a=1");
      expect(text).toBe(
        "You are being redirected to https://www.site.com/api/who?a=1\r\n",
      );
      expect(headers["x-powered-by"]).toBeUndefined();
    }
  });

  test("requests to an allowed host are served; a proxy reports the scheme", async () => {
    const Host = "www.site.com";
    expect((await who({ Host })).status).toBe(302);
    const { status } = await who({ Host, "X-Forwarded-Proto": "https" });
    expect(status).toBe(200);
  });
});

describe("connection middleware", () => {
  const calls: string[] = [];
  beforeAll(() => {
    api.connections.addMiddleware({
      name: "counting",
      create: async (connection) => {
        await Promise.resolve();
        calls.push(`create ${connection.type}`);
      },
      destroy: () => {
        calls.push("destroy");
      },
    });
  });
  afterAll(() => {
    api.connections.middleware = {};
    api.connections.globalMiddleware = [];
  });

  test("runs once at either end of each request", async () => {
    calls.length = 0;
    for (const path of ["/api/who", "/api/nothing", "/nothing"])
      await app.ask(path);
    while (calls.length < 6) await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(calls.filter((call) => call === "destroy")).toHaveLength(3);
    expect(calls.filter((call) => call === "create web")).toHaveLength(3);
  });

  test("that fails is answered with an error", async () => {
    api.connections.addMiddleware({
      name: "failing",
      create: () => {
        throw new Error("not you");
      },
    });
    const { status, json } = await who();
    expect(status).toBe(500);
    expect(json).toEqual({ error: "the request could not be answered" });
  });
});
