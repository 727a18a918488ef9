import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import * as zlib from "node:zlib";
import * as fc from "fast-check";
import { until } from "../../support/until";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config, route } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
let uploadDir: string;
let seen: any;

beforeAll(async () => {
  app = await startWebApp();
  uploadDir = fs.mkdtempSync(path.join(os.tmpdir(), "uploads-"));
  config.web.formOptions = {
    uploadDir,
    maxFieldsSize: 64 * 1024,
    maxFileSize: 256 * 1024,
  };
  addActions({
    take: {
      inputs: {
        key: {},
        key2: {},
        value: {},
        payload: {},
        nested: {},
        a: {},
        "0": {},
      },
      run: ({ params, connection }) => {
        seen = {
          params,
          raw: connection.rawConnection.params,
          files: fs.readdirSync(uploadDir),
        };
        return { params };
      },
    },
  });
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(uploadDir, { recursive: true, force: true });
});

const json = { "Content-Type": "application/json" };
const urlencoded = { "Content-Type": "application/x-www-form-urlencoded" };
const boundary = "----boundary";
const multipart = {
  "Content-Type": `multipart/form-data; boundary=${boundary}`,
};

const send = (
  body: string | Buffer,
  headers: http.OutgoingHttpHeaders = json,
  query = "",
) => app.ask(`/api/take${query}`, { method: "POST", headers, body });

/** A form with one part that has no name. */
function unnamed(more: string): string {
  return `--${boundary}\r\nContent-Disposition: form-data${more}\r\n\r\nx\r\n--${boundary}--\r\n`;
}

