/** Which requests become websockets, and who the client is then. */
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer as OtherServer } from "ws";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { rawSocket, rawUpgrade } from "../../support/rawWebsocket";
import { until } from "../../support/until";
import {
  connectWebsocket,
  websocketUrl,
  type WebsocketClient,
} from "../../support/websocketClient";
import { LogLines } from "../../support/logLines";
import { api, config, HttpError } from "../../../src/index";
import type { PrimusOptions } from "../../../src/config/types";
import type { WebServer } from "../../../src/server/web/webServer";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
const options = () => config.websocket.server as PrimusOptions;
const clients: WebsocketClient[] = [];
/** What ends the runs of the action `held`. */
const held: (() => void)[] = [];

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    quick: { run: () => ({ quick: true }) },
    held: {
      run: () =>
        new Promise((resolve) => held.push(() => resolve({ held: true }))),
    },
    slow: {
      run: ({ signal }) =>
        new Promise((resolve) =>
          (signal as AbortSignal).addEventListener("abort", resolve),
        ),
    },
  });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await until(() => api.servers.servers.websocket.connections().length === 0);
});

afterAll(() => app.stop());

async function connect(
  ...args: Parameters<typeof connectWebsocket>
): Promise<WebsocketClient> {
  const client = await connectWebsocket(...args);
  clients.push(client);
  return client;
}

async function detailsOf(
  ...args: Parameters<typeof connectWebsocket>
): Promise<any> {
  const client = await connect(...args);
  return (await client.request({ event: "detailsView" })).data;
}

/** The HTTP status and body that an upgrade is refused with. */
function refusal(path: string, headers: http.OutgoingHttpHeaders = {}) {
  const ws = new WebSocket(websocketUrl(path), { headers: headers as never });
  return new Promise<{ status: number; text: string; headers: any }>(
    (resolve, reject) => {
      ws.on("open", () => reject(new Error("it was not refused")));
      ws.on("error", () => undefined);
      ws.on("unexpected-response", (_request, response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () =>
          resolve({
            status: response.statusCode!,
            text,
            headers: response.headers,
          }),
        );
      });
    },
  );
}

describe("the path", () => {
  test.each(["/primus", "/primus/", "/primus?a=b", "/primus/more?a=b"])(
    "%s is a websocket",
    async (path) => {
      expect((await detailsOf({ url: websocketUrl(path) })).rooms).toEqual([]);
    },
  );

  test.each(["/", "/primusXYZ", "/api/primus", "/other"])(
    "%s is none",
    async (path) => {
      const { status, text } = await refusal(path);
      expect([status, text]).toEqual([404, "there is no websocket here"]);
    },
  );

  test("the path of websockets can be changed", async () => {
    options().pathname = "/live";
    await connect({ url: websocketUrl("/live") });
    expect((await refusal("/primus")).status).toBe(404);
  });

  test("other upgrade handlers can use other paths", async () => {
    const server = api.servers.servers.web.server as http.Server;
    const other = new OtherServer({ noServer: true });
    other.on("connection", (ws) => ws.send('{"welcome":"other"}'));
    const listener = (
      req: http.IncomingMessage,
      socket: Duplex,
      head: Buffer,
    ) => {
      if (req.url !== "/other") return;
      other.handleUpgrade(req, socket, head, (ws) =>
        other.emit("connection", ws, req),
      );
    };
    server.on("upgrade", listener);
    const theirs = await connect({ url: websocketUrl("/other") });
    expect(theirs.received).toEqual([{ welcome: "other" }]);
    const ours = await connect();
    expect(ours.received[0].context).toBe("api");
    server.off("upgrade", listener);
    theirs.close();
    await theirs.closed;
  });
});

