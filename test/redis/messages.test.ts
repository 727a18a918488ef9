process.env.LOG_LEVEL = "emerg"; // what is logged is looked at, not shown

import { api } from "../../src/api";
import { incomingMessage } from "../../src/chat/delivery";
import { config, id } from "../../src/config/config";
import { ConnectionTable } from "../../src/connection/registry";
import { ActionheroError } from "../../src/errors";
import {
  connectRedis,
  joinCluster,
  leaveCluster,
} from "../../src/redis/lifecycle";
import { redis } from "../../src/redis/redis";
import { describeOnEachEngine } from "../support/engines";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";

const open = api as unknown as Record<string, any>;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-/;

describeOnEachEngine("messages between nodes", () => {
  let logs: LogLines;
  /** Everything on the cluster's channel, as it is on the wire. */
  let wire: string[];

  beforeAll(async () => {
    logs = new LogLines();
    await connectRedis();
    api.redis.clients.subscriber.on("message", (_channel, raw) =>
      wire.push(raw),
    );
  });

  beforeEach(() => {
    logs.lines.length = 0;
    wire = [];
  });

  afterEach(() => {
    delete open.method;
    expect(Object.keys(api.redis.rpcCallbacks)).toEqual([]); // nothing is left waiting
  });

  afterAll(async () => {
    await leaveCluster();
    logs.stop();
  });

  /** Publish raw text and wait until it has been received. */
  async function receive(raw: string): Promise<void> {
    const before = wire.length;
    await api.redis.clients.client.publish(config.general.channel, raw);
    await until(() => wire.length > before);
  }

  function expectNothingPrivate(...texts: string[]): void {
    const logged = JSON.stringify(logs.lines);
    for (const text of texts) expect(logged).not.toContain(text);
  }

  /** The id of the call of this method, once it has arrived. */
  function idOfCall(name: string): Promise<string> {
    return until(
      () =>
        wire.map((raw) => JSON.parse(raw)).find(({ method }) => method === name)
          ?.messageId as string,
    );
  }

  /** The call of `api.method` that this test made, and the answer to it, as they are on the wire. */
  async function exchange(): Promise<[any, any]> {
    return until(() => {
      const messages = wire.map((raw) => JSON.parse(raw));
      const call = messages.find(({ method }) => method === "api.method");
      const answer = messages.find(
        ({ messageType, messageId }) =>
          messageType === "doResponse" && messageId === call?.messageId,
      );
      return answer && [call, answer];
    });
  }

  describe("publish", () => {
    test("reaches this node and tells how many subscribers there are", async () => {
      const received: unknown[] = [];
      api.redis.subscriptionHandlers.mine = (message) => received.push(message);
      const message = {
        messageType: "mine",
        serverToken: config.general.serverToken,
        text: "é",
      };
      expect(await redis.publish(message)).toBe(1);
      await until(() => received.length > 0);
      expect(received).toEqual([message]);
    });

    test("without a connection it resolves with nothing and logs the kind of the message, not its content", async () => {
      const client = api.redis.clients.client as { status?: string };
      const { status } = client;
      client.status = "end";
      try {
        const { serverToken } = config.general;
        const chat = { messageType: "chat", serverToken, message: "private" };
        expect(await redis.publish(chat)).toBeUndefined();
        expect(logs.lines).toEqual([
          expect.objectContaining({
            message: "cannot send message, redis disconnected",
            level: "error",
            channel: "actionhero",
            messageType: "chat",
          }),
        ]);
        expectNothingPrivate(serverToken, "private");
        await expect(
          redis.doCluster("api.method", [], undefined, true),
        ).rejects.toMatchObject({ code: "AH_REDIS_TIMEOUT" });
      } finally {
        client.status = status;
      }
    });
  });

  describe("a call", () => {
    test("has the envelope of version 29, and so has its answer", async () => {
      open.method = (a: number, b: number) => a + b;
      await redis.doCluster("api.method", [1, 2], undefined, true);
      const [call, answer] = await exchange();
      const { serverToken } = config.general;
      expect(Object.entries(call)).toEqual([
        ["messageType", "do"],
        ["serverId", id],
        ["serverToken", serverToken],
        ["messageId", expect.stringMatching(UUID)],
        ["method", "api.method"],
        ["args", [1, 2]],
      ]);
      expect(Object.entries(answer)).toEqual([
        ["messageType", "doResponse"],
        ["serverId", id],
        ["serverToken", serverToken],
        ["messageId", call.messageId],
        ["response", 3],
      ]);
    });

    test("names its connection, and an answer of nothing has no response", async () => {
      open.method = () => undefined;
      api.connections = { table: { find: () => ({}) } } as never;
      await expect(
        redis.doCluster("api.method", [], "a b", true),
      ).resolves.toBeUndefined();
      const [call, answer] = await exchange();
      expect(call.connectionId).toBe("a b");
      expect(Object.keys(answer)).not.toContain("response");
    });

    test("a call for a connection of another node runs nothing here", async () => {
      open.method = jest.fn();
      api.connections = { table: new ConnectionTable() } as never;
      await shortly(async () => {
        for (const connectionId of ["elsewhere", "__proto__", "toString"])
          await expect(
            redis.doCluster("api.method", [], connectionId, true),
          ).rejects.toThrow("RPC Timeout");
      });
      expect(open.method).not.toHaveBeenCalled();
    });

    test("that does not wait resolves with the number of nodes, and is answered all the same", async () => {
      open.method = () => "done";
      expect(await redis.doCluster("api.method")).toBe(1);
      expect((await exchange())[1]).toMatchObject({ response: "done" });
    });

    test("takes arguments that are not a list as one, and null as none", async () => {
      open.method = jest.fn();
      const call = { messageType: "do", method: "api.method", messageId: "1" };
      const send = (args: unknown) =>
        redis.publish({
          ...call,
          args,
          serverToken: config.general.serverToken,
        });
      await send({ a: 1 });
      await send(null);
      await until(() => open.method.mock.calls.length === 2);
      expect(open.method.mock.calls).toEqual([[{ a: 1 }], []]);
    });

    test("uses the method as it is when the message arrives, with its owner", async () => {
      open.method = { name: "owner", ask: () => "before" };
      open.method.ask = function (this: { name: string }) {
        return this.name;
      };
      await expect(
        redis.doCluster("api.method.ask", [], undefined, true),
      ).resolves.toBe("owner");
    });

    test("can log on every node", async () => {
      await joinCluster();
      await until(() =>
        logs.lines.some(
          ({ message }) =>
            message === `actionhero member ${id} has joined the cluster`,
        ),
      );
    });
  });

  describe("errors", () => {
    const call = (method = "api.method") =>
      redis.doCluster(method, [], undefined, true);

    test("that the method throws reach the caller", async () => {
      open.method = () => {
        throw new TypeError("no such thing");
      };
      const error = (await call().catch(
        (e: ActionheroError) => e,
      )) as ActionheroError;
      expect(error).toBeInstanceOf(ActionheroError);
      expect(String(error)).toBe("Error: no such thing");
      expect(error.code).toBe("AH_RPC_REMOTE");
      const [, answer] = await exchange();
      expect(answer.error).toEqual({ message: "no such thing" });
      expect(answer).not.toHaveProperty("response");
    });

    test("of the framework keep their code, those of others are beside it", async () => {
      open.method = async () => {
        throw new ActionheroError("AH_CHAT", "room exists");
      };
      await expect(call()).rejects.toMatchObject({ code: "AH_CHAT" });
      open.method = async () => {
        throw Object.assign(new Error("gone"), { code: "ENOENT" });
      };
      await expect(call()).rejects.toMatchObject({
        code: "AH_RPC_REMOTE",
        data: { remoteCode: "ENOENT" },
      });
    });

    test("come from whatever is thrown", async () => {
      open.method = () => {
        throw "a text"; // eslint-disable-line @typescript-eslint/only-throw-error
      };
      await expect(call()).rejects.toThrow("a text");
      open.method = async () => {
        throw null; // eslint-disable-line @typescript-eslint/only-throw-error
      };
      await expect(call()).rejects.toThrow("null");
    });

    test("of results that cannot be sent reach the caller", async () => {
      open.method = () => ({ big: 1n });
      await expect(call()).rejects.toThrow("BigInt");
      const circle: Record<string, unknown> = {};
      open.method = () => Object.assign(circle, { circle });
      await expect(call()).rejects.toThrow("circular");
    });

    test("of arguments that cannot be sent are the caller's at once", async () => {
      await expect(
        redis.doCluster("api.method", [1n], undefined, true),
      ).rejects.toThrow("BigInt");
    });

    test("of methods outside of api reach the caller", async () => {
      await expect(call("process.exit")).rejects.toThrow(
        "cannot operate on a method outside of the api object",
      );
    });

    test("an unknown method is logged, and the caller gives up after rpcTimeout", async () => {
      const error = (await shortly(() =>
        call().catch((e: ActionheroError) => e),
      )) as ActionheroError;
      expect(String(error)).toBe("Error: RPC Timeout");
      expect(error.code).toBe("AH_RPC_TIMEOUT");
      expect(logs.at("crit", /^RPC method `method` not found$/)).toEqual([
        expect.anything(),
      ]);
    });

    test("names of the language are unknown methods", async () => {
      const names = [
        "api.constructor",
        "api.toString",
        "api.__proto__.toString",
        "api.redis.constructor.constructor",
        "api.redis.clients.__proto__.__defineGetter__",
        "api.log.call",
        "api.log.constructor",
        "api.",
        "api..",
        "api",
      ];
      await shortly(() =>
        Promise.all(
          names.map((name) =>
            expect(call(name)).rejects.toThrow("RPC Timeout"),
          ),
        ),
      );
      expect(logs.at("crit", /not found$/)).toHaveLength(names.length);
    });

    test("the first answer is the one, of whatever kind", async () => {
      let reply: (value: unknown) => void = () => undefined;
      open.method = () => new Promise((resolve) => (reply = resolve));
      const outcome = call().catch((error) => error);
      const answer = {
        messageType: "doResponse",
        serverToken: config.general.serverToken,
        messageId: await idOfCall("api.method"),
      };
      await redis.publish({ ...answer, error: { message: "not me" } });
      expect(String(await outcome)).toBe("Error: not me");
      reply("too late");
      await until(() => wire.some((raw) => raw.includes("too late")));
    });

    test("malformed replies are errors, or are ignored", async () => {
      const answer = {
        messageType: "doResponse",
        serverToken: config.general.serverToken,
      };
      for (const [error, text] of [
        ["text", "text"],
        [17, "17"],
        [{ message: { deep: 1 } }, '{"deep":1}'],
        [{ message: "m", code: "__proto__" }, "m"],
        [{ message: "m", code: ["AH_CHAT"] }, "m"],
      ]) {
        wire = [];
        const outcome = redis
          .doCluster<any>("api.never", [], undefined, true)
          .catch((e: Error) => e);
        const messageId = await idOfCall("api.never");
        await redis.publish({ ...answer, messageId, error });
        expect((await outcome).message).toBe(text);
      }
      for (const messageId of [undefined, null, "__proto__", "constructor", {}])
        await receive(JSON.stringify({ ...answer, messageId, response: 1 }));
      expect(logs.matching(/failed/)).toEqual([]);
    });
  });

  describe("messages that are not for us", () => {
    test.each([
      ["no JSON", "{"],
      ["nothing", ""],
      ["null", "null"],
      ["a number", "17"],
      ["a list", "[]"],
      ["without a token", '{"messageType":"do","method":"api.method"}'],
      [
        "of another token",
        '{"messageType":"do","method":"api.method","serverToken":"foreign"}',
      ],
    ])("%s: ignored, with a debug line", async (_title, raw) => {
      open.method = jest.fn();
      await receive(raw);
      expect(open.method).not.toHaveBeenCalled();
      expect(logs.lines).toEqual([
        expect.objectContaining({
          message:
            "ignored a message that is malformed, or from another cluster",
          level: "debug",
          channel: "actionhero",
        }),
      ]);
      expectNothingPrivate(...(raw.match(/foreign/g) ?? []));
    });

    test("a message of a type without a handler is ignored, names of the language included", async () => {
      const { serverToken } = config.general;
      for (const messageType of ["other", "__proto__", "toString", 7, null])
        await receive(JSON.stringify({ messageType, serverToken }));
      expect(
        logs.matching(/ignored a message that is of a type without a handler/),
      ).toHaveLength(5);
      expect(logs.lines).toHaveLength(5);
    });

    test("of an ignored message only the type is logged, not its content or the token of the cluster", async () => {
      const { serverToken } = config.general;
      const messageType = "x".repeat(100_000);
      const chat = { messageType: "chat", serverToken, message: "private" };
      await receive(JSON.stringify({ ...chat, messageType }));
      const { maxLogStringLength } = config.logger;
      expect(logs.lines[0].messageType).toHaveLength(maxLogStringLength);
      await receive(JSON.stringify(chat).slice(0, -1));
      api.redis.subscriptionHandlers.chat = incomingMessage as () => void;
      await receive(JSON.stringify(chat));
      delete api.redis.subscriptionHandlers.chat;
      expect(logs.matching(/^ignored a malformed chat message$/)).toHaveLength(
        1,
      );
      expect(logs.lines).toHaveLength(3);
      expectNothingPrivate(serverToken, "private");
    });

    test("users have channels of their own on the same connection", async () => {
      const { subscriber, client } = api.redis.clients;
      const received: string[][] = [];
      const listen = (...message: string[]) => received.push(message);
      subscriber.on("message", listen);
      await subscriber.subscribe("of a user");
      await client.publish("of a user", "hello");
      await until(() => received.length > 0);
      expect(received).toEqual([["of a user", "hello"]]);
      subscriber.off("message", listen);
      await subscriber.unsubscribe("of a user");
      expect(logs.lines).toEqual([]);
    });
  });

  describe("handlers that fail", () => {
    test.each([
      [
        "by throwing",
        () => {
          throw new Error("broken");
        },
      ],
      ["by rejecting", () => Promise.reject(new Error("broken"))],
      [
        "in a promise of another make",
        () => ({
          then: (_: unknown, reject: (e: Error) => void) =>
            reject(new Error("broken")),
        }),
      ],
    ])(
      "%s: logged, and the next message is handled",
      async (_title, handler) => {
        const { serverToken } = config.general;
        const handled = jest.fn();
        api.redis.subscriptionHandlers.broken = handler;
        api.redis.subscriptionHandlers.good = handled;
        await redis.publish({ messageType: "broken", serverToken });
        await redis.publish({ messageType: "good", serverToken });
        await until(() => handled.mock.calls.length > 0);
        await until(() => logs.lines.length > 0);
        expect(logs.lines).toEqual([
          expect.objectContaining({
            message: "the handler of `broken` messages failed: Error: broken",
            level: "error",
          }),
        ]);
      },
    );
  });

  /** With an `rpcTimeout` that a test can wait for. */
  async function shortly<T>(work: () => Promise<T>): Promise<T> {
    const { rpcTimeout } = config.general;
    config.general.rpcTimeout = 100;
    try {
      return await work();
    } finally {
      config.general.rpcTimeout = rpcTimeout;
    }
  }
});
