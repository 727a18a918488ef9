import { randomBytes } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import * as os from "node:os";
import * as path from "node:path";
import * as zlib from "node:zlib";
import {
  chooseEncoding,
  compressBody,
} from "../../../src/server/web/compression";
import { until } from "../../support/until";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config } from "../../../src/index";

test.each([
  [undefined, undefined],
  ["", undefined],
  ["identity", undefined],
  ["*", undefined],
  ["gzip", "gzip"],
  ["gzip, deflate", "gzip"],
  ["deflate, gzip", "deflate"],
  ["gzip;q=0.5, br", "br"],
  ["gzip;q=0.8, deflate;q=0.9", "deflate"],
  ["gzip;q=0", undefined],
  ["GZIP ; Q=1", "gzip"],
  ["gzip;q=0.5, identity", undefined],
  ["gzip;q=nonsense", undefined],
  ["zstd, x-gzip", undefined],
])("Accept-Encoding %j: %s", (header, encoding) => {
  expect(chooseEncoding(header)).toBe(encoding);
});

test("of many large bodies at once, those beyond 4 MiB do not wait for their turn, and unwanted ones are left out", async () => {
  const megabyte = "compress me!".repeat(87_382).slice(0, 1024 * 1024);
  let isWanted = true;
  const bodies = Array.from({ length: 20 }, () =>
    compressBody("gzip", megabyte, () => isWanted),
  );
  const sizes = (await Promise.all(bodies)).map((bytes) => bytes?.length ?? 0);
  expect(sizes.slice(0, 8).every((size) => size > 0)).toBe(true);
  expect(sizes.slice(8)).toEqual(Array<number>(12).fill(0));
  const later = Array.from({ length: 8 }, () =>
    compressBody("gzip", megabyte, () => isWanted),
  );
  isWanted = false; // four were begun
  const begun = (await Promise.all(later)).map((bytes) => bytes !== undefined);
  expect(begun).toEqual([true, true, true, true, false, false, false, false]);
});

describe("over HTTP", () => {
  let app: WebApp;
  let folder: string;
  const text = "compress me ".repeat(1000);

  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "compress-"));
    fs.writeFileSync(path.join(folder, "text.txt"), text);
    const noise = randomBytes(12 * 1024 ** 2).toString("hex");
    fs.writeFileSync(path.join(folder, "noise.txt"), noise);
    app = await startWebApp();
    config.web.compress = true;
    api.staticFile.searchLocations.unshift(folder);
    addActions({ long: { run: () => ({ text }) } });
  });
  afterAll(async () => {
    await app.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  const DECODERS: Record<string, (bytes: Buffer) => Buffer> = {
    gzip: zlib.gunzipSync,
    deflate: zlib.inflateSync,
    br: zlib.brotliDecompressSync,
  };

  test.each(["gzip", "deflate", "br"])("%s", async (encoding) => {
    const headers = { "Accept-Encoding": encoding };
    const action = await app.ask("/api/long", { headers });
    expect(action.headers["content-encoding"]).toBe(encoding);
    expect(action.headers.vary).toBe("Accept-Encoding");
    expect(action.headers["content-length"]).toBe(String(action.bytes.length));
    const body = DECODERS[encoding](action.bytes).toString();
    expect(JSON.parse(body).text).toBe(text);

    const file = await app.ask("/text.txt", { headers });
    expect(file.headers["content-encoding"]).toBe(encoding);
    expect(file.headers.vary).toBe("Accept-Encoding");
    expect(DECODERS[encoding](file.bytes).toString()).toBe(text);
  });

  test("a response without Accept-Encoding is not compressed, but has Vary", async () => {
    const { headers, json } = await app.ask("/api/long");
    expect(headers["content-encoding"]).toBeUndefined();
    expect(headers.vary).toBe("Accept-Encoding");
    expect(json.text).toBe(text);
  });

  test("of files that clients read slowly, sixteen are compressed at once, and further ones are sent as they are", async () => {
    const headers = { "Accept-Encoding": "br" };
    const encodingOf = async (file: string) =>
      (await app.ask(file, { headers })).headers["content-encoding"];
    const slow: http.ClientRequest[] = [];
    const begin = async () => {
      const request = http.get({
        port: app.port,
        path: "/noise.txt",
        headers,
        agent: false,
      });
      slow.push(request.on("error", () => undefined));
      const [response] = (await once(request, "response")) as [
        http.IncomingMessage,
      ];
      response.on("error", () => undefined); // and it is not read
      return response.headers["content-encoding"];
    };
    const begun = [];
    for (let i = 0; i < 17; i++) begun.push(await begin());
    expect(begun).toEqual([...Array<string>(16).fill("br"), undefined]);
    expect(await encodingOf("/text.txt")).toBeUndefined();
    expect(await encodingOf("/api/long")).toBe("br");
    slow[0].destroy();
    await until(async () => (await encodingOf("/text.txt")) === "br");
    for (const request of slow) request.destroy();
  });

  test("each encoding of a file has its own etag", async () => {
    const etag = async (encoding: string) =>
      (await app.ask("/text.txt", { headers: { "Accept-Encoding": encoding } }))
        .headers.etag;
    const tags = await Promise.all(["gzip", "br", "identity"].map(etag));
    expect(new Set(tags).size).toBe(3);
    const { status } = await app.ask("/text.txt", {
      headers: { "Accept-Encoding": "gzip", "If-None-Match": tags[0] },
    });
    expect(status).toBe(304);
  });

  test("a range is a part of the file itself", async () => {
    const {
      status,
      headers,
      text: part,
    } = await app.ask("/text.txt", {
      headers: { "Accept-Encoding": "gzip", Range: "bytes=0-7" },
    });
    expect([status, part]).toEqual([206, "compress"]);
    expect(headers["content-encoding"]).toBeUndefined();
  });

  test("HEAD gets the headers of the compressed response", async () => {
    const { status, bytes } = await app.ask("/api/long", {
      method: "HEAD",
      headers: { "Accept-Encoding": "gzip" },
    });
    expect([status, bytes.length]).toEqual([200, 0]);
  });
});
