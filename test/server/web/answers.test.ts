import * as net from "node:net";
import { Readable } from "node:stream";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;

/** All bytes of one response, on a connection that ends with it. */
async function rawGet(path: string): Promise<string> {
  const socket = net.connect(app.port, "localhost");
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n`,
  );
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    hello: { run: () => ({ hello: "world" }) },
    signIn: { inputs: { name: {}, password: {} }, run: () => ({}) },
    echo: {
      inputs: { key: {}, value: { required: true } },
      run: ({ params }) => ({ params }),
    },
    boom: {
      run: () => {
        throw new Error("boom");
      },
    },
    teapot: {
      run: () => {
        throw Object.assign(new Error("short and stout"), {
          code: "418 teapot",
        });
      },
    },
    oddCode: {
      run: () => {
        throw Object.assign(new Error("odd"), { code: 999 });
      },
    },
    lowCode: {
      run: () => {
        throw Object.assign(new Error("low"), { code: 101 });
      },
    },
    ownError: {
      run: ({ response }) => {
        response.error = "no way";
      },
    },
    status201: {
      run: async ({ connection }) => {
        await connection.setStatusCode(201);
      },
    },
    failsAfterStatus: {
      inputs: { status: { formatter: Number } },
      run: ({ connection, params }) => {
        connection.setStatusCode(params.status);
        throw new Error("the insert failed");
      },
    },
    failsWithCode: {
      run: () => {
        throw Object.assign(new Error("no such transaction"), { code: 251 });
      },
    },
    status100: {
      run: ({ connection }) => {
        connection.rawConnection.responseHttpCode = 100;
      },
    },
    status204: {
      run: ({ connection }) => {
        connection.rawConnection.responseHttpCode = 204;
      },
    },
    status205: {
      run: ({ connection }) => {
        connection.rawConnection.responseHttpCode = 205;
      },
    },
    bodiless: {
      inputs: { code: { formatter: Number }, way: {} },
      run: async (data) => {
        const { connection, params } = data;
        const { rawConnection } = connection;
        rawConnection.responseHttpCode = params.code;
        data.toRender = params.way === "render";
        if (data.toRender) return { text: "x".repeat(5_000) };
        if (params.way === "pipe") {
          rawConnection.res.statusCode = params.code;
          await connection.pipe("a body", { "Content-Type": "text/plain" });
        } else if (params.way === "file") {
          await connection.sendFile("simple.html");
        } else {
          const stream = Readable.from(["a ", "body"]);
          const { web } = api.servers.servers;
          const at = new Date(0);
          const length = params.way === "stream" ? 6 : undefined;
          await web.sendFile(connection, null, stream, "text/x", length!, at);
        }
      },
    },
    trailer: {
      run: ({ connection }) => connection.setHeader("Trailer", "X-Sum"),
    },
    pipedTrailer: {
      run: async (data) => {
        data.toRender = false;
        await data.connection.pipe("piped", { Trailer: "X-Sum" });
      },
    },
    badStatusMessage: {
      run: ({ connection }) => {
        connection.rawConnection.res.statusMessage = "a\nb";
      },
    },
    text: {
      run: (data) => {
        data.connection.rawConnection.responseHeaders.push([
          "Content-Type",
          "text/plain",
        ]);
        data.response = "some ünicode";
      },
    },
    bytes: {
      run: (data) => {
        data.connection.rawConnection.responseHeaders.push([
          "Content-Type",
          "image/png",
        ]);
        data.response = Buffer.from([0xff, 0x00, 0xfe]);
      },
    },
    xml: {
      run: (data) => {
        data.connection.rawConnection.responseHeaders.push([
          "Content-Type",
          "text/xml",
        ]);
        data.response = { not: "text" };
      },
    },
    jsonText: {
      run: (data) => {
        data.response = "just text";
      },
    },
    nothing: {
      run: (data) => {
        data.response = null;
      },
    },
    circle: {
      run: () => {
        const circle: any = {};
        circle.self = circle;
        return { circle };
      },
    },
    cookies: {
      run: ({ connection }) => {
        const { responseHeaders } = connection.rawConnection;
        responseHeaders.push(["Set-Cookie", "value_1=1"]);
        responseHeaders.push(["Set-Cookie", "value_2=2"]);
        responseHeaders.push(["X-Powered-By", "me"]);
        return { cookies: connection.rawConnection.cookies };
      },
    },
    injection: {
      inputs: { line: {} },
      run: ({ connection, params }) => {
        connection.rawConnection.responseHeaders.push(["X-Line", params.line]);
      },
    },
    setHeader: {
      inputs: { line: {} },
      run: async ({ connection, params }) => {
        await connection.setHeader("X-Line", params.line);
      },
    },
    piped: {
      run: async (data) => {
        data.toRender = false;
        await data.connection.pipe("a string", { "X-Own": "yes" });
      },
    },
    raw: {
      run: (data) => {
        data.toRender = false;
        data.connection.rawConnection.res.end("raw");
      },
    },
    mime: { matchExtensionMimeType: true, run: () => ({ a: 1 }) },
  });
  api.routes.routes.get.push({
    path: "/mime.:format",
    action: "mime",
  });
});

afterAll(() => app.stop());

test("an action answers JSON with its metadata, in this order", async () => {
  const { status, headers, json } = await app.ask("/api/hello");
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("application/json; charset=utf-8");
  expect(Object.keys(json)).toEqual([
    "hello",
    "serverInformation",
    "requesterInformation",
  ]);
  expect(json.serverInformation).toEqual({
    serverName: config.general.serverName,
    apiVersion: config.general.apiVersion,
    requestDuration: expect.any(Number),
    currentTime: expect.any(Number),
  });
  const { id, fingerprint, messageId } = json.requesterInformation;
  expect(id).toBe(`${fingerprint}-${messageId}`);
  expect(fingerprint).toMatch(/^[\da-f]{40}$/);
  expect(json.requesterInformation.receivedParams).toEqual({ action: "hello" });
});

test("the metadata of a response has no param that logs must not have", async () => {
  config.general.filteredParams = ["**.*password*"];
  const { json } = await app.ask("/api/signIn?password=s3cret&name=Ada");
  expect(json.requesterInformation.receivedParams).toEqual({
    action: "signIn",
    name: "Ada",
    password: "[FILTERED]",
  });
});

test("the ids of messages are random UUIDs, which reveal neither the next id nor a count", async () => {
  const ids: string[] = [];
  for (let i = 0; i < 20; i++) {
    const { json } = await app.ask("/api/hello");
    ids.push(json.requesterInformation.messageId);
  }
  for (const id of ids)
    expect(id).toMatch(
      /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/,
    );
  expect(new Set(ids.map((id) => id.slice(0, 18))).size).toBe(ids.length);
});

test("the default headers and node's own", async () => {
  const { headers, text } = await app.ask("/api/hello");
  expect(headers).toMatchObject({
    "x-powered-by": config.general.serverName,
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "Content-Type",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "content-length": String(Buffer.byteLength(text)),
  });
});

test("padding indents, null does not", async () => {
  expect((await app.ask("/api/hello")).text).toContain('{\n  "hello": "world"');
  config.web.padding = null;
  expect((await app.ask("/api/hello")).text).toContain('{"hello":"world",');
});

test("metadata can be switched off", async () => {
  config.web.metadataOptions = {
    serverInformation: false,
    requesterInformation: false,
  };
  expect((await app.ask("/api/hello")).json).toEqual({ hello: "world" });
});

describe("status and error", () => {
  test.each([
    [201, 500, 201],
    [302, 500, 302],
    [204, 500, 204],
    [404, 404, 404],
  ])(
    "an error after setStatusCode(%i) is %i with strictHttp, else %i",
    async (status, strict, v29) => {
      const ask = () => app.ask(`/api/failsAfterStatus?status=${status}`);
      config.web.strictHttp = true;
      const answer = await ask();
      expect([answer.status, answer.json.error]).toEqual([
        strict,
        "the insert failed",
      ]);
      config.web.strictHttp = false;
      expect((await ask()).status).toBe(v29);
    },
  );

  test("a code of a database is no success with strictHttp", async () => {
    config.web.strictHttp = true;
    expect((await app.ask("/api/failsWithCode")).status).toBe(500);
    config.web.strictHttp = false;
    expect((await app.ask("/api/failsWithCode")).status).toBe(251);
  });

  test.each([
    ["/api/nowhere", 404, "unknown action or invalid apiVersion"],
    ["/api/echo", 422, "value is a required parameter for this action"],
    ["/api/boom", 500, "boom"],
    ["/api/teapot", 418, "short and stout"],
    ["/api/oddCode", 500, "odd"],
    ["/api/lowCode", 500, "low"],
    ["/api/ownError", 500, "no way"],
  ])("%s: %i %s", async (path, status, error) => {
    const answer = await app.ask(path);
    expect(answer.status).toBe(status);
    expect(answer.json.error).toBe(error);
    expect(answer.json.requesterInformation).toBeDefined();
    expect(answer.headers["content-type"]).toContain("application/json");
  });

  test("errors are 200 when returnErrorCodes is off or missing", async () => {
    config.web.returnErrorCodes = undefined as never;
    expect((await app.ask("/api/nowhere")).status).toBe(200);
  });

  test("an action sets its status; one that would end nothing is a 500", async () => {
    expect((await app.ask("/api/status201")).status).toBe(201);
    expect((await app.ask("/api/status100")).status).toBe(500);
  });

  test("204 has neither body nor length", async () => {
    const { status, headers, text } = await app.ask("/api/status204");
    expect([status, headers["content-length"], text]).toEqual([
      204,
      undefined,
      "",
    ]);
  });

  test("205 has no body, and says so", async () => {
    const { status, headers, text } = await app.ask("/api/status205");
    expect([status, headers["content-length"], text]).toEqual([205, "0", ""]);
    expect(headers["transfer-encoding"]).toBeUndefined();
  });

  describe.each(["render", "pipe", "file", "stream", "endless stream"])(
    "a response without a body (%s)",
    (way) => {
      test.each([204, 205, 304])("with status %d", async (code) => {
        for (const compress of [false, true]) {
          config.web.compress = compress;
          const url = `/api/bodiless?code=${code}&way=${encodeURIComponent(way)}`;
          const [head = "", ...rest] = (await rawGet(url)).split("\r\n\r\n");
          expect(head).toMatch(new RegExp(`^HTTP/1.1 ${code} `));
          expect(rest).toEqual([""]);
          expect(head).not.toMatch(
            /^(?:transfer-encoding|content-encoding):/im,
          );
          const length = /^content-length: (.*)$/im.exec(head)?.[1];
          expect(length).toBe(code === 205 ? "0" : undefined);
        }
      });
    },
  );

  test("pipe with a status that ends no response is a whole 500", async () => {
    const text = await rawGet("/api/bodiless?code=103&way=pipe");
    expect(text).toMatch(/^HTTP\/1.1 500 /);
    expect(text).toMatch(/a body$/);
  });

  test("a status line that cannot be written is a whole 500", async () => {
    const { status, statusMessage, headers } = await app.ask(
      "/api/badStatusMessage",
    );
    expect([status, statusMessage]).toEqual([500, "Internal Server Error"]);
    expect(headers["x-powered-by"]).toBeDefined();
  });

  test("a response that JSON cannot hold is an error, not a hanging request", async () => {
    const { status, json } = await app.ask("/api/circle");
    expect(status).toBe(500);
    expect(json.error).toMatch(/circular/i);
  });
});

describe("content types", () => {
  test("a text is sent as it is", async () => {
    const { headers, text } = await app.ask("/api/text");
    expect(headers["content-type"]).toBe("text/plain");
    expect(text).toBe("some ünicode");
  });

  test("bytes are sent as they are", async () => {
    const { headers, bytes } = await app.ask("/api/bytes");
    expect(headers["content-type"]).toBe("image/png");
    expect([...bytes]).toEqual([0xff, 0x00, 0xfe]);
  });

  test("an object under another type is still JSON text", async () => {
    expect(JSON.parse((await app.ask("/api/xml")).text)).toMatchObject({
      not: "text",
    });
  });

  test("text under the JSON type is a JSON string", async () => {
    expect((await app.ask("/api/jsonText")).json).toBe("just text");
  });

  test("a response of null is an empty object", async () => {
    const { json } = await app.ask("/api/nothing");
    expect(Object.keys(json)).toEqual([
      "serverInformation",
      "requesterInformation",
    ]);
  });

  test("the extension of the path chooses the type", async () => {
    expect((await app.ask("/api/mime.png")).headers["content-type"]).toBe(
      "image/png",
    );
    expect((await app.ask("/api/mime.what")).headers["content-type"]).toContain(
      "json",
    );
  });
});

describe("headers", () => {
  test("the last header of a name wins, and all cookies are sent, the last one first", async () => {
    const { headers, json } = await app.ask("/api/cookies", {
      headers: { Cookie: "a=1; other=a=b" },
    });
    expect(headers["x-powered-by"]).toBe("me");
    const cookies = headers["set-cookie"]!;
    expect(cookies.slice(0, 2)).toEqual(["value_2=2", "value_1=1"]);
    expect(cookies[2]).toMatch(
      /^sessionID=[\da-f]{40};path=\/;expires=.+GMT;$/,
    );
    expect(json.cookies).toEqual({ a: "1", other: "a=b" });
  });

  test.each(["trailer", "pipedTrailer"])(
    "Trailer belongs to the server: %s",
    async (action) => {
      const { status, headers } = await app.ask(`/api/${action}`);
      expect(status).toBe(200);
      expect(headers.trailer).toBeUndefined();
    },
  );

  test("line breaks in headers are refused", async () => {
    for (const action of ["injection", "setHeader"]) {
      const { status, headers } = await app.ask(
        `/api/${action}?line=a%0d%0aX-Evil:%201`,
      );
      expect(status).toBe(500);
      expect(headers["x-evil"]).toBeUndefined();
    }
  });

  test("setHeader adds a header", async () => {
    const { headers } = await app.ask("/api/setHeader?line=fine");
    expect(headers["x-line"]).toBe("fine");
    expect(headers["x-powered-by"]).toBe(config.general.serverName);
  });

  test("pipe sends only what it was given", async () => {
    const { status, headers, text } = await app.ask("/api/piped");
    expect([status, text]).toEqual([200, "a string"]);
    expect(headers["content-length"]).toBe("8");
    expect(headers["x-own"]).toBe("yes");
    expect(headers["x-powered-by"]).toBeUndefined();
  });
});

describe("JSONP", () => {
  const jsonp = (callback: string) =>
    app.ask(`/api/hello?callback=${encodeURIComponent(callback)}`);

  test("the callback wraps the response", async () => {
    const { headers, text } = await jsonp("myCallback");
    expect(headers["content-type"]).toBe("application/javascript");
    expect(text).toMatch(/^myCallback\(\{[^]*\}\);$/);
  });

  test("the callback cannot do anything but be called", async () => {
    expect((await jsonp("alert('hi');foo")).text).toMatch(
      /^alert&#39;hi&#39;;foo\(/,
    );
    expect((await jsonp("a=`x`;b")).text).toMatch(/^ax;b\(/);
  });

  test("a callback that is not a string is ignored", async () => {
    expect((await app.ask("/api/hello?callback[]=a")).json.hello).toBe("world");
  });
});

test("the connection ends with its request", async () => {
  await app.ask("/api/hello");
  await app.ask("/api/raw");
  await app.ask("/api/piped");
  await app.ask("/nothing/here");
  await new Promise((resolve) => setImmediate(resolve));
  expect(Object.keys(api.connections.connections)).toEqual([]);
});
