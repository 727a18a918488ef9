/** Clients that are slow to send must not keep the memory and the disk of uploads from all others. */
import { once } from "node:events";
import * as http from "node:http";
import { gzipSync } from "node:zlib";
import { api, config } from "../../src/index";
import {
  ByteShare,
  FREE_BYTES,
  totalHeldBytes,
  totalSmallBytes,
} from "../../src/server/heldBytes";
import type { UploadDisk } from "../../src/server/web/uploadDisk";
import { pass } from "../support/clock";
import { clientFrame, rawUpgrade } from "../support/rawWebsocket";
import { closeAll, SocketPeer } from "../support/socketApp";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const KIB = 1024;
const LIMIT = 400 * KIB;
/** Does not compress well: a body may inflate to a hundred times its length. */
const LARGE = Array.from(
  { length: 100 * KIB },
  (_, i) => 100 + ((Math.imul(i, 2_654_435_761) >>> 16) % 897),
).join("");
const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";
const MULTIPART_TYPE = "multipart/form-data; boundary=b";

const field = (text: string) =>
  `--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n${text}\r\n--b--\r\n`;
const file = (text: string) =>
  `--b\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\n${text}\r\n--b--\r\n`;

let app: WebApp;

beforeAll(async () => {
  Object.assign(config.socket, { enabled: true, port: 0, bindIP: "::" });
  app = await startWebApp();
  addActions({
    length: {
      run: ({ params }) => ({ length: params.text?.length, b: params.b }),
      inputs: { text: {}, b: {}, f: {} },
    },
  });
});

beforeEach(() => {
  config.general.maxHeldBytes = LIMIT;
});

afterEach(async () => {
  begun.splice(0).forEach((req) => req.destroy());
  await closeAll();
  await until(() => totalHeldBytes() === 0);
});

afterAll(() => app.stop());

/** Let a client that sends nothing do so for too long, as far as the server has measured it. */
async function stall(): Promise<void> {
  pass(1_000);
  expect((await postLarge()).status).toBe(503);
  pass(5_000);
}

const begun: http.ClientRequest[] = [];

/** A request whose body lacks its last byte. */
function begin(path: string, type: string, body: string | Buffer, more = {}) {
  const req = http.request({
    port: app.port,
    path,
    method: "POST",
    agent: false,
    headers: { "Content-Type": type, "Content-Length": body.length, ...more },
  });
  begun.push(req);
  req.on("error", () => undefined);
  req.write(body.slice(0, -1));
  const response = once(req, "response").then(async ([message]) => {
    const res = message as http.IncomingMessage;
    res.setEncoding("utf8");
    let text = "";
    for await (const chunk of res) text += chunk;
    return { status: res.statusCode, json: JSON.parse(text) };
  });
  response.catch(() => undefined); // of a request that a test leaves
  return { response, finish: () => req.end(body.slice(-1)) };
}

const post = (type: string, body: string | Buffer, path = "/api/length") =>
  app.ask(path, { method: "POST", headers: { "Content-Type": type }, body });

const postLarge = () => post(FORM_TYPE, `text=${LARGE}`);

