import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { PassThrough } from "node:stream";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { until } from "../../support/until";
import { api, config } from "../../../src/index";
import type { StaticFileResult } from "../../../src/staticFile/results";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
let folder: string;
const LARGE = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "public-"));
  fs.mkdirSync(path.join(folder, "sub"));
  fs.writeFileSync(path.join(folder, "index.html"), "<h1>index</h1>");
  fs.writeFileSync(path.join(folder, "sub", "index.html"), "<h1>sub</h1>");
  fs.writeFileSync(path.join(folder, "a b+c.txt"), "spaces");
  fs.writeFileSync(path.join(folder, "LICENSE"), "no extension");
  fs.writeFileSync(path.join(folder, "empty.txt"), "");
  fs.writeFileSync(path.join(folder, "digits.txt"), "0123456789");
  fs.writeFileSync(path.join(folder, "large.bin"), LARGE);
  app = await startWebApp();
  api.staticFile.searchLocations.unshift(folder);
  addActions({
    fileOf: {
      inputs: { name: {} },
      run: async (data) => {
        data.toRender = false;
        await data.connection.sendFile(data.params.name);
      },
    },
    stream: {
      inputs: { length: {} },
      run: async (data) => {
        data.toRender = false;
        const stream = new PassThrough();
        stream.end("streamed");
        data.connection.rawConnection.responseHeaders.push(["X-Own", "yes"]);
        const length = data.params.length ? Number(data.params.length) : null;
        await (api.servers.servers.web as any).sendFile(
          data.connection,
          null,
          stream,
          "text/plain",
          length,
          new Date(),
        );
      },
    },
    brokenStream: {
      run: async (data) => {
        data.toRender = false;
        await (api.servers.servers.web as any).sendFile(
          data.connection,
          null,
          fs.createReadStream(path.join(folder, "not-there")),
          "text/plain",
          100,
          new Date(),
        );
      },
    },
  });
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

describe("finding", () => {
  test.each([
    ["/", "<h1>index</h1>"],
    ["/public", "<h1>index</h1>"],
    ["/public/", "<h1>index</h1>"],
    ["/public/sub", "<h1>sub</h1>"],
    ["/sub/", "<h1>sub</h1>"],
    ["/public/a%20b+c.txt", "spaces"],
    ["/digits.txt?x=1", "0123456789"],
    ["/api/fileOf?name=digits.txt", "0123456789"],
  ])("%s", async (target, body) => {
    const { status, text } = await app.ask(target);
    expect([status, text]).toEqual([200, body]);
  });

  test.each([
    "/status",
    "/API/status",
    "/public/%2e%2e%2f%2e%2e%2fetc/passwd",
    "/public/..%2f..%2fpackage.json",
    "/public/%00",
    "/public/..\\..\\package.json",
    "/public/%E0%A4%A",
  ])("%s is a 404", async (target) => {
    const { status, text, headers } = await app.ask(target);
    expect([status, text]).toEqual([404, "that file is not found"]);
    expect(headers["content-type"]).toBe("text/html");
    expect(headers["content-length"]).toBe("22");
  });

  test("any method gets the file, HEAD only its headers", async () => {
    expect((await app.ask("/digits.txt", { method: "POST" })).text).toBe(
      "0123456789",
    );
    const head = await app.ask("/digits.txt", { method: "HEAD" });
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(head.headers["content-length"]).toBe("10");
  });

  test("a missing file is a 404 whatever If-Modified-Since says", async () => {
    const { status } = await app.ask("/missing.txt", {
      headers: { "If-Modified-Since": new Date().toUTCString() },
    });
    expect(status).toBe(404);
  });
});

