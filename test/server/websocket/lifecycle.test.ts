/** How clients and the server find out about each other's end. */
import { randomBytes } from "node:crypto";
import type { Server as HttpServer } from "node:http";
import { constants, deflateRawSync } from "node:zlib";
import { WebSocket } from "ws";
import { certificate } from "../../support/certificate";
import { clientFrame, rawUpgrade } from "../../support/rawWebsocket";
import { timed } from "../../support/stopwatch";
import { until } from "../../support/until";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import {
  connectWebsocket,
  webPort,
  type WebsocketClient,
} from "../../support/websocketClient";
import { api, chatRoom, config } from "../../../src/index";
import { SparkSocket } from "../../../src/server/websocket/spark";
import type { WebSocketServer } from "../../../src/server/websocket/webSocketServer";
import { restoreConfig } from "../../support/withConfig";
import { totalHeldBytes } from "../../../src/server/heldBytes";

restoreConfig();

let app: WebApp;
let release: () => void = () => undefined;
const clients: WebsocketClient[] = [];
const server = () => api.servers.servers.websocket as WebSocketServer;

async function start(): Promise<void> {
  app = await startWebApp();
  addActions({
    quick: { run: () => ({ quick: true }) },
    slow: {
      run: () =>
        new Promise((resolve) => (release = () => resolve({ slow: true }))),
    },
  });
}

afterEach(async () => {
  release();
  for (const client of clients.splice(0)) client.close();
  if (app.process.running) await app.stop();
  expect(api.connections.connections).toEqual({});
});

async function connect(
  ...args: Parameters<typeof connectWebsocket>
): Promise<WebsocketClient> {
  const client = await connectWebsocket(...args);
  clients.push(client);
  return client;
}

/** A client whose action `slow` is running. */
async function busy(): Promise<{
  client: WebsocketClient;
  answer: Promise<any>;
}> {
  const client = await connect();
  const answer = client.action("slow");
  await until(() =>
    server()
      .connections()
      .some(({ pendingActions }) => pendingActions > 0),
  );
  return { client, answer };
}

