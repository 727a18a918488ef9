/** Every parser that meets the bytes of clients, with everything that may come: it answers, or refuses with its own error. */
import fc from "fast-check";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { reduceParams } from "../../src/input/field";
import { matchURL } from "../../src/route/matchUrl";
import { identify } from "../../src/server/identity";
import { isAllowedHost } from "../../src/server/requestHost";
import { LineDecoder } from "../../src/server/socket/lineDecoder";
import { parseRequest } from "../../src/server/socket/protocol";
import { chooseEncoding } from "../../src/server/web/compression";
import { mergeHeaders } from "../../src/server/web/headers";
import { callbackOf, padJsonp } from "../../src/server/web/jsonp";
import { countPairs, parseQuery } from "../../src/server/web/query";
import { requestedRange } from "../../src/server/web/range";
import { parseTarget } from "../../src/server/web/target";
import { decode, encode, wordsOf } from "../../src/server/websocket/protocol";
import { parseCookies } from "../../src/utils/parseCookies";
import { parseHeadersForClientAddress } from "../../src/utils/parseHeadersForClientAddress";

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
      const config = { urlPathForActions: "api", urlPathForFiles: "public" };
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
      const parsed = parseQuery(query);
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
      expect({ ...parseQuery(query) }).toEqual({ ...values });
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
      const { fingerprint } = identify(requestOf(headers), {});
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
  check(
    fc.property(range, fc.nat(), (value, length) => {
      const validators = { etag: undefined, lastModified: undefined };
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
        return parts.flatMap((part) => decoder.push(part));
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
  check(
    fc.property(message, (value) => {
      const decoded = decode(value);
      if (decoded === undefined) return;
      if (typeof decoded === "string")
        expect(decoded.startsWith("primus::")).toBe(true);
      else {
        expect(Array.isArray(decoded)).toBe(false);
        for (const word of wordsOf(decoded).words)
          expect(typeof word).toBe("string");
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
        flat = mergeHeaders(pairs as [string, unknown][]);
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