describe("web.errorPages", () => {
  const BROWSER =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
  const askFor = (Accept: string, more: object = {}, target = "/missing.txt") =>
    app.ask(target, { headers: { Accept }, ...more });

  beforeEach(() => {
    config.web.errorPages = true;
  });

  test.each([BROWSER, "text/html", "TEXT/HTML;level=1, */*;q=0.1"])(
    "a missing file is a page for %s",
    async (accept) => {
      const { status, text, headers } = await askFor(accept);
      expect(status).toBe(404);
      expect(headers).toMatchObject({
        "content-type": "text/html; charset=utf-8",
        "content-length": String(Buffer.byteLength(text)),
        vary: "Accept",
      });
      expect(text).toMatch(/^<!doctype html>/);
      expect(text).toContain("<h1>404 Not Found</h1>");
      expect(text).toContain("<p>that file is not found</p>");
      expect(text).toContain('href="/public/css/actionhero.css"');
      expect(text).not.toMatch(/<script|<style|style=|\son\w+=/);
    },
  );

  test.each([
    "*/*",
    "text/*",
    "image/avif,image/webp,*/*;q=0.8",
    "application/json, text/html",
    "text/html;q=0.5, application/json",
    "text/html;q=0",
    ",;q=,",
  ])("a missing file is a text for %s", async (accept) => {
    const { status, text, headers } = await askFor(accept);
    expect([status, text]).toEqual([404, "that file is not found"]);
    expect(headers).toMatchObject({
      "content-type": "text/html",
      vary: "Accept",
    });
  });

  test("HEAD has the headers of GET", async () => {
    const get = await askFor(BROWSER);
    const head = await askFor(BROWSER, { method: "HEAD" });
    expect([head.status, head.text]).toEqual([404, ""]);
    for (const name of ["content-type", "content-length", "vary"])
      expect(head.headers[name]).toBe(get.headers[name]);
  });

  test("a method that files do not have is a page, too", async () => {
    config.web.strictHttp = true;
    const { status, text, headers } = await askFor(
      BROWSER,
      { method: "POST" },
      "/digits.txt",
    );
    expect(status).toBe(405);
    expect(headers).toMatchObject({
      allow: "GET, HEAD, OPTIONS",
      "content-type": "text/html; charset=utf-8",
    });
    expect(text).toContain("<h1>405 Method Not Allowed</h1>");
    expect(text).toContain("<p>files are only for GET and HEAD</p>");
  });

  test("the text of the project is escaped", async () => {
    config.errors.fileNotFound = () => `<b onclick="x('&')">gone</b>`;
    const { text } = await askFor(BROWSER);
    expect(text).toContain(
      "<p>&lt;b onclick=&quot;x(&#39;&amp;&#39;)&quot;&gt;gone&lt;/b&gt;</p>",
    );
  });

  test("nothing of the request is in the page", async () => {
    const target = `/"><script>alert(1)</script>?a=<b>`;
    const { text } = await askFor(BROWSER, {}, encodeURI(target));
    expect(text).toBe((await askFor(BROWSER)).text);
  });

  test("the style sheet is found under another prefix of files", async () => {
    config.web.urlPathForFiles = "my/files";
    const { text } = await askFor(BROWSER);
    expect(text).toContain('href="/my/files/css/actionhero.css"');
  });

  test("errors of actions stay JSON", async () => {
    const { status, json } = await askFor(BROWSER, {}, "/api/missing");
    expect(status).toBe(404);
    expect(json.error).toBe("unknown action or invalid apiVersion");
  });

  test("without it browsers get the text", async () => {
    config.web.errorPages = false;
    const { text, headers } = await askFor(BROWSER);
    expect(text).toBe("that file is not found");
    expect(headers.vary).toBeUndefined();
  });
});

