/** Every row of docs/http-semantics.md is a request here, sent in both profiles; what it answers is compared with the row. */
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import * as zlib from "node:zlib";
import { until } from "../../support/until";
import { action, api, config, rateLimit, route } from "../../../src/index";
import {
  addActions,
  startWebApp,
  type Answer,
  type Ask,
  type WebApp,
} from "../../support/webApp";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

interface Row {
  request: string;
  newProjects: string;
  v29: string;
}

interface Check {
  ask: () => Promise<Answer>;
  /** What the answer must have beside the status, in both profiles or in one of them. */
  both?: (answer: Answer) => void;
  strict?: (answer: Answer) => void;
  v29?: (answer: Answer) => void;
}

const root = path.join(__dirname, "../../..");
const page = fs.readFileSync(path.join(root, "docs/http-semantics.md"), "utf8");
const rows = page
  .split("\n")
  .filter((line) => /^\|(?! request|\s*-)/.test(line))
  .map((line): Row => {
    const cells = line.split("|").map((cell) => cell.trim());
    const [, request, newProjects, v29] = cells as [string, ...string[]];
    return { request: request, newProjects: newProjects, v29: v29 };
  });

const DIGITS = "0123456789";
const LONG = "compress me ".repeat(1000);
const SCRIPT = "console.log('a script');";

let app: WebApp;
let folder: string;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "semantics-"));
  const write = (name: string, content: string | Buffer) => {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
  };
  write("digits.txt", DIGITS);
  write("empty.txt", "");
  write("long.txt", LONG);
  write("image.png", Buffer.alloc(5000, "x"));
  write("sub/index.html", "<h1>sub</h1>");
  write(".env", "SECRET=1");
  write(".git/config", "secret");
  write(".well-known/security.txt", "Contact: x");
  write("app.js", SCRIPT);
  write("app.js.br", zlib.brotliCompressSync(SCRIPT));
  write("app.js.gz", zlib.gzipSync(SCRIPT));
  write("stale.js", SCRIPT);
  write("stale.js.br", zlib.brotliCompressSync("stale"));
  const hourAgo = new Date(Date.now() - 3_600_000);
  fs.utimesSync(path.join(folder, "stale.js.br"), hourAgo, hourAgo);

  config.web.headersTimeout = 500;
  app = await startWebApp();
  api.staticFile.searchLocations.unshift(folder);
  action.addMiddleware(
    rateLimit({ name: "few", requests: 1, perMs: 3_600_000 }),
  );
  addActions({
    echo: { run: () => ({ echoed: true }) },
    short: { run: () => "short" },
    nothing: {
      run: ({ connection }) => void connection.setStatusCode(204),
    },
    reset: { run: ({ connection }) => void connection.setStatusCode(205) },
    untouched: {
      run: ({ connection }) => {
        connection.rawConnection.responseHeaders.push([
          "Cache-Control",
          "no-transform",
        ]);
        return { text: LONG };
      },
    },
    needy: { inputs: { key: { required: true } }, run: () => ({}) },
    limited: { middleware: ["few"], run: () => ({}) },
    endless: { timeout: 20, run: () => new Promise(() => undefined) },
    remove: { httpMethods: ["delete"], run: () => ({}) },
  });
  route.registerRoute("get", "/echo/:key", "echo");
  route.registerRoute("get", "/read", "echo");
  route.registerRoute("delete", "/elsewhere", "remove");
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

afterEach(() => useProfile(false));

function useProfile(isNewProject: boolean): void {
  config.web.strictHttp = isNewProject;
  config.web.strictPaths = isNewProject;
  config.web.dotfiles = isNewProject ? "ignore" : "allow";
  config.web.errorPages = isNewProject;
  config.web.trace = !isNewProject;
  config.web.fingerprintOptions.on = isNewProject ? "actions" : "all";
  config.web.compress = false;
}

const get = (target: string, headers: Record<string, string> = {}) =>
  app.ask(target, { headers });
const withMethod = (method: string, target: string, more: Ask = {}) =>
  app.ask(target, { method, ...more });
const etag = async () => (await get("/digits.txt")).headers.etag!;
const mtime = () =>
  fs.statSync(path.join(folder, "digits.txt")).mtime.toUTCString();
const past = new Date(0).toUTCString();

/** A file under a condition that needs what the file says about itself. */
const conditional =
  (condition: (etag: string) => Record<string, string>) => async () =>
    get("/digits.txt", condition(await etag()));

