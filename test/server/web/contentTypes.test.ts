/** What a body is taken for, by its type, charset and encoding; and brackets in the names of forms. */
import { once } from "node:events";
import * as zlib from "node:zlib";
import * as http from "node:http";
import type { OutgoingHttpHeaders } from "node:http";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { pass } from "../../support/clock";
import { until } from "../../support/until";
import { config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

/** Decoders of brotli that have begun and not ended, and the highest number of them. */
const decoders = { open: 0, most: 0 };

jest.mock("node:zlib", () => {
  const actual: typeof zlib = jest.requireActual("node:zlib");
  const createBrotliDecompress = () => {
    const decoder = actual.createBrotliDecompress();
    decoders.most = Math.max(decoders.most, ++decoders.open);
    return decoder.once("close", () => decoders.open--);
  };
  return { ...actual, createBrotliDecompress };
});

restoreConfig();

let app: WebApp;
let seen: any;

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    take: {
      inputs: { key: {}, a: {}, b: {}, payload: {} },
      run: ({ params, connection }) => {
        seen = { params, raw: connection.rawConnection.params };
      },
    },
  });
});

afterAll(() => app.stop());

async function send(
  type: string,
  body: string | Buffer,
  headers: OutgoingHttpHeaders = {},
) {
  seen = undefined;
  return app.ask("/api/take", {
    method: "POST",
    headers: { "Content-Type": type, ...headers },
    body,
  });
}

describe("types", () => {
  test.each([
    "application/json",
    "APPLICATION/JSON",
    "application/json; charset=utf-8",
    'application/json ; charset="UTF-8"',
    "text/json",
    "application/vnd.api+json",
    "application/problem+json; x=y",
  ])("%s is JSON", async (type) => {
    await send(type, '{"key":"ä"}');
    expect(seen.params.key).toBe("ä");
  });

  test.each([
    "text/plain; x=json",
    "text/plain; application/json",
    "application/jsonp",
    "application/x-json",
    "text/plain; boundary=application/x-www-form-urlencoded",
    "text/x-www-form-urlencoded",
    "multipart/mixed; boundary=b",
    "text/plain; application/octet-stream",
    "json",
    "+json",
    "",
    ";",
  ])("%j is nothing that is parsed, and keeps rawBody", async (type) => {
    config.web.saveRawBody = true;
    const body = '{"key":"a"}';
    const { status } = await send(type, body);
    expect(status).toBe(200);
    expect(seen.params.key).toBeUndefined();
    expect(seen.raw.body).toEqual({});
    expect(seen.raw.rawBody.toString()).toBe(body);
  });

  test("a form has the charset of its escapes", async () => {
    await send(
      "application/x-www-form-urlencoded; charset=iso-8859-1",
      "key=%E4+b&b=%u&a=%C3%A4",
    );
    expect(seen.params).toMatchObject({ key: "ä b", b: "%u", a: "Ã¤" });
    await send("application/x-www-form-urlencoded", "key=%C3%A4");
    expect(seen.params.key).toBe("ä");
  });
});

describe("charsets", () => {
  test.each([
    ["iso-8859-1", Buffer.from('{"key":"ä"}', "latin1")],
    ["utf-16le", Buffer.from('{"key":"ä"}', "utf16le")],
    ["utf-16", Buffer.from('\ufeff{"key":"ä"}', "utf16le")],
    [
      "shift_jis",
      Buffer.concat([
        Buffer.from('{"key":"'),
        Buffer.from([0x8e, 0x9a]),
        Buffer.from('"}'),
      ]),
      "字",
    ],
  ])("%s is decoded", async (charset, bytes, text = "ä") => {
    const { status } = await send(
      `application/json; charset=${charset}`,
      bytes,
    );
    expect(status).toBe(200);
    expect(seen.params.key).toBe(text);
  });

  test.each(["application/json", "application/x-www-form-urlencoded"])(
    "an unknown one of %s is a 415",
    async (type) => {
      const { status, json } = await send(`${type}; charset=klingon`, "{}");
      expect([status, json.error]).toEqual([
        415,
        'the charset "klingon" of the request body is unknown',
      ]);
      expect(seen).toBeUndefined();
    },
  );

  test("an unknown charset of any other type is ignored", async () => {
    expect((await send("text/plain; charset=klingon", "x")).status).toBe(200);
  });
});

