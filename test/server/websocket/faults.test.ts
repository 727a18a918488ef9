/** Clients that send what they should not, or do not do what they should. */
import { clientFrame, rawUpgrade } from "../../support/rawWebsocket";
import { until } from "../../support/until";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import {
  connectWebsocket,
  type WebsocketClient,
} from "../../support/websocketClient";
import { api, chatRoom, config } from "../../../src/index";
import { totalSmallBytes } from "../../../src/server/heldBytes";
import type { Spark } from "../../../src/server/websocket/spark";
import type { WebSocketServer } from "../../../src/server/websocket/webSocketServer";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: WebApp;
const clients: WebsocketClient[] = [];
const server = () => api.servers.servers.websocket as WebSocketServer;

beforeAll(async () => {
  app = await startWebApp();
  addActions({
    size: {
      inputs: { text: {} },
      run: ({ params }) => ({ size: params.text.length }),
    },
    big: { run: () => ({ text: "x".repeat(100_000) }) },
  });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await until(() => server().sparks.size === 0);
  expect(server().connections()).toEqual([]);
});

afterAll(() => app.stop());

async function connect(): Promise<WebsocketClient> {
  const client = await connectWebsocket();
  clients.push(client);
  return client;
}

async function expectAlive(client: WebsocketClient): Promise<void> {
  const { status } = await client.request({ event: "detailsView" });
  expect(status).toBe("OK");
}

test("a connection that cannot be made ends that client, and nothing else", async () => {
  const other = await connect();
  const opening = jest.spyOn(server(), "openConnection");
  opening.mockImplementationOnce(() => {
    throw new Error("not now");
  });
  const refused = await connectWebsocket({ welcome: false });
  expect(await refused.closed).toEqual({
    code: 1011,
    reason: "connection refused",
  });
  opening.mockRestore();
  await expectAlive(other);
});

describe("messages", () => {
  test.each([
    "",
    "nonsense",
    '{"event":',
    "null",
    "5",
    '"text"',
    '"primus::foo::1"',
    '["event"]',
    "[".repeat(100_000),
  ])("%.20s is ignored", async (text) => {
    const client = await connect();
    client.sendRaw(text);
    await expectAlive(client);
    expect(client.received).toHaveLength(2);
  });

  test("binary frames are ignored", async () => {
    const client = await connect();
    client.ws.send(Buffer.from('{"event":"detailsView"}'), { binary: true });
    await expectAlive(client);
    expect(client.received).toHaveLength(2);
  });

  test.each([
    [undefined, "undefined"],
    [null, "null"],
    [5, "5"],
    [{ a: 1 }, '{"a":1}'],
    [{ toString: 1 }, '{"toString":1}'],
    ["constructor", "constructor"],
    ["__proto__", "__proto__"],
    ["toString", "toString"],
    ["paramAdd", "paramAdd"],
  ])("the event %j is no verb", async (event, shown) => {
    const client = await connect();
    const { error, status } = await client.request({ event, x: 1 });
    const text = `Error: verb not found or not allowed (${shown})`;
    expect([error, status]).toEqual([text, text]);
    await expectAlive(client);
  });

  test("fields that are nested as deep as can be are answered with an error", async () => {
    const client = await connect();
    const deep = `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`;
    client.sendRaw(`{"event":"say","messageId":"d","room":${deep}}`);
    client.sendRaw(
      `{"event":"action","messageId":"e","params":{"action":"size","text":${deep}}}`,
    );
    await client.next("an error", (m) => m.messageId === "d" && m.error);
    await client.next("an answer", (m) => m.messageId === "e");
    await expectAlive(client);
  });

  test("rooms and messages of strange kinds are refused", async () => {
    const client = await connect();
    for (const room of [{}, [], 5, true, ["a"], { toString: 1 }])
      expect((await client.request({ event: "roomAdd", room })).error).toBe(
        "Error: room does not exist",
      );
    expect((await client.request({ event: "roomAdd" })).error).toMatch(
      /^Error: /,
    );
    await expectAlive(client);
  });

  test("a prototype cannot be changed", async () => {
    const client = await connect();
    client.sendRaw(
      '{"event":"action","messageId":"p","__proto__":{"polluted":1},"params":{"action":"size","text":"a","__proto__":{"polluted":1}}}',
    );
    client.sendRaw(
      '{"event":"say","messageId":"q","__proto__":{"polluted":1}}',
    );
    expect((await client.next("it", (m) => m.messageId === "p")).size).toBe(1);
    await client.next("it", (m) => m.messageId === "q");
    expect(({} as any).polluted).toBeUndefined();
  });
});

