process.env.PORT = "0";

import {
  api,
  chatRoom,
  config,
  encodeOnce,
  Process,
  type Connection,
} from "../../src/index";
import { shareEncoding } from "../../src/exposure/json";
import { LineServer, type LineClient } from "../support/lineServer";
import { LogLines } from "../support/logLines";
import { MemoryServer } from "../support/memoryServer";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const room = "defaultRoom";
const server = new Process();
const lines = new LineServer();
const clients: LineClient[] = [];
let log: LogLines;

beforeAll(async () => {
  await server.start();
  await lines.start();
  log = new LogLines("warning");
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  api.chatRoom.middleware = {};
  api.chatRoom.globalMiddleware = [];
  log.lines.length = 0;
});

afterAll(async () => {
  log.stop();
  await lines.stop();
  await server.stop();
});

async function connect(): Promise<LineClient> {
  const client = await lines.connect(room);
  clients.push(client);
  return client;
}

test("a replaced delivery that throws for one member does not keep the message from the others", async () => {
  const members = [await connect(), await connect()];
  const original = api.chatRoom.incomingMessagePerConnection;
  api.chatRoom.incomingMessagePerConnection = (connection, payload) => {
    if (connection.id === members[0].connection.id) throw new Error("no");
    return original(connection, payload);
  };
  try {
    await chatRoom.broadcast({}, room, "one");
    expect(await members[1].received(1)).toEqual(["one"]);
    expect(members[0].said).toEqual([]);
  } finally {
    api.chatRoom.incomingMessagePerConnection = original;
  }
});

test("a thenable of a server that fails is logged, and the others get the message", async () => {
  const members = [await connect(), await connect()];
  const thenable = {
    then: (_done: unknown, failed: (error: Error) => void) =>
      failed(new Error("no wire")),
  };
  Object.assign(members[0].connection, { sendMessage: () => thenable });
  await chatRoom.broadcast({}, room, "one");
  expect(await members[1].received(1)).toEqual(["one"]);
  expect(log.lines.map(({ message }) => message)).toContain(
    "sending a chat message failed: Error: no wire",
  );
});

describe("encoding", () => {
  test("a message is encoded once for all members of a transport", async () => {
    const members = await Promise.all(Array.from({ length: 50 }, connect));
    const before = lines.encodings;
    await chatRoom.broadcast({}, room, "one");
    await chatRoom.broadcast({}, room, { two: 2 });
    for (const member of members)
      expect(await member.received(2)).toEqual(["one", { two: 2 }]);
    expect(lines.encodings - before).toBe(2);
  });

  test("a message that say middleware does not change is still encoded once", async () => {
    const members = await Promise.all(Array.from({ length: 20 }, connect));
    await chatRoom.addMiddleware({
      name: "personal",
      say: ({ id }, _room, payload) => {
        if (id === members[0].connection.id) payload.message += "!";
        return payload;
      },
    });
    const before = lines.encodings;
    await chatRoom.broadcast({}, room, "one");
    for (const member of members) await member.received(1);
    expect(members[0].said).toEqual(["one!"]);
    expect(members[1].said).toEqual(["one"]);
    expect(lines.encodings - before).toBe(2);
  });

  test("a middleware that changes the inside of a message changes it for its recipient", async () => {
    const members = [await connect(), await connect()];
    await chatRoom.addMiddleware({
      name: "nested",
      say: ({ id }, _room, payload) => ({
        ...payload,
        message: { ...payload.message, to: id },
      }),
    });
    await chatRoom.broadcast({}, room, { a: 1 });
    for (const member of members)
      expect(await member.received(1)).toEqual([
        { a: 1, to: member.connection.id },
      ]);
  });

  test("other messages are encoded each time", () => {
    const message = { text: "a" };
    const encode = (one: typeof message) => one.text;
    expect(encodeOnce(message, "t", encode)).toBe("a");
    message.text = "b";
    expect(encodeOnce(message, "t", encode)).toBe("b");
  });

  test("each transport encodes a message in its own form", () => {
    const message = shareEncoding({ text: "a" });
    expect(encodeOnce(message, "upper", () => "A")).toBe("A");
    expect(encodeOnce(message, "lower", () => "a")).toBe("a");
    expect(encodeOnce(message, "upper", () => "B")).toBe("A");
  });

  test("a server that writes into messages does not write into others' messages", async () => {
    class Scribbler extends MemoryServer {
      override async sendMessage(connection: Connection, message: any) {
        message.messageId ??= connection.id;
        await super.sendMessage(connection, message);
      }
    }
    const scribbler = new Scribbler("scribbler").install();
    const members = [await scribbler.connect(), await scribbler.connect()];
    for (const member of members) await member.verb("roomAdd", room);
    await chatRoom.broadcast({}, room, "hi");
    for (const member of members) {
      const [{ messageId }] = await member.received(1);
      expect(messageId).toBe(member.id);
      await member.quit();
    }
  });

  test("a transport that fails for one member serves the others", async () => {
    const memory = new MemoryServer().install();
    const members = [await memory.connect(), await memory.connect()];
    for (const member of members) await member.verb("roomAdd", room);
    members[0].connection.sendMessage = () =>
      Promise.reject(new Error("wire cut"));
    await chatRoom.broadcast({}, room, "hi");
    await members[1].received(1);
    expect(log.matching(/wire cut/)).toHaveLength(1);
    for (const member of members) await member.quit();
  });
});