describe("a client that sends nothing for seconds is refused when another needs the memory:", () => {
  test.each([
    ["JSON", JSON_TYPE, JSON.stringify({ text: LARGE })],
    ["a form", FORM_TYPE, `text=${LARGE}`],
    ["a multipart form", MULTIPART_TYPE, field(LARGE)],
  ])("%s", async (_what, type, body) => {
    const { response } = begin("/api/length", type, body);
    await until(() => totalHeldBytes() >= LARGE.length);
    await stall();
    expect((await postLarge()).json).toMatchObject({ length: LARGE.length });
    expect(await response).toMatchObject({
      status: 503,
      json: {
        error: "the server holds too much at the moment, try again later",
      },
    });
  });

  test("the fields of a compressed form", async () => {
    // the last byte of a file at the end is missing: the field before it is complete
    const body = gzipSync(field(LARGE).replace("--b--\r\n", file("x")));
    const { response } = begin("/api/length", MULTIPART_TYPE, body, {
      "Content-Encoding": "gzip",
    });
    await until(() => totalHeldBytes() >= LARGE.length);
    await stall();
    expect((await postLarge()).status).toBe(200);
    expect((await response).status).toBe(503);
  });

  test("a websocket message", async () => {
    const raw = await rawUpgrade();
    expect(await raw.status()).toBe(101);
    raw.socket.write(clientFrame(LARGE).subarray(0, -1));
    await until(() => totalHeldBytes() >= LARGE.length);
    await stall();
    expect((await postLarge()).status).toBe(200);
    await until(() => raw.text().includes("the server holds too much"));
    raw.socket.destroy();
  });

  test("a line over TCP, which is answered with the error when it ends", async () => {
    const peer = await SocketPeer.connect();
    await peer.next();
    peer.socket.write(LARGE);
    await until(() => totalHeldBytes() >= LARGE.length);
    await stall();
    expect((await postLarge()).status).toBe(200);
    expect(await peer.ask("")).toMatchObject({
      error: "the server holds too much at the moment, try again later",
    });
  });

  test("a second line over TCP of the same client", async () => {
    const peer = await SocketPeer.connect();
    await peer.next();
    for (let i = 0; i < 2; i++) {
      peer.socket.write(LARGE);
      await until(() => totalHeldBytes() >= LARGE.length);
      await stall();
      expect((await postLarge()).status).toBe(200);
      expect(await peer.ask("")).toMatchObject({ error: expect.any(String) });
    }
  });

  test("the params of an idle client of TCP", async () => {
    const peer = await SocketPeer.connect();
    await peer.next();
    await peer.ask(
      JSON.stringify({ action: "length", params: { text: LARGE } }),
    );
    expect(totalHeldBytes()).toBeGreaterThanOrEqual(LARGE.length);
    await stall();
    expect((await postLarge()).status).toBe(200);
    await peer.ended;
  });

  test("small bodies, which have a limit of their own", async () => {
    config.general.maxHeldBytes = 2 * FREE_BYTES;
    const slow = [1, 2].map(() =>
      begin("/api/length", FORM_TYPE, `text=${"a".repeat(15 * KIB)}`),
    );
    const small = () => post(FORM_TYPE, `text=${"a".repeat(3 * KIB)}`);
    await until(() => totalSmallBytes() > 2 * 15 * KIB - 2);
    expect((await small()).status).toBe(503);
    pass(6_000);
    expect((await small()).status).toBe(200);
    expect((await slow[0].response).status).toBe(503);
  });
});

test("a client that goes on sending is not refused for another one", async () => {
  const body = `text=${LARGE}`;
  const { response } = begin("/api/length", FORM_TYPE, body, {
    "Content-Length": body.length + 40 * KIB,
  });
  const [req] = begun;
  await until(() => totalHeldBytes() >= LARGE.length);
  pass(1_000);
  expect((await postLarge()).status).toBe(503);
  pass(4_000);
  req.write("a".repeat(30 * KIB));
  await until(() => totalHeldBytes() >= LARGE.length + 30 * KIB);
  expect((await postLarge()).status).toBe(503);
  pass(4_000);
  expect((await postLarge()).status).toBe(503);
  pass(1_000);
  expect((await postLarge()).status).toBe(200);
  expect((await response).status).toBe(503);
});

test("a body that is only announced refuses no slow client", async () => {
  const { response, finish } = begin("/api/length", FORM_TYPE, `text=${LARGE}`);
  await until(() => totalHeldBytes() >= LARGE.length);
  await stall();
  const { response: other } = begin("/api/length", FORM_TYPE, "ab", {
    "Content-Length": LARGE.length,
  });
  await until(() => connectionCount() === 2);
  finish();
  expect((await response).json).toMatchObject({ length: LARGE.length });
  begun.forEach((req) => req.destroy());
  await expect(other).rejects.toThrow();
});

function connectionCount(): number {
  return Object.keys(api.connections.connections).length;
}