describe("frames", () => {
  test("a frame of 9 MB is accepted, and one above the limit is refused", async () => {
    const client = await connect();
    const { size } = await client.action("size", { text: "x".repeat(9e6) });
    expect(size).toBe(9e6);
    client.sendRaw("x".repeat(10 * 1024 * 1024 + 1));
    expect(await client.closed).toEqual({
      code: 1009,
      reason: "message too big (limit 10485760 bytes)",
    });
  });

  test("a frame that announces a huge length is refused at once", async () => {
    const raw = await rawUpgrade();
    const head = Buffer.from([0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    raw.socket.write(head);
    await until(() => raw.text().includes("message too big"));
    raw.socket.destroy();
  });

  test("fragments make a message, with a ping and a character between them", async () => {
    const raw = await rawUpgrade();
    const bytes = Buffer.from('{"event":"é","messageId":"fragments"}');
    const middle = bytes.indexOf("é") + 1;
    const first = clientFrame(bytes.subarray(0, middle), { final: false });
    const ping = clientFrame("ping", { opcode: 9 });
    const rest = [...bytes.subarray(middle)].map((byte, i) =>
      clientFrame(Buffer.from([byte]), {
        opcode: 0,
        final: middle + i === bytes.length - 1,
      }),
    );
    for (const frame of [first, ping, ...rest]) raw.socket.write(frame);
    await until(() => raw.text().includes("fragments"));
    expect(raw.text()).toContain("verb not found or not allowed (é)");
    raw.socket.destroy();
  });

  test.each([
    ["endless", Buffer.alloc(1_000_000, "x"), 20, 1009],
    ["countless empty", Buffer.alloc(0), 20_000, 1008],
  ])("%s fragments are not collected", async (_what, piece, count, code) => {
    const raw = await rawUpgrade();
    raw.socket.write(clientFrame("", { final: false }));
    const frame = clientFrame(piece, { opcode: 0, final: false });
    for (let i = 0; i < count; i++) raw.socket.write(frame);
    await until(() => closeCodeOf(raw.bytes()) === code);
    raw.socket.destroy();
  });

  test.each([
    ["text that is not UTF-8", clientFrame(Buffer.from([0xc3, 0x28])), 1007],
    ["an unknown opcode", clientFrame("", { opcode: 3 }), 1002],
    ["a frame without a mask", Buffer.from([0x81, 1, 0x78]), 1002],
    ["a continuation of nothing", clientFrame("", { opcode: 0 }), 1002],
    ["reserved bits", Buffer.from([0xf1, 0x80, 0, 0, 0, 0]), 1002],
  ])("%s ends the connection", async (_what, frame, code) => {
    const raw = await rawUpgrade("/primus", {}, frame);
    await until(() => closeCodeOf(raw.bytes()) === code);
    raw.socket.destroy();
  });

  test("random bytes end the connection, and nothing else", async () => {
    const client = await connect();
    for (let i = 0; i < 20; i++) {
      const noise = Buffer.from(
        Array.from({ length: 500 }, () => Math.floor(Math.random() * 256)),
      );
      const raw = await rawUpgrade("/primus", {}, noise);
      await raw.status();
      raw.socket.destroy();
    }
    await expectAlive(client);
  });
});

/** The code of the close frame that ends what was received, if it does. */
function closeCodeOf(bytes: Buffer): number | undefined {
  for (let at = bytes.length - 4; at > 0; at--) {
    const isClose =
      bytes[at] === 0x88 && bytes[at + 1] === bytes.length - at - 2;
    if (isClose) return bytes.readUInt16BE(at + 2);
  }
  return undefined;
}

describe("floods", () => {
  test("a flood of pings is answered, or ends its client", async () => {
    const [flooder, other] = [await connect(), await connect()];
    for (let i = 0; i < 5000; i++) flooder.ws.ping();
    await expectAlive(other);
    await Promise.race([flooder.closed, expectAlive(flooder)]);
  });

  test("messages above the limit per second wait for the next one, and others are served meanwhile", async () => {
    config.websocket.maxMessagesPerSecond = 50;
    const [flooder, other] = [await connect(), await connect()];
    const answered: number[] = [];
    const times: number[] = [];
    const all = Array.from({ length: 120 }, async (_, n) => {
      await flooder.request({ event: "detailsView" });
      answered.push(n);
      times.push(performance.now());
    });
    await until(() => answered.length > 0);
    await expectAlive(other);
    expect(answered.length).toBeLessThanOrEqual(50);
    await Promise.all(all);
    expect(answered).toEqual(Array.from({ length: 120 }, (_, n) => n));
    // the first of them may have come before the second of the first
    expect(times[100] - times[0]).toBeGreaterThan(1_000);
  });

  test("a flood of pings above the limit is read slowly", async () => {
    config.websocket.maxMessagesPerSecond = 50;
    const [flooder, other] = [await connect(), await connect()];
    for (let i = 0; i < 60; i++) flooder.ws.ping(); // more at once end a client in any case
    await expectAlive(other);
    await expectAlive(flooder);
  });

  test("a client above the limit that disconnects is forgotten, and what it sent before is handled", async () => {
    config.websocket.maxMessagesPerSecond = 5;
    const raw = await rawUpgrade();
    await until(() => raw.text().includes("welcome"));
    let handled = 0;
    const [spark] = [...server().sparks];
    spark.on("data", () => handled++);
    const message = clientFrame('{"event":"detailsView","messageId":"x"}');
    raw.socket.write(Buffer.concat(Array<Buffer>(20).fill(message)));
    await until(() => handled > 0);
    expect(handled).toBeLessThanOrEqual(5);
    raw.socket.resetAndDestroy();
    await until(() => server().sparks.size === 0);
    expect(handled).toBe(20);
  });

  describe("messages in one piece", () => {
    /** How many messages were handled in each turn of the event loop. */
    let perTurn: number[];
    let turns: NodeJS.Immediate;

    beforeEach(() => {
      perTurn = [0];
      const nextTurn = () => {
        if (perTurn.at(-1)! > 0) perTurn.push(0);
        turns = setImmediate(nextTurn);
      };
      nextTurn();
      server().server!.on("connection", count);
    });

    afterEach(() => {
      clearImmediate(turns);
      server().server!.off("connection", count);
    });

    const count = (spark: Spark) =>
      spark.on("data", () => perTurn[perTurn.length - 1]++);
    const handled = () => perTurn.reduce((sum, one) => sum + one, 0);

    const message = clientFrame('{"event":"detailsView","messageId":"x"}');

    test("are handled over several turns of the event loop, in order", async () => {
      const raw = await rawUpgrade();
      await until(() => raw.text().includes("welcome"));
      const last = clientFrame('{"event":"detailsView","messageId":"last"}');
      const messages = Array<Buffer>(1_000).fill(message);
      raw.socket.write(Buffer.concat([...messages, last]));
      await until(() => raw.text().includes('"messageId":"last"'));
      expect(raw.text().split('"messageId":"x"')).toHaveLength(1_001);
      expect(Math.max(...perTurn)).toBeLessThanOrEqual(2 * 64);
      raw.socket.destroy();
    });

    test("are handled when the client closes right after them", async () => {
      const raw = await rawUpgrade();
      await until(() => raw.text().includes("welcome"));
      const close = clientFrame(Buffer.from([3, 232]), { opcode: 8 });
      const messages = Array<Buffer>(1_000).fill(message);
      raw.socket.write(Buffer.concat([...messages, close]));
      await raw.closed;
      await until(() => server().sparks.size === 0);
      expect(handled()).toBe(1_000);
    });

    test("are dropped after one that quits", async () => {
      const raw = await rawUpgrade();
      await until(() => raw.text().includes("welcome"));
      const quit = clientFrame('{"event":"quit"}');
      const messages = Array<Buffer>(500).fill(message);
      raw.socket.write(Buffer.concat([...messages, quit, ...messages]));
      await raw.closed;
      await until(() => server().sparks.size === 0);
      expect(handled()).toBe(501);
      expect(totalSmallBytes()).toBe(0);
    });
  });

  test("messages within the rate limit are answered", async () => {
    config.websocket.maxMessagesPerSecond = 50;
    const client = await connect();
    for (let i = 0; i < 40; i++) client.sendRaw("nonsense");
    await expectAlive(client);
  });

  test("clients above the limit are turned away with a reason", async () => {
    config.websocket.maxConnections = 2;
    const [one] = [await connect(), await connect()];
    const third = await connectWebsocket({ welcome: false });
    expect(await third.closed).toEqual({
      code: 1013,
      reason: "too many connections (limit 2)",
    });
    one.close();
    await until(() => server().sparks.size === 1);
    await expectAlive(await connect());
  });
});

describe("a client that does not read", () => {
  /** Its socket is read by nobody. */
  async function deaf(): Promise<WebsocketClient> {
    const client = await connect();
    client.ws.pause();
    return client;
  }

  test("a slow consumer's requests wait, and it gets all replies when it reads again", async () => {
    const client = await deaf();
    const [connection] = server().connections();
    const { rawConnection: spark } = connection;
    const answers: Promise<any>[] = [];
    while (!spark.ws.isPaused && answers.length < 500) {
      answers.push(client.action("big"));
      await until(
        () => connection.totalActions === answers.length || spark.ws.isPaused,
      );
    }
    expect(spark.ws.isPaused).toBe(true);
    expect(spark.bufferedBytes).toBeLessThan(2 * 1024 * 1024);
    const unread = client.action("big");
    await expectAlive(await connect());
    client.ws.resume();
    for (const answer of [...answers, unread])
      expect((await answer).text).toHaveLength(100_000);
    expect(spark.ws.isPaused).toBe(false);
  });

  test("a slow consumer is cut when too many replies wait for it", async () => {
    config.websocket.maxBufferedBytes = 2 * 1024 * 1024;
    const client = await deaf();
    const other = await connect();
    const [connection] = server().connections();
    const most = { bytes: 0 };
    const text = "x".repeat(100_000);
    for (let i = 0; i < 300 && !connection.destroyed; i++) {
      await connection.sendMessage({ context: "alert", text });
      most.bytes = Math.max(most.bytes, server().bufferedBytes(connection));
      await new Promise(setImmediate);
    }
    expect(connection.destroyed).toBe(true);
    expect(most.bytes).toBeLessThan(3 * 1024 * 1024);
    client.ws.resume();
    const { code, reason } = await client.closed;
    expect(code).toBe(1008);
    expect(reason).toMatch(/^\d+ bytes wait unread$/);
    await expectAlive(other);
  });

  test("a slow consumer is cut when too many chat messages wait for it, and other members get all of them", async () => {
    const [slow, reader] = [await deaf(), await connect()];
    const connections = server().connections();
    for (const { id } of connections)
      await api.chatRoom.addMember(id, "defaultRoom");
    const message = "x".repeat(50_000);
    let count = 0;
    for (; count < 400 && !connections[0].destroyed; count++) {
      await chatRoom.broadcast({}, "defaultRoom", message);
      await new Promise(setImmediate);
    }
    expect(connections[0].destroyed).toBe(true);
    await until(() => reader.messages.filter((m) => m.room).length === count);
    slow.close();
    expect(connections[1].destroyed).toBe(false);
  });
});

describe("clients that vanish", () => {
  const PER_ROOM = 5; // long lists of members cost the embedded redis more than they cost us

  async function enter(count: number): Promise<WebsocketClient[]> {
    const entered: WebsocketClient[] = [];
    while (entered.length < count) {
      const length = Math.min(50, count - entered.length);
      const batch = Array.from({ length }, () => connectWebsocket());
      entered.push(...(await Promise.all(batch)));
    }
    for (let i = 0; i < count; i += PER_ROOM) {
      if (!(await chatRoom.exists(`vanish${i}`)))
        await chatRoom.add(`vanish${i}`);
    }
    await Promise.all(
      entered.map((client, i) =>
        client.request({
          event: "roomAdd",
          room: `vanish${i - (i % PER_ROOM)}`,
        }),
      ),
    );
    return entered;
  }

  /** @returns ms of CPU until they are gone from their rooms */
  async function vanish(leaving: WebsocketClient[]): Promise<number> {
    const left = server().sparks.size - leaving.length;
    const start = process.cpuUsage();
    for (const client of leaving) client.close();
    await until(() => server().connections().length === left, 20_000);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  }

  test("a thousand clients that vanish leave their rooms, in time that grows linearly", async () => {
    await vanish(await enter(250)); // to warm up
    const few = await vanish(await enter(250));
    const stays = await enter(PER_ROOM);
    clients.push(...stays);
    const many = await vanish(await enter(1000));
    const { data } = await stays[0].request({
      event: "roomView",
      room: "vanish0",
    });
    expect(data.membersCount).toBe(PER_ROOM);
    expect(api.chatRoom.index.rooms).toEqual(["vanish0"]);
    process.stdout.write(
      `gone: 250 in ${few.toFixed(0)} ms of CPU, 1000 in ${many.toFixed(0)} ms\n`,
    );
    expect(many).toBeLessThan(10 * Math.max(few, 20));
  });
});

test.each([
  [1024, false],
  [1025, true],
])(
  "of a message in %s fragments: its client is cut (%s)",
  async (count, isCut) => {
    const raw = await rawUpgrade();
    await until(() => raw.text().includes("101"));
    const fragment = (first: number) =>
      Buffer.from([first, 0x81, 0, 0, 0, 0, 0x61]);
    const rest = Array.from({ length: count - 2 }, () => fragment(0x00));
    raw.socket.write(Buffer.concat([fragment(0x01), ...rest, fragment(0x80)]));
    const tooMany = Buffer.from([0x03, 0xf0]); // 1008
    if (isCut) {
      await raw.closed;
      expect(raw.bytes().includes(tooMany)).toBe(true);
      return;
    }
    raw.socket.write(
      clientFrame('{"event":"detailsView","messageId":"after"}'),
    );
    await until(() => raw.text().includes('"after"'));
    raw.socket.destroy();
  },
);
