/** Every parser that meets the bytes of clients, with everything that may come: it answers, or refuses with its own error. */
import { addAction, makeConnection, useApp } from "../support/app";
import fc from "fast-check";
import * as fs from "node:fs";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import * as os from "node:os";
import * as path from "node:path";
import { Readable } from "node:stream";
import { ActionProcessor } from "../../src/action/actionProcessor";
import { bearerToken } from "../../src/auth/tokens";
import {
  decrypt,
  parseCookieHeader,
  unsign,
  parseCookies,
} from "../../src/cookie/cookies";
import { reduceParams } from "../../src/input/field";
import { matchURL } from "../../src/route/matchUrl";
import { identify } from "../../src/server/identity";
import { matchesOrigin } from "../../src/server/cors";
import { isAllowedHost } from "../../src/server/proxies";
import { requestIdOf } from "../../src/server/work";
import { parseJsonRequest, argumentsOf } from "../../src/server/jsonRequest";
import { linesOf } from "../support/linesOf";
import { LineDecoder } from "../../src/server/socket/lineDecoder";
import { parseRequest } from "../../src/server/socket/protocol";
import { BodyError } from "../../src/server/web/bodyRefusal";
import { joined } from "../../src/server/web/chunks";
import { chooseEncoding, qualitiesOf } from "../../src/server/web/compression";
import { decodeText, parseContentType } from "../../src/server/web/contentType";
import {
  type FileRules,
  receiveMultipart,
  type Form,
} from "../../src/server/web/multipart";
import { decodeForm, nestFields, parseForm } from "../../src/server/web/body";
import { mergeHeaders } from "../../src/server/web/headers";
import { settings } from "../../src/config/settings";
import { callbackOf, padJsonp } from "../../src/server/web/respond";
import {
  etagOf,
  evaluate,
  isFresh,
  isRangeValid,
  requestedRange,
  type Validators,
  versionOf,
} from "../../src/server/web/fileResponse";
import { countPairs, parseQuery } from "../../src/server/web/params";
import { parseTarget } from "../../src/server/requestTarget";
import { TemporaryFiles, UploadDisk } from "../../src/server/web/uploadDisk";
import { decode, encode } from "../../src/server/websocket/protocol";
import { queryOf } from "../../src/server/websocket/spark";
import { parseTraceparent } from "../../src/tracing/tracer";
import {
  JsonLimitError,
  parseBoundedJson,
  type JsonLimits,
} from "../../src/utils/boundedJson";
import { parseHeadersForClientAddress } from "../../src/utils/addresses";

/** Any text, half of it made of what parsers look for. */
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(
      fc.constantFrom(
        ..."/?#&=%;,:.\\[]{}\"'<>()+-* \r\n\t\0",
        "%2e",
        "..",
        "__proto__",
        "constructor",
        "primus::",
        "bytes=",
        "a",
        "1",
        "ü",
        "\ud800",
      ),
    )
    .map((parts) => parts.join("")),
);

const requestOf = (headers: IncomingHttpHeaders) =>
  ({ headers, socket: {}, url: "/" }) as unknown as IncomingMessage;

const check = (property: fc.IProperty<any>) =>
  fc.assert(property, { numRuns: 500 });

afterEach(() => {
  expect(Object.keys(Object.prototype)).toEqual([]);
});

test("a target is a path, and its parts have no slashes", () => {
  check(
    fc.property(text, (url) => {
      const config = {
        rootEndpointType: "file",
        urlPathForActions: "api",
        urlPathForFiles: "public",
      } as const;
      const target = parseTarget(url, config);
      expect(target.pathname.startsWith("/")).toBe(true);
      expect(target.search === "" || target.search.startsWith("?")).toBe(true);
      expect(target.pathParts.join("").includes("/")).toBe(false);
    }),
  );
});

test("a query gives own properties only, and changes no prototype", () => {
  check(
    fc.property(text, (query) => {
      const parsed = parseQuery(query, { maxBodyDepth: 200 });
      expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
      expect(Object.hasOwn(parsed, "__proto__")).toBe(false);
      expect(countPairs(query)).toBeGreaterThanOrEqual(
        Object.keys(parsed).length > 0 ? 1 : 0,
      );
    }),
  );
});

