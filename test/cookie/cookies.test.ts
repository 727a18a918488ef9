/** Cookies on connections: read, set, signed and encrypted, over HTTP, websockets, TCP and the specHelper. */
import {
  action,
  api,
  config,
  specHelper,
  type Connection,
} from "../../src/index";
import {
  cookieNamed,
  cookiesOf,
  decrypt,
  encrypt,
  parseCookieHeader,
  serializeCookie,
  sign,
  unsign,
} from "../../src/cookie/cookies";
import type { CookieAttributes } from "../../src/config/types";
import { rawUpgrade } from "../support/rawWebsocket";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

let app: WebApp;
/** What the action `cookie` does with its connection. */
let act: (connection: Connection) => unknown;

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    cookie: {
      run: async ({ connection }) => ({ value: await act(connection) }),
    },
  });
});
afterAll(() => app.stop());

/** The headers `Set-Cookie` of a response, without that of the fingerprint. */
async function setCookies(
  run: (connection: Connection) => unknown,
  headers: Record<string, string> = {},
): Promise<string[]> {
  act = run;
  const { status, headers: got } = await app.ask("/api/cookie", { headers });
  expect(status).toBe(200);
  return (got["set-cookie"] ?? []).filter(
    (cookie) => !cookie.startsWith("sessionID="),
  );
}

describe("the header Cookie", () => {
  test.each([
    ["", {}],
    ["a=1; b=2", { a: "1", b: "2" }],
    ["a=1;b=2;", { a: "1", b: "2" }],
    ["a=first; a=second", { a: "first" }],
    ['a="quoted"; b="', { a: "quoted", b: '"' }],
    ["a=%C3%A4%20b; c=%zz", { a: "ä b", c: "%zz" }],
    ["alone; =nameless; a=b=c", { a: "b=c" }],
    ["constructor=x; toString=", { constructor: "x", toString: "" }],
  ])("%p is read", (header, expected) => {
    const cookies = parseCookieHeader(header);
    expect(Object.getPrototypeOf(cookies)).toBeNull();
    expect({ ...cookies }).toEqual(expected);
  });

  test("the name __proto__ is a name like others", () => {
    const cookies = parseCookieHeader("__proto__=x; a=1");
    expect(Object.keys(cookies)).toEqual(["__proto__", "a"]);
    expect(cookies["__proto__"]).toBe("x");
  });
});

describe("one cookie of a connection", () => {
  const carrying = (cookie?: string) => {
    const rawConnection = { req: { headers: { cookie } } };
    return {
      rawConnection,
      get cookies() {
        return cookiesOf(rawConnection);
      },
    };
  };
  const inherited = (cookie?: string) =>
    Object.create(carrying(cookie)) as ReturnType<typeof carrying>;

  test.each([
    ["a=1; token=x%20y; token=z", "x y"],
    ["another-token=1", undefined],
    ["a=token", undefined],
    [undefined, undefined],
    ["__proto__=1", undefined],
  ])("%p has the value that the parsed header has", (header, expected) => {
    const client = inherited(header);
    expect(cookieNamed(client, "token")).toBe(expected);
    expect(cookieNamed(client, "token")).toBe(client.cookies.token);
  });

  test("a cookie that was added to the parsed ones is found", () => {
    const client = inherited("a=1");
    client.cookies.token = "added";
    expect(cookieNamed(client, "token")).toBe("added");
  });

  test("what a project keeps in connection.cookies comes first", () => {
    const client = Object.defineProperty(inherited("token=1"), "cookies", {
      value: { token: "own" },
    });
    expect(cookieNamed(client, "token")).toBe("own");
    expect(cookieNamed({ cookies: { token: "own" } }, "token")).toBe("own");
  });
});