const encoded = async (
  target: string,
  headers: Record<string, string> = { "Accept-Encoding": "gzip" },
) => {
  config.web.compress = true;
  const answer = await get(target, headers);
  config.web.compress = false;
  return answer;
};

/** Lines as they are, and the status and headers that come back. */
const manyHeaders = (count: number) =>
  Array.from({ length: count }, (_, i) => `A${i}: a`);

const raw = (...lines: string[]) =>
  sent([...lines, "Connection: close", "", ""].join("\r\n"));

async function sent(request: string): Promise<Answer> {
  const socket = net.connect(app.port, "localhost");
  socket.write(request);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const [head = "", body = ""] = text.split("\r\n\r\n");
  const [first = "", ...rest] = head.split("\r\n");
  const headers = Object.fromEntries(
    rest.map((line) => {
      const [name = "", ...value] = line.split(": ");
      return [name.toLowerCase(), value.join(": ")];
    }),
  );
  const answer = { status: Number(first.split(" ")[1]), headers, text: body };
  return answer as unknown as Answer;
}

const has =
  (expected: Record<string, unknown>, body?: string) => (answer: Answer) => {
    for (const [name, value] of Object.entries(expected))
      expect([name, answer.headers[name]]).toEqual([name, value]);
    if (body !== undefined) expect(answer.text).toBe(body);
  };

const anyText: unknown = expect.any(String);
const FILE_ALLOW = { allow: "GET, HEAD, OPTIONS" };
const VARY = { vary: "Accept-Encoding" };
const PLAIN = { "content-encoding": undefined };

const byAnotherName = async (method: string) => {
  config.web.allowedRequestHosts = ["https://www.site.test"];
  const answer = await withMethod(method, "/api/echo?a=1");
  config.web.allowedRequestHosts = [];
  return answer;
};
const SITE = { location: "https://www.site.test/api/echo?a=1" };

const posted = (body: string, headers: Record<string, string> = {}) =>
  withMethod("POST", "/api/echo", {
    headers: { "Content-Type": "application/json", ...headers },
    body,
  });

