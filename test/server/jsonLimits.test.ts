/** JSON that is built to exhaust a server: refused before it is parsed, on every transport by the same limits. */
import { SocketPeer, startSocketApp, closeAll } from "../support/socketApp";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { config, file, type Process } from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

let app: Process;
let seen: any;

beforeAll(async () => {
  app = await startSocketApp();
  addActions({
    take: {
      inputs: { value: {} },
      run: ({ params }) => {
        seen = params.value;
        return { type: typeof params.value };
      },
    },
    takeFile: {
      inputs: { value: file() },
      run: ({ params }) => {
        seen = params.value;
      },
    },
  });
});

afterAll(() => app.stop());

interface Reply {
  error?: string;
  type?: string;
}

/** How each transport takes the JSON text of a param; each of them wraps it into objects of its own. */
const transports: Record<
  string,
  (value: string, action?: string) => Promise<Reply>
> = {
  async web(value, action = "take") {
    const { json } = await ask(webPort(), `/api/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: `{"value":${value}}`,
    });
    return json as Reply;
  },
  async websocket(value, action = "take") {
    const client = await connectWebsocket();
    client.sendRaw(
      `{"event":"action","params":{"action":"${action}","value":${value}},"messageId":"mine"}`,
    );
    const isMine = (message: any) => message.messageId === "mine";
    const reply = (await client.next("the reply", isMine)) as Reply;
    client.close();
    return reply;
  },
  async socket(value, action = "take") {
    const peer = await SocketPeer.connect();
    await peer.next();
    const reply = (await peer.ask(
      `{"action":"${action}","params":{"value":${value}}}`,
    )) as Reply;
    await closeAll();
    return reply;
  },
};

const list = (item: string, count: number) =>
  `[${Array.from({ length: count }, () => item).join(",")}]`;

describe.each(Object.keys(transports))("%s", (name) => {
  const send = transports[name];

  test.each(["{}", "0", "[]"])(
    "items %s beyond maxArrayItems are refused",
    async (item) => {
      config.web.maxArrayItems = 20_000;
      expect((await send(list(item, 20_000))).type).toBe("object");
      seen = undefined;
      expect((await send(list(item, 20_001))).error).toBe(
        "the request has too many items: web.maxArrayItems is 20000",
      );
      expect(seen).toBeUndefined();
    },
  );

  test("JSON with more keys than maxParams is refused", async () => {
    config.web.maxParams = 100;
    const keys = (count: number) =>
      JSON.stringify(
        Object.fromEntries(Array.from({ length: count }, (_, i) => [i, 0])),
      );
    expect((await send(keys(90))).type).toBe("object");
    expect((await send(keys(101))).error).toBe(
      "the request has too many params: web.maxParams is 100",
    );
  });

  test("JSON with more levels than maxBodyDepth is refused", async () => {
    config.web.maxBodyDepth = 20;
    const nest = (levels: number) =>
      `${"[".repeat(levels)}${"]".repeat(levels)}`;
    expect((await send(nest(17))).type).toBe("object");
    expect((await send(nest(21))).error).toMatch(
      /20 levels deep|too many levels: web.maxBodyDepth is 20/,
    );
  });

  test("__proto__ keys of JSON are removed at every level", async () => {
    await send(
      '{"a":[{"__proto__":{"polluted":1},"b":1}],"__pr\\u006fto__":1}',
    );
    expect(seen).toEqual({ a: [{ b: 1 }] });
    expect(Object.hasOwn(seen.a[0], "__proto__")).toBe(false);
    expect(Object.hasOwn(seen, "__proto__")).toBe(false);
    expect(seen.a[0].polluted).toBeUndefined();
  });

  test("an object that looks like an uploaded file is refused where a file is declared", async () => {
    seen = undefined;
    const fake = { filepath: "/etc/passwd", mimetype: "image/png", size: 1 };
    expect((await send(JSON.stringify(fake), "takeFile")).error).toBe(
      'Input for parameter "value" is not an uploaded file',
    );
    expect(seen).toBeUndefined();
  });

  test("a JSON bomb costs hardly more than a text of the same length", async () => {
    const bytes = 900_000; // below the limit of a line
    const bomb = list("{}", Math.floor(bytes / 3));
    config.web.maxArrayItems = 10_000;
    const time = async (value: string) => {
      let best = Infinity;
      for (let i = 0; i < 3; i++) {
        const start = performance.now();
        await send(value);
        best = Math.min(best, performance.now() - start);
      }
      return best;
    };
    const plain = await time(JSON.stringify("x".repeat(bytes)));
    expect(await time(bomb)).toBeLessThan(3 * plain + 50);
  });
});

test("a refused message that carries no id is answered all the same, and no request is not", async () => {
  config.web.maxBodyDepth = 20;
  const client = await connectWebsocket();
  const deep = `${"[".repeat(30)}${"]".repeat(30)}`;
  client.sendRaw(deep);
  client.sendRaw(`{"event":"action","params":${deep}}`);
  await client.request({ event: "detailsView" });
  const refusals = client.received.filter(({ error }) => error);
  expect(refusals).toEqual([
    {
      context: "response",
      error: "the request is nested more than 20 levels deep",
      messageId: expect.any(String),
    },
  ]);
  client.close();
});
