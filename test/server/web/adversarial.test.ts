/** Texts that are made to take long: none takes much longer than a plain request of the same length. */
import type { IncomingMessage } from "node:http";
import * as net from "node:net";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { config, utils } from "../../../src/index";
import {
  evaluate,
  isFresh,
  requestedRange,
} from "../../../src/server/web/fileResponse";
import { parseContentType } from "../../../src/server/web/contentType";
import { parseQuery } from "../../../src/server/web/params";
import {
  chooseEncoding,
  qualitiesOf,
} from "../../../src/server/web/compression";
import { bearerToken } from "../../../src/auth/tokens";
import {
  decrypt,
  parseCookieHeader,
  unsign,
} from "../../../src/cookie/cookies";
import { matchesOrigin } from "../../../src/server/cors";
import { isSameOrigin } from "../../../src/server/proxies";
import { requestIdOf } from "../../../src/server/work";
import { decode } from "../../../src/server/websocket/protocol";
import { queryOf } from "../../../src/server/websocket/spark";
import { parseTraceparent } from "../../../src/tracing/tracer";
import { parseRequest } from "../../../src/server/socket/protocol";
import { isAllowedOrigin } from "../../../src/server/websocket/plainRequests";
import { compilePath, matchCompiled } from "../../../src/route/matchUrl";
import { networkOf } from "../../../src/utils/addresses";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

const KILOBYTE = 1024;
/** Node takes 16 KiB of headers in all. */
const HEADER_BYTES = 15 * KILOBYTE;

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
  config.web.compress = true;
  addActions({ take: { inputs: { key: {} }, run: () => ({}) } });
});

afterAll(async () => {
  await app.stop();
});

const fill = (unit: string, bytes: number) =>
  unit.repeat(Math.ceil(bytes / unit.length)).slice(0, bytes);

/** Long runs of what patterns repeat, broken where they would have to end. */
const shapes: [name: string, make: (bytes: number) => string][] = [
  ["spaces", (n) => `bytes=${fill(" ", n / 2)}-${fill(" ", n / 2)}x`],
  ["spaces at the end", (n) => `a${fill(" ", n)}x`],
  ["tabs", (n) => `a=${fill("\t", n)};x`],
  ["digits", (n) => `bytes=${fill("1", n / 2)}-${fill("1", n / 2)}x`],
  ["commas", (n) => fill(",", n)],
  ["commas and spaces", (n) => fill(", ", n)],
  ["semicolons", (n) => fill(";", n)],
  ["parameters", (n) => fill("a;q=0.;", n)],
  ["brackets", (n) => fill("[", n)],
  ["addresses in brackets", (n) => `${fill("[1%", n)}]x`],
  ["zones", (n) => `[1%${fill("]:", n)}`],
  ["colons", (n) => fill(":", n)],
  ["groups", (n) => fill("::ffff:", n)],
  ["quotes", (n) => fill('"', n)],
  ["backslashes", (n) => `"${fill("\\", n)}`],
  ["equals signs", (n) => fill("=", n)],
  ["percent signs", (n) => fill("%", n)],
  ["escapes", (n) => fill("%5b", n)],
  ["plus signs", (n) => fill("+", n)],
  ["slashes", (n) => fill("/", n)],
  ["dots", (n) => fill("../", n)],
  ["a cookie's name", (n) => fill(" sessionID", n)],
  ["no-cache", (n) => fill(",no-cache ", n)],
];

