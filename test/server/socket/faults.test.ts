/** Clients that are broken, hostile, or gone. */
import type * as net from "node:net";
import { once } from "node:events";
import * as fc from "fast-check";
import {
  allGone,
  closeAll,
  SocketPeer,
  socketPort,
  socketServer,
  startSocketApp,
} from "../../support/socketApp";
import { until } from "../../support/until";
import { addActions } from "../../support/webApp";
import { api, config, type Process } from "../../../src/index";
import { Output } from "../../../src/server/socket/output";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: Process;
const held: (() => void)[] = [];

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
    large: { run: () => ({ text: "x".repeat(1_000_000) }) },
    echo: { inputs: { key: {} }, run: ({ params }: any) => ({ ...params }) },
  });
});

afterAll(() => app.stop());

afterEach(async () => {
  for (const done of held.splice(0)) done();
  jest.restoreAllMocks();
  api.connections.middleware = {};
  api.connections.globalMiddleware = [];
  await closeAll();
});

async function welcomed(): Promise<SocketPeer> {
  const peer = await SocketPeer.connect();
  await peer.next();
  return peer;
}

/** For a long answer; no two of them come in one piece. */
const longRequest = `${JSON.stringify({ action: "large", params: { pad: "x".repeat(65_536) } })}\n`;

const tooLong = (max: number, received: number, messageId: unknown) => ({
  status: "error",
  error: `data length is too big (${max} received/${received} max)`,
  context: "response",
  messageId,
});