describe("requests that offer another protocol are served without it", () => {
  const h2c = {
    Connection: "Upgrade, HTTP2-Settings",
    Upgrade: "h2c",
    "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA",
  };

  test("a GET, and the next request on the same connection", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 2; i++) {
      const { status, json } = await app.ask("/api/quick", {
        headers: h2c,
        agent,
      });
      expect([status, json.quick]).toEqual([200, true]);
    }
    agent.destroy();
  });

  test("many on one connection leave nothing behind on it", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const { sockets } = api.servers.servers.web as unknown as {
      sockets: { [id: string]: Duplex };
    };
    for (let i = 0; i < 15; i++)
      await app.ask("/api/quick", { headers: h2c, agent });
    expect(Object.keys(sockets)).toHaveLength(1);
    const [socket] = Object.values(sockets);
    const counts = socket
      .eventNames()
      .map((name) => [name, socket.listenerCount(name)] as const);
    expect(counts.filter(([, count]) => count > 8)).toEqual([]);
    agent.destroy();
  });

  test("a POST with its body", async () => {
    const { status, json } = await app.ask("/api/quick?x=1", {
      method: "POST",
      headers: { ...h2c, "Content-Type": "application/json" },
      body: JSON.stringify({ action: "quick", text: "y".repeat(100_000) }),
    });
    expect([status, json.quick]).toEqual([200, true]);
  });

  test("a request below the path of websockets is served without the protocol", async () => {
    const { status, text } = await app.ask("/primus", { headers: h2c });
    expect([status, text]).toEqual([426, "Upgrade Required"]);
  });
});

describe("plain requests", () => {
  test("to the path are told to upgrade", async () => {
    const { status, text, headers } = await app.ask("/primus");
    expect([status, text]).toEqual([426, "Upgrade Required"]);
    expect(headers["cache-control"]).toBe(
      "no-store, no-cache, must-revalidate, max-age=0",
    );
    expect(headers.pragma).toBe("no-cache");
  });

  test("to /primus/spec describe the server", async () => {
    const { status, text, headers } = await app.ask("/primus/spec");
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/json");
    expect(text).toBe(
      '{"pingInterval":30000,"pathname":"/primus","version":"8.0.9","parser":"json","transformer":"websockets"}',
    );
  });

  test("to /primus/primus.js get the library", async () => {
    const { status, text, headers } = await app.ask("/primus/primus.js");
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("text/javascript; charset=utf-8");
    expect(text).toBe(api.servers.servers.websocket.server.library());
    const head = await app.ask("/primus/primus.js", { method: "HEAD" });
    expect(head.text).toBe("");
    expect(head.headers["content-length"]).toBe(
      String(Buffer.byteLength(text)),
    );
  });

  test("of other sites may read them, if they may use websockets", async () => {
    const origin = "https://site.com";
    const ask = (method: string, from = origin) =>
      app.ask("/primus/spec", {
        method,
        headers: { Origin: from, "Access-Control-Request-Headers": "X-A" },
      });
    const preflight = await ask("OPTIONS");
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      vary: "Origin",
      "access-control-allow-origin": origin,
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "GET,HEAD,PUT,POST,DELETE,OPTIONS",
      "access-control-allow-headers": "X-A",
      "access-control-max-age": "2592000",
    });
    Object.assign(options(), {
      origins: origin,
      methods: ["GET", "POST"],
      maxAge: 5000,
      credentials: false,
      exposed: ["X-B"],
    });
    const { headers } = await ask("OPTIONS");
    expect(headers["access-control-allow-methods"]).toBe("GET, POST");
    expect(headers["access-control-max-age"]).toBe("5");
    expect(headers["access-control-expose-headers"]).toBe("X-B");
    expect(headers["access-control-allow-credentials"]).toBeUndefined();
    const foreign = await ask("GET", "https://other.com");
    expect(foreign.headers["access-control-allow-origin"]).toBeUndefined();
  });

  test("to other paths are not touched", async () => {
    expect((await app.ask("/primusXYZ")).status).toBe(404);
    expect((await app.ask("/api/quick")).json.quick).toBe(true);
  });
});