/** The fastest of some tries, in ms: what else the machine does only makes them slower. */
async function fastest(work: () => unknown, tries = 5): Promise<number> {
  let best = Infinity;
  for (let i = 0; i < tries; i++) {
    const start = performance.now();
    await work();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

const requestOf = (
  headers: [string, string][],
  target = "/public/index.html",
) =>
  `GET ${target} HTTP/1.1\r\n${headers
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}Connection: close\r\n\r\n`;

/** A request as raw bytes: clients of node would refuse to send some of them. */
async function exchange(text: string): Promise<string> {
  const socket = net.connect(app.port, "localhost");
  socket.write(text, "latin1");
  let received = "";
  for await (const chunk of socket) received += String(chunk).slice(0, 100);
  return received;
}

describe("each header with 15 KiB of an adversarial value", () => {
  let plain: number;
  const plainText = requestOf([
    ["Host", "localhost"],
    ["X-Padding", fill("x", HEADER_BYTES)],
  ]);
  const measurePlain = () => fastest(() => exchange(plainText), 15);

  beforeAll(async () => {
    expect(await exchange(plainText)).toMatch(/^HTTP\/1.1 200/);
    plain = await measurePlain();
  });

  /** What seems to take long is tried again, next to plain requests: the machine may be busy at the moment. */
  async function expectQuick(what: string, text: string): Promise<void> {
    let took = await fastest(() => exchange(text), 3);
    for (let i = 0; i < 5 && took > 5 * plain + 30; i++) {
      plain = await measurePlain();
      took = await fastest(() => exchange(text), 5);
    }
    if (took > 5 * plain + 30) throw new Error(`${what}: ${took} ms`);
  }

  test.each([
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Access-Control-Request-Headers",
    "Access-Control-Request-Method",
    "Authorization",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Expect",
    "Forwarded",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Origin",
    "Range",
    "Referer",
    "Sec-Fetch-Site",
    "Transfer-Encoding",
    "User-Agent",
    "X-File-Name",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "X-Request-Id",
    "X-SessionID",
    "traceparent",
    "tracestate",
  ])("%s takes hardly longer than a plain request", async (name) => {
    for (const [shape, make] of shapes) {
      const headers: [string, string][] = [
        ["Host", "localhost"],
        [name, make(HEADER_BYTES - 100)],
      ];
      if (name === "If-Range") headers.push(["Range", "bytes=0-1"]);
      for (const target of ["/public/index.html", "/api/take"]) {
        await expectQuick(shape, requestOf(headers, target));
      }
    }
  });

  test("so do the path, the query and each param", async () => {
    for (const [shape, make] of shapes) {
      const value = make(HEADER_BYTES - 100).replace(/[\s"]/g, "_");
      for (const target of [
        `/${value}`,
        `/api/${value}`,
        `/api/take?${value}`,
        `/api/take?key=${value}`,
        `/api/take?callback=${value}`,
        `/api/take?apiVersion=${value}`,
        `/api/take.${value}`,
        `/primus/${value}`,
      ]) {
        await expectQuick(
          `${target.slice(0, 30)}, ${shape}`,
          requestOf([["Host", "localhost"]], target),
        );
      }
    }
  });
});

describe("every reader of client texts takes linear time", () => {
  const headers = (value: string) => ({
    range: value,
    "if-range": value,
    "if-none-match": value,
    "if-modified-since": value,
    "if-match": value,
    "if-unmodified-since": value,
    "cache-control": value,
  });
  const validators = { etag: 'W/"1"', lastModified: new Date(0) };
  const path = compilePath("/:id(\\d+$)/:rest(^(a|b)*$)", true);
  const cookies = (cookie: string) =>
    utils.parseCookies({ headers: { cookie } });
  const names = { verbs: ["say"], isAction: () => false };
  const forwarded = (value: string) =>
    utils.parseHeadersForClientAddress({ "x-forwarded-for": value });

  const requestWith = (fields: Record<string, string>) =>
    ({
      headers: fields,
      socket: { remoteAddress: "127.0.0.1" },
    }) as unknown as IncomingMessage;
  const tokenOf = (authorization: string) =>
    bearerToken({
      connection: {
        type: "web",
        rawConnection: { req: requestWith({ authorization }) },
      },
      params: {},
    } as never);

  const readers: Record<string, (value: string) => unknown> = {
    "the q-values of Accept": qualitiesOf,
    parseCookieHeader,
    "a signed cookie": (value) => unsign("name", value),
    "an encrypted cookie": (value) => decrypt("name", value),
    bearerToken: (value) => tokenOf(`Bearer ${value}`),
    parseTraceparent,
    requestIdOf: (value) => requestIdOf(requestWith({ "x-request-id": value })),
    "the origins of web.cors": (value) =>
      matchesOrigin(value, "https://*.site.com"),
    isSameOrigin: (value) =>
      isSameOrigin(requestWith({ host: value }), `https://${value}`),
    "a websocket message": decode,
    "the query of a websocket": (value) => queryOf(`/primus?${value}`),
    requestedRange: (value) => requestedRange(headers(value), 100, validators),
    "requestedRange with If-Range": (value) =>
      requestedRange({ ...headers(value), range: "bytes=0-1" }, 9, validators),
    isFresh: (value) => isFresh(headers(value), validators),
    evaluate: (value) => evaluate(headers(value), "GET", validators),
    parseHeadersForClientAddress: forwarded,
    parseIPv6URI: (value) => utils.parseIPv6URI(value),
    parseCookies: cookies,
    parseContentType,
    "parseContentType with parameters": (value) =>
      parseContentType(`text/plain;${value}`),
    parseQuery: (value) =>
      parseQuery(value.slice(0, 64 * KILOBYTE), { maxBodyDepth: 200 }),
    chooseEncoding,
    networkOf,
    "the pattern of a route": (value) => matchCompiled([value, value], path),
    "the origins of websockets": (value) =>
      isAllowedOrigin(value, [/^(a|\[)+\d+$/, "https://*.site.com"]),
    "a line of a socket": (value) => parseRequest(value, names),
    "a line of newlines": (value) =>
      parseRequest(`a${"\n".repeat(value.length)}a`, names),
  };

  test.each(Object.keys(readers))("%s", async (name) => {
    const read = (value: string) => {
      try {
        readers[name](value);
      } catch {
        // refused is as good as read
      }
    };
    for (const [shape, make] of shapes) {
      const [short, long] = [make(16 * KILOBYTE), make(256 * KILOBYTE)];
      const once = await fastest(() => read(short), 3);
      // quadratic time would be 256 times as much
      const limit = 80 * once + 50;
      let sixteenTimes = await fastest(() => read(long), 3);
      // another process may have had the processor all the time
      if (sixteenTimes > limit)
        sixteenTimes = await fastest(() => read(long), 20);
      if (sixteenTimes > limit)
        throw new Error(`${shape}: ${once} ms, then ${sixteenTimes} ms`);
    }
  });
});