describe("a client that speaks HTTP", () => {
  const attack = `${JSON.stringify({ action: "echo", params: { key: "ran" } })}\r\n`;

  test.each([
    ["a request line", `POST / HTTP/1.1\r\nAccept: *\r\n\r\n${attack}`],
    ["a Host header", `# /\r\nHost: localhost:5000\r\n\r\n${attack}`],
    ["a host header", `# /\r\nhost: localhost:5000\r\n\r\n${attack}`],
  ])("is cut at %s, and nothing of its body runs", async (_name, bytes) => {
    const log = jest.spyOn(socketServer(), "log");
    const peer = await welcomed();
    peer.socket.write(bytes);
    await peer.ended;
    expect(peer.text).not.toContain("ran");
    expect(log.mock.calls.map(([message]) => message)).toContain(
      "disconnected a client that speaks HTTP",
    );
    await allGone();
  });

  test("a client that speaks TLS is cut, too", async () => {
    const log = jest.spyOn(socketServer(), "log");
    const peer = await welcomed();
    const hello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    peer.socket.write(Buffer.concat([hello, Buffer.from(`\n${attack}`)]));
    await peer.ended;
    expect(peer.text).not.toContain("ran");
    expect(log.mock.calls.map(([message]) => message)).toContain(
      "disconnected a client that speaks TLS",
    );
  });

  test("is cut with a delimiter of its own, too", async () => {
    config.socket.delimiter = "|";
    const peer = await welcomed();
    peer.socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\n\r\n|${attack}|`);
    await peer.ended;
    expect(peer.text).not.toContain("ran");
  });

  test("is not assumed for such words on later lines", async () => {
    const peer = await welcomed();
    await peer.ask("detailsView");
    const { error } = await peer.ask("GET / HTTP/1.1");
    expect(error).toBeDefined();
    expect(await peer.ask(attack.trim())).toMatchObject({ key: "ran" });
  });
});

describe("a burst of lines that need params which were sent once", () => {
  const BURST = 60;
  const many = Array.from({ length: 6000 }, (_, i) => [`k${i}`, 1]);
  const sticky = JSON.stringify({
    action: "quick",
    params: Object.fromEntries(many),
  });

  /** The most lines that are handled between two turns of the event loop. */
  function mostInOneTurn(handler: jest.SpyInstance) {
    const counter = { most: 0, stop: () => clearImmediate(next) };
    let before = handler.mock.calls.length;
    let next: NodeJS.Immediate;
    const look = () => {
      const now = handler.mock.calls.length;
      counter.most = Math.max(counter.most, now - before);
      before = now;
      next = setImmediate(look);
    };
    look();
    return counter;
  }

  test("lets others have their turn: a few actions at a time", async () => {
    const peer = await welcomed();
    const other = await welcomed();
    expect((await peer.ask(sticky)).quick).toBe(true);
    const counter = mostInOneTurn(jest.spyOn(socketServer(), "processAction"));
    peer.send(Array(BURST).fill("quick").join("\n"));
    const first = await peer.next();
    await other.ask("quick");
    const lines = () => peer.text.split("\r\n").length - 1;
    expect(lines()).toBeLessThan(BURST);
    await until(() => lines() === BURST + 2);
    counter.stop();
    expect(first.quick).toBe(true);
    expect(counter.most).toBeLessThan(10);
  });

  test("writes the replies of a chunk at once, also when many clients share a turn", async () => {
    const LINES = 5;
    const peers: Awaited<ReturnType<typeof welcomed>>[] = [];
    for (let i = 0; i < 100; i++) peers.push(await welcomed());
    const writes = jest.spyOn(Output.prototype as any, "write");
    for (const peer of peers) peer.send(Array(LINES).fill("quick").join("\n"));
    const lines = ({ text }: { text: string }) => text.split("\r\n").length - 1;
    await until(() => peers.every((peer) => lines(peer) === LINES + 1));
    // that of the welcome was before; a client in whose chunk a turn ends has two
    expect(writes.mock.calls.length).toBeLessThan(peers.length * 1.2);
  });

  test("gives no copy to actions that are refused", async () => {
    const peer = await welcomed();
    const sizes: number[] = [];
    const note = ({ params }: { params: object }) =>
      sizes.push(Object.keys(params).length);
    socketServer().on("actionComplete", note);
    await peer.ask(sticky);
    peer.send(Array(8).fill("hold").join("\n"));
    await until(() => sizes.length === 4); // the first one, and those over the limit
    expect(sizes.slice(1)).toEqual([2, 2, 2]);
    for (const done of held.splice(0)) done();
    await until(() => peer.messages.length === 10);
    socketServer().off("actionComplete", note);
  });

  test("stops when its replies are not read", async () => {
    const peer = await welcomed();
    await peer.ask(`paramAdd key=${"x".repeat(60_000)}`);
    const [{ rawConnection }] = socketServer().connections();
    let most = 0;
    const counter = setInterval(() => {
      most = Math.max(most, rawConnection.writableLength);
    }, 1);
    peer.socket.pause();
    peer.send(Array(300).fill("paramsView").join("\n"));
    await until(() => rawConnection.writableLength > 1024 * 1024);
    await new Promise((resolve) => setTimeout(resolve, 200)); // nothing more happens
    clearInterval(counter);
    expect(most).toBeLessThan(3 * 1024 * 1024);
    expect(rawConnection.destroyed).toBe(false);
    peer.socket.resume();
    await until(() => peer.text.length > 300 * 60_000);
  });
});

describe("the limit of a line", () => {
  test("a whole line over it is answered, and the connection stays", async () => {
    const peer = await welcomed();
    const log = jest.spyOn(socketServer(), "log");
    config.socket.maxDataLength = 64;
    const line = JSON.stringify({
      action: "echo",
      params: { key: "x".repeat(412) },
    });
    expect(line).toHaveLength(449);
    expect(await peer.ask(line)).toEqual(tooLong(64, 449, 1));
    expect(log).toHaveBeenCalledWith(
      "data length is too big (64 received/449 max)",
      "error",
      { to: "127.0.0.1" },
    );
    expect(await peer.ask("detailsView")).toMatchObject({ messageId: 2 });
  });

  test("is 1 MiB by default, and 0 is no limit", async () => {
    const peer = await welcomed();
    const line = (length: number) =>
      `{"action":"echo","params":{"key":"${"x".repeat(length)}"}}`;
    expect((await peer.ask(line(1024 * 1024 - 100))).key.length).toBe(1048476);
    expect(await peer.ask(line(1024 * 1024))).toMatchObject({
      status: "error",
    });
    config.socket.maxDataLength = 0;
    expect((await peer.ask(line(5_000_000))).key).toHaveLength(5_000_000);
  });

  test("a gigabyte without a delimiter gets one error and a goodbye, in bounded memory", async () => {
    const peer = await welcomed();
    config.socket.maxDataLength = 100_000;
    const chunk = Buffer.alloc(1024 * 1024, "x");
    const rss = process.memoryUsage().rss;
    let peak = 0;
    let sent = 0;
    while (
      sent < 1024 &&
      !peer.socket.destroyed &&
      !peer.socket.readableEnded
    ) {
      sent++;
      if (!peer.socket.write(chunk))
        await Promise.race([once(peer.socket, "drain"), peer.ended]);
      peak = Math.max(peak, process.memoryUsage().rss);
    }
    await peer.ended;
    expect(sent).toBeLessThan(100);
    expect(peak - rss).toBeLessThan(100 * 1024 * 1024);
    const [, error, bye, ...more] = peer.messages;
    expect(error).toEqual(tooLong(100_000, 100_000 + 16 * 1024 ** 2 + 1, 1));
    expect(bye).toEqual({ status: "Bye", context: "api" });
    expect(more).toEqual([]);
  });
});

test.each([
  '{"action":',
  '{"action":"echo"}}',
  "{action: echo}",
  "null",
  "true",
  "17",
  "[]",
  '"echo"',
  "{}",
  '{"action":{"a":1}}',
  '{"action":["echo"]}',
  '{"action":"__proto__"}',
  "constructor",
  "__proto__",
  "hasOwnProperty x",
  " ",
  "\u0000",
  "paramsview",
])("%j is an unknown action", async (line) => {
  const peer = await welcomed();
  expect(await peer.ask(line)).toEqual({
    error: "unknown action or invalid apiVersion",
    context: "response",
    messageId: 1,
  });
  expect((await peer.ask("echo")).error).toBeUndefined();
});

test("__proto__ keys in a line change nothing", async () => {
  const peer = await welcomed();
  const reply = await peer.ask(
    '{"action":"echo","params":{"__proto__":{"key":"polluted"},"constructor":{"prototype":{"polluted":1}},"messageId":"a"}}',
  );
  expect(reply.key).toBeUndefined();
  expect(reply.messageId).toBe("a");
  const { data } = await peer.ask("paramsView");
  expect(Object.hasOwn(data, "__proto__")).toBe(false);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  await peer.ask("paramAdd __proto__=x");
  expect((await peer.ask("paramView __proto__")).data).toBeUndefined();
});

test("a line of JSON with a million levels is refused", async () => {
  const peer = await welcomed();
  const depth = 450_000;
  const line = `{"action":"echo","params":{"key":${"[".repeat(depth)}${"]".repeat(depth)}}}`;
  expect((await peer.ask(line)).error).toBe(
    "the request is nested more than 200 levels deep",
  );
  expect((await peer.ask("echo")).error).toBeUndefined();
});

test("random bytes are harmless", async () => {
  const honest = await welcomed();
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 2000 }),
      fc.boolean(),
      async (bytes, endsLine) => {
        const peer = await SocketPeer.connect();
        peer.socket.write(bytes);
        peer.socket.end(endsLine ? "\n" : "");
        await peer.ended;
        await peer.close();
      },
    ),
    { numRuns: 40 },
  );
  expect((await honest.ask("detailsView")).status).toBe("OK");
});

describe("a client that reads nothing", () => {
  test("is cut when more than maxBufferedBytes wait, with a line in the log", async () => {
    config.socket.maxBufferedBytes = 500_000;
    const log = jest.spyOn(socketServer(), "log");
    const peer = await welcomed();
    peer.socket.pause();
    const [connection] = socketServer().connections();
    const closed = once(connection.rawConnection as net.Socket, "close");
    const text = "x".repeat(100_000);
    let most = 0;
    for (let i = 0; i < 200 && !connection.destroyed; i++) {
      await connection.sendMessage({ text });
      await new Promise(setImmediate);
      most = Math.max(most, socketServer().bufferedBytes(connection));
    }
    await closed;
    expect(connection.destroyed).toBe(true);
    expect(most).toBeLessThan(800_000);
    expect(log).toHaveBeenCalledWith(
      expect.stringMatching(/^disconnected a slow consumer: \d+ bytes wait/),
      "warning",
      { to: "127.0.0.1" },
    );
  });

  test("has its requests left unread, and is cut after sendTimeout", async () => {
    config.socket.sendTimeout = 100;
    const peer = await welcomed();
    const [connection] = socketServer().connections();
    const closed = once(connection.rawConnection as net.Socket, "close");
    peer.socket.pause();
    peer.socket.write(longRequest.repeat(1000));
    await closed;
    expect(connection.totalActions).toBeLessThan(100);
  });

  test("a slow client is not cut: its replies wait for it", async () => {
    const peer = await welcomed();
    peer.socket.pause();
    peer.socket.write(longRequest.repeat(40));
    const [connection] = socketServer().connections();
    await until(() => (connection.rawConnection as net.Socket).isPaused());
    peer.socket.resume();
    await until(() => peer.text.length > 40_000_000);
    expect(peer.messages.filter(({ text }) => text)).toHaveLength(40);
  });

  test("a room does not wait for it", async () => {
    const [reader, silent] = [await welcomed(), await welcomed()];
    await reader.ask("roomAdd defaultRoom");
    await silent.ask("roomAdd defaultRoom");
    silent.socket.pause();
    const silentSide = socketServer()
      .connections()
      .find(({ remotePort }) => remotePort === silent.socket.localPort)!;
    const message = "x".repeat(100_000);
    let count = 0;
    while (!silentSide.destroyed && count < 300) {
      await api.chatRoom.broadcast({}, "defaultRoom", `${count++} ${message}`);
      await until(() => reader.text.includes(`"${count - 1} `));
    }
    expect(silentSide.destroyed).toBe(true);
    reader.send("detailsView");
    await until(() =>
      reader.messages.some(({ data }) => data?.totalActions === 0),
    );
  });
});