const encodings: [string, (bytes: Buffer) => Buffer][] = [
  ["gzip", (bytes) => zlib.gzipSync(bytes)],
  ["x-gzip", (bytes) => zlib.gzipSync(bytes)],
  ["deflate", (bytes) => zlib.deflateSync(bytes)],
  ["br", (bytes) => zlib.brotliCompressSync(bytes)],
  ["identity", (bytes) => bytes],
];

const FORM = "multipart/form-data; boundary=b";
const form = (content: string) =>
  Buffer.from(
    `--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nvalue\r\n` +
      `--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n${content}\r\n--b--\r\n`,
  );

describe.each(encodings)("Content-Encoding: %s", (encoding, compress) => {
  const headers = { "Content-Encoding": encoding };

  test("is inflated for JSON and forms, and rawBody is as it came", async () => {
    config.web.saveRawBody = true;
    for (const [type, text] of [
      ["application/json", '{"key":"value"}'],
      ["application/x-www-form-urlencoded", "key=value"],
      [FORM, form("x")],
      ["text/plain", "text"],
    ] as const) {
      const bytes = compress(Buffer.from(text as string));
      expect((await send(type, bytes, headers)).status).toBe(200);
      if (type !== "text/plain") expect(seen.params.key).toBe("value");
      expect(seen.raw.rawBody).toEqual(bytes);
    }
  });

  test("is inflated for files", async () => {
    const text = "0123456789".repeat(1000);
    await send(FORM, compress(form(text)), headers);
    expect(seen.params.a.size).toBe(text.length);
    await send(
      "application/octet-stream",
      compress(Buffer.from(text)),
      headers,
    );
    expect(seen.params.file.size).toBe(text.length);
  });

  if (encoding === "identity") return;

  test.each([
    [
      "JSON",
      "application/json",
      "the request body is too large: web.formOptions.maxFieldsSize is 65536 bytes",
    ],
    [
      "a form",
      "application/x-www-form-urlencoded",
      "the request body is too large: web.formOptions.maxFieldsSize is 65536 bytes",
    ],
    [
      "a file",
      "application/octet-stream",
      "the request body is too large: web.formOptions.maxFileSize is 65536 bytes",
    ],
  ])("keeps to the limit of %s", async (_what, type, text) => {
    const before: object = config.web.formOptions;
    config.web.formOptions = {
      ...before,
      maxFieldsSize: 65_536,
      maxFileSize: 65_536,
    };
    // does not compress well, so that it is the limit and not the ratio that is exceeded
    const bytes = Buffer.from(
      Array.from(
        { length: 70_000 },
        (_, i) => 97 + ((Math.imul(i, 2_654_435_761) >>> 16) % 23),
      ),
    );
    const { status, json } = await send(type, compress(bytes), headers);
    expect([status, json.error]).toEqual([413, text]);
    expect(seen).toBeUndefined();
  });

  test.each(["application/json", "application/octet-stream", FORM])(
    "a bomb of %s is a 413",
    async (type) => {
      for (const size of [15 * 1024 ** 2, 65 * 1024]) {
        const content = Buffer.alloc(size, " ");
        const bytes = compress(
          type === FORM ? form(content.toString()) : content,
        );
        const { status, json } = await send(type, bytes, headers);
        expect([status, json.error]).toEqual([
          413,
          "the request body is too large: it inflates to more than 100 times its size",
        ]);
        expect(seen).toBeUndefined();
      }
    },
  );

  test.each(["application/json", "application/octet-stream", FORM])(
    "%s that is broken or cut is a 400",
    async (type) => {
      const whole = compress(form("0123456789".repeat(100)));
      for (const bytes of [Buffer.from("nonsense"), whole.subarray(0, -6)]) {
        const { status, json } = await send(type, bytes, headers);
        expect([status, json.error]).toEqual([
          400,
          "There was an error processing this form.",
        ]);
        expect(seen).toBeUndefined();
      }
    },
  );
});

