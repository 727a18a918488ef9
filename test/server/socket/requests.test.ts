/** What clients ask for, and the answers, over real sockets. */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  closeAll,
  SocketPeer,
  socketServer,
  startSocketApp,
} from "../../support/socketApp";
import { z } from "zod";
import { until } from "../../support/until";
import { addActions } from "../../support/webApp";
import { api, config, type Process } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

let app: Process;
let peer: SocketPeer;
const simple = fs.readFileSync(
  path.join(__dirname, "..", "..", "..", "public", "simple.html"),
  "utf8",
);

/** Actions that end when they are told to. */
const held = new Map<string, () => void>();

beforeAll(async () => {
  app = await startSocketApp();
  addActions({
    echo: {
      inputs: { key: {}, value: {}, list: {} },
      run: ({ params }: any) => ({ ...params }),
    },
    hold: {
      inputs: { key: { required: true } },
      run: async ({ params }: any) => {
        await new Promise<void>((done) => held.set(params.key, done));
        return { held: params.key };
      },
    },
    checked: {
      inputs: z.object({ name: z.string(), times: z.number().default(1) }),
      run: ({ params }: any) => ({ ...params }),
    },
    text: {
      run: (data: any) => {
        data.response = "only a text";
      },
    },
    circle: {
      run: () => {
        const circle: Record<string, unknown> = {};
        circle.circle = circle;
        return circle;
      },
    },
    silent: {
      run: async (data: any) => {
        data.toRender = false;
        await data.connection.sendMessage({ own: true });
      },
    },
    sendsFile: {
      run: async (data: any) => {
        data.toRender = false;
        await data.connection.sendFile("simple.html");
      },
    },
  });
});

afterAll(() => app.stop());

beforeEach(async () => {
  peer = await SocketPeer.connect();
  expect(await peer.next()).toEqual({
    welcome: config.general.welcomeMessage,
    context: "api",
  });
});

afterEach(async () => {
  for (const done of held.values()) done();
  held.clear();
  await closeAll();
});

const OK = { status: "OK", context: "response" };

describe("message ids", () => {
  test("count the lines of the connection, as numbers from 1", async () => {
    expect(await peer.ask("paramView key")).toEqual({ ...OK, messageId: 1 });
    peer.send("");
    expect(await peer.ask("paramView key")).toEqual({ ...OK, messageId: 2 });
    expect(await peer.ask("nothing")).toEqual({
      error: "unknown action or invalid apiVersion",
      context: "response",
      messageId: 3,
    });
  });

  test("a line that sets one is answered with the one before", async () => {
    expect((await peer.ask("paramAdd messageId=mine")).messageId).toBe(1);
    expect((await peer.ask("paramAdd messageId=next")).messageId).toBe("mine");
    expect((await peer.ask("detailsView")).messageId).toBe("next");
    expect((await peer.ask("paramDelete messageId")).messageId).toBe("next");
    expect((await peer.ask("detailsView")).messageId).toBe(5);
  });

  test("of JSON requests are their own, as they were sent", async () => {
    const ask = async (params: object) =>
      (await peer.ask(JSON.stringify({ action: "echo", params }))).messageId;
    expect(await ask({ messageId: 7 })).toBe(7);
    expect(await ask({ messageId: "7" })).toBe("7");
    // params are replaced, but the id was in force when the line came
    expect(await ask({})).toBe("7");
    expect(await ask({})).toBe(4);
    expect(await ask({ messageId: { no: 1 } })).toBe(5);
  });

  test("each request keeps its own, whatever comes after it", async () => {
    const [a, b] = ["a", "b"].map((key) =>
      JSON.stringify({ action: "hold", params: { key, messageId: key } }),
    );
    peer.send(`${a}\n${b}\nparamAdd messageId=later\ndetailsView`);
    expect((await peer.next()).messageId).toBe("b");
    expect((await peer.next()).messageId).toBe("later");
    held.get("b")!();
    expect(await peer.next()).toMatchObject({ held: "b", messageId: "b" });
    held.get("a")!();
    expect(await peer.next()).toMatchObject({ held: "a", messageId: "a" });
  });
});