describe("bad upgrades are refused", () => {
  test.each([
    ["another version", { "Sec-WebSocket-Version": "7" }, 400],
    ["no key", { "Sec-WebSocket-Key": "" }, 400],
    ["a bad protocol", { "Sec-WebSocket-Protocol": "a,,b" }, 400],
  ])("%s", async (_what, headers, status) => {
    const raw = await rawUpgrade("/primus", headers);
    expect(await raw.status()).toBe(status);
    await raw.closed;
  });

  test.each([true, false])(
    "the text of a refusal is not sniffed (web.nosniff: %s)",
    async (nosniff) => {
      config.web.nosniff = nosniff;
      const nowhere = await refusal("/other");
      options().origins = "https://site.com";
      const other = await refusal("/primus", { Origin: "https://evil.com" });
      for (const { headers } of [nowhere, other])
        expect(headers["x-content-type-options"]).toBe(
          nosniff ? "nosniff" : undefined,
        );
    },
  );

  test.each<[string, () => () => void]>([
    [
      "idGenerator",
      () => {
        options().idGenerator = () => {
          throw new Error("no id");
        };
        return () => (options().idGenerator = undefined);
      },
    ],
    [
      "a listener of connections",
      () => {
        const { server } = api.servers.servers.websocket;
        const fail = () => {
          throw new Error("no listener");
        };
        server!.on("connection", fail);
        return () => server!.off("connection", fail);
      },
    ],
  ])("a failure of %s ends that websocket alone", async (_what, plant) => {
    const remove = plant();
    const raw = await rawUpgrade("/primus");
    await raw.closed;
    remove();
    const next = await rawUpgrade("/primus");
    expect(await next.status()).toBe(101);
    next.socket.destroy();
  });

  const behind = (requests: string) =>
    requests +
    "GET /primus HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  const get = (name: string) =>
    `GET /api/${name} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

  test("an upgrade behind requests without a response ends the connection after their responses", async () => {
    const raw = await rawSocket();
    raw.socket.write(behind(get("held") + get("quick").repeat(30)));
    const release = await until(() => held.pop());
    release();
    await raw.closed;
    expect(raw.text().match(/HTTP\/1\.1 \d+/g)).toEqual(
      Array<string>(31).fill("HTTP/1.1 200"),
    );
    expect(raw.text().indexOf('"quick"')).toBeGreaterThan(
      raw.text().indexOf('"held"'),
    );
  });

  test.each([
    ["with another expectation", "Host: localhost\r\nExpect: foo", 417],
    ["for two hosts", "Host: localhost\r\nHost: other", 400],
    ["for a host that is redirected", "Host: other.com", 302],
    ["for an unknown action", "Host: localhost", 404],
  ])(
    "an upgrade behind a refused request %s ends the connection after its response",
    async (_what, head, status) => {
      config.web.allowedRequestHosts =
        status === 302 ? ["http://localhost"] : [];
      const raw = await rawSocket();
      raw.socket.write(
        behind(
          `POST /api/nothing HTTP/1.1\r\n${head}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
        ),
      );
      await raw.closed;
      expect(raw.text().match(/HTTP\/1\.1 \d+/g)).toEqual([
        `HTTP/1.1 ${status}`,
      ]);
      config.web.allowedRequestHosts = [];
    },
  );

  test("a client that leaves after an upgrade behind a request leaves nothing behind", async () => {
    const open = () =>
      Object.values((api.servers.servers.web as WebServer).sockets);
    const before = open();
    const raw = await rawSocket();
    raw.socket.write(behind(get("held")));
    const release = await until(() => held.pop());
    expect(open().some((socket) => !before.includes(socket))).toBe(true);
    raw.socket.resetAndDestroy();
    await until(() => open().every((socket) => before.includes(socket)));
    release();
  });

  test("an offer of h2c behind a request without a response is served after it; older versions of Node.js end the connection after its response", async () => {
    const raw = await rawSocket();
    raw.socket.write(
      "GET /api/held HTTP/1.1\r\nHost: localhost\r\n\r\n" +
        "GET /api/quick HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    );
    const release = await until(() => held.pop());
    if (!("shouldUpgradeCallback" in api.servers.servers.web.server)) {
      release();
      await raw.closed;
      return expect(raw.text()).toContain('"held"');
    }
    release();
    await until(() => raw.text().includes('"quick": true'));
    expect(raw.text().match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
    expect(raw.text().indexOf('"quick"')).toBeGreaterThan(
      raw.text().indexOf('"held"'),
    );
    raw.socket.destroy();
  });

  test("an upgrade with another method is refused", async () => {
    const raw = await rawSocket();
    raw.socket.write(
      "POST /primus HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
    );
    expect(await raw.status()).toBe(405);
    await raw.closed;
  });
});