describe("a disconnected client", () => {
  test.each([
    ["politely", (socket: net.Socket) => socket.end()],
    ["at once", (socket: net.Socket) => socket.destroy()],
    ["with a reset", (socket: net.Socket) => socket.resetAndDestroy()],
  ])("%s, amid its requests", async (_title, leave) => {
    const peer = await welcomed();
    peer.send("hold\nhold\nroomAdd defaultRoom");
    await until(() => held.length === 2);
    leave(peer.socket);
    await allGone();
    for (const done of held.splice(0)) done();
    const next = await welcomed();
    expect((await next.ask("echo")).error).toBeUndefined();
  });

  test("that has closed only its side gets what it asked for", async () => {
    const peer = await welcomed();
    peer.socket.end('{"action":"echo","params":{"key":1}}\nfile simple.html\n');
    await peer.ended;
    expect(peer.text).toContain('"key":1');
    expect(peer.text).toContain("</html>");
    expect(peer.text.endsWith('{"status":"Bye","context":"api"}\r\n')).toBe(
      true,
    );
  });

  test("while the create middleware is pending", async () => {
    let proceed!: () => void;
    const slow = new Promise<void>((resolve) => (proceed = resolve));
    api.connections.addMiddleware({ name: "slow", create: () => slow });
    const peer = await SocketPeer.connect();
    peer.send("detailsView");
    await until(() => socketServer().connections().length);
    peer.socket.resetAndDestroy();
    proceed();
    await allGone();

    const early = await SocketPeer.connect();
    expect((await early.next()).welcome).toBeDefined();
    expect((await early.ask("detailsView")).messageId).toBe(1);
  });

  test("create middleware that fails ends the client", async () => {
    api.connections.addMiddleware({
      name: "no",
      create: () => {
        throw new Error("not today");
      },
    });
    const log = jest.spyOn(socketServer(), "log");
    const peer = await SocketPeer.connect();
    await peer.ended;
    expect(peer.messages).toEqual([{ status: "Bye", context: "api" }]);
    expect(log).toHaveBeenCalledWith(
      "cannot open a connection: Error: not today",
      "error",
      { to: "127.0.0.1" },
    );
  });
});

