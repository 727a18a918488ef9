import * as net from "node:net";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
beforeAll(async () => {
  app = await startWebApp();
  addActions({ hello: { inputs: { name: {} }, run: () => ({ hi: true }) } });
});
afterAll(() => app.stop());

/** Send lines as they are, and read until the server closes. */
function raw(...lines: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(app.port, "localhost");
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (text += chunk));
    socket.once("error", reject);
    socket.once("close", () => resolve(text));
    socket.write([...lines, "Connection: close", "", ""].join("\r\n"));
  });
}

const statusOf = (answer: string) => Number(answer.split(" ")[1]);

const UPGRADE = [
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

describe("a request that does not name one host is a 400", () => {
  test.each([
    ["two equal headers", ["Host: a", "Host: a"]],
    ["two different headers", ["Host: a", "hOST: b"]],
    ["a path", ["Host: a/b"]],
    ["a user", ["Host: a@b"]],
    ["a space", ["Host: a b"]],
    ["a very long one", [`Host: ${"a".repeat(300)}`]],
  ])("%s", async (_name, hosts) => {
    const answer = await raw("GET /api/hello HTTP/1.1", ...hosts);
    expect(statusOf(answer)).toBe(400);
    expect(answer).toMatch(/connection: close/i);
    expect(answer).toContain('{"error":"the request must name one host"}');
    const file = await raw("GET / HTTP/1.1", ...hosts);
    expect(statusOf(file)).toBe(400);
    const upgrade = await raw("GET /primus HTTP/1.1", ...hosts, ...UPGRADE);
    expect(statusOf(upgrade)).toBe(400);
  });

  test.each([
    ["GET /api/hello HTTP/1.1", "Host: [::1]:8080"],
    ["GET /api/hello HTTP/1.1", "Host:"],
    ["GET /api/hello HTTP/1.1", "Host: xn--ber-goa.example:80"],
    ["GET /api/hello HTTP/1.0", "X-Host: none"],
  ])("%s, %s names one, or none where none is needed", async (...lines) => {
    expect(statusOf(await raw(...lines))).toBe(200);
  });
});

describe("a request with very many headers", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => `A${i}:`);

  test.each([
    ["GET /api/hello HTTP/1.1", []],
    ["GET / HTTP/1.1", []],
    ["GET /primus HTTP/1.1", UPGRADE],
  ])("%s is a 431", async (line, headers) => {
    // node would drop those beyond 1,000, with what a proxy appends
    for (const count of [200, 2_500]) {
      const answer = await raw(line, "Host: a", ...many(count), ...headers);
      expect(statusOf(answer)).toBe(431);
      expect(answer).toContain("the request has more than 200 header lines");
      expect(answer).toMatch(/connection: close/i);
    }
  });

  test("is served with 198 of them beside Host and Connection", async () => {
    const answer = await raw(
      "GET /api/hello HTTP/1.1",
      "Host: a",
      ...many(198),
    );
    expect(statusOf(answer)).toBe(200);
  });
});

describe("a request line", () => {
  test.each([
    ["without a version", "GET /api/hello", 400],
    ["of a file without a version", "GET /", 400],
    ["of HTTP/0.9", "POST /api/hello HTTP/0.9", 400],
    ["of HTTP/2", "GET /api/hello HTTP/2.0", 505],
    ["of an upgrade without a version", "GET /primus", 400],
  ])(
    "%s is not served, and ends the connection",
    async (name, line, status) => {
      const headers = name.includes("upgrade") ? UPGRADE : [];
      const answer = await raw(line, "Host: a", ...headers);
      expect(statusOf(answer)).toBe(status);
      expect(answer).toMatch(/connection: close/i);
      expect(answer).toContain("the request must be HTTP/1.0 or HTTP/1.1");
    },
  );

  test("without a version is answered before a long body is read", async () => {
    const length = 50 * 1024 * 1024;
    const answer = await raw("POST /api/hello", `Content-Length: ${length}`);
    expect(statusOf(answer)).toBe(400);
  });
});