describe("params", () => {
  test("stay, for verbs and actions", async () => {
    await peer.ask("paramAdd key=a=b");
    await peer.ask("paramAdd value two");
    await peer.ask("paramAdd unknown=1");
    expect((await peer.ask("paramsView")).data).toEqual({
      key: "a=b",
      value: "two",
    });
    expect(await peer.ask("echo")).toMatchObject({ key: "a=b", value: "two" });
    expect(await peer.ask("paramView value")).toMatchObject({ data: "two" });
    await peer.ask("paramDelete value");
    expect((await peer.ask("echo")).value).toBeUndefined();
    await peer.ask("paramsDelete");
    expect((await peer.ask("paramsView")).data).toEqual({});
  });

  test("have verbs of older names", async () => {
    await peer.ask("addParam key=1");
    expect((await peer.ask("viewParam key")).data).toBe("1");
    await peer.ask("deleteParam key");
    expect((await peer.ask("paramsView")).data).toEqual({});
  });

  test("of JSON requests replace those that are there, and stay", async () => {
    await peer.ask("paramAdd key=old");
    const request = { action: "echo", params: { value: [1, { a: 2 }] } };
    expect(await peer.ask(JSON.stringify(request))).toEqual({
      action: "echo",
      apiVersion: 1,
      value: [1, { a: 2 }],
      context: "response",
      messageId: 2,
    });
    expect((await peer.ask("echo")).value).toEqual([1, { a: 2 }]);
    await peer.ask("paramAdd key=new");
    const { key, value } = await peer.ask('{"action":"echo"}');
    expect([key, value]).toEqual(["new", [1, { a: 2 }]]);
  });

  test("may name the action", async () => {
    const request = { params: { action: "echo", key: 1 } };
    expect((await peer.ask(JSON.stringify(request))).key).toBe(1);
    // JSON that says nothing repeats it
    expect((await peer.ask("{}")).key).toBe(1);
  });
});

describe("lines sent without waiting", () => {
  test("take effect in order", async () => {
    peer.send(
      [
        "paramAdd key=1",
        "paramsView",
        "paramAdd key=2",
        "echo",
        "paramsDelete",
        "paramsView",
        "roomAdd defaultRoom",
        "roomView defaultRoom",
        "say defaultRoom hello there",
        "roomLeave defaultRoom",
        "roomView defaultRoom",
      ].join("\n"),
    );
    const replies = new Map<unknown, any>();
    while (replies.size < 11) {
      const message = await peer.next();
      if (message.context === "response")
        replies.set(message.messageId, message);
      else
        expect(message).toMatchObject({
          message: "hello there",
          room: "defaultRoom",
          context: "user",
        });
    }
    expect(replies.get(2).data).toEqual({ key: "1" });
    expect(replies.get(4).key).toBe("2");
    expect(replies.get(6).data).toEqual({});
    expect(replies.get(7)).toEqual({ ...OK, data: true, messageId: 7 });
    expect(replies.get(8).data.membersCount).toBe(1);
    expect(replies.get(9)).toEqual({ ...OK, messageId: 9 });
    expect(replies.get(10).data).toBe(true);
    expect(replies.get(11).error).toBe(
      "connection not in this room (defaultRoom)",
    );
  });

  test("run their actions side by side, up to the limit, and are answered when they end", async () => {
    const keys = ["a", "b", "c", "d", "e", "f"];
    for (const key of keys)
      peer.send(JSON.stringify({ action: "hold", params: { key } }));
    expect(await peer.next()).toEqual({
      error: "you have too many pending requests",
      context: "response",
      messageId: 6,
    });
    for (const key of ["c", "a"]) {
      held.get(key)!();
      expect((await peer.next()).held).toBe(key);
    }
  });

  test("the answers of one tick are one write", async () => {
    const [connection] = socketServer().connections();
    const write = jest.spyOn(connection.rawConnection, "write");
    peer.send(
      ["1", "2", "3"]
        .map((key) => `{"action":"echo","params":{"key":${key}}}`)
        .join("\n"),
    );
    for (const key of [1, 2, 3]) expect((await peer.next()).key).toBe(key);
    expect(write).toHaveBeenCalledTimes(1);
  });

  test("an answer that is there when the client quits is sent, and so are those that it waits for", async () => {
    peer.send('{"action":"hold","params":{"key":"x"}}\nquit\ndetailsView');
    await until(() => held.has("x"));
    held.get("x")!();
    expect((await peer.next()).held).toBe("x");
    expect(await peer.next()).toEqual({ status: "Bye", context: "api" });
    await peer.ended;
    expect(peer.messages).toHaveLength(3);
  });
});