describe("origins", () => {
  test("of other sites are refused, our own and clients without one are not", async () => {
    options().origins = "https://site.com";
    const { status, text } = await refusal("/primus", {
      Origin: "https://other.com",
    });
    expect([status, text]).toEqual([403, "this origin is not allowed"]);
    await connect({ origin: "https://site.com" });
    await connect();
  });
});

describe("authorization", () => {
  test("an authorization function lets a client in, and knows the query and the address", async () => {
    let seen: any;
    options().authorization = (req, done) => {
      seen = { query: { ...req.query }, forwarded: req.forwarded };
      setImmediate(done);
    };
    await connect({
      url: websocketUrl("/primus?token=t"),
      headers: { "X-Real-IP": "5.6.7.8" },
    });
    expect(seen).toMatchObject({
      query: { token: "t" },
      forwarded: { ip: "5.6.7.8" },
    });
  });

  test.each<[string, PrimusOptions["authorization"], number, string]>([
    ["a text", (_req, done) => done("no"), 401, '{"error":"no"}'],
    [
      "a status of its own",
      (_req, done) => done({ message: "pay", statusCode: 402 }),
      402,
      '{"error":"pay"}',
    ],
    [
      "an error that is thrown",
      () => {
        throw new Error("broken");
      },
      401,
      '{"error":"broken"}',
    ],
    [
      "a promise that fails",
      async () => {
        throw new Error("later");
      },
      401,
      '{"error":"later"}',
    ],
  ])("refuses with %s", async (_what, authorization, status, text) => {
    options().authorization = authorization;
    expect(await refusal("/primus")).toMatchObject({ status, text });
  });

  test.each<[string, PrimusOptions["authorization"]]>([
    [
      "throws",
      () => {
        throw new Error("no /srv/secret");
      },
    ],
    ["rejects", async () => Promise.reject(new Error("no /srv/secret"))],
  ])(
    "one that %s has failed, and what it says is not for clients when only intended messages are",
    async (_what, authorization) => {
      config.errors.exposeMessages = "intended";
      const lines = new LogLines("error");
      options().authorization = authorization;
      const { status, text } = await refusal("/primus");
      lines.stop();
      expect(status).toBe(500);
      const [, id] = /internal error \((\w+)\)/.exec(text)!;
      const [line] = lines.lines.filter(({ errorId }) => errorId === id);
      expect(line.message).toContain("no /srv/secret");
    },
  );

  test.each<[string, PrimusOptions["authorization"]]>([
    [
      "throws",
      () => {
        throw new HttpError(403, "not you", { headers: { "X-Why": "a" } });
      },
    ],
    ["rejects with", async () => Promise.reject(new HttpError(403, "not you"))],
  ])(
    "an HttpError that it %s decides the answer",
    async (what, authorization) => {
      config.errors.exposeMessages = "intended";
      options().authorization = authorization;
      const { status, text, headers } = await refusal("/primus");
      expect([status, text]).toEqual([403, '{"error":"not you"}']);
      if (what === "throws") expect(headers["x-why"]).toBe("a");
    },
  );

  test("a status without a name is sent with the space before it", async () => {
    options().authorization = (_req, done) =>
      done({ message: "no", statusCode: 499 });
    const raw = await rawUpgrade();
    await raw.closed;
    expect(raw.text()).toMatch(/^HTTP\/1\.1 499 \r\n/);
  });

  test("can ask for credentials; no header can be smuggled in", async () => {
    options().authorization = (_req, done) =>
      done({ message: "who?", authenticate: "Basic\r\nSet-Cookie: a=b" });
    const { status, headers } = await refusal("/primus");
    expect(status).toBe(401);
    expect(headers["www-authenticate"]).toBe("Basic  Set-Cookie: a=b");
    expect(headers["set-cookie"]).toBeUndefined();
  });

  test("a client that disconnects meanwhile is harmless", async () => {
    let decide: (() => void) | undefined;
    options().authorization = (_req, done) => (decide = () => done());
    const raw = await rawUpgrade();
    await until(() => decide !== undefined);
    raw.socket.resetAndDestroy();
    await raw.closed;
    await new Promise(setImmediate);
    decide!();
    options().authorization = null;
    await connect();
  });
});