test.each(["zstd", "gzip, gzip", "x".repeat(100)])(
  "Content-Encoding: %s is a 415 that names those that are taken",
  async (encoding) => {
    for (const type of ["application/json", FORM, "application/octet-stream"]) {
      const { status, headers } = await send(type, "{}", {
        "Content-Encoding": encoding,
      });
      expect(status).toBe(415);
      expect(headers["accept-encoding"]).toBe("gzip, deflate, br");
    }
    expect(
      (await send("text/plain", "x", { "Content-Encoding": encoding })).status,
    ).toBe(200);
  },
);

describe("bodies that are inflated at once", () => {
  beforeEach(() => {
    decoders.most = 0;
  });

  afterEach(() => until(() => decoders.open === 0));

  /** Fourteen bytes, for which the decoder takes 16 MiB. */
  const bomb = zlib.brotliCompressSync(Buffer.alloc(16 * 1024 ** 2, " "), {
    params: {
      [zlib.constants.BROTLI_PARAM_LGWIN]: 24,
      [zlib.constants.BROTLI_PARAM_SIZE_HINT]: 16 * 1024 ** 2,
      [zlib.constants.BROTLI_PARAM_QUALITY]: 9,
    },
  });
  const br = { "Content-Encoding": "br" };

  test.each(["application/json", "application/x-www-form-urlencoded"])(
    "%s in brotli waits until at most two are",
    async (type) => {
      const small = zlib.brotliCompressSync(Buffer.from(""));
      const bodies = [...Array<Buffer>(20).fill(bomb), small];
      const answers = await Promise.all(
        bodies.map((body) => send(type, body, br)),
      );
      expect(answers.map(({ status }) => status)).toEqual([
        ...Array<number>(20).fill(413),
        200,
      ]);
      expect(decoders.most).toBe(2);
    },
  );

  const begin = (localAddress = "127.0.0.1") => {
    const request = http.request({
      host: "127.0.0.1",
      localAddress,
      port: app.port,
      path: "/api/take",
      method: "POST",
      headers: { "Content-Type": FORM, ...br, "Content-Length": 1000 },
    });
    request.on("error", () => undefined);
    request.write(zlib.brotliCompressSync(form("x")).subarray(0, 20));
    return request;
  };

  test("an upload in brotli is refused while two are", async () => {
    const slow = [begin(), begin()];
    await until(() => decoders.open === 2);
    const whole = zlib.brotliCompressSync(form("x"));
    const { status, headers, json } = await send(FORM, whole, br);
    expect([status, json.error]).toEqual([
      503,
      "the server inflates as many uploads as it can at the moment, try again later",
    ]);
    expect(headers["retry-after"]).toBe("5");
    // of others there may be any number
    const gzip = { "Content-Encoding": "gzip" };
    expect((await send(FORM, zlib.gzipSync(form("x")), gzip)).status).toBe(200);
    expect((await send("application/json", bomb, br)).status).toBe(413);

    slow[0].destroy();
    await until(() => decoders.open === 1);
    expect((await send(FORM, whole, br)).status).toBe(200);
    slow[1].destroy();
  });

  test("an upload in brotli that stalls gives way to another", async () => {
    const slow = [begin(), begin()];
    const [response] = await Promise.all([
      once(slow[0], "response"),
      (async () => {
        await until(() => decoders.open === 2);
        pass(5_000);
        const whole = zlib.brotliCompressSync(form("x"));
        expect((await send(FORM, whole, br)).status).toBe(200);
      })(),
    ]);
    expect(response[0].statusCode).toBe(503);
    await until(() => decoders.open === 1);
    slow[1].destroy();
  });

  test("two uploads in brotli of one address give way to that of another", async () => {
    const slow = [begin("127.0.0.2"), begin("127.0.0.2")];
    await until(() => decoders.open === 2);
    pass(1_000); // so that they are measured
    const whole = zlib.brotliCompressSync(form("x"));
    expect((await send(FORM, whole, br)).status).toBe(200);
    await until(() => decoders.open === 1);
    for (const request of slow) request.destroy();
  });

  test("a query that cannot be parsed leaves no decoder of an upload", async () => {
    const whole = zlib.brotliCompressSync(form("x"));
    config.web.queryParseOptions = { depth: 1, strictDepth: true };
    for (let i = 0; i < 3; i++) {
      const { status } = await app.ask("/api?action=take&a[b][c][d]=1", {
        method: "POST",
        headers: { "Content-Type": FORM, ...br },
        body: whole,
      });
      expect(status).not.toBe(200);
    }
    config.web.queryParseOptions = {};
    expect((await send(FORM, whole, br)).status).toBe(200);
  });
});

