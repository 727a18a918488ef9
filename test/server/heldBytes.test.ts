/** How much all clients together make the server hold in memory: `general.maxHeldBytes`. */
import { once } from "node:events";
import * as http from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { api, config } from "../../src/index";
import {
  ByteShare,
  FREE_BYTES,
  totalHeldBytes,
  totalSmallBytes,
} from "../../src/server/heldBytes";
import { totalUnreadBytes } from "../../src/server/outbox";
import { settings } from "../../src/config/settings";
import type { WebServer } from "../../src/server/web/webServer";
import { LogLines } from "../support/logLines";
import { closeAll, SocketPeer } from "../support/socketApp";
import { until } from "../support/until";
import {
  clientFrame,
  rawUpgrade,
  type RawSocket,
} from "../support/rawWebsocket";
import {
  connectWebsocket,
  type WebsocketClient,
} from "../support/websocketClient";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const KIB = 1024;
const LIMIT = 400 * KIB;
const LARGE = "a".repeat(300 * KIB);
const OVERLOADED = {
  error: "the server holds too much at the moment, try again later",
};

let app: WebApp;
let logged: LogLines;
let running = 0;
let release: () => void = () => undefined;
let released: Promise<void>;

/** Let actions of the name `held` wait from now on. */
function hold(): void {
  released = new Promise((resolve) => (release = resolve));
}

beforeAll(async () => {
  logged = new LogLines("info");
  Object.assign(config.socket, { enabled: true, port: 0, bindIP: "::" });
  app = await startWebApp();
  addActions({
    held: {
      run: async () => {
        running++;
        await released;
        running--;
        return { held: true };
      },
      inputs: { text: {}, n: {} },
    },
    texts: { run: () => ({ text: "x".repeat(10_000) }) },
    length: {
      run: ({ params }) => ({ length: params.text?.length }),
      inputs: { text: {} },
    },
  });
});

beforeEach(() => {
  config.general.maxHeldBytes = LIMIT;
});

afterEach(async () => {
  release();
  await closeAll();
  await until(() => totalHeldBytes() === 0);
});

afterAll(async () => {
  logged.stop();
  await app.stop();
});

interface Form {
  type: string;
  /** A body with the param `text`. */
  of: (text: string) => string;
}

const JSON_FORM: Form = {
  type: "application/json",
  of: (text) => JSON.stringify({ text }),
};

const URLENCODED: Form = {
  type: "application/x-www-form-urlencoded",
  of: (text) => `text=${text}`,
};

const MULTIPART: Form = {
  type: "multipart/form-data; boundary=b",
  of: (text) =>
    `--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n${text}\r\n--b--\r\n`,
};

const FORMS: [string, Form][] = [
  ["JSON", JSON_FORM],
  ["an urlencoded form", URLENCODED],
  ["a multipart form", MULTIPART],
];

function post(path: string, { type, of }: Form, text: string) {
  return app.ask(path, {
    method: "POST",
    headers: { "Content-Type": type },
    body: of(text),
  });
}

/** A request whose body lacks its last byte. */
function begin(path: string, { type, of }: Form, text: string) {
  const body = of(text);
  const req = http.request({
    port: app.port,
    path,
    method: "POST",
    agent: false,
    headers: { "Content-Type": type, "Content-Length": body.length },
  });
  req.on("error", () => undefined);
  req.write(body.slice(0, -1));
  return { req, finish: () => req.end(body.slice(-1)) };
}

/** Keeps all writes of uploads waiting. */
class SlowDisk {
  private readonly frees: (() => void)[] = [];
  private readonly web = api.servers.servers.web as WebServer;

  constructor() {
    for (let n = 0; n < settings().web.maxUploadWrites; n++)
      void this.web.uploadDisk.write(
        () => new Promise<void>((free) => this.frees.push(free)),
      );
  }

  /** Wait until nothing more of the bodies is received. */
  async untilStill(): Promise<void> {
    let held = 0;
    for (let turns = 0; turns < 100; turns++) {
      await new Promise(setImmediate);
      if (totalHeldBytes() === held && held > 0) continue;
      held = totalHeldBytes();
      turns = 0;
    }
  }

  proceed(): void {
    for (const free of this.frees) free();
  }
}