describe("responses", () => {
  test("of an action that answers with a text", async () => {
    expect(await peer.ask("text")).toEqual({
      data: "only a text",
      context: "response",
      messageId: 1,
    });
  });

  test("that JSON cannot hold", async () => {
    expect(await peer.ask("circle")).toEqual({
      error: expect.stringContaining("Converting circular structure to JSON"),
      context: "response",
      messageId: 1,
    });
    config.errors.exposeMessages = "intended";
    expect((await peer.ask("circle")).error).toMatch(
      /an internal error \([0-9a-f]{12}\)$/,
    );
    config.errors.exposeMessages = "all";
    expect((await peer.ask("echo")).error).toBeUndefined();
  });

  test("with params in the line, which are for that request only", async () => {
    await peer.ask("paramAdd value=kept");
    const first = await peer.ask('echo key="a b" value=now messageId=mine');
    expect(first).toMatchObject({
      key: "a b",
      value: "now",
      messageId: "mine",
    });
    const second = await peer.ask("echo");
    expect(second).toMatchObject({ value: "kept", messageId: 3 });
    expect(second.key).toBeUndefined();
    const json = await peer.ask('echo {"list":[1,{"a":2}]}');
    expect(json).toMatchObject({ list: [1, { a: 2 }], value: "kept" });
    const { data } = await peer.ask("paramsView");
    expect(data).toEqual({ action: "echo", value: "kept" });
    expect(await peer.ask("echo key=1 oops")).toMatchObject({
      error: expect.stringContaining("oops"),
    });
  });

  test("with long params in the line, of which nothing is kept", async () => {
    const key = "k".repeat(100_000);
    expect(await peer.ask(`echo key=${key}`)).toMatchObject({ key });
    const { data } = await peer.ask("paramsView");
    expect(data).toEqual({ action: "echo" });
  });

  test("of an action that sends its own response", async () => {
    expect(await peer.ask("silent")).toEqual({ own: true });
    expect((await peer.ask("detailsView")).messageId).toBe(2);
  });

  test("help lists the verbs and the documented actions", async () => {
    const { data } = await peer.ask("help");
    expect(data.requests["action key=value"]).toContain("greet name=Ada");
    expect(data.verbs["paramAdd key=value"]).toContain("stores a param");
    expect(Object.keys(data.verbs)).not.toContain("roomChange room");
    expect(Object.keys(data.actions)).toEqual(
      expect.arrayContaining([
        "cacheTest key=... value=...",
        "echo [key=...] [value=...] [list=...]",
        "checked name=... [times=...]",
      ]),
    );
  });

  test("help lists no actions where clients must not know them", async () => {
    config.general.introspection = false;
    const { data } = await peer.ask("help");
    expect(Object.keys(data)).toEqual(["requests", "verbs"]);
    expect(data.verbs.documentation).toBeUndefined();
  });

  test("documentation lists the actions", async () => {
    const { data } = await peer.ask("documentation");
    const names = Object.keys(data.documentation);
    expect(names).toContain("randomNumber");
    expect(data.documentation.randomNumber[1].name).toBe("randomNumber");
  });

  test("detailsView returns the details of the connection", async () => {
    const { data } = await peer.ask("detailsView");
    const [connection] = socketServer().connections();
    expect(data).toEqual({
      id: connection.id,
      fingerprint: connection.id,
      remoteIP: "127.0.0.1",
      remotePort: peer.socket.localPort,
      params: {},
      connectedAt: connection.connectedAt,
      rooms: [],
      totalActions: 0,
      pendingActions: 0,
    });
    expect(connection.type).toBe("socket");
  });
});