test("a thousand clients come and go, and leave nothing behind", async () => {
  const keeper = await welcomed();
  await keeper.ask("roomAdd defaultRoom");
  const server = socketServer().server as net.Server;
  const timers = () =>
    process.getActiveResourcesInfo().filter((name) => name === "Timeout");
  const count = timers().length;
  const listeners = server.listenerCount("connection");
  const port = socketPort();
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const peer = await SocketPeer.connect(port);
        peer.send("roomAdd defaultRoom\ndetailsView");
        if (index % 2 === 0) await peer.next();
        if (index % 3 === 0) peer.send("quit");
        await peer.close();
      }),
    );
  }
  await until(() => {
    const { connections } = api.connections;
    return Object.keys(connections).length === 1;
  });
  const sockets = () =>
    new Promise<number>((resolve, reject) =>
      server.getConnections((error, open) =>
        error ? reject(error) : resolve(open),
      ),
    );
  await until(async () => (await sockets()) === 1);
  expect(server.listenerCount("connection")).toBe(listeners);
  await until(() => timers().length <= count);
  const { data } = await keeper.ask("roomView defaultRoom");
  expect(data.membersCount).toBe(1);
});

test("verbs that wait when their connection is destroyed are dropped", async () => {
  const peer = await welcomed();
  const [connection] = socketServer().connections();
  let letGo: () => void = () => undefined;
  const add = jest
    .spyOn(api.chatRoom, "addMember")
    .mockImplementation(
      () => new Promise((resolve) => (letGo = () => resolve(true))),
    );
  for (const room of ["a", "b", "c"]) peer.send(`roomAdd ${room}`);
  await until(() => add.mock.calls.length > 0);
  await connection.destroy();
  letGo();
  await allGone();
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  expect(add.mock.calls.map(([, room]) => room)).toEqual(["a"]);
});