describe("a document of many small parts counts what it takes when it is parsed", () => {
  // 10 KB of text, 250 KB of objects
  const parts = `[${"{},".repeat(3_300)}{}]`;

  test("over HTTP", async () => {
    hold();
    const ask = () =>
      app.ask("/api/held", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: `{"n":${parts}}`,
      });
    const first = ask();
    await until(() => running === 1);
    expect(totalHeldBytes()).toBeGreaterThan(200 * KIB);
    expect((await ask()).status).toBe(503);
    release();
    expect((await first).status).toBe(200);
  });

  test("over TCP", async () => {
    hold();
    const line = `{"action":"held","params":{"n":${parts}}}`;
    const first = await SocketPeer.connect();
    await first.next();
    first.send(line);
    await until(() => running === 1);
    const second = await SocketPeer.connect();
    await second.next();
    expect((await second.ask(line)).error).toBe(OVERLOADED.error);
    release();
    expect(await first.next()).toMatchObject({ held: true });
  });

  test("over a websocket", async () => {
    hold();
    const params = { action: "held", n: JSON.parse(parts) as unknown };
    const client = await connectWebsocket();
    const first = client.request({ event: "action", params });
    await until(() => running === 1);
    const second = await connectWebsocket();
    const refused = await second.request({ event: "action", params });
    expect(refused.error).toBe(OVERLOADED.error);
    release();
    expect(await first).toMatchObject({ held: true });
    client.close();
    second.close();
  });
});

describe.each(FORMS)("%s over HTTP", (_name, form) => {
  test("is refused while others take the room, and taken when they are done", async () => {
    hold();
    const first = post("/api/held", form, LARGE);
    await until(() => running === 1);
    expect(totalHeldBytes()).toBeGreaterThanOrEqual(LARGE.length);

    const second = await post("/api/length", form, LARGE);
    expect(second.status).toBe(503);
    expect(second.headers["retry-after"]).toBe("5");
    expect(second.headers.connection).toBe("close");
    expect(second.json).toMatchObject(OVERLOADED);

    release();
    expect((await first).json).toMatchObject({ held: true });
    await until(() => totalHeldBytes() === 0);
    const third = await post("/api/length", form, LARGE);
    expect(third.json).toMatchObject({ length: LARGE.length });
  });

  test("an incomplete body counts until its client disconnects", async () => {
    const { req } = begin("/api/length", form, LARGE);
    await until(() => totalHeldBytes() >= LARGE.length);
    expect((await post("/api/length", form, LARGE)).status).toBe(503);
    req.destroy();
    await until(() => totalHeldBytes() === 0);
    expect((await post("/api/length", form, LARGE)).status).toBe(200);
  });

  test("counts as it is inflated", async () => {
    hold();
    const first = post("/api/held", form, LARGE);
    await until(() => running === 1);
    const uneven = Array.from(
      { length: 300 * KIB },
      (_, i) => (Math.imul(i, 2_654_435_761) >>> 16) % 10,
    );
    const small = gzipSync(form.of(uneven.join("")));
    expect(small.length).toBeLessThan(100 * KIB);
    const second = await app.ask("/api/length", {
      method: "POST",
      headers: { "Content-Type": form.type, "Content-Encoding": "gzip" },
      body: small,
    });
    expect(second.status).toBe(503);
    expect(second.json).toMatchObject(OVERLOADED);
    release();
    await first;
  });

  test("passes when it is small, however much others hold", async () => {
    const { req, finish } = begin("/api/length", form, LARGE);
    await until(() => totalHeldBytes() >= LARGE.length);
    config.general.maxHeldBytes = 2 * FREE_BYTES; // far below what is held
    const small = await post("/api/length", form, "a".repeat(15 * KIB));
    expect(small.json).toMatchObject({ length: 15 * KIB });
    config.general.maxHeldBytes = LIMIT;
    finish();
    const [response] = (await once(req, "response")) as [http.IncomingMessage];
    expect(response.statusCode).toBe(200);
    response.resume();
    await once(response, "close");
  });
});

test("a client that sends Expect: 100-continue is refused before it sends", async () => {
  hold();
  const first = post("/api/held", JSON_FORM, LARGE);
  await until(() => running === 1);
  const req = http.request({
    port: app.port,
    path: "/api/length",
    method: "POST",
    agent: false,
    headers: {
      "Content-Type": JSON_FORM.type,
      "Content-Length": LARGE.length,
      Expect: "100-continue",
    },
  });
  req.on("continue", () => req.destroy(new Error("told to send")));
  req.flushHeaders();
  const [response] = (await once(req, "response")) as [http.IncomingMessage];
  expect(response.statusCode).toBe(503);
  response.resume();
  await once(response, "close");
  release();
  await first;
});