describe("files", () => {
  test.each([
    ["by a verb", "file simple.html"],
    ["by a param", "paramAdd file=simple.html\nfile"],
    ["by an action", "sendsFile"],
  ])("%s: the bytes, and nothing else", async (_title, lines) => {
    peer.send(lines);
    await until(() => peer.text.endsWith(simple));
    const before = peer.text.slice(0, -simple.length);
    expect(before.split("\r\n").slice(1, -1)).toHaveLength(
      lines.includes("paramAdd") ? 1 : 0,
    );
    peer.text = "";
    peer.send("paramView file");
    await until(() => peer.text.endsWith("\r\n"));
    expect(peer.messages[0].data).toBe("simple.html");
  });

  test("errors of files get replies like other errors", async () => {
    expect(await peer.ask("file nothing.html")).toEqual({
      error: "that file is not found",
      context: "response",
      messageId: 1,
    });
    await peer.ask("paramsDelete");
    expect((await peer.ask("file")).error).toBe("that file is not found");
  });

  describe("that are long", () => {
    const name = `long-${process.pid}.bin`;
    const content = Buffer.alloc(5_000_000, "0123456789");
    let file: string;

    beforeAll(() => {
      file = path.join(api.staticFile.searchLocations[0], name);
      fs.writeFileSync(file, content);
    });
    afterAll(() => fs.rmSync(file));

    test("come whole, and what is said meanwhile comes after them", async () => {
      const [connection] = socketServer().connections();
      await peer.ask("roomAdd defaultRoom");
      const welcome = peer.text;
      peer.send(`file ${name}`);
      await until(() => peer.text.length > welcome.length);
      await connection.sendMessage({ meanwhile: true });
      await until(() => peer.text.endsWith('{"meanwhile":true}\r\n'));
      expect(peer.text.slice(welcome.length)).toBe(
        `${content.toString()}{"meanwhile":true}\r\n`,
      );
    });

    test("two files at a time do not mix", async () => {
      const welcome = peer.text;
      peer.send(`file ${name}\nfile ${name}\nquit`);
      await peer.ended;
      const text = content.toString();
      expect(peer.text.slice(welcome.length)).toBe(
        `${text}${text}{"status":"Bye","context":"api"}\r\n`,
      );
    });
  });
});

describe("rooms", () => {
  test("chat messages carry no message id, and do not count as requests", async () => {
    const other = await SocketPeer.connect();
    await other.next();
    await other.ask("roomAdd defaultRoom");
    const { data } = await peer.ask("detailsView");
    await peer.ask("roomAdd defaultRoom");
    peer.send("say defaultRoom hello");
    const said = await other.next();
    expect(said).toEqual({
      message: "hello",
      room: "defaultRoom",
      from: data.id,
      context: "user",
      sentAt: said.sentAt,
    });
    expect((await other.ask("roomView defaultRoom")).messageId).toBe(2);
  });

  test("extra spaces are words", async () => {
    const { error } = await peer.ask("roomAdd   otherRoom");
    expect(error).toMatch(/room/);
    expect(await peer.ask("say defaultRoom")).toMatchObject({
      error: "both room and message are required",
    });
  });
});

test("a custom delimiter applies, also while clients are connected", async () => {
  config.socket.delimiter = "xXxXxX";
  peer.socket.write('{"action":"echo",\n"params":{"key":1}}xXxX');
  peer.socket.write("xX\r\ndetailsViewxXxXxX");
  const replies = [await peer.next(), await peer.next()];
  replies.sort((one, two) => one.messageId - two.messageId);
  expect(replies[0].key).toBe(1);
  expect(replies[1].data.totalActions).toBe(1);
});