describe("checkHost", () => {
  /** A page whose name was made to lead to this server, once it was loaded. */
  const rebound = { Host: "evil.com", Origin: "http://evil.com" };
  const paths = ["/primus", "/primus/spec", "/primus/primus.js"];

  beforeEach(() => {
    config.web.allowedRequestHosts = [
      "https://www.site.com",
      "http://SITE.com",
    ];
    config.websocket.checkHost = true;
  });

  test("refuses websockets by a name that is not allowed", async () => {
    const { status, text } = await refusal("/primus", rebound);
    expect([status, text]).toEqual([403, "this host is not allowed"]);
    expect((await refusal("/primus")).status).toBe(403);
    const wrongScheme = { Host: "www.site.com" };
    expect((await refusal("/primus", wrongScheme)).status).toBe(403);
  });

  test("accepts websockets to an allowed host; a proxy reports the scheme", async () => {
    await connect({ headers: { Host: "Site.com" } });
    const proxied = { Host: "www.site.com", "X-Forwarded-Proto": "https" };
    await connect({ headers: proxied });
  });

  test.each(paths)("redirects a plain request to %s", async (path) => {
    const { status, headers, text } = await app.ask(path, { headers: rebound });
    expect(status).toBe(302);
    expect(headers.location).toBe(`https://www.site.com${path}`);
    expect(headers["access-control-allow-origin"]).toBeUndefined();
    expect(text).not.toContain("Primus");
  });

  test("without allowedRequestHosts every host is accepted", async () => {
    config.web.allowedRequestHosts = [];
    await connect({ headers: rebound });
  });

  test("is off in version 29's profile", async () => {
    config.websocket.checkHost = false;
    await connect({ headers: rebound });
    const { status } = await app.ask("/primus/spec", { headers: rebound });
    expect(status).toBe(200);
  });
});