describe("headers", () => {
  test("type, length, cache and etag", async () => {
    const { headers } = await app.ask("/digits.txt", {
      headers: { Cookie: "sessionID=known" }, // with a new cookie the response is private
    });
    const { size, mtime } = fs.statSync(path.join(folder, "digits.txt"));
    expect(headers).toMatchObject({
      "content-type": "text/plain",
      "content-length": "10",
      "cache-control": "max-age=60, must-revalidate, public",
      etag: `W/"${size.toString(16)}-${mtime.getTime().toString(16)}"`,
      "accept-ranges": "bytes",
      "access-control-allow-origin": "*",
    });
    expect(headers["last-modified"]).toBeUndefined();
  });

  test("a file without a known extension", async () => {
    const { status, headers, text } = await app.ask("/LICENSE");
    expect([status, text]).toEqual([200, "no extension"]);
    expect(headers["content-type"]).toBe("application/octet-stream");
  });

  test("an empty file is a 200 with length 0", async () => {
    const { status, headers, text } = await app.ask("/empty.txt");
    expect([status, text, headers["content-length"]]).toEqual([200, "", "0"]);
  });

  test("without etags there is Last-Modified", async () => {
    config.web.enableEtag = false;
    const { headers } = await app.ask("/digits.txt");
    expect(headers.etag).toBeUndefined();
    expect(Date.parse(headers["last-modified"]!)).not.toBeNaN();
  });

  test("a stream of unknown length is chunked and has no etag", async () => {
    const { headers, text } = await app.ask("/api/stream");
    expect(text).toBe("streamed");
    expect(headers["content-length"]).toBeUndefined();
    expect(headers["transfer-encoding"]).toBe("chunked");
    expect(headers.etag).toBeUndefined();
    expect(headers["x-own"]).toBe("yes");
    expect(
      (await app.ask("/api/stream?length=8")).headers["content-length"],
    ).toBe("8");
  });
});

describe("conditional requests", () => {
  const get = (headers: Record<string, string>) =>
    app.ask("/digits.txt", { headers });
  const etag = async () => (await app.ask("/digits.txt")).headers.etag!;
  const past = new Date(0).toUTCString();
  const future = new Date(Date.now() + 86_400_000).toUTCString();

  test("If-None-Match with the etag gets a 304", async () => {
    const known = await etag();
    for (const list of [known, "*", `"x", ${known}`, known.slice(2)]) {
      const { status, headers, text } = await get({ "If-None-Match": list });
      expect([status, text]).toEqual([304, ""]);
      expect(headers["content-length"]).toBeUndefined();
      expect(headers.etag).toBe(known);
    }
    expect((await get({ "If-None-Match": '"x"' })).status).toBe(200);
    expect(
      (await get({ "If-None-Match": known, "Cache-Control": "no-cache" }))
        .status,
    ).toBe(200);
  });

  test("If-Modified-Since with the date of the file gets a 304", async () => {
    expect((await get({ "If-Modified-Since": future })).status).toBe(304);
    expect((await get({ "If-Modified-Since": past })).status).toBe(200);
    expect((await get({ "If-Modified-Since": "no date" })).status).toBe(200);
    const { mtime } = fs.statSync(path.join(folder, "digits.txt"));
    expect(
      (await get({ "If-Modified-Since": mtime.toUTCString() })).status,
    ).toBe(304);
  });

  test("If-None-Match decides when both are there", async () => {
    const both = { "If-None-Match": '"x"', "If-Modified-Since": future };
    expect((await get(both)).status).toBe(200);
    const known = { "If-None-Match": await etag(), "If-Modified-Since": past };
    expect((await get(known)).status).toBe(304);
  });
});

