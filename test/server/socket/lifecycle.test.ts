/** Listening, leaving, keep-alive, and what decides whether the server is on. */
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { once } from "node:events";
import {
  allGone,
  closeAll,
  SocketPeer,
  socketPort,
  socketServer,
  startSocketApp,
} from "../../support/socketApp";
import { leaveStaleSocket } from "../../support/staleSocket";
import { unstalled } from "../../support/stopwatch";
import { until } from "../../support/until";
import { addActions } from "../../support/webApp";
import {
  api,
  chatRoom,
  config,
  rebuildConfig,
  type Process,
} from "../../../src/index";
import { SocketServer } from "../../../src/server/socket/socketServer";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: Process;
const held: (() => void)[] = [];
const BYE = { status: "Bye", context: "api" };

beforeAll(async () => {
  app = await startSocketApp();
  addActions({
    hold: {
      run: async () => {
        await new Promise<void>((done) => held.push(done));
        return { done: true };
      },
    },
    quick: { run: () => ({ quick: true }) },
  });
});

afterEach(async () => {
  for (const done of held.splice(0)) done();
  jest.restoreAllMocks();
  await closeAll();
  if (!socketServer().server.listening) await socketServer().start();
});

afterAll(() => app.stop());

async function welcomed(): Promise<SocketPeer> {
  const peer = await SocketPeer.connect();
  await peer.next();
  return peer;
}

async function restart(settings: Record<string, unknown>): Promise<void> {
  await socketServer().stop();
  Object.assign(config.socket, settings);
  await socketServer().start();
}

describe("the end of a connection", () => {
  test.each(["quit", "exit"])("%s: goodbye, and no OK", async (verb) => {
    const peer = await welcomed();
    expect(await peer.ask(verb)).toEqual(BYE);
    await peer.ended;
    expect(peer.messages).toHaveLength(2);
  });

  test.each([
    ["Ctrl-D", "04"],
    ["Ctrl-C of telnet", "fff4fffd06"],
  ])("%s, at once and in pieces", async (_title, hex) => {
    const bytes = Buffer.from(hex, "hex");
    for (const pieces of [[bytes], [...bytes].map((b) => Buffer.from([b]))]) {
      const peer = await welcomed();
      await peer.ask("detailsView");
      for (const piece of pieces) {
        peer.socket.write(piece);
        await new Promise(setImmediate);
      }
      expect(await peer.next()).toEqual(BYE);
      await peer.ended;
    }
  });

  test("from the server's side", async () => {
    const peer = await welcomed();
    const log = jest.spyOn(socketServer(), "log");
    const [connection] = socketServer().connections();
    void connection.sendMessage({ last: 1 });
    await connection.destroy();
    expect(await peer.next()).toEqual({ last: 1 });
    expect(await peer.next()).toEqual(BYE);
    await peer.ended;
    expect(log).toHaveBeenCalledWith("connection closed", "info", {
      to: "127.0.0.1",
    });
    await connection.sendMessage({ late: 1 });
  });

  test("a client that does not close its side is cut a second later", async () => {
    const socket = net.connect({
      port: socketPort(),
      host: "127.0.0.1",
      allowHalfOpen: true,
    });
    socket.on("error", () => undefined);
    socket.resume();
    await once(socket, "connect");
    await until(() => socketServer().connections().length);
    const { rawConnection } = socketServer().connections()[0];
    socket.write("quit\n");
    await once(socket, "end");
    if (!rawConnection.closed) await once(rawConnection, "close");
    socket.destroy();
  });
});