describe("maxJsonSize", () => {
  test("bounds JSON, and not forms", async () => {
    config.web.maxJsonSize = 100;
    const text = "x".repeat(200);
    for (const headers of [{}, { "Transfer-Encoding": "chunked" }]) {
      const { status, json } = await send(
        "application/json",
        JSON.stringify({ key: text }),
        headers,
      );
      expect([status, json.error]).toEqual([
        413,
        "the request body is too large: web.maxJsonSize is 100 bytes",
      ]);
    }
    await send("application/x-www-form-urlencoded", `key=${text}`);
    expect(seen.params.key).toBe(text);
  });
});

describe("brackets in forms", () => {
  const fields: [string, string][] = [
    ["key", "1"],
    ["key", "2"],
    ["a[]", "x"],
    ["a[]", "y"],
    ["b[c][d]", "1"],
    ["b[e]", "2"],
    ["__proto__[polluted]", "1"],
  ];
  const urlencoded = () =>
    send(
      "application/x-www-form-urlencoded",
      new URLSearchParams(fields).toString(),
    );
  const multipart = () =>
    send(
      FORM,
      `${fields
        .map(
          ([name, value]) =>
            `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
        )
        .join("")}--b--\r\n`,
    );

  test.each([
    ["urlencoded", urlencoded],
    ["multipart", multipart],
  ])(
    "make lists and objects of %s fields with formBrackets",
    async (_, ask) => {
      await ask();
      expect(seen.raw.body).toMatchObject({
        "a[]": "y",
        "b[e]": "2",
        key: "2",
      });
      config.web.formBrackets = true;
      await ask();
      expect(seen.params).toMatchObject({
        key: "2",
        a: ["x", "y"],
        b: { c: { d: "1" }, e: "2" },
      });
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
      config.web.formOptions.multiples = true;
      await ask();
      expect(seen.params).toMatchObject({
        key: ["1", "2"],
        a: ["x", "y"],
        b: { e: "2" },
      });
    },
  );

  test("nest as deep as JSON may, and deeper names are refused with the limit", async () => {
    config.web.formBrackets = true;
    const form = "application/x-www-form-urlencoded";
    const ask = (query: string) => app.ask(`/api/take?${query}`);
    const deep = "a[b][c][d][0][e][f][g][0][h]=1";
    const value = { b: { c: { d: [{ e: { f: { g: [{ h: "1" }] } } }] } } };
    await ask(deep);
    expect(seen.params.a).toEqual(value);
    await send(form, deep);
    expect(seen.params.a).toEqual(value);

    const error = "the request has too many levels: web.maxBodyDepth is 8";
    config.web.maxBodyDepth = 8;
    for (const response of [await ask(deep), await send(form, deep)]) {
      expect(response.status).toBe(400);
      expect(response.json.error).toBe(error);
    }
    config.web.queryParseOptions = { depth: 1 };
    await ask("a[b][c][d]=1");
    expect(seen.params.a).toEqual({ b: { "[c][d]": "1" } });
  });

  test("keep names of Object.prototype as own keys", async () => {
    await app.ask("/api/take?a[toString]=1&a[constructor]=2&a[__proto__]=3");
    expect(Object.entries(seen.params.a)).toEqual([
      ["toString", "1"],
      ["constructor", "2"],
    ]);
  });

  test("mean the same as in a query", async () => {
    config.web.formBrackets = true;
    for (const text of [
      "a[]=1",
      "a[]=1&a[]=2&b[x]=1&b[y][]=2",
      "a[0]=x&a[1]=y",
      "a[b]=1&a[b]=2",
      "a=1&b[constructor]=2",
      `${Array.from({ length: 30 }, (_, i) => `a[]=${i}`).join("&")}`,
    ]) {
      await app.ask(`/api/take?${text}`);
      const { a, b } = seen.params;
      await send("application/x-www-form-urlencoded", text);
      expect(seen.params.a).toEqual(a);
      expect(seen.params.b).toEqual(b);
    }
  });
});