describe("ranges", () => {
  const range = (value: string, file = "/digits.txt", more = {}) =>
    app.ask(file, { headers: { Range: value, ...more } });

  test.each([
    ["bytes=0-3", "0123", "bytes 0-3/10"],
    ["bytes=7-", "789", "bytes 7-9/10"],
    ["bytes=-2", "89", "bytes 8-9/10"],
    ["bytes=-99", "0123456789", "bytes 0-9/10"],
    ["bytes=5-99", "56789", "bytes 5-9/10"],
  ])("%s", async (value, body, contentRange) => {
    const { status, text, headers } = await range(value);
    expect([status, text]).toEqual([206, body]);
    expect(headers["content-range"]).toBe(contentRange);
    expect(headers["content-length"]).toBe(String(body.length));
  });

  test.each(["bytes=10-", "bytes=99-100", "bytes=-0"])(
    "%s cannot be satisfied",
    async (value) => {
      const { status, headers, text } = await range(value);
      expect([status, text]).toEqual([416, ""]);
      expect(headers["content-range"]).toBe("bytes */10");
    },
  );

  test.each(["bytes=0-1,3-4", "lines=1-2", "bytes=5-2", "bytes=-", "what"])(
    "%s is not one that we serve: all of the file",
    async (value) => {
      const { status, text } = await range(value);
      expect([status, text]).toEqual([200, "0123456789"]);
    },
  );

  test("ranges of a large file are exact", async () => {
    const { status, bytes } = await range("bytes=100000-250000", "/large.bin");
    expect(status).toBe(206);
    expect(bytes.equals(LARGE.subarray(100_000, 250_001))).toBe(true);
  });

  test("If-Range with an old date sends all of it", async () => {
    const { status } = await range("bytes=0-1", "/digits.txt", {
      "If-Range": new Date(0).toUTCString(),
    });
    expect(status).toBe(200);
  });

  test("HEAD knows no ranges", async () => {
    const { status, headers } = await app.ask("/digits.txt", {
      method: "HEAD",
      headers: { Range: "bytes=0-1" },
    });
    expect([status, headers["content-length"]]).toEqual([200, "10"]);
  });
});

describe("trouble", () => {
  test("a stream that cannot be opened is a 404, not a crash", async () => {
    const { status, headers } = await app.ask("/api/brokenStream");
    expect(status).toBe(404);
    expect(headers["content-type"]).toBe("text/html");
  });

  test("a stream that ends early breaks the connection", async () => {
    await expect(app.ask("/api/stream?length=100")).rejects.toThrow();
  });

  test("a stream that is longer than promised is cut to its length", async () => {
    const { text, headers } = await app.ask("/api/stream?length=4");
    expect([text, headers["content-length"]]).toEqual(["stre", "4"]);
  });

  test("a large file arrives whole", async () => {
    const { bytes } = await app.ask("/large.bin");
    expect(bytes.equals(LARGE)).toBe(true);
  });

  test("a client that leaves closes the file", async () => {
    const open = () =>
      fs
        .readdirSync("/proc/self/fd")
        .map((fd) => {
          try {
            return fs.readlinkSync(`/proc/self/fd/${fd}`);
          } catch {
            return "";
          }
        })
        .filter((target) => target.startsWith(folder));
    const file = path.join(folder, "huge.bin");
    fs.writeFileSync(file, Buffer.alloc(20_000_000));
    const socket = net.connect(app.port, "localhost");
    socket.write("GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    await new Promise((resolve) => socket.once("readable", resolve));
    socket.destroy();
    for (const headers of [
      {},
      { "If-None-Match": "*" },
      { Range: "bytes=0-1" },
    ])
      await app.ask("/large.bin", { headers });
    while (open().length > 0)
      await new Promise((resolve) => setImmediate(resolve));
    expect(open()).toEqual([]);
  });

  test("files that wait behind another response are closed when the client leaves", async () => {
    const get = jest.spyOn(api.staticFile, "get");
    fs.writeFileSync(path.join(folder, "huge.bin"), Buffer.alloc(20_000_000));
    const found = async () =>
      Promise.all(
        get.mock.results.map(({ value }) => value as Promise<StaticFileResult>),
      );
    for (const delay of [1, 50]) {
      const socket = net.connect(app.port, "localhost");
      const before = get.mock.calls.length;
      for (const file of ["huge.bin", "large.bin", "huge.bin"])
        socket.write(`GET /${file} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await until(() => get.mock.calls.length >= before + 3);
      await new Promise((resolve) => setTimeout(resolve, delay));
      socket.destroy();
    }
    const streams = (await found()).map(({ fileStream }) => fileStream);
    get.mockRestore();
    await until(() => streams.every((stream) => stream?.closed !== false));
    expect(streams.filter((stream) => stream?.closed === false)).toEqual([]);
    expect(streams).toHaveLength(6);
  });
});