describe("a member that does not read", () => {
  const big = "x".repeat(64 * 1024);

  /** Talk until the member is gone. */
  async function talkTo(slow: LineClient, reader: LineClient) {
    let count = 0;
    let mostBuffered = 0;
    while (!slow.connection.destroyed) {
      count++;
      await chatRoom.broadcast({}, room, big);
      await reader.received(count);
      const buffered = lines.bufferedBytes(slow.connection);
      mostBuffered = Math.max(mostBuffered, buffered);
      if (count > 1000) throw new Error("it is never disconnected");
    }
    return { count, mostBuffered };
  }

  test("is disconnected at 1 MiB, with a reason in the log; the others miss nothing", async () => {
    const slow = await connect();
    const reader = await connect();
    slow.pause();
    const { count, mostBuffered } = await talkTo(slow, reader);
    expect(mostBuffered).toBeGreaterThan(1024 * 1024);
    expect(mostBuffered).toBeLessThan(1024 * 1024 + 3 * big.length);
    expect(reader.said).toHaveLength(count);
    expect(reader.connection.destroyed).toBe(false);
    const [line, ...more] = log.matching(/slow consumer/);
    expect(more).toEqual([]);
    expect(line).toMatch(
      new RegExp(
        `^disconnecting ${slow.connection.id}, a slow consumer: \\d+ bytes of chat messages are waiting \\(limit 1048576\\)$`,
      ),
    );
    expect(await chatRoom.roomStatus(room)).toMatchObject({ membersCount: 1 });
  });

  test("a slow member is disconnected at the configured limit", async () => {
    config.general.chatBacklogLimit = 256 * 1024;
    const slow = await connect();
    const reader = await connect();
    slow.pause();
    const { mostBuffered } = await talkTo(slow, reader);
    expect(mostBuffered).toBeLessThan(256 * 1024 + 3 * big.length);
  });

  test("is not disconnected for its own replies: only chat messages count", async () => {
    config.general.chatBacklogLimit = 100_000;
    const slow = await connect();
    slow.pause();
    const socket = slow.connection.rawConnection;
    while (lines.bufferedBytes(slow.connection) < 500_000) {
      socket.write(Buffer.alloc(100_000)); // an answer
      await new Promise(setImmediate);
    }
    for (let count = 0; count < 10; count++)
      await chatRoom.broadcast({}, room, "small");
    expect(slow.connection.destroyed).toBe(false);
  });

  test("is counted from zero again when it has caught up", async () => {
    config.general.chatBacklogLimit = 100_000;
    const reader = await connect();
    for (let count = 1; count <= 50; count++) {
      await chatRoom.broadcast({}, room, big);
      await reader.received(count);
    }
    expect(reader.connection.destroyed).toBe(false);
  });
});