function form(
  parts: [name: string, content: string | Buffer, filename?: string][],
): Buffer {
  const buffers = parts.map(([name, content, filename]) =>
    Buffer.concat([
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${
          filename === undefined
            ? ""
            : `; filename="${filename}"\r\nContent-Type: image/png`
        }\r\n\r\n`,
      ),
      Buffer.from(content),
      Buffer.from("\r\n"),
    ]),
  );
  return Buffer.concat([...buffers, Buffer.from(`--${boundary}--\r\n`)]);
}

/** Uploads are removed right after the answer. */
async function uploadsGone(): Promise<void> {
  while (fs.readdirSync(uploadDir).length > 0)
    await new Promise((resolve) => setImmediate(resolve));
}

describe("JSON", () => {
  test("fields become params, lists stay lists", async () => {
    const { json: answer } = await send('{"key":"a","value":[1,2,3]}');
    expect(answer.params).toMatchObject({ key: "a", value: [1, 2, 3] });
    expect(answer.requesterInformation.receivedParams.value).toEqual([1, 2, 3]);
  });

  test("the body wins over the query", async () => {
    const { json: answer } = await send(
      '{"key":"body"}',
      json,
      "?key=query&a=1",
    );
    expect(answer.params).toMatchObject({ key: "body", a: "1" });
    expect(seen.raw.query).toEqual({ key: "query", a: "1" });
    expect(seen.raw.body).toEqual({ key: "body" });
  });

  test("a list, or an object that is one in disguise, is the payload", async () => {
    expect((await send("[1,2]")).json.params.payload).toEqual([1, 2]);
    expect((await send('{"0":"a","1":"b"}')).json.params.payload).toEqual([
      "a",
      "b",
    ]);
    expect((await send('{"0":"a","2":"b"}')).json.params.payload).toBe(
      undefined,
    );
  });

  test("scalars, an empty body and a byte order mark give no params", async () => {
    for (const body of ["5", '"x"', "null", "true", "", "\ufeff{}"])
      expect((await send(body)).status).toBe(200);
  });

  test.each(["{", '{"a":}', "{'a':1}", "\u0000"])(
    "malformed: %j is a 400 with its metadata",
    async (body) => {
      const { status, json: answer } = await send(body);
      expect(status).toBe(400);
      expect(answer.error).toBe("the request body is not valid JSON");
      expect(answer.requesterInformation).toBeDefined();
    },
  );

  test("200 levels are taken, 201 are not", async () => {
    const nest = (levels: number) =>
      `${'{"nested":'.repeat(levels - 1)}{}${"}".repeat(levels - 1)}`;
    expect((await send(nest(200))).status).toBe(200);
    const { status, json: answer } = await send(nest(201));
    expect(status).toBe(400);
    expect(answer.error).toContain("web.maxBodyDepth is 200");
    expect((await send("[".repeat(20_000) + "]".repeat(20_000))).status).toBe(
      400,
    );
  });

  test("10,000 keys are taken, 10,001 are not", async () => {
    config.web.formOptions.maxFieldsSize = 1024 * 1024;
    const keys = (count: number) =>
      JSON.stringify(
        Object.fromEntries(
          Array.from({ length: count }, (_, i) => [`k${i}`, i]),
        ),
      );
    expect((await send(keys(10_000))).status).toBe(200);
    const { status, json: answer } = await send(keys(10_001));
    expect(status).toBe(400);
    expect(answer.error).toContain("web.maxParams is 10000");
  });

  test("__proto__ is harmless at every level", async () => {
    const { status, json: answer } = await send(
      '{"__proto__":{"polluted":1},"nested":{"__proto__":{"polluted":1},"a":1}}',
    );
    expect(status).toBe(200);
    expect(answer.params.nested).toEqual({ a: 1 });
    expect(Object.getPrototypeOf(seen.params)).toBe(Object.prototype);
    expect(seen.params.nested.polluted).toBeUndefined();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe("limits of size", () => {
  const large = JSON.stringify({ value: "x".repeat(70 * 1024) });

  test("a body that announces its size", async () => {
    const { status, json: answer } = await send(large);
    expect(status).toBe(413);
    expect(answer.error).toContain("web.formOptions.maxFieldsSize is 65536");
  });

  test("a body that does not", async () => {
    const { status } = await send(large, {
      ...json,
      "Transfer-Encoding": "chunked",
    });
    expect(status).toBe(413);
  });

  test("the connection is usable afterwards", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const options = { method: "POST", headers: json, agent };
    await app.ask("/api/take", { ...options, body: large });
    const { status } = await app.ask("/api/take", { ...options, body: "{}" });
    expect(status).toBe(200);
    agent.destroy();
  });

  test("a client that asks first is refused before it sends anything", async () => {
    const socket = net.connect(app.port, "localhost");
    socket.write(
      "POST /api/take HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
        "Content-Length: 30000000\r\nExpect: 100-continue\r\n\r\n",
    );
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
  });

  test.each([
    ["a name", `--${boundary}\r\nContent-Disposition: form-data; name="v`],
    [
      "a header",
      `--${boundary}\r\nContent-Disposition: form-data; name="v"\r\nX: `,
    ],
    [
      "a value",
      `--${boundary}\r\nContent-Disposition: form-data; name="v"\r\n\r\n`,
    ],
  ])(
    "%s of a form that never ends is refused when it is too long",
    async (_what, head) => {
      const socket = net.connect(app.port, "localhost");
      socket.on("error", () => undefined); // the server may close while the rest is sent
      socket.write(
        `POST /api/take HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart["Content-Type"]}\r\n` +
          `Content-Length: 1300000\r\n\r\n${head}${"x".repeat(1_200_000)}`,
      );
      const [answer] = await once(socket, "data");
      expect(String(answer)).toMatch(/^HTTP\/1\.1 413 /);
      socket.destroy();
    },
  );

  test("the headers of many parts count, and files do not", async () => {
    const part = (i: number) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="k${i}"\r\nX: ${"x".repeat(12_000)}\r\n\r\n1\r\n`;
    const parts = Array.from({ length: 100 }, (_, i) => part(i)).join("");
    const { status, json: answer } = await send(
      `${parts}--${boundary}--`,
      multipart,
    );
    expect(status).toBe(413);
    expect(answer.error).toContain("web.formOptions.maxFieldsSize is 65536");
    config.web.formOptions.maxFileSize = 4 * 1024 * 1024;
    const file = `--${boundary}\r\nContent-Disposition: form-data; name="payload"; filename="a.txt"\r\n\r\n`;
    const whole = `${file}${"x".repeat(3_000_000)}\r\n--${boundary}--`;
    expect((await send(whole, multipart)).status).toBe(200);
  });

  test("and is told to go on otherwise", async () => {
    const request = http.request({
      port: app.port,
      path: "/api/take",
      method: "POST",
      headers: { ...json, Expect: "100-continue", "Content-Length": 11 },
      agent: false,
    });
    request.flushHeaders();
    await new Promise((resolve) => request.once("continue", resolve));
    request.end('{"key":"a"}');
    const response = await new Promise<http.IncomingMessage>((resolve) =>
      request.once("response", resolve),
    );
    expect(response.statusCode).toBe(200);
    response.resume();
  });

  test("too many params in a query or a form", async () => {
    config.web.maxParams = 10;
    const many = Array.from({ length: 11 }, (_, i) => `k${i}=1`).join("&");
    for (const answer of [
      await app.ask(`/api/take?${many}`),
      await send(many, urlencoded),
      await send(
        form(Array.from({ length: 11 }, (_, i) => [`k${i}`, "1"])),
        multipart,
      ),
    ]) {
      expect(answer.status).toBe(400);
      expect(answer.json.error).toContain("web.maxParams is 10");
    }
  });
});

describe("a body that comes with its headers and one that comes bit by bit", () => {
  const texts = fc.oneof(
    fc.json(),
    fc
      .array(fc.constantFrom('{"key":', "1", '"ä"', "}", "[", "]", ",", " "))
      .map((parts) => parts.join("")),
    fc.nat(70 * 1024).map((length) => `{"value":"${"x".repeat(length)}"}`),
    fc.constantFrom("", "key=1&key2=ä", '\ufeff{"key":1}'),
  );

  interface Sent {
    text: string;
    isJson: boolean;
    isGzipped: boolean;
    isChunked: boolean;
    /** Where it is cut, as shares of its length. */
    cuts: number[];
  }

  const requests: fc.Arbitrary<Sent> = fc.record({
    text: texts,
    isJson: fc.boolean(),
    isGzipped: fc.boolean(),
    isChunked: fc.boolean(),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
      minLength: 1,
      maxLength: 4,
    }),
  });

  function bytesOf({ text, isJson, isGzipped, isChunked }: Sent): Buffer {
    const body = isGzipped ? zlib.gzipSync(text) : Buffer.from(text);
    const head = [
      "POST /api/take HTTP/1.1",
      "Host: x",
      "Connection: close",
      `Content-Type: ${isJson ? "application/json" : "application/x-www-form-urlencoded"}`,
      isChunked
        ? "Transfer-Encoding: chunked"
        : `Content-Length: ${body.length}`,
      ...(isGzipped ? ["Content-Encoding: gzip"] : []),
    ].join("\r\n");
    const chunk = body.length > 0 ? [chunkSize(body), body, "\r\n"] : [];
    const parts = isChunked ? [...chunk, "0\r\n\r\n"] : [body];
    return Buffer.concat(
      [`${head}\r\n\r\n`, ...parts].map((part) => Buffer.from(part)),
    );
  }

  const chunkSize = ({ length }: Buffer) => `${length.toString(16)}\r\n`;

  const turn = () => new Promise((resolve) => setImmediate(resolve));

  /** What came of it: the answer, and what the action saw of the body. */
  async function outcomeOf(bytes: Buffer, cuts: number[]) {
    seen = undefined;
    const socket = net.connect(app.port, "localhost").setNoDelay();
    let at = 0;
    for (const cut of [...cuts].sort((a, b) => a - b)) {
      const end = Math.floor(cut * bytes.length);
      await new Promise((resolve) =>
        socket.write(bytes.subarray(at, end), resolve),
      );
      await turn();
      at = end;
    }
    socket.write(bytes.subarray(at));
    let answer = "";
    for await (const chunk of socket) answer += String(chunk);
    const [head = "", body = "{}"] = answer.split("\r\n\r\n");
    const { params, error } = JSON.parse(body) as Record<string, unknown>;
    const { rawBody, body: fields } = (seen?.raw ?? {}) as {
      rawBody?: Buffer;
      body?: unknown;
    };
    const status = head.split("\r\n", 1)[0];
    return { status, params, error, fields, raw: rawBody?.toString("latin1") };
  }

  test("have the same answer", async () => {
    config.web.saveRawBody = true;
    await fc.assert(
      fc.asyncProperty(requests, async (sent) => {
        const bytes = bytesOf(sent);
        const atOnce = await outcomeOf(bytes, []);
        expect(await outcomeOf(bytes, sent.cuts)).toEqual(atOnce);
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 60) },
    );
  });

  test("of a request that another one follows in the same chunk have their answers, in order", async () => {
    const request = (key: string) =>
      `POST /api/take HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 11\r\n${
        key === "c" ? "Connection: close\r\n" : ""
      }\r\n{"key":"${key}"}`;
    const socket = net.connect(app.port, "localhost");
    socket.write(["a", "b", "c"].map(request).join(""));
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    expect(text.match(/"params": \{[^}]*/g)).toEqual(
      ["a", "b", "c"].map((key) => expect.stringContaining(`"key": "${key}"`)),
    );
  });

  test("the first is read without a listener, and its request ends as that of the other", async () => {
    const ended: Promise<unknown>[] = [];
    let listeners: number | undefined;
    addActions({
      listening: {
        inputs: { key: {} },
        run: ({ connection }) => {
          const { req } = connection.rawConnection as {
            req: http.IncomingMessage;
          };
          listeners = req.listenerCount("data");
          ended.push(once(req, "end"), once(req, "close"));
        },
      },
    });
    const socket = net.connect(app.port, "localhost");
    socket.write(
      'POST /api/listening HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"key":1}',
    );
    await once(socket, "data");
    expect(listeners).toBe(0);
    await Promise.all(ended);
    socket.destroy();
  });

  test("a body is not awaited after its client has disconnected", async () => {
    const socket = net.connect(app.port, "localhost");
    socket.write(
      'POST /api/take HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"key":',
    );
    await until(() => Object.keys(api.connections.connections).length > 0);
    socket.destroy();
    await until(() => Object.keys(api.connections.connections).length === 0);
  });
});

describe("urlencoded", () => {
  test("fields, the last of a name", async () => {
    const { json: answer } = await send(
      "key=a+b%21&value=1&value=2",
      urlencoded,
    );
    expect(answer.params).toMatchObject({ key: "a b!", value: "2" });
  });

  test("multiples keeps all of them", async () => {
    config.web.formOptions.multiples = true;
    const { json: answer } = await send("key=a&value=1&value=2", urlencoded);
    expect(answer.params).toMatchObject({ key: ["a"], value: ["1", "2"] });
  });

  test("__proto__ is harmless", async () => {
    const { status } = await send("__proto__=1&key=a", urlencoded);
    expect(status).toBe(200);
    expect(Object.getPrototypeOf(seen.params)).toBe(Object.prototype);
  });
});

describe("other types", () => {
  test("are no error, and no params", async () => {
    const { status, json: answer } = await send("<a/>", {
      "Content-Type": "text/xml",
    });
    expect(status).toBe(200);
    expect(answer.params).not.toHaveProperty("a");
    expect(seen.raw.body).toEqual({});
    expect(seen.raw.rawBody).toEqual(Buffer.alloc(0));
  });

  test("what lies before the parts of a form counts, too", async () => {
    const before = "x".repeat(2 * 1024 * 1024);
    const { status, json: answer } = await app.ask("/api/take", {
      method: "POST",
      headers: { ...multipart, "Transfer-Encoding": "chunked" },
      body: `${before}\r\n${form([["key", "1"]]).toString()}`,
    });
    expect([status, answer.error]).toEqual([
      413,
      "the request body is too large: web.formOptions.maxFieldsSize is 65536 bytes",
    ]);
  });

  test("saveRawBody keeps the bytes of every type", async () => {
    config.web.saveRawBody = true;
    for (const [body, headers] of [
      ["<a/>", { "Content-Type": "text/xml" }],
      ['{ "key": 1 }', json],
      [form([["key", "1"]]).toString(), multipart],
      [
        Buffer.from([1, 2, 255]),
        { "Content-Type": "application/octet-stream" },
      ],
    ] as const) {
      await send(body, headers);
      expect(seen.raw.rawBody).toEqual(Buffer.from(body as string));
    }
  });

  test("a GET has no body, whatever it sends", async () => {
    const { json: answer } = await app.ask("/api/take", {
      headers: { ...json, "Content-Length": 11 },
      body: '{"key":"a"}',
    });
    expect(answer.params.key).toBeUndefined();
  });
});

describe("files", () => {
  const png = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 256));

  test("arrive on disk, shaped as v29 shaped them, and go with the request", async () => {
    const { status, json: answer } = await send(
      form([
        ["key", "a"],
        ["file", png, "picture.png"],
      ]),
      multipart,
    );
    expect(status).toBe(200);
    expect(answer.params.key).toBe("a");
    expect(answer.params.file).toEqual({
      size: 5000,
      filepath: expect.stringContaining(uploadDir),
      newFilename: seen.files[0],
      mimetype: "image/png",
      mtime: expect.any(String),
      originalFilename: "picture.png",
    });
    expect(seen.params.file.lastModifiedDate).toBeInstanceOf(Date);
    expect(seen.raw.files.file).toBe(seen.params.file);
    await uploadsGone();
  });

  test("a file wins over the query, a field of the body over the file, and a variable of the route over all", async () => {
    const both = form([
      ["key", png, "picture.png"],
      ["value", png, "picture.png"],
      ["value", "field"],
      ["a", "field"],
    ]);
    const query = "?key=query&key2=query&value=query&a=query";
    route.registerRoute("post", "/takes/:a", "take");
    await app.ask(`/api/takes/route${query}`, {
      method: "POST",
      headers: multipart,
      body: both,
    });
    expect(seen.params).toMatchObject({
      key: { size: 5000 },
      key2: "query",
      value: "field",
      a: "route",
    });
    await uploadsGone();
  });

  test("keepExtensions and a hash", async () => {
    Object.assign(config.web.formOptions, {
      keepExtensions: true,
      hashAlgorithm: "md5",
    });
    await send(form([["file", "abc", "a.png"]]), multipart);
    expect(seen.params.file.newFilename).toMatch(/\.png$/);
    expect(seen.params.file.hash).toBe("900150983cd24fb0d6963f7d28e17f72");
  });

  test("several of one name: the last, or all with multiples", async () => {
    const two = form([
      ["file", "1", "1.png"],
      ["file", "22", "2.png"],
    ]);
    await send(two, multipart);
    expect(seen.params.file.size).toBe(2);
    config.web.formOptions.multiples = true;
    await send(two, multipart);
    config.web.formOptions.multiples = false;
    expect(seen.params.file.map(({ size }: any) => size)).toEqual([1, 2]);
    await uploadsGone();
  });

  test("an octet-stream is one file", async () => {
    await send(png, {
      "Content-Type": "application/octet-stream",
      "X-File-Name": "raw.bin",
    });
    expect(seen.params.file).toMatchObject({
      size: 5000,
      originalFilename: "raw.bin",
      mimetype: "application/octet-stream",
    });
    await uploadsGone();
  });

  test.each([
    [
      "multipart",
      () => form([["file", Buffer.alloc(300_000), "l.png"]]),
      multipart,
    ],
    [
      "octet-stream",
      () => Buffer.alloc(300_000),
      { "Content-Type": "application/octet-stream" },
    ],
  ])("a file that is too large (%s)", async (_type, body, headers) => {
    const { status, json: answer } = await send(body(), headers);
    expect(status).toBe(413);
    expect(answer.error).toContain("maxFileSize is 262144");
    await uploadsGone();
  });

  test("fields that are too large", async () => {
    const { status } = await send(
      form([["key", "x".repeat(70_000)]]),
      multipart,
    );
    expect(status).toBe(413);
  });

  test.each([
    ["no boundary", "x", { "Content-Type": "multipart/form-data" }],
    ["no parts", "garbage", multipart],
    [
      "an end that is missing",
      form([["a", "b", "c"]]).subarray(0, -20),
      multipart,
    ],
    ["a file without a name", unnamed('; filename="a"'), multipart],
    ["a field without a name", unnamed(""), multipart],
  ])("malformed: %s", async (_what, body, headers) => {
    const { status, json: answer } = await send(body, headers);
    expect(status).toBe(400);
    expect(answer.error).toBe("There was an error processing this form.");
    await uploadsGone();
  });

  test("malformed: a file without a name where brackets have a meaning", async () => {
    config.web.formBrackets = true;
    const answer = await send(unnamed('; filename="a"'), multipart);
    config.web.formBrackets = false;
    expect(answer.status).toBe(400);
    await uploadsGone();
  });

  test("a folder that cannot be written to is a 500", async () => {
    config.web.formOptions.uploadDir = path.join(uploadDir, "missing");
    const { status } = await send(form([["file", png, "a.png"]]), multipart);
    expect(status).toBe(500);
  });

  test("a client that leaves in the middle leaves nothing behind", async () => {
    const body = form([["file", Buffer.alloc(100_000), "l.png"]]);
    const request = http.request({
      port: app.port,
      path: "/api/take",
      method: "POST",
      headers: { ...multipart, "Content-Length": body.length },
    });
    request.on("error", () => undefined);
    request.write(body.subarray(0, 50_000));
    while (fs.readdirSync(uploadDir).length === 0)
      await new Promise((resolve) => setImmediate(resolve));
    request.destroy();
    await uploadsGone();
  });

  test("a file input that nothing was chosen for is no file", async () => {
    const { status, json: answer } = await send(
      form([
        ["file", "", ""],
        ["key", "a"],
      ]),
      multipart,
    );
    expect(status).toBe(200);
    expect(answer.params.file).toBeUndefined();
    expect(answer.params.key).toBe("a");
  });
});

describe("parts of a form that are neither a field nor a file", () => {
  const parts = (head: string, count: number) =>
    `--${boundary}\r\n${head}\r\n\r\n`.repeat(count) + `--${boundary}--\r\n`;
  const nothingChosen =
    'Content-Disposition: form-data; name="f"; filename=""\r\nContent-Type: application/octet-stream\r\n';

  beforeEach(() => {
    config.web.maxParams = 20;
    config.web.formOptions.maxFiles = 5;
  });

  test.each([
    ["without headers", ""],
    ["of a file input that nothing was chosen for", nothingChosen],
  ])("%s count", async (_which, head) => {
    const { status, json } = await send(parts(head, 40), multipart);
    expect(status).toBe(400);
    expect(json.error).toContain("too many parts");
  });

  test("a few of them are passed over", async () => {
    const { status } = await send(parts(nothingChosen, 3), multipart);
    expect(status).toBe(200);
  });
});