test("what URLSearchParams writes is read back", () => {
  const word = fc.string({ unit: fc.constantFrom(..."abcä &=+%?#/1") });
  check(
    fc.property(fc.dictionary(word.filter(Boolean), word), (values) => {
      const query = new URLSearchParams(values).toString();
      expect({ ...parseQuery(query, { maxBodyDepth: 200 }) }).toEqual({
        ...values,
      });
    }),
  );
});

test("cookies are texts in an object without a prototype, and the header gives none that it does not contain", () => {
  check(
    fc.property(text, (cookie) => {
      const cookies = parseCookies({ headers: { cookie } });
      expect(Object.getPrototypeOf(cookies)).toBeNull();
      for (const [name, value] of Object.entries(cookies)) {
        expect(cookie).toContain(name);
        expect(cookie).toContain(value);
      }
    }),
  );
});

test("an identity is short, printable, and without spaces, whatever a client brings", () => {
  check(
    fc.property(text, text, (id, header) => {
      const headers = { cookie: `sessionID=${id}`, "x-sessionid": header };
      const { fingerprint } = identify(requestOf(headers));
      expect(fingerprint).toMatch(/^[\x21-\x7e]{1,256}$/);
    }),
  );
});

test("a range lies in the file", () => {
  const range = fc.oneof(
    text,
    text.map((rest) => `bytes=${rest}`),
    fc.tuple(fc.bigInt(), fc.bigInt()).map(([a, b]) => `bytes=${a}-${b}`),
  );
  const validators = { etag: undefined, lastModified: undefined };
  const request = { range: "bytes=2-5" };
  expect(requestedRange(request, 10, validators)).toEqual({ start: 2, end: 5 });
  check(
    fc.property(range, fc.nat(), (value, length) => {
      const found = requestedRange({ range: value }, length, validators);
      if (found === undefined || found === "unsatisfiable") return;
      expect(found.start).toBeGreaterThanOrEqual(0);
      expect(found.start).toBeLessThanOrEqual(found.end);
      expect(found.end).toBeLessThan(length);
    }),
  );
});

test("an encoding is one that the server has, or none", () => {
  check(
    fc.property(text, (accepted) => {
      expect([undefined, "br", "gzip", "deflate"]).toContain(
        chooseEncoding(accepted),
      );
    }),
  );
});

test("q-values are numbers from 0 to 1", () => {
  check(
    fc.property(text, (accepted) => {
      for (const quality of qualitiesOf(accepted).values())
        expect(quality >= 0 && quality <= 1).toBe(true);
    }),
  );
});

test("a cookie header is read in full, without a prototype, and what this server did not seal does not open", () => {
  check(
    fc.property(text, (header) => {
      const cookies = parseCookieHeader(header);
      expect(Object.getPrototypeOf(cookies)).toBeNull();
      for (const value of Object.values(cookies)) {
        expect(unsign("a", value)).toBeUndefined();
        expect(decrypt("a", value)).toBeUndefined();
      }
      expect(unsign("a", header)).toBeUndefined();
      expect(decrypt("a", header)).toBeUndefined();
    }),
  );
});

test("a bearer token is part of its header, and has no spaces", () => {
  const tokenOf = (authorization: string) => {
    const rawConnection = { req: requestOf({ authorization }) };
    return bearerToken({
      connection: { type: "web", rawConnection },
      params: {},
    } as never);
  };
  expect(tokenOf("Bearer abc")).toBe("abc");
  check(
    fc.property(text, (value) => {
      const authorization = `Bearer ${value}`;
      const token = tokenOf(authorization);
      if (token === undefined) return;
      expect(token).toMatch(/^\S+$/);
      expect(authorization).toContain(token);
    }),
  );
});

test("the id of a request and its trace are safe in every log and header", () => {
  check(
    fc.property(text, text, (id, traceparent) => {
      const request = requestOf({ "x-request-id": id, traceparent });
      Object.assign(request.socket, { remoteAddress: "127.0.0.1" });
      expect(requestIdOf(request)).toMatch(/^[\w.:=+/@-]{1,128}$/);
      const span = parseTraceparent(traceparent);
      if (span) expect(span.traceId).toMatch(/^[\da-f]{32}$/);
    }),
  );
});