describe("stop", () => {
  test("notifies all clients, and waits for pending responses", async () => {
    const [idle, busy] = [await welcomed(), await welcomed()];
    busy.send("hold");
    await until(() => held.length === 1);
    const log = jest.spyOn(socketServer(), "log");
    const stopped = socketServer().stop();
    expect(await idle.next()).toEqual(BYE);
    await idle.ended;
    expect(await busy.ask("quick")).toEqual({
      error: "the server is shutting down",
      context: "response",
      messageId: 2,
    });
    await expect(SocketPeer.connect()).rejects.toThrow();
    held.pop()!();
    expect(await busy.next()).toMatchObject({ done: true, messageId: 1 });
    expect(await busy.next()).toEqual(BYE);
    await stopped;
    expect(api.connections.connections).toEqual({});
    expect(log).toHaveBeenCalledWith(
      "waiting on shutdown, there are still 1 connected clients waiting on a response",
      "notice",
    );
  });

  test("has a deadline", async () => {
    config.general.shutdownTimeout = 100;
    const peer = await welcomed();
    peer.send("hold");
    await until(() => held.length === 1);
    const log = jest.spyOn(socketServer(), "log");
    await socketServer().stop();
    expect(await peer.next()).toEqual(BYE);
    expect(log).toHaveBeenCalledWith(
      "disconnected 1 clients that did not finish within 100 ms",
      "warning",
    );
  });

  test("does not wait longer for a client that takes nothing", async () => {
    config.general.shutdownTimeout = 100;
    const peer = await welcomed();
    peer.socket.pause();
    const [connection] = socketServer().connections();
    await connection.sendMessage({ text: "x".repeat(15_000_000) });
    await socketServer().stop();
    expect(api.connections.connections).toEqual({});
  });

  test("limits the wait for destroy middleware; clients leave their rooms in any case", async () => {
    config.general.shutdownTimeout = 100;
    api.connections.addMiddleware({
      name: "stuck",
      destroy: () => new Promise(() => undefined),
    });
    const room = "stuck";
    await chatRoom.add(room);
    config.general.defaultChatRoom = room;
    try {
      const [peer] = [await welcomed(), await welcomed()];
      expect((await chatRoom.roomStatus(room)).membersCount).toBe(2);
      const log = jest.spyOn(socketServer(), "log");
      await socketServer().stop();
      expect(await peer.next()).toEqual(BYE);
      expect((await chatRoom.roomStatus(room)).membersCount).toBe(0);
      expect(api.connections.connections).toEqual({});
      expect(log).toHaveBeenCalledWith(
        "closed 2 connections before their destroy middleware ended",
        "warning",
      );
    } finally {
      api.connections.middleware = {};
      api.connections.globalMiddleware = [];
    }
  });

  test("a second stop does nothing, nor does one before the start, and the port is closed", async () => {
    await socketServer().stop();
    await socketServer().stop();
    expect(socketServer().server!.listening).toBe(false);
    const other = new SocketServer();
    await other.stop();
  });
});