describe("who the client is", () => {
  test("the fingerprint: the param of the URL, else the cookie, else the id", async () => {
    const { fingerprint, id } = await detailsOf();
    expect(fingerprint).toBe(id);
    const url = websocketUrl("/primus?sessionID=fromUrl");
    const headers = { Cookie: "xsessionID=wrong; sessionID=fromCookie" };
    expect((await detailsOf({ url, headers })).fingerprint).toBe("fromUrl");
    expect((await detailsOf({ headers })).fingerprint).toBe("fromCookie");
  });

  test("the fingerprint is the same over HTTP", async () => {
    const { headers } = await app.ask("/api/quick");
    const cookie = headers["set-cookie"]![0].split(";")[0];
    const { json } = await app.ask("/api/quick", {
      headers: { Cookie: cookie },
    });
    const { fingerprint } = await detailsOf({ headers: { Cookie: cookie } });
    expect(fingerprint).toBe(json.requesterInformation.fingerprint);
  });

  test("an impossible fingerprint is ignored", async () => {
    const url = websocketUrl(`/primus?sessionID=${"x".repeat(300)}`);
    const { fingerprint, id } = await detailsOf({ url });
    expect(fingerprint).toBe(id);
  });

  test("the cookie counts for pages of this site, or of those that `origins` names", async () => {
    const { host, port } = new URL(websocketUrl("/"));
    const cookie = { Cookie: "sessionID=fromCookie" };
    const from = async (origin: string) =>
      (await detailsOf({ headers: { ...cookie, Origin: origin } })).fingerprint;
    expect(await from(`http://${host}`)).toBe("fromCookie");
    expect(await from("https://evil.com")).not.toBe("fromCookie");
    expect(await from(`http://localhost.evil.com:${port}`)).not.toBe(
      "fromCookie",
    );
    options().origins = "https://friend.com";
    expect(await from("https://friend.com")).toBe("fromCookie");
    options().origins = ["https://friend.com", "*"];
    expect(await from("https://evil.com")).not.toBe("fromCookie");
  });

  test.each<[string, string, boolean]>([
    ["cross-site", "none", false],
    ["cross-site", "the own one", false],
    ["same-site", "the own one", false],
    ["same-origin", "the own one", true],
    ["none", "none", true],
    ["cross-site", "a friend's", true],
  ])(
    "Sec-Fetch-Site: %s with %s as Origin: the cookie counts: %#",
    async (site, origin, counts) => {
      options().origins = ["https://friend.com", "*"];
      const { host } = new URL(websocketUrl("/"));
      const origins: Record<string, Record<string, string>> = {
        none: {},
        "the own one": { Origin: `https://${host}` },
        "a friend's": { Origin: "https://friend.com" },
      };
      const { fingerprint } = await detailsOf({
        headers: {
          Cookie: "sessionID=fromCookie",
          "Sec-Fetch-Site": site,
          ...origins[origin],
        },
      });
      expect(fingerprint === "fromCookie").toBe(counts);
    },
  );

  test.each([
    ["X-Forwarded-For", ","],
    ["X-Forwarded-For", "1.2.3.4:"],
    ["X-Forwarded-For", "::ffff:"],
  ])("%s: %s, which tells no address, harms nobody", async (name, value) => {
    const headers = { [name]: value };
    const { remoteIP, remotePort } = await detailsOf({ headers });
    expect(remoteIP).not.toBe("");
    expect(remotePort).toBeGreaterThan(0);
    const { status } = await app.ask("/api/quick", { headers });
    expect(status).toBe(200);
  });

  test("the address is that reported by proxies, else the socket's", async () => {
    const own = await detailsOf();
    expect(own.remoteIP).toMatch(/127\.0\.0\.1|::1/);
    expect(own.remotePort).toBeGreaterThan(0);
    const headers = {
      "X-Forwarded-For": "1.2.3.4:99, 10.0.0.1",
      "X-Forwarded-Port": "443",
    };
    expect(await detailsOf({ headers })).toMatchObject({
      remoteIP: "1.2.3.4",
      remotePort: "443",
    });
  });

  test("rawConnection has the names of a spark", async () => {
    const client = await connect({
      url: websocketUrl("/primus?a=b&__proto__=c"),
      headers: { "X-Own": "header" },
    });
    const { port } = (client.ws as any)._socket.address() as AddressInfo;
    const [{ rawConnection: spark }] =
      api.servers.servers.websocket.connections();
    expect(spark.query.a).toBe("b");
    expect(spark.headers["x-own"]).toBe("header");
    expect(spark.address.port).toBe(port);
    expect(spark.request.url).toBe("/primus?a=b&__proto__=c");
    expect(spark.readyState).toBe(1);
    expect(spark.write({ context: "alert", mine: 1 })).toBe(true);
    await client.next("it", (m) => m.mine);
    client.send("primus::id::");
    const id = await client.next("the id", (m) =>
      String(m).startsWith("primus::id::"),
    );
    expect(id).toBe(`primus::id::${spark.id}`);
    expect(spark.id).toMatch(/^[\w-]{21}$/);
    const heard: unknown[] = [];
    spark.on("data", (data: unknown) => heard.push(data));
    await client.request({ event: "detailsView", messageId: 1 });
    expect(heard).toEqual([{ event: "detailsView", messageId: 1 }]);
    const ended = new Promise((resolve) => spark.on("end", resolve));
    spark.end({ context: "alert", last: true });
    await ended;
    await client.closed;
    expect(client.received.slice(-2)).toEqual([
      { context: "alert", last: true },
      "primus::server::close",
    ]);
    expect(spark.write("late")).toBe(false);
  });

  test("ids can be custom", async () => {
    options().idGenerator = () => "mine";
    const client = await connect();
    client.send("primus::id::");
    await client.next("the id", (m) => m === "primus::id::mine");
  });
});

test("options that would change the wire format are refused at boot", async () => {
  for (const option of ["transformer", "parser", "plugin"]) {
    config.websocket.server = { [option]: "engine.io" };
    await expect(api.servers.servers.websocket.initialize()).rejects.toThrow(
      `websocket.server.${option} cannot be set`,
    );
  }
  config.websocket.server = {
    transformer: "websockets",
    parser: "JSON",
    plugin: {},
  };
  await expect(
    api.servers.servers.websocket.initialize(),
  ).resolves.toBeUndefined();
  api.servers.servers.websocket.removeAllListeners("actionComplete");
});