test("an origin with a star allows names of the site only", () => {
  check(
    fc.property(text, (name) => {
      const origin = `https://${name}.site.test`;
      if (matchesOrigin(origin, "https://*.site.test"))
        expect(name).toMatch(/^[\w.-]+$/);
    }),
  );
});

test("the query of a websocket is texts in an object without a prototype", () => {
  check(
    fc.property(text, (query) => {
      const params = queryOf(`/primus?${query}`);
      expect(Object.getPrototypeOf(params)).toBeNull();
      for (const value of Object.values(params))
        expect(typeof value).toBe("string");
    }),
  );
});

test("a client's address is text, and never the whole header", () => {
  check(
    fc.property(text, text, text, (list, real, port) => {
      const headers = {
        "x-forwarded-for": list,
        "x-real-ip": real,
        "x-forwarded-port": port,
      };
      const { ip } = parseHeadersForClientAddress(headers);
      expect(["string", "undefined"]).toContain(typeof ip);
    }),
  );
});

test("a host is allowed only if it is in the list", () => {
  check(
    fc.property(text, text, (host, proto) => {
      const req = requestOf({ host, "x-forwarded-proto": proto });
      expect(isAllowedHost(req, ["https://www.site.test"])).toBe(
        /^https$/i.test(proto.split(",", 1)[0].trim()) &&
          /^www\.site\.test$/i.test(host),
      );
    }),
  );
});

test("lines are the same however the bytes are cut, and none is over the limit", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    text.map((t) => Buffer.from(t)),
  );
  check(
    fc.property(bytes, fc.array(fc.nat({ max: 300 })), (array, cuts) => {
      const all = Buffer.from(array);
      const ends = [
        ...cuts.map((cut) => Math.min(cut, all.length)).sort((a, b) => a - b),
        all.length,
      ];
      const decodeAll = (parts: Buffer[]) => {
        const decoder = new LineDecoder();
        decoder.configure("\n", 64);
        return parts.flatMap((part) => linesOf(decoder, part));
      };
      const whole = decodeAll([all]);
      expect(
        decodeAll(ends.map((end, i) => all.subarray(ends[i - 1] ?? 0, end))),
      ).toEqual(whole);
      for (const line of whole)
        if (typeof line === "string")
          expect(Buffer.byteLength(line)).toBeLessThanOrEqual(64 * 3);
    }),
  );
});

test("a line of the TCP server is a request, or is refused", () => {
  const names = { verbs: ["say", "quit"], isAction: () => false };
  const line = fc.oneof(
    text,
    fc.json(),
    text.map((rest) => `{${rest}`),
  );
  check(
    fc.property(line.filter(Boolean), (value) => {
      expect(["verb", "file", "action", "refused"]).toContain(
        parseRequest(value, names).kind,
      );
    }),
  );
});

test("a websocket message is an object, a control message, or ignored", () => {
  const message = fc.oneof(
    text,
    fc.json(),
    fc.json().map((json) => `{"event":${json}}`),
  );
  expect(decode('{"event":"action"}')).toEqual({ event: "action" });
  expect(decode('"primus::pong::1"')).toBe("primus::pong::1");
  check(
    fc.property(message, (value) => {
      const decoded = decode(value);
      if (decoded === undefined) return;
      if (typeof decoded === "string")
        expect(decoded.startsWith("primus::")).toBe(true);
      else {
        expect(Array.isArray(decoded)).toBe(false);
        for (const word of argumentsOf(decoded).args)
          expect(["string", "object"]).toContain(typeof word);
      }
    }),
  );
});