describe("keep-alive", () => {
  test("idleTimeout: silent clients are closed, those with pending responses are not", async () => {
    const [silent, talker, waiting] = [
      await welcomed(),
      await welcomed(),
      await welcomed(),
    ];
    waiting.send("hold");
    await until(() => held.length === 1);
    await restartKeepAlive({ idleTimeout: 200 });
    let isTalking = true;
    const talk = (async () => {
      while (isTalking) {
        await talker.ask("detailsView");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    expect(await silent.next()).toEqual(BYE);
    await silent.ended;
    isTalking = false;
    await talk;
    expect(waiting.socket.readableEnded).toBe(false);
    held.pop()!();
    expect((await waiting.next()).done).toBe(true);
    expect(await waiting.next()).toEqual(BYE);
  });

  test("idleTimeout: the server does not take its own pause for silence", async () => {
    const peer = await welcomed();
    await restartKeepAlive({ idleTimeout: 200 });
    peer.send("detailsView");
    const end = performance.now() + 400; // it has arrived, and nobody reads it
    while (performance.now() < end);
    expect((await peer.next()).status).toBe("OK");
  });

  test("pingInterval: every client gets a message", async () => {
    await unstalled(async () => {
      const peers = [await welcomed(), await welcomed()];
      await restartKeepAlive({ pingInterval: 200 });
      for (const peer of peers) {
        const first = await peer.next();
        expect(first).toEqual({
          status: "keep-alive",
          context: "api",
          serverTime: first.serverTime,
        });
        const { serverTime } = await peer.next();
        expect(serverTime - first.serverTime).toBeGreaterThanOrEqual(150);
      }
    }, 50);
  });

  /** The current round began with the earlier settings. */
  async function restartKeepAlive(settings: object): Promise<void> {
    Object.assign(config.socket, settings);
    const { keepAlive } = socketServer() as unknown as {
      keepAlive: { stop(): void; start(): void };
    };
    keepAlive.stop();
    keepAlive.start();
  }
});

test("maxConnections: one more gets an error and is closed", async () => {
  config.socket.maxConnections = 2;
  const log = jest.spyOn(socketServer(), "log");
  const first = await welcomed();
  await welcomed();
  const third = await SocketPeer.connect();
  expect(await third.next()).toEqual({
    error: "too many connections",
    context: "api",
  });
  await third.ended;
  expect(log).toHaveBeenCalledWith(
    "refused a client: there are 2 already (maxConnections)",
    "warning",
    { to: "127.0.0.1" },
  );
  await first.close();
  await until(() => socketServer().connections().length === 1);
  const next = await welcomed();
  expect((await next.ask("quick")).quick).toBe(true);
});

describe("sockets", () => {
  test("are watched by the operating system, unless they are not to be", async () => {
    const keepAlive = jest.spyOn(net.Socket.prototype, "setKeepAlive");
    await welcomed();
    expect(keepAlive).toHaveBeenCalledWith(true, 60_000);
    keepAlive.mockClear();
    config.socket.setKeepAlive = false;
    await welcomed();
    expect(keepAlive).not.toHaveBeenCalled();
  });

  test("connections are logged", async () => {
    const log = jest.spyOn(socketServer(), "log");
    await welcomed();
    expect(log).toHaveBeenCalledWith("new connection", "info", {
      to: "127.0.0.1",
    });
  });
});

describe("listening", () => {
  let taken: net.Server;
  beforeEach(async () => {
    taken = net.createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
  });
  afterEach(async () => {
    taken.close();
    await once(taken, "close");
  });
  const takenPort = () => (taken.address() as net.AddressInfo).port;

  test("a port that is taken fails, naming it", async () => {
    await socketServer().stop();
    config.socket.port = takenPort();
    await expect(socketServer().start()).rejects.toMatchObject({
      code: "AH_SERVER_START",
      message: expect.stringMatching(
        new RegExp(
          `^Cannot start socket server @ 127.0.0.1:${takenPort()} => listen EADDRINUSE`,
        ),
      ),
    });
  });

  test("unless the server is not explicitly enabled: one warning, and it stays off", async () => {
    await socketServer().stop();
    config.socket.port = takenPort();
    const { enabled } = config.socket;
    delete (config.socket as { enabled?: boolean }).enabled;
    const log = jest.spyOn(socketServer(), "log");
    await socketServer().start();
    config.socket.enabled = enabled;
    expect(log.mock.calls).toEqual([
      [
        expect.stringMatching(
          /^port \d+ is in use: the TCP server was not started/,
        ),
        "warning",
      ],
    ]);
    await socketServer().stop();
  });

  test("a unix socket, with a stale one in its place", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "socket-"));
    const file = path.join(folder, "tcp.sock");
    await leaveStaleSocket(file);
    await restart({ port: file, bindIP: null });
    expect(fs.statSync(file).mode & 0o777).toBe(0o777);
    const peer = await SocketPeer.connect(file);
    await peer.next();
    expect((await peer.ask("quick")).quick).toBe(true);
    await peer.close();
    await allGone();
    await socketServer().stop();
    fs.rmSync(folder, { recursive: true });
  });
});

test("an almost empty config.socket serves", async () => {
  await socketServer().stop();
  for (const key of Object.keys(config.socket))
    delete (config.socket as Record<string, unknown>)[key];
  config.socket.enabled = true;
  (config as { errors: unknown }).errors = {};
  config.socket.port = 0;
  await socketServer().start();
  const peer = await welcomed();
  expect((await peer.ask("quick")).quick).toBe(true);
  expect((await peer.ask("nothing")).error).toBe(
    "unknown action or invalid apiVersion",
  );
  expect((await peer.ask("x".repeat(1024 * 1024 + 1))).error).toBe(
    "data length is too big (1048576 received/1048577 max)",
  );
});

describe("whether it is on", () => {
  const saved = process.env.ENABLE_TCP_SERVER;
  const savedEnv = process.env.NODE_ENV;
  afterAll(() => {
    process.env.ENABLE_TCP_SERVER = saved;
    process.env.NODE_ENV = savedEnv;
    rebuildConfig();
  });

  test.each([
    [undefined, "development", true],
    [undefined, "test", false],
    [undefined, "production", false],
    [undefined, "staging", false],
    ["true", "production", true],
    ["1", "test", true],
    ["", "test", true],
    ["false", "development", false],
  ])("ENABLE_TCP_SERVER=%s in %s: %s", (value, env, expected) => {
    if (value === undefined) delete process.env.ENABLE_TCP_SERVER;
    else process.env.ENABLE_TCP_SERVER = value;
    process.env.NODE_ENV = env;
    rebuildConfig();
    const server = new SocketServer();
    server.config = config.socket;
    expect(server.isEnabled()).toBe(expected);
  });
});