describe("heartbeat", () => {
  async function beat(pingInterval: number): Promise<void> {
    config.websocket.server = { pingInterval };
    await start();
  }

  const pingsOf = ({ received }: WebsocketClient) =>
    received.filter((m) => String(m).startsWith("primus::ping::"));

  /** Nothing of this process runs. */
  function pause(ms: number): void {
    const end = performance.now() + ms;
    while (performance.now() < end);
  }

  /** It answers pings as Primus does, also those that have come already. */
  function answering(client: WebsocketClient): void {
    const answer = (ping: string) =>
      client.send(ping.replace("primus::ping::", "primus::pong::"));
    pingsOf(client).forEach(answer);
    client.ws.on("message", (data: Buffer) => {
      const message: unknown = JSON.parse(data.toString());
      if (String(message).startsWith("primus::ping::"))
        answer(message as string);
    });
  }

  test("finds clients that are silent, and leaves those that are not", async () => {
    await beat(200);
    const [good, talking, pinging] = await Promise.all([
      connect(),
      connect(),
      connect(),
    ]);
    answering(good);
    const talk = setInterval(() => {
      talking.sendRaw("nonsense");
      pinging.ws.ping();
    }, 15);
    const silent = await connect();
    const { code } = await silent.closed;
    expect(code).toBe(1006);
    await until(() => pingsOf(good).length >= 5);
    clearInterval(talk);
    expect(server().connections()).toHaveLength(3);
    for (const { ws } of [good, talking, pinging])
      expect(ws.readyState).toBe(WebSocket.OPEN);
    expect(Number(pingsOf(good)[0].slice(14))).toBeGreaterThan(1e12);
  });

  test("does not take its own pause for that of its clients", async () => {
    await beat(100);
    const good = await connect();
    answering(good);
    for (let i = 1; i <= 3; i++) {
      const count = pingsOf(good).length;
      await until(() => pingsOf(good).length > count);
      pause(250); // the answer is on its way, and nobody reads it
    }
    expect((await good.request({ event: "detailsView" })).status).toBe("OK");
  });

  test("does not count an interval most of which it has missed itself", async () => {
    await beat(100);
    const good = await connect();
    answering(good);
    const [spark] = server().sparks;
    const write = spark.writeFrame.bind(spark);
    let pings = 0;
    spark.writeFrame = (frame) => {
      write(frame);
      // the ping is sent at the end of this tick; nobody reads it until the next one is due
      if (pings++ < 5) process.nextTick(pause, 105);
    };
    await until(() => pings >= 7);
    expect((await good.request({ event: "detailsView" })).status).toBe("OK");
  });

  test("finds a half-open connection, and its room is left", async () => {
    await beat(60);
    const raw = await rawUpgrade();
    await raw.status();
    raw.socket.pause();
    await until(() => server().connections().length === 1);
    const [{ id }] = server().connections();
    await api.chatRoom.addMember(id, "defaultRoom");
    await until(() => server().connections().length === 0);
    expect(server().sparks.size).toBe(0);
    expect(api.chatRoom.index.rooms).toEqual([]);
    raw.socket.destroy();
  });

  test("leaves a client that is slow, as long as it reads", async () => {
    config.websocket.maxBufferedBytes = 0;
    const intervalMs = 2000;
    const pauseMs = 300; // also on a busy machine far below the interval
    await beat(intervalMs);
    const client = await connect();
    client.ws.pause();
    const [connection] = server().connections();
    const text = "x".repeat(1_000_000);
    for (let i = 0; i < 30; i++)
      // more than the system's buffers take
      await connection.sendMessage({ context: "alert", text });
    // it reads a little now and then, and answers pings only when it has read all
    for (let i = 1; i * pauseMs < 1.2 * intervalMs; i++) {
      client.ws.resume();
      await until(() => client.messages.length > i);
      client.ws.pause();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    expect(connection.destroyed).toBe(false);
    answering(client);
    client.ws.resume();
    await until(() => client.messages.length === 31);
  });

  test("ends a client that is behind and takes nothing", async () => {
    await beat(200);
    const client = await connect();
    client.ws.pause();
    const [connection] = server().connections();
    await connection.sendMessage({ context: "alert", text: "x".repeat(9e6) });
    await connection.sendMessage({ context: "alert", last: true });
    await until(() => connection.destroyed);
  });

  test("the heartbeat can be disabled", async () => {
    await beat(0);
    const client = await connect();
    await client.action("quick");
    expect(server().primusOptions.pingInterval).toBe(0);
    expect(pingsOf(client)).toEqual([]);
  });
});

describe("stop", () => {
  test("a stop lets clients reconnect: it does not say that it is permanent", async () => {
    await start();
    const client = await connect();
    await app.stop();
    expect(await client.closed).toEqual({
      code: 1001,
      reason: "the server is shutting down",
    });
    expect(client.received).not.toContain("primus::server::close");
  });

  test("with destroyClientsOnShutdown, a stop tells clients not to reconnect", async () => {
    config.websocket.destroyClientsOnShutdown = true;
    await start();
    const client = await connect();
    await app.stop();
    expect((await client.closed).code).toBe(1005);
    expect(client.received.at(-1)).toBe("primus::server::close");
  });

  test("answers what is pending first, over HTTP new requests are still taken", async () => {
    await start();
    const { client, answer } = await busy();
    const idle = await connect();
    const stopped = server().stop();
    await idle.closed;
    expect(client.ws.readyState).toBe(WebSocket.OPEN);
    expect((await client.action("quick")).error).toBe(
      "the server is shutting down",
    );
    const { status, text } = await app.ask("/api/quick");
    expect([status, text.includes("true")]).toEqual([200, true]);
    const late = await rawUpgrade();
    expect(await late.status()).toBe(503);
    await late.closed;
    release();
    expect((await answer).slow).toBe(true);
    await stopped;
    expect((await client.closed).code).toBe(1001);
  });

  test("sends all of a long answer", async () => {
    await start();
    addActions({
      slow: {
        run: () =>
          new Promise(
            (resolve) =>
              (release = () => resolve({ text: "x".repeat(8_000_000) })),
          ),
      },
    });
    const { answer } = await busy();
    const stopped = app.stop();
    release();
    expect((await answer).text).toHaveLength(8_000_000);
    await stopped;
  });

  test("cuts at the deadline", async () => {
    config.general.shutdownTimeout = 300;
    await start();
    const { client } = await busy();
    await server().stop(); // without a deadline it would wait for the action
    expect((await client.closed).code).toBe(1006);
  });

  test("a stop does not wait for a peer that does not reply to its goodbye", async () => {
    await start();
    const raw = await rawUpgrade();
    await raw.status();
    await until(() => server().sparks.size === 1);
    expect(await timed(() => server().stop())).toBeLessThan(3_000);
    raw.socket.destroy();
  });

  test("limits the wait for destroy middleware; clients leave their rooms in any case", async () => {
    config.general.shutdownTimeout = 100;
    await start();
    api.connections.addMiddleware({
      name: "stuck",
      destroy: () => new Promise(() => undefined),
    });
    const room = "stuck";
    await chatRoom.add(room);
    config.general.defaultChatRoom = room;
    try {
      const clients = [await connect(), await connect()];
      const count = async () => (await chatRoom.roomStatus(room)).membersCount;
      expect(await count()).toBe(2);
      const log = jest.spyOn(server(), "log");
      await server().stop();
      expect(await count()).toBe(0);
      for (const client of clients)
        expect((await client.closed).code).toBe(1001);
      expect(log).toHaveBeenCalledWith(
        "closed 2 connections before their destroy middleware ended",
        "warning",
      );
    } finally {
      api.connections.middleware = {};
      api.connections.globalMiddleware = [];
    }
  });

  test("waits for create middleware that is running", async () => {
    await start();
    let proceed: () => void = () => undefined;
    api.connections.addMiddleware({
      name: "slow",
      create: () => new Promise<void>((resolve) => (proceed = resolve)),
    });
    const client = await connect({ welcome: false });
    const stopped = server().stop();
    proceed();
    await stopped;
    expect((await client.closed).code).toBe(1001);
    api.connections.middleware = {};
    api.connections.globalMiddleware = [];
  });

  test("a second stop is harmless, and the server can start again", async () => {
    await start();
    const listener = api.servers.servers.web.server as HttpServer;
    const listeners = listener.listenerCount("upgrade");
    await Promise.all([server().stop(), server().stop()]);
    await server().stop();
    await server().start();
    const client = await connect();
    expect((await client.action("quick")).quick).toBe(true);
    expect(listener.listenerCount("upgrade")).toBe(listeners);
  });
});

test("without a web server the boot fails with a text", async () => {
  await start();
  const { web } = api.servers.servers;
  delete api.servers.servers.web;
  await server().stop();
  await expect(server().start()).rejects.toThrow(
    "websocket server requires web server to be enabled",
  );
  api.servers.servers.web = web;
});

test("what a client sends after its connection is destroyed is not worked on", async () => {
  await start();
  const client = await connect();
  let ran = 0;
  addActions({ count: { run: () => void ran++ } });
  const [connection] = server().connections();
  client.send({ event: "action", params: { action: "count" } });
  await connection.destroy();
  expect((await client.closed).code).toBe(1005);
  expect(ran).toBe(0);
  expect(client.received.at(-1)).toBe("primus::server::close");
});

test("verbs that wait when their connection is destroyed are dropped", async () => {
  await start();
  const client = await connect();
  const [connection] = server().connections();
  let letGo: () => void = () => undefined;
  const add = jest
    .spyOn(api.chatRoom, "addMember")
    .mockImplementation(
      () => new Promise((resolve) => (letGo = () => resolve(true))),
    );
  for (const room of ["a", "b", "c"]) client.send({ event: "roomAdd", room });
  await until(() => add.mock.calls.length > 0);
  await connection.destroy();
  letGo();
  await client.closed;
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  expect(add.mock.calls.map(([, room]) => room)).toEqual(["a"]);
  add.mockRestore();
});

describe("over TLS", () => {
  beforeEach(async () => {
    config.web.secure = true;
    config.web.serverOptions = { ...certificate };
    await start();
  });

  const secure = () =>
    connect({
      url: `wss://localhost:${webPort()}/primus`,
      rejectUnauthorized: false,
    });

  test("the websocket protocol is the same over TLS", async () => {
    const [one, two] = [await secure(), await secure()];
    for (const client of [one, two])
      await client.request({ event: "roomAdd", room: "defaultRoom" });
    one.send({ event: "say", room: "defaultRoom", message: "hi" });
    await two.next("what was said", (m) => m.message === "hi");
    const { data } = await one.request({ event: "detailsView" });
    expect(data.remoteIP).toMatch(/127\.0\.0\.1|::1/);
    const { answer, client } = await (async () => {
      const slow = one.action("slow");
      await until(() =>
        server()
          .connections()
          .some((c) => c.pendingActions > 0),
      );
      return { answer: slow, client: one };
    })();
    const stopped = app.stop();
    release();
    expect((await answer).slow).toBe(true);
    await stopped;
    expect((await client.closed).code).toBe(1001);
  });

  test("a client that does not read is cut, too", async () => {
    config.websocket.maxBufferedBytes = 1_000_000;
    const client = await secure();
    client.ws.pause();
    const [connection] = server().connections();
    for (let i = 0; i < 500 && !connection.destroyed; i++) {
      await connection.sendMessage({
        context: "alert",
        text: "x".repeat(50_000),
      });
      await new Promise(setImmediate);
    }
    expect(connection.destroyed).toBe(true);
  });
});

describe("compression", () => {
  test("compression is off by default", async () => {
    await start();
    const { ws } = await connect({ perMessageDeflate: true });
    expect(ws.extensions).toBe("");
  });

  test.each<[offers: string, status: number, accepted: string]>([
    ["permessage-deflate; foo=1", 101, ""],
    ["permessage-deflate; server_max_window_bits=99", 101, ""],
    [
      "x-other; a=1, permessage-deflate; server_max_window_bits=99, permessage-deflate",
      101,
      "permessage-deflate",
    ],
    ["permessage-deflate; client_no_context_takeover=1, x", 101, ""],
    ["permessage-deflate; =", 400, ""],
  ])(
    "of the offers %p only what can be met is accepted: %i %p",
    async (offers, status, accepted) => {
      config.websocket.server = { compression: true };
      await start();
      const raw = await rawUpgrade("/primus", {
        "Sec-WebSocket-Extensions": offers,
      });
      expect(await raw.status()).toBe(status);
      const header = /^sec-websocket-extensions: ([\w-]+)/im.exec(raw.text());
      expect(header?.[1] ?? "").toBe(accepted);
      raw.socket.destroy();
    },
  );

  test.each([[true], [{ threshold: 10 }]])(
    "as %j: messages arrive in order, broadcasts as well",
    async (compression) => {
      config.websocket.server = { compression };
      await start();
      const [client, other] = [
        await connect({ perMessageDeflate: true }),
        await connect({ perMessageDeflate: false }),
      ];
      expect(client.ws.extensions).toBe("permessage-deflate");
      for (const { request } of [client, other].map((c) => ({
        request: c.request({ event: "roomAdd", room: "defaultRoom" }),
      })))
        await request;
      const [connection] = server().connections();
      for (let i = 0; i < 50; i++) {
        const text = "long ".repeat(i % 2 ? 1000 : 1);
        await connection.sendMessage({ context: "alert", i, text });
        if (i === 25)
          await api.chatRoom.broadcast({}, "defaultRoom", "hi ".repeat(2000));
      }
      await client.next("the last", (m) => m.i === 49);
      const order = client.received.map((m) => m.i).filter((i) => i >= 0);
      expect(order).toEqual(Array.from({ length: 50 }, (_, i) => i));
      for (const c of [client, other])
        await c.next("what was said", (m) => m.room === "defaultRoom");
      client.ws.pause();
      config.websocket.maxBufferedBytes = 300_000;
      for (let i = 0; i < 100 && !connection.destroyed; i++) {
        await connection.sendMessage({
          context: "alert",
          text: randomBytes(200_000).toString("hex"),
        });
        await new Promise(setImmediate);
      }
      expect(connection.destroyed).toBe(true);
    },
  );

  test("replies wait as bytes, because texts would fill the heap", async () => {
    config.websocket.server = { compression: true };
    await start();
    const client = await connect({ perMessageDeflate: true });
    const sent = jest.spyOn(SparkSocket.prototype, "send");
    await client.action("quick");
    await server().connections()[0].sendMessage({ context: "alert" });
    expect(sent.mock.calls.length).toBeGreaterThan(1);
    for (const [data] of sent.mock.calls) expect(data).toBeInstanceOf(Buffer);
    sent.mockRestore();
  });

  test("a message is inflated to at most 100 times its length", async () => {
    config.websocket.server = { compression: true };
    await start();
    const client = await connect({ perMessageDeflate: true });
    const short = " ".repeat(60_000);
    expect(await client.action("quick", { short })).toMatchObject({
      quick: true,
    });
    const long = `${randomBytes(10_000).toString("hex")}${" ".repeat(500_000)}`;
    expect(await client.action("quick", { long })).toMatchObject({
      quick: true,
    });
    client.sendRaw(`{"event":"detailsView"}${" ".repeat(500_000)}`);
    const { code, reason } = await client.closed;
    expect([code, reason]).toEqual([
      1009,
      "message too big (limit 10485760 bytes, 100 times the compressed ones)",
    ]);
  });

  /** A fragment of a message. */
  function compressed(text: string, opcode: number): Buffer {
    const bytes = deflateRawSync(text, {
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    const frame = clientFrame(bytes, { final: false, opcode });
    if (opcode !== 0) frame[0] |= 0x40; // compressed
    return frame;
  }

  test("so is a message in fragments", async () => {
    config.websocket.server = { compression: true };
    await start();
    const raw = await rawUpgrade("/primus", {
      "Sec-WebSocket-Extensions": "permessage-deflate",
    });
    expect(await raw.status()).toBe(101);
    const part = " ".repeat(60_000);
    raw.socket.write(Buffer.concat([compressed(part, 1), compressed(part, 0)]));
    await until(() => raw.bytes().includes("message too big"));
    raw.socket.destroy();
  });

  test("a part of a message counts with what it is inflated to", async () => {
    const size = 512 * 1024;
    config.websocket.server = { compression: true };
    await start();
    const raw = await rawUpgrade("/primus", {
      "Sec-WebSocket-Extensions": "permessage-deflate",
    });
    expect(await raw.status()).toBe(101);
    const text = randomBytes(8_000)
      .toString("hex")
      .repeat(size / 16_000 + 1);
    raw.socket.write(compressed(text, 1));
    await until(() => totalHeldBytes() > size);
    raw.socket.destroy();
    await until(() => totalHeldBytes() === 0);
  });
});