const checks: Record<string, Check> = {
  // bodies and refusals
  "`Expect: 100-continue`": {
    ask: () =>
      sent(
        "POST /api/echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n" +
          "Connection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
      ),
    both: ({ text }) => expect(text).toMatch(/^HTTP\/1.1 200 /),
  },
  "headers that do not arrive within `headersTimeout`": {
    ask: () => sent("GET /api/echo HTTP/1.1\r\nHost: local"),
    both: has({ connection: "close" }),
  },
  "a body that is larger than its limit": {
    ask: async () => {
      config.web.maxJsonSize = 10;
      const answer = await posted('{"a":"longer than ten bytes"}');
      config.web.maxJsonSize = null;
      return answer;
    },
    both: has({ connection: "close" }),
  },
  "a body in an encoding that the server does not know": {
    ask: () => posted("{}", { "Content-Encoding": "zzz" }),
    both: has({ "accept-encoding": anyText }),
  },
  "a param that is missing": { ask: () => get("/api/needy") },
  "more requests than `rateLimit` allows": {
    ask: async () => {
      await get("/api/limited");
      return get("/api/limited");
    },
    both: has({ "retry-after": anyText }),
  },
  "an action that takes longer than its `timeout`": {
    ask: () => get("/api/endless"),
  },
  // methods
  "GET of an action": { ask: () => get("/api/echo") },
  "HEAD of an action": {
    ask: () => withMethod("HEAD", "/api/echo"),
    both: has({ "content-length": anyText }, ""),
  },
  "HEAD of an action whose route is for GET": {
    ask: () => withMethod("HEAD", "/api/read"),
    both: has({ "content-length": anyText }, ""),
  },
  TRACE: {
    ask: () => withMethod("TRACE", "/api/x?key=1"),
    v29: ({ json }) =>
      expect(json.receivedParams).toEqual({ key: "1", action: null }),
  },
  "another method than the routes of a path have": {
    ask: () => withMethod("PUT", "/api/echo"),
    strict: ({ json, headers }) => {
      expect(json.error).toBe(
        "unknown action or invalid apiVersion (with this method: use HEAD, GET, POST)",
      );
      expect(headers.allow).toBe("HEAD, GET, POST, OPTIONS");
    },
    v29: ({ json, headers }) => {
      expect(json.error).toBe("unknown action or invalid apiVersion");
      expect(headers.allow).toBeUndefined();
    },
  },
  "`?action=` with a method that `httpMethods` leaves out": {
    ask: () => get("/api?action=remove"),
    strict: has({ allow: "DELETE, OPTIONS" }),
    v29: has({ allow: undefined }),
  },
  "a path that no route matches": {
    ask: () => get("/api/what/ever"),
    both: has({ allow: undefined }),
  },
  "GET by a name that `allowedRequestHosts` lacks": {
    ask: () => byAnotherName("GET"),
    both: has(SITE),
  },
  "POST by a name that `allowedRequestHosts` lacks": {
    ask: () => byAnotherName("POST"),
    both: has(SITE),
  },
  "GET of a file": { ask: () => get("/digits.txt"), both: has({}, DIGITS) },
  "HEAD of a file": {
    ask: () => withMethod("HEAD", "/digits.txt"),
    both: has({ "content-length": "10", etag: anyText }, ""),
  },
  "POST to a file": {
    ask: () => withMethod("POST", "/digits.txt"),
    strict: has(FILE_ALLOW, "files are only for GET and HEAD"),
    v29: has({ allow: undefined }, DIGITS),
  },
  "DELETE of a file": {
    ask: () => withMethod("DELETE", "/public/sub"),
    strict: has(FILE_ALLOW),
    v29: has({}, "<h1>sub</h1>"),
  },
  "POST to a file that does not exist": {
    ask: () => withMethod("POST", "/missing.txt"),
    both: has({ allow: undefined }, "that file is not found"),
  },
  "a file that does not exist, where `Accept` prefers HTML": {
    ask: () => get("/missing.txt", { accept: "text/html, */*;q=0.5" }),
    strict: ({ text, headers }) => {
      expect(text).toContain("<h1>404 Not Found</h1>");
      expect(headers.vary).toBe("Accept");
    },
    v29: has({ vary: undefined }, "that file is not found"),
  },
  "OPTIONS of a path with routes": {
    ask: () => withMethod("OPTIONS", "/api/echo"),
    strict: has({ allow: "HEAD, GET, POST, OPTIONS" }),
    v29: has({ allow: undefined }),
  },
  "OPTIONS of a file": {
    ask: () => withMethod("OPTIONS", "/digits.txt"),
    strict: has(FILE_ALLOW),
    v29: has({ allow: undefined }),
  },

  // paths and hosts
  "a literal part in another encoding (`/api/%65cho`)": {
    ask: () => get("/api/%65cho"),
    both: ({ json }) => expect(json.echoed).toBe(true),
  },
  "a malformed encoding in a variable (`/api/echo/%zz`)": {
    ask: () => get("/api/echo/%zz"),
    v29: ({ json }) => {
      expect(json.echoed).toBe(true);
      expect(json.requesterInformation.receivedParams).toEqual({
        action: "echo",
      });
    },
  },
  "a malformed encoding elsewhere (`/api/what/%zz`)": {
    ask: () => get("/api/what/%zz"),
  },
  "a folder without its slash (`/sub?a=b`)": {
    ask: () => get("/sub?a=b"),
    strict: has({ location: "/sub/?a=b" }, ""),
    v29: has({ location: undefined }, "<h1>sub</h1>"),
  },
  "a folder with its slash": {
    ask: () => get("/sub/"),
    both: has({}, "<h1>sub</h1>"),
  },
  "a file with a slash after its name (`/sub/index.html/`)": {
    ask: () => get("/sub/index.html/"),
    strict: has({}, "that file is not found"),
    v29: has({}, "<h1>sub</h1>"),
  },
  "a file whose name begins with a dot, or below such a folder": {
    ask: async () => {
      const answer = await get("/public/.git/config");
      expect((await get("/.env")).status).toBe(answer.status);
      return answer;
    },
    strict: has({}, "that file is not found"),
    v29: has({}, "secret"),
  },
  "a file below `/.well-known/`": {
    ask: () => get("/.well-known/security.txt"),
    both: has({}, "Contact: x"),
  },
  "an absolute URL in the request line": {
    ask: () => raw("GET http://a/api/echo HTTP/1.1", "Host: b"),
    both: ({ text }) => expect(JSON.parse(text).echoed).toBe(true),
  },
  "another target than a path or an absolute URL (`*@evil.test/`)": {
    ask: () => raw("GET *@evil.test/ HTTP/1.1", "Host: a"),
    both: has({ connection: "close" }),
  },
  "several `Host` headers": {
    ask: () => raw("GET /api/echo HTTP/1.1", "Host: a", "Host: a"),
    both: has({ connection: "close" }),
  },

  "a request line without a version": {
    ask: () => raw("GET /api/echo", "Host: a"),
    both: has({ connection: "close" }),
  },
  "more than 200 header lines": {
    ask: () => raw("GET /api/echo HTTP/1.1", "Host: a", ...manyHeaders(200)),
    both: has({ connection: "close" }),
  },
  "a request line of HTTP/2": {
    ask: () => raw("GET /api/echo HTTP/2.0", "Host: a"),
    both: has({ connection: "close" }),
  },

  // headers of files and responses
  "a text file": {
    ask: () => get("/digits.txt"),
    strict: has({ "content-type": "text/plain; charset=utf-8" }),
    v29: has({ "content-type": "text/plain" }),
  },
  "the validators of a file": {
    ask: () => get("/digits.txt"),
    strict: ({ headers }) => {
      expect(headers.etag).toMatch(/^"[\w-]{22}"$/);
      expect(headers["last-modified"]).toBe(mtime());
    },
    v29: ({ headers }) => {
      expect(headers.etag).toMatch(/^W\/"[\da-f]+-[\da-f]+"$/);
      expect(headers["last-modified"]).toBeUndefined();
    },
  },
  "how long a file may be kept": {
    ask: () => get("/digits.txt", { Cookie: "sessionID=1" }),
    both: has({ "cache-control": "max-age=60, must-revalidate, public" }),
  },
  "a file for a client without a session cookie": {
    ask: () => get("/digits.txt"),
    strict: has({
      "cache-control": "max-age=60, must-revalidate, public",
      "set-cookie": undefined,
    }),
    v29: has({
      "cache-control": "max-age=60, must-revalidate, private",
      "set-cookie": [anyText],
    }),
  },
  "an action that answers 204": {
    ask: () => encoded("/api/nothing"),
    both: has({ ...PLAIN, "content-length": undefined }, ""),
  },

  "an action that answers 205": {
    ask: () => encoded("/api/reset"),
    both: has({ ...PLAIN, "content-length": "0" }, ""),
  },

  // conditional requests
  "`If-None-Match` with the `ETag`": {
    ask: conditional((tag) => ({ "If-None-Match": `"x", ${tag}` })),
    both: has({ etag: anyText, "content-length": undefined }, ""),
  },
  "`If-None-Match: *`": { ask: conditional(() => ({ "If-None-Match": "*" })) },
  "`If-None-Match` with the `ETag`, weak": {
    ask: conditional((tag) => ({ "If-None-Match": weak(tag) })),
  },
  "`If-None-Match` with another `ETag`": {
    ask: conditional(() => ({ "If-None-Match": '"x"' })),
  },
  "`If-Modified-Since` with the time of the file": {
    ask: conditional(() => ({ "If-Modified-Since": mtime() })),
  },
  "`If-Modified-Since` with an earlier time": {
    ask: conditional(() => ({ "If-Modified-Since": past })),
  },
  "`If-None-Match` with another `ETag`, and `If-Modified-Since`": {
    ask: conditional(() => ({
      "If-None-Match": '"x"',
      "If-Modified-Since": mtime(),
    })),
  },
  "`If-Match` with the `ETag`": {
    ask: conditional((tag) => ({ "If-Match": `"x", ${tag}` })),
    both: has({}, DIGITS),
  },
  "`If-Match: *`": { ask: conditional(() => ({ "If-Match": "*" })) },
  "`If-Match` with another `ETag`": {
    ask: conditional(() => ({ "If-Match": '"x"' })),
    strict: has({}, ""),
    v29: has({}, DIGITS),
  },
  "`If-Match` with the `ETag`, weak": {
    ask: conditional((tag) => ({ "If-Match": weak(tag) })),
  },
  "`If-Unmodified-Since` with the time of the file": {
    ask: conditional(() => ({ "If-Unmodified-Since": mtime() })),
  },
  "`If-Unmodified-Since` with an earlier time": {
    ask: conditional(() => ({ "If-Unmodified-Since": past })),
  },
  "`If-Match` with another `ETag`, and `If-None-Match: *`": {
    ask: conditional(() => ({ "If-Match": '"x"', "If-None-Match": "*" })),
  },
  "a condition on a file that does not exist": {
    ask: () => get("/missing.txt", { "If-Match": "*", "If-None-Match": "*" }),
  },

  // ranges
  "`Range: bytes=0-3`": {
    ask: () => get("/digits.txt", { Range: "bytes=0-3" }),
    both: has({ "content-range": "bytes 0-3/10" }, "0123"),
  },
  "`Range: bytes=-2`": {
    ask: () => get("/digits.txt", { Range: "bytes=-2" }),
    both: has({ "content-range": "bytes 8-9/10" }, "89"),
  },
  "`Range` beyond the end": {
    ask: () => get("/digits.txt", { Range: "bytes=10-" }),
    both: has({ "content-range": "bytes */10" }, ""),
  },
  "`Range: bytes=-2` of an empty file": {
    ask: () => get("/empty.txt", { Range: "bytes=-2" }),
    both: has({ "content-range": undefined, "content-length": "0" }, ""),
  },
  "several ranges": {
    ask: () => get("/digits.txt", { Range: "bytes=0-1,3-4" }),
    both: has({ "content-range": undefined }, DIGITS),
  },
  "a unit other than bytes": {
    ask: () => get("/digits.txt", { Range: "lines=0-1" }),
    both: has({}, DIGITS),
  },
  "`Range` with HEAD": {
    ask: () =>
      withMethod("HEAD", "/digits.txt", { headers: { Range: "bytes=0-1" } }),
    both: has({ "content-length": "10" }),
  },
  "`Range` and `If-Range` with the `ETag`": {
    ask: conditional((tag) => ({ Range: "bytes=4-", "If-Range": tag })),
    strict: has({}, "456789"),
    v29: has({}, DIGITS),
  },
  "`Range` and `If-Range` with another `ETag`": {
    ask: conditional(() => ({ Range: "bytes=4-", "If-Range": '"x"' })),
    both: has({}, DIGITS),
  },
  "`Range` and `If-Range` with the time of the file": {
    ask: conditional(() => ({ Range: "bytes=4-", "If-Range": mtime() })),
    both: has({}, "456789"),
  },
  "`Range` and `If-None-Match` with the `ETag`": {
    ask: conditional((tag) => ({ Range: "bytes=4-", "If-None-Match": tag })),
  },

  // content encodings
  "`Accept-Encoding: gzip` of a long text file": {
    ask: () => encoded("/long.txt"),
    both: (answer) => {
      has({ ...VARY, "content-encoding": "gzip" })(answer);
      expect(answer.headers.etag).toMatch(/^W\/"/);
      expect(zlib.gunzipSync(answer.bytes).toString()).toBe(LONG);
    },
  },
  "no `Accept-Encoding`": {
    ask: () => encoded("/long.txt", {}),
    both: has({ ...VARY, ...PLAIN }, LONG),
  },
  "`Accept-Encoding: gzip;q=0`": {
    ask: () => encoded("/long.txt", { "Accept-Encoding": "gzip;q=0" }),
    both: has({ ...VARY, ...PLAIN }, LONG),
  },
  "a file that the client has, encoded": {
    ask: async () => {
      const { headers } = await encoded("/long.txt");
      return encoded("/long.txt", {
        "Accept-Encoding": "gzip",
        "If-None-Match": headers.etag!,
      });
    },
    both: has(VARY),
  },
  "`Range` of a file that could be encoded": {
    ask: () =>
      encoded("/long.txt", { "Accept-Encoding": "gzip", Range: "bytes=0-7" }),
    both: has({ ...VARY, ...PLAIN }, "compress"),
  },
  "an action whose response is shorter than `compressThreshold`": {
    ask: () => encoded("/api/echo"),
    both: has({ ...VARY, ...PLAIN }),
  },
  "an image": {
    ask: () => encoded("/image.png"),
    both: has({ vary: undefined, ...PLAIN }),
  },
  "a response with `Cache-Control: no-transform`": {
    ask: () => encoded("/api/untouched"),
    both: has(PLAIN),
  },
  "`Accept-Encoding: gzip, br` of a file with copies": {
    ask: () => get("/app.js", { "Accept-Encoding": "gzip, br" }),
    strict: (answer) => {
      has({ ...VARY, "content-encoding": "br" })(answer);
      expect(answer.headers["content-type"]).toMatch(/javascript/);
      expect(answer.headers.etag).toMatch(/^"[^"]+-br"$/);
      expect(zlib.brotliDecompressSync(answer.bytes).toString()).toBe(SCRIPT);
    },
    v29: has({ ...PLAIN, vary: undefined }, SCRIPT),
  },
  "`Accept-Encoding: gzip` of a file with copies": {
    ask: () => get("/app.js", { "Accept-Encoding": "gzip, br;q=0" }),
    strict: (answer) => {
      has({ ...VARY, "content-encoding": "gzip" })(answer);
      expect(zlib.gunzipSync(answer.bytes).toString()).toBe(SCRIPT);
    },
    v29: has(PLAIN, SCRIPT),
  },
  "`Accept-Encoding: br` of a file whose copy is older": {
    ask: () => get("/stale.js", { "Accept-Encoding": "br" }),
    both: has(PLAIN, SCRIPT),
  },
};

function weak(tag: string): string {
  return tag.startsWith("W/") ? tag : `W/${tag}`;
}

test("every row of the page is checked, and every check is a row", () => {
  expect(rows.map(({ request }) => request).sort()).toEqual(
    Object.keys(checks).sort(),
  );
});

describe("in new projects", () => {
  beforeEach(() => useProfile(true));

  test.each([
    ["//sub", "/sub/"],
    ["/public", "/public/"],
    ["/public/sub", "/public/sub/"],
    ["/%73ub?x=//y", "/%73ub/?x=//y"],
    ["/of-a-route", "/of-a-route/"],
    ["/of-a-route/sub", "/of-a-route/sub/"],
  ])(
    "the folder %s redirects to %s, on this host",
    async (target, location) => {
      if (!api.routes.methodsFor(["of-a-route"]).includes("get"))
        route.registerRoute("get", "/of-a-route", "", undefined, true, folder);
      fs.writeFileSync(path.join(folder, "index.html"), "<h1>index</h1>");
      const answer = await get(target);
      expect([answer.status, answer.headers.location]).toEqual([301, location]);
      expect((await get(location)).status).toBe(200);
    },
  );

  test("a route to a folder is none for actions: below the prefix of actions there is nothing", async () => {
    route.registerRoute("get", "/as-files", "", undefined, true, folder);
    const { status, headers, json } = await get("/api/as-files/digits.txt");
    expect([status, headers.allow]).toEqual([404, undefined]);
    expect(json.error).toBe("unknown action or invalid apiVersion");
    expect((await get("/as-files/digits.txt")).text).toBe(DIGITS);
  });

  const time = new Date("2026-01-02T03:04:05Z");

  /** Put a file at a path, in place of the one that is there. */
  function replace(file: string, content: string, at: Date): void {
    fs.writeFileSync(`${file}.new`, content);
    fs.utimesSync(`${file}.new`, at, at);
    fs.renameSync(`${file}.new`, file);
  }

  const sizes: [string, string, number][] = [
    ["held in memory", "replaced.txt", 1],
    ["that is streamed", "replaced-long.txt", 300_000],
  ];

  test.each(sizes)(
    "a file %s that takes the place of another, with its size and time, is another one",
    async (_how, name, length) => {
      const file = path.join(folder, name);
      replace(file, "a".repeat(length), time);
      const { headers } = await get(`/${name}`);
      const newOne = "b".repeat(length);
      replace(file, newOne, time);
      const isSeen = async () => (await get(`/${name}`)).text === newOne;
      await until(isSeen); // a file in memory is believed for a second
      const answers = await Promise.all([
        get(`/${name}`, { "If-None-Match": headers.etag! }),
        get(`/${name}`, { Range: "bytes=4-", "If-Range": headers.etag! }),
      ]);
      const isWhole = ({ status, text }: Answer) =>
        status === 200 && text === newOne;
      expect(answers.map(isWhole)).toEqual([true, true]);
    },
  );

  test.each(sizes)(
    "a file %s has the ETag of its bytes, whatever machine and time it comes from",
    async (_how, name, length) => {
      const text = "c".repeat(length);
      replace(path.join(folder, name), text, time);
      replace(path.join(folder, `copy-${name}`), text, new Date());
      await until(async () => (await get(`/${name}`)).text === text);
      const { headers } = await get(`/${name}`);
      const copy = await get(`/copy-${name}`);
      expect(copy.headers.etag).toBe(headers.etag);
      expect(headers.etag).toMatch(/^"[\w-]{22}"$/);
      config.web.compress = true;
      const encoding = { "Accept-Encoding": "gzip" };
      const { headers: gzip } = await get(`/copy-${name}`, encoding);
      if (length > 1)
        expect(gzip.etag).toBe(`W/${headers.etag!.slice(0, -1)}-gzip"`);
    },
  );

  test("a route to a folder accepts the method that it is declared for", async () => {
    route.registerRoute("post", "/posted", "", undefined, true, folder);
    const { status, text } = await withMethod("POST", "/posted/digits.txt");
    expect([status, text]).toEqual([200, DIGITS]);
  });

  test("what an action sends is no URL of a file: any method, no redirect", async () => {
    addActions({
      sendSub: {
        run: async (data) => {
          data.toRender = false;
          await data.connection.sendFile("sub");
        },
      },
    });
    const { status, text } = await withMethod("POST", "/api/sendSub", {
      headers: { "If-Match": '"x"' },
    });
    expect([status, text]).toEqual([200, "<h1>sub</h1>"]);
  });

  test("files that are streamed have the same rules", async () => {
    const content = "0123456789".repeat(30_000);
    const file = path.join(folder, "streamed.txt");
    fs.writeFileSync(file, content);
    fs.writeFileSync(`${file}.gz`, zlib.gzipSync(content));
    const { headers } = await get("/streamed.txt");
    expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(headers.vary).toBe("Accept-Encoding");
    const copy = await get("/streamed.txt", { "Accept-Encoding": "gzip" });
    expect(copy.headers["content-encoding"]).toBe("gzip");
    expect(zlib.gunzipSync(copy.bytes).toString()).toBe(content);
    const condition = (name: string, tag = headers.etag!) =>
      get("/streamed.txt", { [name]: tag, Range: "bytes=0-3" });
    const answers = await Promise.all([
      condition("If-Range"),
      condition("If-Match"),
      condition("If-Match", '"x"'),
      condition("If-None-Match"),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([206, 206, 412, 304]);
    for (const { headers } of answers)
      expect(headers.vary).toBe("Accept-Encoding");
  });

  test("Allow names the methods of the version that the client asked for", async () => {
    const run = () => ({});
    const template = { name: "versioned", description: "x", run };
    api.actions.actions.versioned = {
      1: { ...template, version: 1, httpMethods: ["get"] },
      2: { ...template, version: 2, httpMethods: ["put", "delete"] },
    } as never;
    api.actions.versions.versioned = [1, 2];
    const { routes } = api.routes;
    api.routes.routes = { ...routes, get: [], put: [], delete: [] };
    config.web.automaticRoutes = ["get", "put", "delete"];
    api.routes.loadRoutes({});
    config.web.automaticRoutes = [];
    const { status, headers } = await get("/api/versioned");
    expect([status, headers.allow]).toEqual([405, "PUT, DELETE, OPTIONS"]);
    const older = await withMethod("PUT", "/api/versioned?apiVersion=1");
    api.routes.routes = routes;
    expect(older.headers.allow).toBe("HEAD, GET, OPTIONS");
  });

  test("without returnErrorCodes the status stays 200, with Allow", async () => {
    config.web.returnErrorCodes = false;
    const { status, headers } = await withMethod("PUT", "/api/echo");
    expect([status, headers.allow]).toEqual([200, "HEAD, GET, POST, OPTIONS"]);
  });
});

test("an ETag of an action is weak when its response was compressed on the way", async () => {
  addActions({
    tagged: {
      run: ({ connection }) => {
        connection.rawConnection.responseHeaders.push(["ETag", '"1"']);
        return { text: LONG };
      },
    },
  });
  expect((await encoded("/api/tagged")).headers.etag).toBe('W/"1"');
  expect((await encoded("/api/tagged", {})).headers.etag).toBe('"1"');
});

describe.each(rows)("$request", ({ request, newProjects, v29 }) => {
  const { ask, both, strict, v29: old } = checks[request] ?? {};
  const statusIn = (cell: string) => Number(/^\d{3}/.exec(cell)?.[0]);

  test(`in new projects: ${newProjects}`, async () => {
    useProfile(true);
    const answer = await ask();
    expect(answer.status).toBe(statusIn(newProjects));
    both?.(answer);
    strict?.(answer);
  });

  test(`in the version 29 profile: ${v29}`, async () => {
    useProfile(false);
    const answer = await ask();
    expect(answer.status).toBe(
      statusIn(v29 === "the same" ? newProjects : v29),
    );
    both?.(answer);
    old?.(answer);
  });
});