test("what an action still works on counts when its client has left", async () => {
  hold();
  const { req, finish } = begin("/api/held", JSON_FORM, LARGE);
  finish();
  await until(() => running === 1);
  const { sockets } = api.servers.servers.web as unknown as {
    sockets: Record<string, unknown>;
  };
  req.destroy();
  await until(() => Object.keys(sockets).length === 0);
  expect(totalHeldBytes()).toBeGreaterThanOrEqual(LARGE.length);
  release();
  await until(() => totalHeldBytes() === 0);
});

test("files of a body do not count once they are on the disk, and a slow disk slows their client down", async () => {
  const disk = new SlowDisk();
  const file = (name: string) =>
    `--b\r\nContent-Disposition: form-data; name="${name}"; filename="f.txt"\r\n` +
    `Content-Type: text/plain\r\n\r\n${"a".repeat(2 * LIMIT)}\r\n`;
  const answer = app.ask("/api/length", {
    method: "POST",
    headers: { "Content-Type": MULTIPART.type },
    body: `${file("one")}${file("two")}${MULTIPART.of("small")}`,
  });
  await disk.untilStill();
  disk.proceed();
  expect((await answer).json).toMatchObject({ length: 5 });
});

test("a form of many small files waits for a slow disk instead of being refused", async () => {
  const disk = new SlowDisk();
  const files = Array.from(
    { length: 90 },
    (_, n) =>
      `--b\r\nContent-Disposition: form-data; name="f${n}"; filename="f.txt"\r\n` +
      `Content-Type: text/plain\r\n\r\n${"a".repeat(8 * KIB)}\r\n`,
  );
  const answer = app.ask("/api/length", {
    method: "POST",
    headers: { "Content-Type": MULTIPART.type },
    body: `${files.join("")}${MULTIPART.of("small")}`,
  });
  await disk.untilStill();
  expect(totalHeldBytes()).toBeLessThan(LIMIT);
  disk.proceed();
  expect((await answer).json).toMatchObject({ length: 5 });
});

describe("with web.saveRawBody", () => {
  beforeEach(() => {
    config.web.saveRawBody = true;
  });

  test.each([
    MULTIPART.type,
    "application/octet-stream",
    "application/x-something",
  ])("a body of the type %s counts", async (type) => {
    const answer = await app.ask("/api/length", {
      method: "POST",
      headers: { "Content-Type": type },
      body:
        `--b\r\nContent-Disposition: form-data; name="one"; filename="f.txt"\r\n` +
        `\r\n${"a".repeat(2 * LIMIT)}\r\n--b--\r\n`,
    });
    expect(answer.status).toBe(503);
    expect(answer.json).toMatchObject(OVERLOADED);
  });
});