describe("a target that is not a path", () => {
  beforeEach(() => {
    config.web.allowedRequestHosts = ["http://site.com"];
  });

  test.each([
    "GET *@evil.com/",
    "GET *",
    "GET *.evil.com/",
    "OPTIONS *@evil.com/",
  ])("%s is a 400, and redirects nobody", async (start) => {
    for (const host of ["site.com", "other.com"]) {
      const answer = await raw(`${start} HTTP/1.1`, `Host: ${host}`);
      expect(statusOf(answer)).toBe(400);
      expect(answer).not.toMatch(/^location:/im);
    }
    const upgrade = await raw(`${start} HTTP/1.1`, "Host: a", ...UPGRADE);
    expect(statusOf(upgrade)).toBe(400);
  });

  test("OPTIONS * asks about the whole server", async () => {
    const star = (host: string) => raw("OPTIONS * HTTP/1.1", `Host: ${host}`);
    expect(statusOf(await star("site.com"))).toBe(200);
    expect(await star("other.com")).toMatch(
      /^location: http:\/\/site\.com\/\r$/im,
    );
  });
});

describe("a target in absolute form", () => {
  test("is the path and the query of its URL", async () => {
    for (const url of [
      "http://site.com/api/hello?name=b",
      "http://user:secret@site.com:81/api/hello?name=b",
    ]) {
      const answer = await raw(`GET ${url} HTTP/1.1`, "Host: other");
      expect(statusOf(answer)).toBe(200);
      expect(answer).toContain('"name": "b"');
    }
  });

  test("takes the place of the Host header", async () => {
    config.web.allowedRequestHosts = ["http://site.com"];
    const get = (url: string, host: string) =>
      raw(`GET ${url} HTTP/1.1`, `Host: ${host}`);
    const allowed = await get("http://site.com/api/hello", "evil.com");
    const redirected = await get("http://evil.com/api/hello?a=b", "site.com");
    const bare = await get("http://evil.com?a=b", "site.com");
    expect(statusOf(allowed)).toBe(200);
    expect(statusOf(redirected)).toBe(302);
    expect(redirected).toMatch(
      /^location: http:\/\/site\.com\/api\/hello\?a=b\r$/im,
    );
    expect(bare).toMatch(/^location: http:\/\/site\.com\/\?a=b\r$/im);
  });

  test.each([
    ["site.com:80", "http://site.com", 200],
    ["site.com", "http://site.com:80", 200],
    ["site.com:81", "http://site.com", 302],
    ["site.com:443", "http://site.com", 302],
    ["site.com", "site.com", 200],
    ["site.com", " http://site.com/", 200],
    ["other.com", "site.com", 302],
  ])(
    "of the host %s, %s is the same but for another port: %s",
    async (host, allowed, status) => {
      config.web.allowedRequestHosts = [allowed];
      const answer = await raw("GET /api/hello HTTP/1.1", `Host: ${host}`);
      expect(statusOf(answer)).toBe(status);
    },
  );

  test("is redirected to a host without a scheme by the scheme of the request", async () => {
    config.web.allowedRequestHosts = ["site.com"];
    const answer = await raw("GET /api/hello HTTP/1.1", "Host: other.com");
    expect(answer).toMatch(/^location: http:\/\/site\.com\/api\/hello\r$/im);
  });

  test("is understood where websockets begin", async () => {
    const answer = await raw("GET http://x/primus/spec HTTP/1.1", "Host: x");
    expect(answer).toContain('"pathname":"/primus"');
    const socket = net.connect(app.port, "localhost");
    const lines = ["GET http://x/primus HTTP/1.1", "Host: x", ...UPGRADE];
    socket.write([...lines, "", ""].join("\r\n"));
    const first = await new Promise<Buffer>((resolve) =>
      socket.once("data", resolve),
    );
    socket.destroy();
    expect(statusOf(first.toString())).toBe(101);
  });
});