describe("the query of a request", () => {
  // a hundred kilobytes when it is parsed
  const names = Array.from({ length: 10 }, (_, i) => `b[${i}x][999]`).join("&");

  test("is parsed when the body has arrived", async () => {
    const { response, finish } = begin(
      `/api/length?${names}`,
      JSON_TYPE,
      '{"text":"abc"}',
    );
    await until(() => connectionCount() === 1);
    expect(totalHeldBytes()).toBe(0);
    finish();
    const { json } = await response;
    expect(json.length).toBe(3);
    expect(Object.keys(json.b)).toHaveLength(10);
  });

  test("is there for the error of a body", async () => {
    config.web.jsonp = true;
    const path = "/api/length?callback=f";
    const { text } = await post(JSON_TYPE, "{malformed", path);
    expect(text).toMatch(/f\(\{/);
  });

  test("names the action whose files are declared", async () => {
    const path = "/api?action=length&b=1";
    const { json } = await post(MULTIPART_TYPE, field("abc"), path);
    expect(json).toMatchObject({ length: 3, b: "1" });
  });

  test("may not take far more memory than its length", async () => {
    config.general.maxHeldBytes = 0;
    const many = (count: number) =>
      Array.from({ length: count }, (_, i) => `b[${i}x][999]`).join("&");
    expect((await app.ask(`/api/length?${many(100)}`)).status).toBe(200);
    const refused = await app.ask(`/api/length?${many(200)}`);
    expect(refused.status).toBe(400);
    expect(refused.json.error).toMatch(/an index such as a\[999\]/);
    config.web.formBrackets = true;
    const form = await post(FORM_TYPE, many(200));
    expect(form.status).toBe(400);
    const long = await post(FORM_TYPE, `${many(200)}&text=${LARGE}`);
    expect(long.json).toMatchObject({ length: LARGE.length });
  });
});

test("a slow upload is refused when another needs the disk", async () => {
  const { uploadDisk: disk } = api.servers.servers.web as unknown as {
    uploadDisk: UploadDisk;
  };
  config.web.maxUploadBytes = LIMIT;
  const body = gzipSync(file(LARGE));
  const { response } = begin("/api/length", MULTIPART_TYPE, body, {
    "Content-Encoding": "gzip",
  });
  const upload = () => post(MULTIPART_TYPE, file(LARGE));
  await until(() => disk.usedBytes >= LARGE.length);
  expect((await upload()).status).toBe(503);
  await until(() => disk.usedBytes <= LARGE.length);
  pass(5_000);
  expect((await upload()).status).toBe(200);
  expect((await response).status).toBe(503);
  await until(() => disk.usedBytes === 0);
});

describe("an address with more than a quarter of the limit", () => {
  const refused: string[] = [];
  const shares: ByteShare[] = [];
  const holding = (clientAddress: string, bytes: number) => {
    const share = new ByteShare({ clientAddress, bytesRead: 0 });
    shares.push(share);
    share.expectMore(() => refused.push(clientAddress));
    pass(100); // so that the others are measured
    return share.take(bytes);
  };
  beforeEach(() => {
    refused.length = 0;
    config.general.maxHeldBytes = 10 * 20 * KIB;
  });
  afterEach(() => shares.splice(0).forEach((share) => share.release()));

  test("gives way to others", () => {
    for (let i = 0; i < 8; i++) holding("1.1.1.1", 20 * KIB);
    holding("2.2.2.2", 20 * KIB);
    holding("3.3.3.3", 20 * KIB);
    expect(holding("4.4.4.4", 20 * KIB)).toBe(true);
    expect(refused).toEqual(["1.1.1.1"]);
    expect(holding("1.1.1.1", 20 * KIB)).toBe(false);
  });

  test("gives way before a slow client of another address", () => {
    holding("2.2.2.2", 20 * KIB);
    pass(5_000);
    for (let i = 0; i < 9; i++) holding("1.1.1.1", 20 * KIB);
    expect(holding("3.3.3.3", 20 * KIB)).toBe(true);
    expect(refused).toEqual(["1.1.1.1"]);
    expect(holding("1.1.1.1", 20 * KIB)).toBe(false);
  });

  test("is that of a network, for IPv6", () => {
    for (let i = 1; i < 10; i++) holding(`2001:db8:0:1::${i}`, 20 * KIB);
    holding("2.2.2.2", 20 * KIB);
    expect(holding("2001:db8:0:1::99", 20 * KIB)).toBe(false);
    expect(holding("2.2.2.2", 20 * KIB)).toBe(true);
    expect(refused).toEqual(["2001:db8:0:1::1"]);
  });

  test("is needed: without one, those that hold the memory keep it", () => {
    for (let i = 0; i < 10; i++) holding(`1.1.1.${i}`, 20 * KIB);
    expect(holding("2.2.2.2", 20 * KIB)).toBe(false);
    expect(refused).toEqual([]);
  });
});