describe("the header Set-Cookie", () => {
  const write = (name: string, value: string, attributes?: CookieAttributes) =>
    serializeCookie(name, value, attributes ?? {}, false);

  test("has safe attributes by default", () => {
    expect(write("a", "1")).toBe("a=1; Path=/; HttpOnly; SameSite=Lax");
    expect(serializeCookie("a", "1", {}, true)).toBe(
      "a=1; Path=/; HttpOnly; Secure; SameSite=Lax",
    );
  });

  test("has the attributes that are given", () => {
    const attributes: CookieAttributes = {
      path: "/x",
      domain: "example.com",
      maxAge: 60.9,
      expires: new Date(0),
      httpOnly: false,
      secure: true,
      sameSite: "none",
      partitioned: true,
    };
    expect(write("a", "1", attributes)).toBe(
      "a=1; Path=/x; Domain=example.com; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; SameSite=None; Partitioned",
    );
  });

  test.each(['a b;c,d"e\\f', "ä€😀", "100%", "%41", "line\r\nbreak", "\ud800"])(
    "%p comes back as it was, or as U+FFFD",
    (value) => {
      const [pair = ""] = write("a", value).split("; ");
      expect(pair).toMatch(/^a=[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/);
      expect(parseCookieHeader(pair).a).toBe(value.replace("\ud800", "\ufffd"));
    },
  );

  test.each<[string, string, string, CookieAttributes]>([
    ["with a space in the name", "a b", "", {}],
    ["with an equals sign in the name", "a=b", "", {}],
    ["with a semicolon in the name", "a;b", "", {}],
    ["without a name", "", "", {}],
    ["of more than 4,096 bytes", "a", "x".repeat(4095), {}],
    ["with a semicolon in the path", "a", "", { path: "/;x" }],
    ["with a line break in the domain", "a", "", { domain: "x\r\ny" }],
    ["with null for a path", "a", "", { path: null as never }],
    ["with a number for a domain", "a", "", { domain: 5 as never }],
    ["with a long path", "a", "", { path: `/${"x".repeat(1024)}` }],
    ["with a maxAge that is not a number", "a", "", { maxAge: NaN }],
    ["with an invalid date", "a", "", { expires: new Date(NaN) }],
    ["with an unknown sameSite", "a", "", { sameSite: "None" as never }],
    ["for other sites without TLS", "a", "", { sameSite: "none" }],
    ["that is partitioned without TLS", "a", "", { partitioned: true }],
    ["named __Secure- without TLS", "__Secure-a", "", {}],
    ["named __Host- without TLS", "__Host-a", "", {}],
    ["named __host- with a path", "__host-a", "", { secure: true, path: "/x" }],
    [
      "named __Host- with a domain",
      "__Host-a",
      "",
      { secure: true, domain: "a.b" },
    ],
  ])("of a cookie %s is refused", (_what, name, value, attributes) => {
    expect(() => write(name, value, attributes)).toThrow(TypeError);
  });
});

describe("sealed values", () => {
  test("open under their name only, and only unchanged", () => {
    const signed = sign("a", "x.y");
    const encrypted = encrypt("a", "secret ä");
    expect(signed.startsWith("x.y.")).toBe(true);
    expect(unsign("a", signed)).toBe("x.y");
    expect(unsign("b", signed)).toBeUndefined();
    expect(decrypt("a", encrypted)).toBe("secret ä");
    expect(decrypt("b", encrypted)).toBeUndefined();
    expect(encrypted).not.toBe(encrypt("a", "secret ä"));
    for (let i = 0; i < encrypted.length - 1; i++) {
      const other = encrypted[i] === "A" ? "B" : "A";
      const changed = encrypted.slice(0, i) + other + encrypted.slice(i + 1);
      expect(decrypt("a", changed)).toBeUndefined();
    }
    for (const broken of ["", ".", "x", `${signed}x`, signed.slice(0, -1)]) {
      expect(unsign("a", broken)).toBeUndefined();
      expect(decrypt("a", broken)).toBeUndefined();
    }
  });

  test("need a secret key in production", () => {
    const before = process.env.NODE_ENV;
    process.env.NODE_ENV = "production";
    try {
      jest.isolateModules(() => {
        const seal = jest.requireActual<
          typeof import("../../src/cookie/cookies")
        >("../../src/cookie/cookies");
        expect(() => seal.sign("a", "1")).toThrow("web.cookieOptions.secrets");
      });
    } finally {
      process.env.NODE_ENV = before;
    }
  });

  test("a secret that is not set leaves the others in force", () => {
    const use = (...secrets: unknown[]) =>
      (config.web.cookieOptions = {
        secrets: secrets as string[],
        settings: {},
      });
    use("old");
    const sealed = sign("a", "1");
    use(undefined, "old");
    expect(unsign("a", sealed)).toBe("1");
    expect(sign("a", "1")).toBe(sealed);
    use("", "old");
    expect(unsign("a", sealed)).toBe("1");
  });

  test("open as long as their secret is in the list, and are made with the first", () => {
    const use = (...secrets: string[]) =>
      (config.web.cookieOptions = { secrets, settings: {} });
    use("old");
    const sealed = [sign("a", "1"), encrypt("a", "1")];
    use("new", "old");
    expect(unsign("a", sealed[0])).toBe("1");
    expect(decrypt("a", sealed[1])).toBe("1");
    const fresh = sign("a", "1");
    expect(fresh).not.toBe(sealed[0]);
    use("new");
    expect(unsign("a", fresh)).toBe("1");
    expect(unsign("a", sealed[0])).toBeUndefined();
    expect(decrypt("a", sealed[1])).toBeUndefined();
  });
});

describe("HTTP", () => {
  test("an action reads what the client sent, and gives it cookies", async () => {
    let read: unknown[] = [];
    const cookies = await setCookies(
      async (connection) => {
        const value = connection.getCookie("signed", { signed: true });
        read = [connection.cookies.plain, value, connection.getCookie("none")];
        expect(connection.cookies).toBe(connection.cookies);
        await connection.setCookie("a", "1", { maxAge: 5 });
        await connection.setCookie("b", "2", { encrypted: true });
        await connection.clearCookie("c", { path: "/x" });
      },
      { Cookie: `plain=%20x; signed=${sign("signed", "me")}` },
    );
    expect(read).toEqual([" x", "me", undefined]);
    const [c, b, a] = cookies;
    expect(a).toBe("a=1; Path=/; Max-Age=5; HttpOnly; SameSite=Lax");
    expect(decrypt("b", /^b=([^;]+)/.exec(b)![1])).toBe("2");
    expect(c).toMatch(/^c=; Path=\/x; Max-Age=0; Expires=Thu, 01 Jan 1970/);
  });

  test("of a cookie that is set twice the later one is sent, and the response is private", async () => {
    act = async (connection) => {
      await connection.setCookie("a", "1");
      await connection.setCookie("a", "2");
    };
    const headers = { Cookie: "sessionID=known" };
    const answer = await app.ask("/api/cookie", { headers });
    expect(answer.headers["set-cookie"]).toEqual([
      "a=2; Path=/; HttpOnly; SameSite=Lax",
    ]);
    expect(answer.headers["cache-control"]).toBe("private");
  });

  test("a client behind TLS of a trusted proxy gets Secure", async () => {
    config.web.trustProxy = "loopback";
    const headers = { "X-Forwarded-Proto": "https" };
    const set = (connection: Connection) =>
      connection.setCookie("__Host-a", "1");
    expect(await setCookies(set, headers)).toEqual([
      "__Host-a=1; Path=/; HttpOnly; Secure; SameSite=Lax",
    ]);
  });

  test("web.cookieOptions.settings are the attributes that a call does not name", async () => {
    config.web.cookieOptions.settings = { domain: "site.com", httpOnly: false };
    const set = (connection: Connection) =>
      connection.setCookie("a", "1", { domain: "www.site.com" });
    expect(await setCookies(set)).toEqual([
      "a=1; Path=/; Domain=www.site.com; SameSite=Lax",
    ]);
  });

  test("a cookie that browsers would drop fails the action, awaited or not", async () => {
    act = (connection) => void connection.setCookie("a b", "1");
    const answer = await app.ask("/api/cookie");
    expect(answer.status).toBe(500);
    expect(answer.json.error).toContain("a cookie cannot be named a b");
  });

  test("a cookie after the answer is an error", async () => {
    let failure: unknown;
    act = async (connection) => {
      await connection.pipe!("done");
      failure = await connection.setCookie("a", "1").catch((error) => error);
    };
    await app.ask("/api/cookie");
    expect(String(failure)).toContain("the response has begun");
  });
});

describe("other transports", () => {
  test("a websocket has the cookies of its upgrade, and cannot set any", async () => {
    const raw = await rawUpgrade("/primus", { Cookie: "a=%C3%A4" });
    expect(await raw.status()).toBe(101);
    const connection = await until(() =>
      api.connections.table.list().find(({ type }) => type === "websocket"),
    );
    expect(connection.cookies.a).toBe("ä");
    await expect(connection.setCookie("b", "1")).rejects.toThrow(
      "cannot set the cookie b: websocket has no response that carries it",
    );
    raw.socket.destroy();
    await raw.closed;
  });

  test("an action that is run in-line has none", async () => {
    act = (connection) => Object.keys(connection.cookies).length;
    expect(await action.run("cookie")).toMatchObject({ value: 0 });
    act = (connection) => connection.clearCookie("a");
    await expect(action.run("cookie")).rejects.toThrow(
      "cannot set the cookie a",
    );
  });

  test("a specHelper connection keeps its cookies as a browser does", async () => {
    const connection = await specHelper.buildConnection();
    act = (client) => client.setCookie("a", "1", { signed: true });
    await specHelper.runAction("cookie", connection);
    expect(connection.cookies.a).toBe(sign("a", "1"));
    act = (client) => client.getCookie("a", { signed: true });
    const { value } = await specHelper.runAction<any>("cookie", connection);
    expect(value).toBe("1");
    act = (client) => client.clearCookie("a");
    await specHelper.runAction("cookie", connection);
    expect(connection.cookies.a).toBeUndefined();
  });

  test("a project may keep something of its own in connection.cookies", async () => {
    const connection = await specHelper.buildConnection();
    connection.cookies = { mine: "1" };
    expect(connection.cookies).toEqual({ mine: "1" });
    expect(Object.keys(connection)).toContain("cookies");
  });
});