test("what is sent to a websocket is JSON, and JavaScript", () => {
  check(
    fc.property(fc.jsonValue(), (value) => {
      const sent = encode(value);
      expect(sent).not.toMatch(/[\u2028\u2029]/);
      expect(JSON.parse(sent)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("params that an action does not take are left out", () => {
  check(
    fc.property(fc.object(), (params) => {
      const reduced = reduceParams(params, { text: {} }, ["action"]);
      for (const key of Object.keys(reduced))
        expect(["text", "action"]).toContain(key);
    }),
  );
});

test("a path matches a route with variables, or does not", () => {
  check(
    fc.property(
      fc.array(text.filter((part) => !part.includes("/"))),
      (parts) => {
        const { match, params } = matchURL(
          parts,
          "/user/:id/v:apiVersion(^\\d+$)",
          false,
        );
        if (match)
          expect(Object.keys(params).sort()).toEqual(["apiVersion", "id"]);
      },
    ),
  );
});

test("response headers are valid and without line breaks, or refused", () => {
  const pair = fc.tuple(
    fc.oneof(
      fc.constantFrom("X-A", "Set-Cookie", "Vary", "Cache-Control"),
      text,
    ),
    fc.oneof(text, fc.array(text)),
  );
  check(
    fc.property(fc.array(pair), (pairs) => {
      let flat: string[];
      try {
        flat = mergeHeaders(pairs);
      } catch (error) {
        expect(String(error)).toMatch(/^TypeError/);
        return;
      }
      for (const value of flat) expect(value).not.toMatch(/[\r\n\0]/);
    }),
  );
});

test("a JSONP callback cannot run anything", () => {
  check(
    fc.property(text, (callback) => {
      const known = callbackOf({ jsonp: true }, { callback });
      if (known !== undefined)
        expect(padJsonp(known, "{}", false)).toMatch(
          /^[^()`={}<>"'\r\n]*\(\{\}\);$/,
        );
      const strict = callbackOf({ jsonp: "strict" }, { callback });
      if (strict !== undefined) expect(strict).toMatch(/^[\w$.[\]]{1,128}$/);
    }),
  );
});

describe("a form", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
    text.map((t) => Buffer.from(t)),
  );
  const header = fc.oneof(
    fc
      .constantFrom("utf-8", "latin1", "utf-16le", "shift_jis")
      .map(
        (charset) => `application/x-www-form-urlencoded; charset=${charset}`,
      ),
    text.map((rest) => `application/x-www-form-urlencoded;${rest}`),
  );

  test("is lists of texts, or refused", () => {
    check(
      fc.property(bytes, header, fc.boolean(), (body, type, isList) => {
        const { charset } = parseContentType(type);
        let fields: [string, string[]][];
        try {
          fields = [...parseForm(decodeForm(body, charset, 20))];
        } catch (error) {
          expect(error).toBeInstanceOf(BodyError);
          return;
        }
        expect(fields.length).toBeLessThanOrEqual(20);
        for (const [, values] of fields) {
          expect(values.length).toBeGreaterThan(0);
          for (const value of values) expect(typeof value).toBe("string");
        }
        const nested = nestFields(fields, isList, { maxBodyDepth: 200 });
        expect(Object.hasOwn(nested, "__proto__")).toBe(false);
      }),
    );
  });

  test("that URLSearchParams wrote is read back, with all values of each name in their order", () => {
    const word = fc.string({ unit: fc.constantFrom(..."abcä漢 &=+%?#[]/1") });
    check(
      fc.property(fc.array(fc.tuple(word, word)), (pairs) => {
        const body = Buffer.from(new URLSearchParams(pairs).toString());
        const expected = new Map<string, string[]>();
        for (const [name, value] of pairs)
          expected.set(name, [...(expected.get(name) ?? []), value]);
        expect(new Map(parseForm(decodeForm(body, undefined, 1_000)))).toEqual(
          expected,
        );
      }),
    );
  });

  test("has as many pairs as are allowed", () => {
    check(
      fc.property(
        fc.nat({ max: 10 }),
        fc.integer({ min: 1, max: 10 }),
        (max, pairs) => {
          const body = Buffer.from(Array(pairs).fill("a=1").join("&"));
          const parse = () => parseForm(decodeForm(body, undefined, max));
          if (pairs > max) expect(parse).toThrow(BodyError);
          else expect(parse).not.toThrow();
        },
      ),
    );
  });
});

describe("a JSON body", () => {
  /** What a document holds, as the limits count it. */
  function measure(value: unknown): JsonLimits {
    if (typeof value !== "object" || value === null)
      return { maxDepth: 0, maxKeys: 0, maxItems: 0 };
    const within = Object.values(value).map(measure);
    const sum = (key: keyof JsonLimits) =>
      within.reduce((total, one) => total + one[key], 0);
    const own = Object.keys(value).length;
    return {
      maxDepth: 1 + Math.max(0, ...within.map(({ maxDepth }) => maxDepth)),
      maxKeys: sum("maxKeys") + (Array.isArray(value) ? 0 : own),
      maxItems: sum("maxItems") + (Array.isArray(value) ? own : 0),
    };
  }

  const withoutProto = (json: string): unknown =>
    JSON.parse(json, function (key, value: unknown) {
      return key === "__proto__" ? undefined : value;
    });

  const padded = fc
    .tuple(fc.json(), fc.constantFrom(undefined, 1, "\t", " \n"))
    .map(([json, space]) => JSON.stringify(JSON.parse(json), null, space));

  test("is what JSON.parse makes of it without __proto__, or refused", () => {
    const withProto = fc
      .tuple(fc.json(), fc.constantFrom("__proto__", "\\u005f_proto__"))
      .map(([json, key]) => `{"a":[{"${key}":${json}}],"${key}":${json}}`);
    check(
      fc.property(fc.oneof(text, padded, withProto), (body) => {
        const bytes = Buffer.from(body);
        let value: unknown;
        try {
          value = parseJsonRequest(decodeText(bytes, undefined));
        } catch (error) {
          expect(String(error)).toMatch(/^SyntaxError/);
          return;
        }
        expect(JSON.stringify(value)).toBe(
          JSON.stringify(withoutProto(decodeText(bytes, undefined))),
        );
      }),
    );
  });

  test("is refused if and only if it holds more than a limit allows", () => {
    const limit = fc.integer({ min: 0, max: 6 });
    const limits = fc.record({
      maxDepth: limit,
      maxKeys: limit,
      maxItems: limit,
    });
    check(
      fc.property(padded, limits, (body, allowed) => {
        const held = measure(JSON.parse(body));
        const isOver = Object.entries(allowed).some(
          ([key, max]) => held[key as keyof JsonLimits] > max,
        );
        const parse = () => parseBoundedJson(body, allowed);
        if (isOver) expect(parse).toThrow(JsonLimitError);
        else expect(parse).not.toThrow();
      }),
    );
  });
});

describe("conditions", () => {
  const validators: fc.Arbitrary<Validators> = fc
    .tuple(
      fc.nat(),
      fc.date({ min: new Date(0), max: new Date(2e12), noInvalidDate: true }),
      fc.boolean(),
      fc.boolean(),
    )
    .map(([size, lastModified, isStrong, hasTag]) => ({
      etag: hasTag
        ? etagOf(versionOf(size, lastModified), { isStrong })
        : undefined,
      lastModified,
    }));
  const date = fc.oneof(
    text,
    fc
      .date({ min: new Date(0), max: new Date(2e12), noInvalidDate: true })
      .map((value) => value.toUTCString()),
  );
  const conditions = fc.record(
    {
      "if-match": text,
      "if-none-match": text,
      "if-modified-since": date,
      "if-unmodified-since": date,
      "if-range": date,
      "cache-control": text,
    },
    { requiredKeys: [] },
  );
  const isNamed = (list: string | undefined, tag: string) =>
    list?.split(",").some((entry) => ["*", tag].includes(entry.trim()));

  test("have a verdict, and other methods than GET and HEAD have none", () => {
    const method = fc.constantFrom("GET", "HEAD", "POST", "DELETE");
    check(
      fc.property(conditions, method, validators, (headers, name, file) => {
        const verdict = evaluate(headers, name, file);
        const isRead = name === "GET" || name === "HEAD";
        expect(isRead ? ["send", "fresh", "failed"] : ["send"]).toContain(
          verdict,
        );
        expect([true, false]).toContain(isFresh(headers, file));
        expect([true, false]).toContain(isRangeValid(headers, file));
      }),
    );
  });

  test("never keep a file from a client that does not know it", () => {
    check(
      fc.property(conditions, text, validators, (others, list, file) => {
        if (list.includes("*") || file.etag === undefined) return;
        const headers = { ...others, "if-none-match": list };
        expect(evaluate(headers, "GET", file)).not.toBe("fresh");
        expect(isFresh(headers, file)).toBe(false);
      }),
    );
  });

  test("find a file's tag anywhere in a list", () => {
    check(
      fc.property(text, text, validators, (before, after, file) => {
        const etag = file.etag ?? "*";
        const list = `${before},${etag} , ${after}`;
        expect(evaluate({ "if-none-match": list }, "GET", file)).toBe("fresh");
        const isStrong =
          !etag.startsWith("W/") || list.match(/(?:^|,)\s*\*\s*(?:,|$)/);
        expect(evaluate({ "if-match": list }, "GET", file)).toBe(
          isStrong ? "send" : "failed",
        );
      }),
    );
  });

  test("fail where a client names other tags only", () => {
    check(
      fc.property(text, validators, (list, file) => {
        if (isNamed(list, file.etag ?? "*")) return;
        expect(evaluate({ "if-match": list }, "GET", file)).toBe("failed");
      }),
    );
  });

  test("give parts of a file only to those who know it to the second", () => {
    check(
      fc.property(date, validators, (ifRange, file) => {
        const changed = Math.floor(file.lastModified!.getTime() / 1000) * 1000;
        expect(isRangeValid({ "if-range": ifRange }, file)).toBe(
          !ifRange.includes('"') && Date.parse(ifRange) === changed,
        );
        if (file.etag !== undefined)
          expect(isRangeValid({ "if-range": file.etag }, file)).toBe(
            !file.etag.startsWith("W/"),
          );
      }),
    );
  });
});

describe("a multipart form", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "hostile-multipart-"));
  const disk = new UploadDisk();
  const anyFile = {
    check: () => undefined,
    tooLarge: () => undefined,
  } as unknown as FileRules;

  afterAll(() => {
    fs.rmSync(folder, { recursive: true, force: true });
  });

  /** Receive what comes in these pieces, with the bytes of the files. */
  async function receive(type: string, pieces: Buffer[]) {
    const req = Object.assign(Readable.from(pieces), {
      headers: { "content-type": type },
      complete: true,
    });
    const temporaryFiles = new TemporaryFiles(disk, {
      clientAddress: undefined,
      bytesRead: 0,
    });
    const form: Form = await receiveMultipart(
      req as unknown as IncomingMessage,
      {
        options: Object.create(settings().web.formOptions, {
          uploadDir: { value: folder },
        }),
        maxParams: 100,
        fieldOf: (name) => name,
        rules: anyFile,
        temporaryFiles,
        hold: () => undefined,
        written: () => undefined,
        source: joined(req as unknown as IncomingMessage),
        maxBytes: 10_000,
        tooLarge: () => BodyError.tooLarge("limit", 10_000),
      },
    ).finally(() => setImmediate(() => temporaryFiles.remove()));
    const files = [...form.files.values()].flat().map(({ filepath, size }) => {
      const content = fs.readFileSync(filepath);
      expect(content.length).toBe(size);
      return content;
    });
    return { fields: form.fields, files };
  }

  const cut = (all: Buffer, cuts: number[]) => {
    const ends = [
      ...cuts.map((at) => Math.min(at, all.length)).sort((a, b) => a - b),
      all.length,
    ];
    return ends
      .map((end, i) => all.subarray(ends[i - 1] ?? 0, end))
      .filter(({ length }) => length > 0);
  };

  const checkAsync = (property: fc.IAsyncProperty<any>) =>
    fc.assert(property, { numRuns: 200 });

  test("is received or refused, whatever its bytes are", async () => {
    const part = fc.oneof(
      text,
      fc.constantFrom(
        "--b",
        "--b--",
        "\r\n",
        "\r\n\r\n",
        "\r\n--b\r\n",
        "\r\n--b--",
        'Content-Disposition: form-data; name="a"',
        'Content-Disposition: form-data; name="__proto__"',
        'Content-Disposition: form-data; name="f"; filename="../x"',
        "Content-Type: text/plain; charset=utf-16",
        "Content-Transfer-Encoding: base64",
      ),
    );
    const body = fc.array(part).map((parts) => Buffer.from(parts.join("")));
    const type = fc.oneof(
      { weight: 4, arbitrary: fc.constant("multipart/form-data; boundary=b") },
      text.map((rest) => `multipart/form-data;${rest}`),
    );
    const cuts = fc.array(fc.nat({ max: 300 }), { maxLength: 5 });
    await checkAsync(
      fc.asyncProperty(type, body, cuts, async (header, bytes, at) => {
        const received = await receive(header, cut(bytes, at)).catch(
          (error: unknown) => error,
        );
        if (received instanceof Error)
          expect(received).toBeInstanceOf(BodyError);
      }),
    );
  });

  test("is the same however its bytes are cut", async () => {
    const name = fc.string({
      unit: fc.constantFrom(..."abcä漢 =&[]._-1"),
      minLength: 1,
    });
    const value = fc.string({ unit: "grapheme" });
    const content = fc.uint8Array({ maxLength: 100 });
    const cuts = fc.array(fc.nat({ max: 600 }), { maxLength: 8 });
    const fields = fc.array(fc.tuple(name, value), { maxLength: 5 });
    const files = fc.array(content, { maxLength: 3 });
    await checkAsync(
      fc.asyncProperty(fields, files, cuts, async (pairs, contents, at) => {
        const boundary = "the-boundary-that-no-value-has";
        const parts = [
          ...pairs.map(([key, text]) => [
            `Content-Disposition: form-data; name="${key}"`,
            Buffer.from(text),
          ]),
          ...contents.map((bytes) => [
            `Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: text/plain`,
            Buffer.from(bytes),
          ]),
        ];
        const all = Buffer.concat([
          ...parts.flatMap(([head, bytes]) => [
            Buffer.from(`--${boundary}\r\n${head as string}\r\n\r\n`),
            bytes as Buffer,
            Buffer.from("\r\n"),
          ]),
          Buffer.from(`--${boundary}--\r\n`),
        ]);
        const received = await receive(
          `multipart/form-data; boundary=${boundary}`,
          cut(all, at),
        );
        const expected = new Map<string, string[]>();
        for (const [key, text] of pairs)
          expected.set(key, [...(expected.get(key) ?? []), text]);
        expect(received.fields).toEqual(expected);
        expect(received.files).toEqual(
          contents.map((bytes) => Buffer.from(bytes)),
        );
      }),
    );
  });
});

describe("the version that a client names", () => {
  useApp();

  const VERSIONS = [1, 2, "2.1-beta"];

  beforeAll(() => {
    for (const version of VERSIONS)
      addAction(
        "versioned",
        { name: "versioned", version, run: () => ({ version }) },
        version as number,
      );
  });

  test("is one that the action has, or is refused; without one it is the latest", async () => {
    const named = fc.oneof(
      text,
      fc.constantFrom(...VERSIONS, "1", "2", "1.0", " 1", "01", 0, null, ""),
      fc.constantFrom("toString", "__proto__", "constructor"),
      fc.anything({ withNullPrototype: true, withBigInt: true }),
    );
    await fc.assert(
      fc.asyncProperty(named, async (apiVersion) => {
        const params = { action: "versioned", apiVersion };
        const connection = makeConnection({}, params);
        const data = new ActionProcessor(connection);
        const { response } = await data.processAction();
        await connection.destroy();
        const isKey =
          typeof apiVersion === "string" || typeof apiVersion === "number";
        const key = isKey ? String(apiVersion) : undefined;
        const found = apiVersion
          ? VERSIONS.find((version) => String(version) === key)
          : VERSIONS.at(-1);
        if (found === undefined)
          expect(String(response.error)).toMatch(
            /unknown action or invalid apiVersion/,
          );
        else expect(response).toEqual({ version: found });
      }),
      { numRuns: 500 },
    );
  });
});
