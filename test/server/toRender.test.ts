// first: it enables the socket server before the configuration is built
import { closeAll, SocketPeer, startSocketApp } from "../support/socketApp";
import * as fs from "node:fs";
import * as path from "node:path";
import { Readable } from "node:stream";
import { ask } from "../support/ask";
import { timed } from "../support/stopwatch";
import { until } from "../support/until";
import { addActions } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { ActionProcessor, specHelper, type Process } from "../../src/index";

type Data = ActionProcessor<any>;

let app: Process;

beforeAll(async () => {
  app = await startSocketApp();
  addActions({
    throwsFirst: {
      run: (data: Data) => {
        data.toRender = false;
        throw new Error("nothing was sent");
      },
    },
    throwsLater: {
      run: async (data: Data) => {
        data.toRender = false;
        await new Promise(setImmediate);
        throw new Error("nothing was sent");
      },
    },
    lacksParam: {
      inputs: {
        toRender: {
          default(this: Data) {
            this.toRender = false;
            return "off";
          },
        },
        needed: { required: true },
      },
      run: () => undefined,
    },
    pipesAndThrows: {
      run: async (data: Data) => {
        data.toRender = false;
        await data.connection.pipe!("piped");
        throw new Error("too late");
      },
    },
    answersAndThrows: {
      run: async (data: Data) => {
        data.toRender = false;
        await data.connection.sendMessage({ context: "response", own: true });
        throw new Error("too late");
      },
    },
    chatsAndThrows: {
      run: async (data: Data) => {
        data.toRender = false;
        await data.connection.sendMessage({ context: "news", own: true });
        throw new Error("nothing was sent");
      },
    },
    silent: {
      run: (data: Data) => {
        data.toRender = false;
      },
    },
    hello: { run: () => ({ hello: "world" }) },
  });
});

afterAll(async () => {
  await closeAll();
  await app.stop();
});

const get = (name: string) => ask(webPort(), `/api/${name}`);

const FAILING: [string, string][] = [
  ["throwsFirst", "nothing was sent"],
  ["throwsLater", "nothing was sent"],
  ["lacksParam", "needed is a required parameter for this action"],
];

describe.each(FAILING)("an action without rendering (%s)", (name, text) => {
  test("sends its error over HTTP", async () => {
    const { status, json } = await get(name);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(json.error).toBe(text);
  });

  test("sends its error to a websocket", async () => {
    const client = await connectWebsocket();
    expect((await client.action(name)).error).toBe(text);
    client.close();
  });

  test("sends its error to a TCP connection", async () => {
    const peer = await SocketPeer.connect();
    await peer.next();
    expect((await peer.ask(name)).error).toBe(text);
  });

  test("sends its error to a test", async () => {
    const { error } = await specHelper.runAction(name);
    expect(error).toBe(`Error: ${text}`);
  });
});

test("an action that throws after it answered sends nothing more over HTTP", async () => {
  const { status, text } = await get("pipesAndThrows");
  expect([status, text]).toEqual([200, "piped"]);
});

test("an action that throws after it answered sends nothing more to a websocket", async () => {
  const client = await connectWebsocket();
  const id = { messageId: "mine" };
  expect((await client.action("answersAndThrows", id)).own).toBe(true);
  await client.action("hello");
  const answers = client.received.filter(
    ({ messageId }) => messageId === "mine",
  );
  expect(answers).toHaveLength(1);
  client.close();
});

test("an action that throws after it answered sends nothing more to a TCP connection", async () => {
  const peer = await SocketPeer.connect();
  await peer.next();
  expect((await peer.ask("answersAndThrows")).own).toBe(true);
  expect((await peer.ask("hello")).hello).toBe("world");
});

test("a client that uses the same id again gets the error of its second request", async () => {
  const client = await connectWebsocket();
  const id = { messageId: "same" };
  expect((await client.action("answersAndThrows", id)).own).toBe(true);
  await client.action("hello");
  expect((await client.action("throwsLater", id)).error).toBeDefined();
  client.close();
});

test("a message that is not a response does not keep the error back", async () => {
  const client = await connectWebsocket();
  const { error } = await client.action("chatsAndThrows");
  expect(error).toBe("nothing was sent");
  client.close();
});

test("an action without rendering that succeeds still sends nothing", async () => {
  const peer = await SocketPeer.connect();
  await peer.next();
  peer.send("silent");
  expect((await peer.ask("hello")).hello).toBe("world");
});

test("requests that failed without rendering do not hold the stop", async () => {
  const client = await connectWebsocket();
  const peer = await SocketPeer.connect();
  await Promise.all([
    get("throwsLater"),
    client.action("throwsLater"),
    peer.ask("throwsLater"),
  ]);
  expect(await timed(() => app.stop())).toBeLessThan(5000);
  await app.start();
});

test("a function that a project puts around processAction sees the action before it is answered", async () => {
  const seen: unknown[] = [];
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with the action
  const { processAction } = ActionProcessor.prototype;
  const around = jest
    .spyOn(ActionProcessor.prototype, "processAction")
    .mockImplementation(async function (this: Data, ...names) {
      await processAction.apply(this, names);
      seen.push(this.response);
      this.response.seen = true;
      return this;
    });
  try {
    expect((await get("hello")).json).toMatchObject({ seen: true });
    const client = await connectWebsocket();
    expect(await client.action("hello")).toMatchObject({ seen: true });
    client.close();
    expect(seen).toHaveLength(2);
  } finally {
    around.mockRestore();
  }
});

describe("an action that throws in the middle of its answer", () => {
  beforeAll(() =>
    addActions({
      beginsAndThrows: {
        run: (data: Data) => {
          data.toRender = false;
          const { res } = data.connection.rawConnection;
          res.writeHead(200);
          res.write("part");
          throw new Error("in the middle");
        },
      },
    }),
  );

  test.each(["GET", "HEAD"])(
    "cuts the connection: the client does not wait for the rest (%s)",
    async (method) => {
      const answer = ask(webPort(), "/api/beginsAndThrows", { method });
      await expect(answer).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    },
  );
});

describe("a stream returned as data", () => {
  const file = path.join(__dirname, "toRender.test.ts");
  const made: Readable[] = [];
  const make = (name: string) => {
    const stream = fs.createReadStream(name);
    made.push(stream);
    return stream;
  };

  beforeAll(() =>
    addActions({
      returnsStream: { run: () => make(file) },
      returnsMissing: { run: () => make("/not/there") },
      returnsWebStream: { run: () => Readable.toWeb(make(file)) },
      pipesStream: {
        run: async (data: Data) => {
          data.toRender = false;
          await data.connection.pipe!(make(file) as never);
        },
      },
    }),
  );

  test.each(["returnsStream", "returnsMissing", "returnsWebStream"])(
    "is closed and refused with what to do instead: %s",
    async (name) => {
      const { status, json } = await get(name);
      expect(status).toBe(500);
      expect(json.error).toMatch(/^a response takes data, not a stream/);
      await until(() => made.every(({ destroyed }) => destroyed));
    },
  );

  test("is closed and refused by connection.pipe", async () => {
    const { status, json } = await get("pipesStream");
    expect(status).toBe(500);
    expect(json.error).toMatch(/^connection\.pipe takes data, not a stream/);
    await until(() => made.every(({ destroyed }) => destroyed));
  });
});
