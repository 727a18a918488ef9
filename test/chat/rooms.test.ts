process.env.PORT = "0";

import {
  action,
  api,
  chatRoom,
  config,
  Process,
  type ChatMiddleware,
} from "../../src/index";
import { pass } from "../support/clock";
import { describeOnEachEngine } from "../support/engines";
import { MemoryServer, type MemoryClient } from "../support/memoryServer";
import { until } from "../support/until";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

describeOnEachEngine("chat rooms", (engine) => {
  const server = new Process();
  let memory: MemoryServer;
  const clients: MemoryClient[] = [];

  beforeAll(async () => {
    await server.start();
    memory = new MemoryServer().install();
  });

  afterEach(async () => {
    api.chatRoom.middleware = {};
    api.chatRoom.globalMiddleware = [];
    for (const client of clients.splice(0)) await client.quit();
    for (const room of await chatRoom.list())
      if (!["defaultRoom", "otherRoom"].includes(room))
        await chatRoom.destroy(room);
  });

  afterAll(() => server.stop());

  async function connect(...rooms: string[]): Promise<MemoryClient> {
    const client = await memory.connect();
    clients.push(client);
    for (const room of rooms) await client.verb("roomAdd", room);
    return client;
  }

  function stored(room: string): Promise<Record<string, string>> {
    return engine.client().hgetall(`actionhero:chatRoom:members:${room}`);
  }

  describe("rooms", () => {
    test("the starting rooms exist after the start", async () => {
      expect((await chatRoom.list()).sort()).toEqual([
        "defaultRoom",
        "otherRoom",
      ]);
      expect(await chatRoom.exists("defaultRoom")).toBe(true);
    });

    test("a second start does not change the starting rooms and their members", async () => {
      const client = await connect("defaultRoom");
      await api.redis.clients.client.hset(
        "actionhero:chatRoom:members:defaultRoom",
        "far",
        JSON.stringify({ id: "far", joinedAt: 1, host: "another" }),
      );
      await chatRoom.list();
      const { members } = await chatRoom.roomStatus("defaultRoom");
      expect(Object.keys(members).sort()).toEqual(["far", client.id].sort());
      await engine
        .client()
        .hdel("actionhero:chatRoom:members:defaultRoom", "far");
    });

    test("a room is created once", async () => {
      expect(await chatRoom.add("new")).toBe(1);
      await expect(chatRoom.add("new")).rejects.toThrow("room exists");
      expect(await chatRoom.exists("new")).toBe(true);
      expect(await chatRoom.list()).toContain("new");
      expect(
        await engine.client().sismember("actionhero:chatRoom:rooms", "new"),
      ).toBe(1);
    });

    test("of many concurrent calls, one creates the room", async () => {
      const results = await Promise.allSettled(
        Array.from({ length: 50 }, () => chatRoom.add("raced")),
      );
      const made = results.filter(({ status }) => status === "fulfilled");
      expect(made).toHaveLength(1);
    });

    test("a name is required", async () => {
      for (const name of [undefined, null, "", {}, []])
        await expect(chatRoom.add(name as string)).rejects.toThrow(
          "a room is required",
        );
    });

    test("a missing room cannot be destroyed, joined or viewed", async () => {
      const client = await connect();
      const error = "room does not exist";
      await expect(chatRoom.destroy("none")).rejects.toThrow(error);
      await expect(client.verb("roomAdd", "none")).rejects.toThrow(error);
      await expect(chatRoom.roomStatus("none")).rejects.toThrow(error);
      await expect(chatRoom.roomStatus("")).rejects.toThrow(
        "a room is required",
      );
      expect(client.connection.rooms).toEqual([]);
      expect(await stored("none")).toEqual({});
    });

    test("the members of a destroyed room are notified, and have left when it resolves", async () => {
      await chatRoom.add("doomed");
      const one = await connect("doomed");
      const other = await connect("doomed");
      await chatRoom.destroy("doomed");
      expect(one.connection.rooms).toEqual([]);
      expect(other.connection.rooms).toEqual([]);
      expect(await chatRoom.exists("doomed")).toBe(false);
      expect(await stored("doomed")).toEqual({});
      for (const client of [one, other])
        expect(client.messages).toEqual([
          expect.objectContaining({
            message: "this room has been deleted",
            room: "doomed",
            from: "0",
            context: "user",
          }),
        ]);
    });

    test("are created by joining, if configured", async () => {
      config.general.autoCreateChatRooms = true;
      const clients = [await connect(), await connect()];
      await Promise.all(clients.map((one) => one.verb("roomAdd", "ad hoc")));
      expect(await chatRoom.exists("ad hoc")).toBe(true);
      expect(await chatRoom.roomStatus("ad hoc")).toMatchObject({
        membersCount: 2,
      });
      await expect(clients[0].verb("roomAdd", "")).rejects.toThrow(
        "a room is required",
      );
    });

    test("take a limited number of bytes of a client per second: general.maxChatBytesPerSecond", async () => {
      config.general.maxChatBytesPerSecond = 10;
      const loud = await connect("defaultRoom");
      const other = await connect("defaultRoom");
      const say = (text: string, client = loud) =>
        client.verb("say", "defaultRoom", text);
      const refusal = { code: 429 };
      await say("12345");
      await expect(say("123456")).rejects.toMatchObject(refusal);
      await expect(say("äöü")).rejects.toMatchObject(refusal);
      await say("12345");
      await say("0123456789", other);
      pass(1_000);
      await say("0123456789");
      pass(1_000);
      await expect(say("0123456789!")).rejects.toMatchObject(refusal);
    });

    test("are not made without end: general.maxChatRooms", async () => {
      config.general.autoCreateChatRooms = true;
      config.general.maxChatRooms = 3; // two are there from the start
      await chatRoom.add("third");
      await expect(chatRoom.add("fourth")).rejects.toThrow(
        "too many chat rooms (limit 3)",
      );
      await expect(chatRoom.add("third")).rejects.toThrow("room exists");
      await expect(connect("fourth")).rejects.toThrow(
        "too many chat rooms (limit 3)",
      );
      await expect(
        action.run("createChatRoom", 1, { name: "fourth" }),
      ).rejects.toThrow("too many chat rooms (limit 3)");
      expect(await chatRoom.exists("fourth")).toBe(false);
      await connect("third");
    });

    test("are not joined without end: general.maxRoomsPerConnection", async () => {
      config.general.maxRoomsPerConnection = 1;
      await chatRoom.add("other");
      const client = await connect("defaultRoom");
      await expect(client.verb("roomAdd", "other")).rejects.toThrow(
        "too many rooms (limit 1)",
      );
      await chatRoom.addMember(client.id, "other"); // the server knows what it does
      expect(client.connection.rooms).toEqual(["defaultRoom", "other"]);
      await client.verb("roomLeave", "defaultRoom");
      await client.verb("roomLeave", "other");
      await client.verb("roomAdd", "other");
    });

    test("an action can create a room", async () => {
      expect(await action.run("createChatRoom", 1, { name: "made" })).toEqual({
        name: "made",
        didCreate: true,
      });
      expect(await action.run("createChatRoom", 1, { name: "made" })).toEqual({
        name: "made",
        didCreate: false,
      });
      await expect(
        action.run("createChatRoom", 1, { name: { a: 1 } }),
      ).rejects.toThrow("a room is required");
    });
  });

  describe("members", () => {
    test("redis holds the same keys as with version 29", async () => {
      const before = Date.now();
      const client = await connect("defaultRoom");
      const { [client.id]: text } = await stored("defaultRoom");
      expect(JSON.parse(text)).toEqual({
        id: client.id,
        joinedAt: expect.any(Number),
        host: config.process.id,
      });
      expect(Object.keys(JSON.parse(text))).toEqual(["id", "joinedAt", "host"]);
      expect(JSON.parse(text).joinedAt).toBeGreaterThanOrEqual(before);
    });

    describe("roomView by many clients at once", () => {
      const { roomStatus } = chatRoom;
      let reads: string[];
      /** Called while a read runs, before it looks. */
      let onRead: () => unknown;

      beforeEach(() => {
        reads = [];
        onRead = () => undefined;
        api.chatRoom.roomStatus = async (room) => {
          reads.push(room);
          await onRead();
          return roomStatus(room);
        };
      });

      afterEach(() => {
        api.chatRoom.roomStatus = roomStatus;
      });

      const viewed = (client: MemoryClient, room = "defaultRoom") =>
        client.verb("roomView", room);

      test("reads a room twice at most: for the first, and for all others", async () => {
        const members = await Promise.all(
          Array.from({ length: 20 }, () => connect("defaultRoom")),
        );
        const views = await Promise.all(members.map((one) => viewed(one)));
        expect([1, 2]).toContain(reads.length);
        for (const { membersCount } of views) expect(membersCount).toBe(20);
      });

      test("shows each client what it has done before", async () => {
        const first = await connect("defaultRoom");
        const late = await connect();
        let lateView: Promise<any> | undefined;
        onRead = async () => {
          onRead = () => undefined;
          await late.verb("roomAdd", "defaultRoom");
          lateView = viewed(late);
        };
        await viewed(first);
        expect((await lateView).members).toHaveProperty(late.id);
      });

      test("reads other rooms meanwhile, and goes on after an error", async () => {
        const [one, two] = [
          await connect("defaultRoom"),
          await connect("otherRoom"),
        ];
        let release = () => undefined as void;
        onRead = () =>
          reads.at(-1) === "defaultRoom" &&
          new Promise<void>((resolve) => (release = resolve));
        const held = viewed(one);
        await until(() => reads.length === 1);
        expect(await viewed(two, "otherRoom")).toMatchObject({
          room: "otherRoom",
        });
        onRead = () => {
          throw new Error("no");
        };
        const failing = expect(viewed(one)).rejects.toThrow("no");
        release();
        expect(await held).toMatchObject({ room: "defaultRoom" });
        await failing;
        onRead = () => undefined;
        expect(await viewed(one)).toMatchObject({ membersCount: 1 });
      });
    });

    test("roomView shows them to members only, without their host", async () => {
      const client = await connect("defaultRoom");
      const other = await connect("otherRoom");
      const status = await client.verb("roomView", "defaultRoom");
      expect(status).toEqual({
        room: "defaultRoom",
        membersCount: 1,
        members: {
          [client.id]: { id: client.id, joinedAt: expect.any(Number) },
        },
      });
      await expect(other.verb("roomView", "defaultRoom")).rejects.toThrow(
        "connection not in this room (defaultRoom)",
      );
    });

    test("the details can be replaced", async () => {
      const { generateMemberDetails, sanitizeMemberDetails } = chatRoom;
      chatRoom.generateMemberDetails = async ({ id }) => ({
        id,
        joinedAt: 5,
        name: "Ada",
      });
      chatRoom.sanitizeMemberDetails = async ({ id, joinedAt, name }) => ({
        id,
        joinedAt,
        name,
      });
      try {
        const { id } = await connect("defaultRoom");
        const { members } = await chatRoom.roomStatus("defaultRoom");
        expect(members[id]).toEqual({ id, joinedAt: 5, name: "Ada" });
        // what finds the members of a lost server
        const { [id]: text } = await stored("defaultRoom");
        expect(JSON.parse(text)).toHaveProperty("host", config.process.id);
      } finally {
        Object.assign(chatRoom, {
          generateMemberDetails,
          sanitizeMemberDetails,
        });
      }
    });

    test("joining twice and leaving twice are refused", async () => {
      const client = await connect("defaultRoom");
      await expect(client.verb("roomAdd", "defaultRoom")).rejects.toThrow(
        "connection already in this room (defaultRoom)",
      );
      expect(await client.verb("roomLeave", "defaultRoom")).toBe(true);
      await expect(client.verb("roomLeave", "defaultRoom")).rejects.toThrow(
        "connection not in this room (defaultRoom)",
      );
      expect(client.connection.rooms).toEqual([]);
      expect(await stored("defaultRoom")).toEqual({});
    });

    test("of two concurrent joins, one is refused", async () => {
      const client = await connect();
      const results = await Promise.allSettled([
        client.verb("roomAdd", "defaultRoom"),
        client.verb("roomAdd", "defaultRoom"),
      ]);
      expect(results.map(({ status }) => status).sort()).toEqual([
        "fulfilled",
        "rejected",
      ]);
      expect(client.connection.rooms).toEqual(["defaultRoom"]);
    });

    test("a connection leaves its rooms when it is destroyed", async () => {
      const client = await connect("defaultRoom", "otherRoom");
      await client.quit();
      expect(await stored("defaultRoom")).toEqual({});
      expect(await stored("otherRoom")).toEqual({});
      expect(api.chatRoom.index.rooms).toEqual([]);
    });
  });

  describe("talk", () => {
    test("every member, including the sender, receives it", async () => {
      const sender = await connect("defaultRoom");
      const member = await connect("defaultRoom");
      const outsider = await connect("otherRoom");
      const before = Date.now();
      expect(
        await sender.verb("say", "defaultRoom", "hello", "there"),
      ).toBeUndefined();
      for (const client of [sender, member]) {
        const [message] = await client.received(1);
        expect(message).toEqual({
          message: "hello there",
          room: "defaultRoom",
          from: sender.id,
          context: "user",
          sentAt: expect.any(Number),
        });
        expect(Object.keys(message)).toEqual([
          "message",
          "room",
          "from",
          "context",
          "sentAt",
        ]);
        expect(message.sentAt).toBeGreaterThanOrEqual(before);
      }
      expect(outsider.messages).toEqual([]);
    });

    test("the server can send messages of any type", async () => {
      const member = await connect("defaultRoom");
      await chatRoom.broadcast({}, "defaultRoom", { deep: ["a"] });
      await chatRoom.broadcast(null, "defaultRoom", "b");
      const messages = await member.received(2);
      expect(member.said).toEqual([{ deep: ["a"] }, "b"]);
      expect(messages.map(({ from }) => from)).toEqual(["0", "0"]);
    });

    test("0, false and an empty text are messages", async () => {
      const member = await connect("defaultRoom");
      for (const message of [0, false, ""])
        await chatRoom.broadcast(null, "defaultRoom", message);
      await member.received(3);
      expect(member.said).toEqual([0, false, ""]);
    });

    engine.only(
      "redis",
      "as the embedded engine has no connection that could be cut",
      () => {
        test("an acknowledged message reaches local members, also while the subscriber reconnects", async () => {
          const member = await connect("defaultRoom");
          const { subscriber } = api.redis.clients;
          const { retryStrategy } = subscriber.options;
          subscriber.options.retryStrategy = () => 300;
          const closed = new Promise((resolve) =>
            subscriber.once("close", resolve),
          );
          await engine.client().call("CLIENT", "KILL", "TYPE", "pubsub");
          await closed;
          await Promise.all(
            Array.from({ length: 20 }, (_, i) =>
              chatRoom.broadcast(null, "defaultRoom", i),
            ),
          );
          subscriber.options.retryStrategy = retryStrategy;
          await member.received(20);
          expect(member.said).toHaveLength(20);
        });

        test("a message published while the subscriber is disconnected is not acknowledged", async () => {
          const { subscriber, client } = api.redis.clients;
          // the script that publishes returns the time when one subscriber was reached
          const publish = jest
            .spyOn(client, "evalsha")
            .mockImplementation(async () => {
              subscriber.emit("close");
              return Date.now();
            });
          const said = chatRoom.broadcast(null, "defaultRoom", "lost");
          await expect(said).rejects.toMatchObject({
            code: "AH_REDIS_TIMEOUT",
          });
          publish.mockRestore();
          const member = await connect("defaultRoom");
          await chatRoom.broadcast(null, "defaultRoom", "heard");
          await member.received(1);
          expect(member.said).toEqual(["heard"]);
        });
      },
    );

    test("room and message are required, and only members can send", async () => {
      const client = await connect("otherRoom");
      const both = "both room and message are required";
      await expect(chatRoom.broadcast({}, "", "a")).rejects.toThrow(both);
      for (const message of [null, undefined])
        await expect(chatRoom.broadcast({}, "a", message)).rejects.toThrow(
          both,
        );
      await expect(client.verb("say", "otherRoom", "")).rejects.toThrow(both);
      await expect(client.verb("say", "otherRoom")).rejects.toThrow(both);
      await expect(client.verb("say")).rejects.toThrow(both);
      await expect(client.verb("say", "defaultRoom", "hi")).rejects.toThrow(
        "connection not in this room (defaultRoom)",
      );
    });

    test.each([false, true])(
      "who talks while redis is away hears of it (a channel per room: %p)",
      async (isPerRoom) => {
        const client = await connect("defaultRoom");
        const connection = api.redis.clients.client as { status?: string };
        const { status } = connection;
        const away = new Error("away");
        const command = engine.embedded ? "publish" : "evalsha";
        const publish = jest
          .spyOn(api.redis.clients.client, command)
          .mockRejectedValue(away);
        config.redis.chatChannelPerRoom = isPerRoom;
        if (!isPerRoom) connection.status = "end";
        try {
          await expect(client.verb("say", "defaultRoom", "hi")).rejects.toThrow(
            isPerRoom ? "away" : "redis is disconnected",
          );
        } finally {
          publish.mockRestore();
          connection.status = status;
        }
      },
    );

    test("the envelope is that of v29", async () => {
      const heard: string[] = [];
      const subscriber = engine.client().duplicate();
      subscriber.on("message", (_channel, text) => heard.push(text));
      await subscriber.subscribe(config.general.channel);
      const client = await connect("defaultRoom");
      await client.verb("say", "defaultRoom", "hi");
      const [{ sentAt }] = await client.received(1);
      const [text] = heard.filter((one) => one.includes('"chat"'));
      expect(text).toBe(
        JSON.stringify({
          messageType: "chat",
          serverToken: config.general.serverToken,
          serverId: config.process.id,
          message: "hi",
          sentAt,
          connection: { id: client.id, room: "defaultRoom" },
        }),
      );
      subscriber.disconnect();
    });

    test("a project can replace the function that builds the payload", async () => {
      const { generateMessagePayload } = api.chatRoom;
      api.chatRoom.generateMessagePayload = ({ connection }) => ({
        thing: "stuff",
        room: connection.room,
        from: connection.id,
      });
      try {
        const client = await connect("defaultRoom");
        await chatRoom.broadcast({}, "defaultRoom", "hi");
        expect(await client.received(1)).toEqual([
          { thing: "stuff", room: "defaultRoom", from: "0" },
        ]);
      } finally {
        api.chatRoom.generateMessagePayload = generateMessagePayload;
      }
    });
  });

  describe("middleware", () => {
    const use = (middleware: ChatMiddleware) =>
      chatRoom.addMiddleware(middleware);

    test("a name is required", async () => {
      await expect(use({} as ChatMiddleware)).rejects.toThrow(
        "middleware.name is required",
      );
    });

    test("is there before the promise resolves, and runs by priority", async () => {
      const ran: string[] = [];
      const join = (name: string) => async () => void ran.push(name);
      void use({ name: "late", priority: 1000, join: join("late") });
      void use({ name: "early", priority: 1, join: join("early") });
      void use({ name: "normal", join: join("normal") });
      expect(api.chatRoom.globalMiddleware).toEqual([
        "early",
        "normal",
        "late",
      ]);
      expect(api.chatRoom.middleware.normal.priority).toBe(100);
      await connect("defaultRoom");
      expect(ran).toEqual(["early", "normal", "late"]);
    });

    test("sees a client that joins before it is a member, and one that leaves while it still is", async () => {
      const rooms: string[][] = [];
      const note = (connection: any) => void rooms.push([...connection.rooms]);
      await use({ name: "note", join: note, leave: note });
      const client = await connect("defaultRoom");
      await client.verb("roomLeave", "defaultRoom");
      expect(rooms).toEqual([[], ["defaultRoom"]]);
    });

    test("the broadcast of a join hook reaches earlier members, but not the client that joins", async () => {
      await use({
        name: "announce",
        join: (_connection, room) => chatRoom.broadcast(null, room, "joined"),
      });
      const clients = [];
      for (let i = 1; i <= 5; i++) clients.push(await connect("defaultRoom"));
      await chatRoom.broadcast(null, "defaultRoom", "last");
      for (const [i, client] of clients.entries()) {
        const received = await client.received(5 - i);
        expect(received.map(({ message }) => message as string)).toEqual([
          ...Array<string>(4 - i).fill("joined"),
          "last",
        ]);
      }
    });

    test("can keep one out, and leaves no trace of it", async () => {
      await use({
        name: "guard",
        join: () => {
          throw new Error("joining rooms blocked");
        },
      });
      const client = await connect();
      await expect(client.verb("roomAdd", "defaultRoom")).rejects.toThrow(
        "joining rooms blocked",
      );
      expect(client.connection.rooms).toEqual([]);
      expect(await stored("defaultRoom")).toEqual({});
      expect(api.chatRoom.index.rooms).toEqual([]);
    });

    test("can keep one in, unless it is disconnected", async () => {
      await use({
        name: "hotel",
        leave: async () => {
          throw new Error("you can never leave");
        },
      });
      const client = await connect("defaultRoom");
      await expect(client.verb("roomLeave", "defaultRoom")).rejects.toThrow(
        "you can never leave",
      );
      expect(client.connection.rooms).toEqual(["defaultRoom"]);

      await client.quit();
      expect(client.connection.rooms).toEqual([]);
      expect(await stored("defaultRoom")).toEqual({});
      expect(api.chatRoom.index.rooms).toEqual([]);
      expect(api.connections.connections[client.id]).toBeUndefined();
    });

    test("that refuses a pending leave of a disconnecting client does not keep the client", async () => {
      const gate = deferred();
      const entered = deferred();
      await use({
        name: "slow",
        leave: async () => {
          entered.resolve();
          await gate.promise;
          throw new Error("no");
        },
      });
      const client = await connect("defaultRoom");
      const leaving = client.verb("roomLeave", "defaultRoom");
      leaving.catch(() => undefined);
      await entered.promise;
      const quitting = client.quit();
      gate.resolve();
      await expect(leaving).rejects.toThrow("no");
      await quitting;
      expect(await stored("defaultRoom")).toEqual({});
      expect(api.chatRoom.index.rooms).toEqual([]);
    });

    test("that lets one in who has gone in the meantime leaves no member", async () => {
      const gate = deferred();
      const entered = deferred();
      await use({
        name: "slow",
        join: async () => {
          entered.resolve();
          await gate.promise;
        },
      });
      const client = await connect();
      const joining = client.verb("roomAdd", "defaultRoom");
      joining.catch(() => undefined);
      await entered.promise;
      await client.quit();
      gate.resolve();
      await expect(joining).rejects.toThrow("the connection is closed");
      expect(await stored("defaultRoom")).toEqual({});
      expect(api.chatRoom.index.rooms).toEqual([]);
    });

    test("a room that is destroyed during a join keeps no member", async () => {
      const gate = deferred();
      const entered = deferred();
      await chatRoom.add("doomed");
      await use({
        name: "slow",
        join: async () => {
          entered.resolve();
          await gate.promise;
        },
      });
      const client = await connect();
      const joining = client.verb("roomAdd", "doomed");
      joining.catch(() => undefined);
      await entered.promise;
      await chatRoom.destroy("doomed");
      gate.resolve();
      await expect(joining).rejects.toThrow("room does not exist");
      expect(client.connection.rooms).toEqual([]);
      expect(await stored("doomed")).toEqual({});
    });

    test("a refusal to leave keeps the room, and only those who refused", async () => {
      await chatRoom.add("kept");
      const stubborn = await connect("kept");
      const others = [await connect("kept"), await connect("kept")];
      await use({
        name: "hotel",
        leave: ({ id }) => {
          if (id === stubborn.id) throw new Error("not me");
        },
      });
      await expect(chatRoom.destroy("kept")).rejects.toThrow("not me");
      expect(await chatRoom.exists("kept")).toBe(true);
      expect(Object.keys(await stored("kept"))).toEqual([stubborn.id]);
      for (const other of others) expect(other.connection.rooms).toEqual([]);
    });

    test("middleware gives each recipient its own payload", async () => {
      await use({
        name: "personal",
        say: (connection, _room, payload) => {
          payload.message += ` for ${connection.id}`;
          return payload;
        },
      });
      const members = [
        await connect("defaultRoom"),
        await connect("defaultRoom"),
      ];
      await chatRoom.broadcast({}, "defaultRoom", "hi");
      for (const member of members) {
        await member.received(1);
        expect(member.said).toEqual([`hi for ${member.id}`]);
      }
    });

    test("can withhold a message from one recipient", async () => {
      const deaf = await connect("defaultRoom");
      const other = await connect("defaultRoom");
      await use({
        name: "filter",
        say: ({ id }, _room, payload) =>
          id === deaf.id && payload.message === "secret" ? null : payload,
      });
      await chatRoom.broadcast({}, "defaultRoom", "secret");
      await chatRoom.broadcast({}, "defaultRoom", "open");
      await other.received(2);
      await deaf.received(1);
      expect(deaf.said).toEqual(["open"]);
      expect(other.said).toEqual(["secret", "open"]);
    });

    test("can withhold or change a message for all, where its sender is", async () => {
      const seen: any[] = [];
      const sender = await connect("defaultRoom");
      await use({
        name: "censor",
        onSayReceive: async (connection, _room, payload) => {
          seen.push(connection);
          if (payload.message === "bad") return undefined;
          payload.message = payload.message.toUpperCase();
          return payload;
        },
      });
      await sender.verb("say", "defaultRoom", "bad");
      await sender.verb("say", "defaultRoom", "good");
      await chatRoom.broadcast(null, "defaultRoom", "mine");
      await sender.received(2);
      expect(sender.said).toEqual(["GOOD", "MINE"]);
      expect(seen).toEqual([sender.connection, sender.connection, {}]);
    });

    test("a payload withheld by one is not shown to the next", async () => {
      const next = jest.fn((_connection, _room, payload) => payload);
      await use({ name: "first", priority: 1, onSayReceive: () => null });
      await use({ name: "second", priority: 2, onSayReceive: next });
      await chatRoom.broadcast({}, "defaultRoom", "hi");
      expect(next).not.toHaveBeenCalled();
    });

    test("middleware that throws withholds the message from one recipient only", async () => {
      const one = await connect("defaultRoom");
      const other = await connect("defaultRoom");
      await use({
        name: "broken",
        say: ({ id }, _room, payload) => {
          if (id === one.id && payload.message === "first")
            throw new Error("broken");
          return payload;
        },
      });
      await chatRoom.broadcast({}, "defaultRoom", "first");
      await chatRoom.broadcast({}, "defaultRoom", "second");
      await one.received(1);
      await other.received(2);
      expect(one.said).toEqual(["second"]);
      expect(other.said).toEqual(["first", "second"]);
    });
  });
});

function deferred() {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