describe("the heads of requests", () => {
  const lines = (count: number) =>
    Array.from({ length: count }, (_, i) => `x-${i}: ${i}\r\n`).join("");
  const head = (path: string, count: number) =>
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lines(count)}`;

  test("node keeps no more lines of a request than are accepted", async () => {
    const seen: number[] = [];
    const listener = ({ rawHeaders }: http.IncomingMessage) =>
      seen.push(rawHeaders.length / 2);
    const server = api.servers.servers.web.server as http.Server;
    server.prependListener("request", listener);
    const peer = await SocketPeer.connect(app.port);
    peer.socket.write(`${head("/api/length", 1_000)}\r\n`);
    await until(() => peer.text.includes("431"));
    server.off("request", listener);
    expect(seen[0]).toBeLessThan(240);
  });

  test("count while they are incomplete, and beyond the limit their clients are disconnected", async () => {
    const peers = await Promise.all(
      Array.from({ length: 20 }, () => SocketPeer.connect(app.port)),
    );
    for (const { socket } of peers) socket.write(head("/api/length", 150));
    let closed = 0;
    for (const { ended } of peers) void ended.then(() => closed++);
    await until(() => closed > 0);
    expect(totalHeldBytes()).toBeGreaterThan(LIMIT / 2);
    expect(totalHeldBytes()).toBeLessThanOrEqual(LIMIT);
    const open = peers.find(({ socket }) => !socket.readableEnded)!;
    const held = totalHeldBytes();
    open.socket.write("\r\n");
    await until(() => open.text.includes("200 OK"));
    await until(() => totalHeldBytes() < held);
  });

  test("count for as long as a websocket is open, which keeps its headers", async () => {
    const before = totalHeldBytes();
    const headers = Object.fromEntries(
      Array.from({ length: 150 }, (_, i) => [`x-${i}`, `${i}`]),
    );
    const upgrade = await rawUpgrade("/primus", headers);
    await until(() => upgrade.text().includes("101 Switching"));
    expect(totalHeldBytes()).toBeGreaterThan(before + 20_000);
    upgrade.socket.destroy();
    await until(() => totalHeldBytes() === before);
  });

  test("few long lines of a websocket count, too", async () => {
    const before = totalSmallBytes();
    const headers = Object.fromEntries(
      Array.from({ length: 20 }, (_, i) => [`x-${i}`, "v".repeat(450)]),
    );
    const upgrade = await rawUpgrade("/primus", headers);
    await until(() => upgrade.text().includes("101 Switching"));
    expect(totalSmallBytes()).toBeGreaterThan(before + 20 * 450);
    upgrade.socket.destroy();
    await until(() => totalSmallBytes() === before);
  });

  test("count while their requests wait for an earlier one", async () => {
    hold();
    const peer = await SocketPeer.connect(app.port);
    const follower = `${head("/api/length", 100)}\r\n`;
    peer.socket.write(`${head("/api/held", 1)}\r\n${follower.repeat(4)}`);
    await until(() => totalHeldBytes() > 4 * 100 * 200);
    release();
    await until(() => peer.text.split("HTTP/1.1 ").length > 5);
    await until(() => totalHeldBytes() === 0);
  });

  test("of started requests behind another count with their objects, and their responses as unread", async () => {
    hold();
    const peer = await SocketPeer.connect(app.port);
    const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
    peer.socket.write(request("/api/held") + request("/api/texts").repeat(4));
    await until(() => totalUnreadBytes() > 4 * 10_000);
    expect(totalHeldBytes()).toBeGreaterThan(4 * 6_000);
    release();
    await until(() => peer.text.split("HTTP/1.1 ").length > 5);
    await until(() => totalHeldBytes() === 0 && totalUnreadBytes() === 0);
  });

  test("beyond the limit the client of such requests is disconnected", async () => {
    hold();
    const peer = await SocketPeer.connect(app.port);
    const follower = `${head("/api/length", 190)}\r\n`;
    peer.socket.write(`${head("/api/held", 1)}\r\n${follower.repeat(30)}`);
    await peer.ended;
    expect(totalHeldBytes()).toBe(0);
  });
});

test.each([0, null])("%p is no limit", async (limit) => {
  config.general.maxHeldBytes = limit;
  const text = "a".repeat(2 * LIMIT);
  const answer = await post("/api/length", JSON_FORM, text);
  expect(answer.json).toMatchObject({ length: text.length });
});

test("refusals are logged once, not once each", async () => {
  config.general.maxHeldBytes = 1;
  for (let sent = 0; sent < 20; sent++)
    expect((await post("/api/length", JSON_FORM, LARGE)).status).toBe(503);
  // the line may have been an earlier test's
  const lines = logged.at("warning", /general\.maxHeldBytes is/);
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.length).toBeLessThan(20);
  expect(logged.at("error", /form/)).toEqual([]);
});

describe("over TCP", () => {
  /** A client that has been welcomed. */
  async function connect(): Promise<SocketPeer> {
    const peer = await SocketPeer.connect();
    expect(await peer.next()).toMatchObject({ context: "api" });
    return peer;
  }

  const line = (action: string | undefined, text: string) =>
    JSON.stringify({ action, params: { text } });

  test("a line is refused while others take the room, and taken when they are done", async () => {
    hold();
    const first = await connect();
    first.send(line("held", LARGE));
    await until(() => running === 1);
    const second = await connect();
    expect(await second.ask(line("length", LARGE))).toEqual({
      ...OVERLOADED,
      context: "response",
      messageId: 1,
    });
    expect(await second.ask(line("length", "small"))).toMatchObject({
      length: 5,
    });
    release();
    expect(await first.next()).toMatchObject({ held: true });
    await first.close();
    await until(() => totalHeldBytes() === 0);
    expect(await second.ask(line("length", LARGE))).toMatchObject({
      length: LARGE.length,
    });
  });

  test("an unfinished line counts, and one that is too much is skipped and refused", async () => {
    const first = await connect();
    first.socket.write(LARGE);
    await until(() => totalHeldBytes() >= LARGE.length);
    const second = await connect();
    second.socket.write(LARGE);
    expect(await second.ask(LARGE)).toMatchObject({
      ...OVERLOADED,
      messageId: 1,
    });
    expect(await second.ask(line("length", "small"))).toMatchObject({
      length: 5,
      messageId: 2,
    });
    await first.close();
    await until(() => totalHeldBytes() === 0);
    expect(await second.ask(line("length", LARGE))).toMatchObject({
      length: LARGE.length,
    });
  });

  test("params that are kept count until others come in their place", async () => {
    const peer = await connect();
    await peer.ask(line("length", LARGE));
    expect(totalHeldBytes()).toBeGreaterThanOrEqual(LARGE.length);
    expect(await peer.ask("length")).toMatchObject({ length: LARGE.length });
    await peer.ask(line("length", "small"));
    await until(() => totalHeldBytes() === 0);
    await peer.ask(line("length", LARGE));
    expect(totalHeldBytes()).toBeGreaterThanOrEqual(LARGE.length);
    await peer.ask("paramsDelete");
    await until(() => totalHeldBytes() === 0);
  });

  test("a copy of the params that are kept counts for each action that runs", async () => {
    const many = Array.from({ length: 2400 }, (_, i) => [`k${i}`, 1]);
    config.general.maxHeldBytes = 2 * LIMIT;
    const peer = await SocketPeer.connect();
    await peer.next();
    hold();
    const params = Object.fromEntries(many);
    peer.send(JSON.stringify({ action: "length", params }));
    await peer.next();
    const kept = totalHeldBytes();
    peer.send("held");
    await until(() => running === 1);
    expect(totalHeldBytes()).toBeGreaterThan(kept + 100 * KIB);
    peer.send("held");
    await until(() => running === 2);
    expect(await peer.ask("held")).toMatchObject(OVERLOADED);
    release();
    await until(() => running === 0);
    await until(() => totalHeldBytes() === kept);
  });

  test("params that are added one after the other count", async () => {
    const peer = await connect();
    const add = (name: string) =>
      peer.ask(`paramAdd ${name}=${"a".repeat(110 * KIB)}`);
    expect(await add("text")).toMatchObject({ status: "OK" });
    expect(await add("text")).toMatchObject({ status: "OK" });
    expect(await add("n")).toMatchObject({ status: "OK" });
    expect(await add("key")).toMatchObject(OVERLOADED);
    expect(await peer.ask("paramView key")).not.toHaveProperty("data");
  });

  test.each([
    ["params", { params: { text: LARGE } }],
    ["its name", { action: LARGE }],
    ["an id", { params: { messageId: LARGE } }],
  ])("%s of an unknown action are not kept", async (_what, request) => {
    const peer = await connect();
    peer.send(JSON.stringify({ action: "unknown", ...request }));
    expect(await peer.next()).toHaveProperty("error");
    await until(() => totalHeldBytes() === 0);
    const [connection] = api.servers.servers.socket.connections();
    expect(JSON.stringify(connection.params).length).toBeLessThan(KIB);
    expect(String(connection.messageId).length).toBeLessThan(KIB);
  });

  test("socket.maxParamBytes bounds what a connection keeps, and not what a line has", async () => {
    config.socket.maxParamBytes = 64 * KIB;
    const peer = await connect();
    const long = "a".repeat(65 * KIB);
    expect(await peer.ask(line("length", long))).toMatchObject({
      length: long.length,
    });
    expect(await peer.ask("length")).not.toHaveProperty("length");
    expect(await peer.ask(`paramAdd text=${long}`)).toMatchObject({
      error: `too many bytes of params (limit ${64 * KIB})`,
    });
    const shorter = "a".repeat(40 * KIB);
    for (let added = 0; added < 3; added++)
      expect(await peer.ask(`paramAdd text=${shorter}`)).toMatchObject({
        status: "OK",
      });
    expect(await peer.ask("length")).toMatchObject({ length: shorter.length });
    expect(await peer.ask(`paramAdd n=${shorter}`)).toHaveProperty("error");
  });

  test("lines that are answered are not in memory any more, though their clients stay", async () => {
    config.general.maxHeldBytes = 0;
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const mib = "a".repeat(1000 * KIB);
    const heap = () => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = heap();
    for (let count = 0; count < 40; count++) {
      const peer = await connect();
      expect(await peer.ask(line("unknown", mib))).toHaveProperty("error");
    }
    expect(heap() - before).toBeLessThan(20 * KIB * KIB);
  });

  test("what an action still works on counts when its client has left", async () => {
    hold();
    const peer = await connect();
    peer.send(line("held", LARGE));
    await until(() => running === 1);
    await closeAll();
    expect(totalHeldBytes()).toBeGreaterThanOrEqual(LARGE.length);
    release();
    await until(() => totalHeldBytes() === 0);
  });
});

describe("over a websocket", () => {
  /** All but the last byte of a frame with a text of that size. */
  const unfinished = (text: string) => clientFrame(text).subarray(0, -1);

  test("a message counts until its action is done, and is forgotten then", async () => {
    hold();
    const client = await connectWebsocket();
    const first = client.action("held", { text: LARGE });
    await until(() => running === 1);
    expect(totalHeldBytes()).toBeGreaterThanOrEqual(LARGE.length);
    const other = await connectWebsocket();
    other.send({ event: "action", params: { action: "length", text: LARGE } });
    expect(await other.closed).toMatchObject({ code: 1013 });
    const small = await connectWebsocket();
    expect(await small.action("length", { text: "small" })).toMatchObject({
      length: 5,
    });
    release();
    expect(await first).toMatchObject({ held: true });
    await until(() => totalHeldBytes() === 0);
    const held = api.servers.servers.websocket
      .connections()
      .filter(({ params }) => JSON.stringify(params).length > KIB);
    expect(held).toEqual([]);
    expect(await client.action("length", { text: LARGE })).toMatchObject({
      length: LARGE.length,
    });
    client.close();
    small.close();
  });

  test("small messages that wait count together", async () => {
    hold();
    // below 1 KB each, 20 KB when parsed
    const nested = JSON.stringify({
      event: "say",
      room: "x",
      message: Array.from({ length: 300 }, () => ({})),
    });
    expect(nested.length).toBeLessThan(KIB);
    const clients: { client: WebsocketClient; first: Promise<unknown> }[] = [];
    for (let i = 0; i < 3; i++) {
      const client = await connectWebsocket();
      const first = client.action("held");
      await until(() => running === i + 1);
      // a verb that waits for the action, so that those behind it wait, too
      client.send({ event: "say", room: "x", message: "first" });
      for (let n = 0; n < 40; n++) client.sendRaw(nested);
      clients.push({ client, first });
    }
    const refused = () =>
      clients.flatMap(({ client }) =>
        client.received.filter(({ error }) => error === OVERLOADED.error),
      );
    // a client of 40 such messages is no longer small, and all of them do not fit
    await until(() => refused().length > 0);
    expect(totalHeldBytes()).toBeLessThanOrEqual(LIMIT);
    for (const { client, first } of clients) {
      release();
      expect(await first).toMatchObject({ held: true });
      client.close();
    }
  });

  test("what a client sends after quit is ignored", async () => {
    hold();
    const client = await connectWebsocket();
    const first = client.action("held");
    await until(() => running === 1);
    client.send({ event: "quit" });
    for (let n = 0; n < 20; n++)
      client.send({ event: "say", room: "x", message: [LARGE.slice(0, 500)] });
    client.send({ event: "detailsView", messageId: "late" });
    const before = totalSmallBytes();
    client.send({ event: "action", params: { action: "length" } });
    expect(before).toBeLessThan(2 * KIB);
    release();
    expect(await first).toMatchObject({ held: true });
    await client.closed;
    expect(client.received.map(({ messageId }) => messageId)).not.toContain(
      "late",
    );
  });

  test("an unfinished message counts, and one that is too much ends its websocket", async () => {
    const first = await rawUpgrade();
    expect(await first.status()).toBe(101);
    first.socket.write(unfinished(LARGE));
    await until(() => totalHeldBytes() >= LARGE.length);
    const second = await rawUpgrade();
    expect(await second.status()).toBe(101);
    second.socket.write(unfinished(LARGE));
    await until(() => second.text().includes(OVERLOADED.error));
    // nothing is kept of what it still sends, and it need not answer the close
    second.socket.on("data", () => undefined).write(unfinished(LARGE));
    await second.closed;
    first.socket.destroy();
    await first.closed;
    await until(() => totalHeldBytes() === 0);
  });

  test("fragments count together", async () => {
    const raw = await rawUpgrade();
    const { socket, closed } = raw;
    expect(await raw.status()).toBe(101);
    const part = "a".repeat(100 * KIB);
    socket.write(clientFrame(part, { final: false }));
    socket.write(clientFrame(part, { opcode: 0, final: false }));
    await until(() => totalHeldBytes() >= 2 * part.length);
    socket.write(clientFrame("", { opcode: 0 }));
    await until(() => totalHeldBytes() === 0);
    socket.destroy();
    await closed;
  });

  test.each([
    ["after nothing else", Buffer.alloc(0)],
    ["after a message in the same chunk", clientFrame('{"event":"say"}')],
  ])(
    "tiny fragments count more than their bytes: %s",
    async (_what, before) => {
      const raw = await rawUpgrade();
      expect(await raw.status()).toBe(101);
      const fragment = clientFrame("a", { opcode: 0, final: false });
      const fragments = Array.from({ length: 1000 }, () => fragment);
      const first = clientFrame('"', { final: false });
      raw.socket.write(Buffer.concat([before, first, ...fragments]));
      await until(() => totalHeldBytes() > 100 * KIB);
      raw.socket.write(clientFrame('"', { opcode: 0 }));
      await until(() => totalHeldBytes() === 0);
      raw.socket.destroy();
      await raw.closed;
    },
  );

  test("clients of tiny fragments are disconnected when they take too much together", async () => {
    const fragment = clientFrame("a", { opcode: 0, final: false });
    const first = clientFrame('"', { final: false });
    const all = [first, ...Array.from({ length: 1000 }, () => fragment)];
    const clients: RawSocket[] = [];
    for (let i = 0; i < 4; i++) {
      const raw = await rawUpgrade();
      expect(await raw.status()).toBe(101);
      raw.socket.write(Buffer.concat(all));
      clients.push(raw);
    }
    await until(() => clients.some((raw) => raw.text().includes("too much")));
    for (const { socket } of clients) socket.destroy();
    await until(() => totalHeldBytes() === 0);
  });

  test("replies to pings do not accumulate", async () => {
    const raw = await rawUpgrade();
    const { socket, closed } = raw;
    expect(await raw.status()).toBe(101);
    const pong = clientFrame("a".repeat(120), { opcode: 10 });
    for (let sent = 0; sent < 500; sent++) socket.write(pong);
    socket.write(clientFrame("the last one", { opcode: 9 }));
    await until(() => raw.text().includes("the last one"));
    expect(totalHeldBytes()).toBe(0);
    socket.destroy();
    await closed;
  });
});

describe("holders with little", () => {
  const small = FREE_BYTES;
  let shares: ByteShare[] = [];
  const holders = (count: number) => {
    const added = Array.from({ length: count }, () => new ByteShare());
    shares.push(...added);
    return added.map((share) => share.take(small));
  };
  afterEach(() => {
    for (const share of shares) share.release();
    shares = [];
  });

  test("pass while those with much fill the limit", () => {
    const large = new ByteShare();
    shares.push(large);
    expect(large.take(LIMIT)).toBe(true);
    expect(holders(1)).toEqual([true]);
  });

  test("have the same limit together", () => {
    const most = LIMIT / small;
    expect(holders(most).every(Boolean)).toBe(true);
    expect(holders(1)).toEqual([false]);
    const [first] = shares;
    first.release();
    expect(holders(1)).toEqual([true]);
    expect(totalSmallBytes()).toBe(LIMIT);
    expect(totalHeldBytes()).toBe(0);
  });

  test("change sides when they hold more, and back", () => {
    const share = new ByteShare();
    shares.push(share);
    share.take(small);
    share.take(1);
    expect([totalSmallBytes(), totalHeldBytes()]).toEqual([0, small + 1]);
    share.give(1);
    expect([totalSmallBytes(), totalHeldBytes()]).toEqual([small, 0]);
  });
});
