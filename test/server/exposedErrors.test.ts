// first: it enables the socket server before the configuration is built
import { closeAll, SocketPeer, startSocketApp } from "../support/socketApp";
import { ask } from "../support/ask";
import { LogLines } from "../support/logLines";
import { addActions } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import {
  action,
  ActionheroError,
  api,
  chatRoom,
  config,
  HttpError,
  specHelper,
  type Process,
} from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const SECRET = "/srv/app/secret.json";
const HIDDEN = /^The server experienced an internal error \(([0-9a-f]{12})\)$/;

const enoent = () =>
  Object.assign(new Error(`ENOENT: no such file, open '${SECRET}'`), {
    code: "ENOENT",
    errno: -2,
    path: SECRET,
  });

/** What actions throw that clients may read, and the message. */
const INTENDED: [string, unknown, string][] = [
  ["an HttpError", new HttpError(401, "sign in"), "sign in"],
  [
    "an exposed error",
    Object.assign(new Error("shown"), { expose: true }),
    "shown",
  ],
  ["a code", Object.assign(new Error("pay"), { code: 402 }), "pay"],
  [
    "a code as text",
    Object.assign(new Error("short"), { code: "418 teapot" }),
    "short",
  ],
  ["an object with a code", { code: 409, message: "taken" }, "taken"],
  [
    "an error of chat",
    new ActionheroError("AH_CHAT", "room exists"),
    "room exists",
  ],
];

/** What actions throw that clients may not read. */
const UNEXPECTED: [string, unknown][] = [
  ["a system error", enoent()],
  ["a text", `no ${SECRET}`],
  ["an object", { path: SECRET, message: `no ${SECRET}` }],
  ["a low code", Object.assign(new Error(SECRET), { code: 200 })],
  [
    "a status that is not exposed",
    Object.assign(new Error(SECRET), { status: 404 }),
  ],
  [
    "an error of redis",
    new ActionheroError("AH_REDIS_TIMEOUT", `redis ${SECRET}`),
  ],
];

let app: Process;
let lines: LogLines;
let toThrow: unknown;

beforeAll(async () => {
  app = await startSocketApp();
  addActions({
    fail: {
      run: () => {
        throw toThrow;
      },
    },
    respond: {
      run: ({ response }) => {
        response.error = toThrow;
      },
    },
    inner: { run: () => action.run("fail") },
    contain: {
      run: async () => ({
        results: [toThrow, { deep: toThrow }],
        settled: await Promise.allSettled([Promise.reject(toThrow as Error)]),
      }),
    },
    returned: { run: () => toThrow },
    replaced: {
      run: (data) => {
        data.response = toThrow;
      },
    },
    failed: {
      run: (data) => {
        data.response = Object.assign(new Error("first"), { path: SECRET });
        throw new HttpError(409, "taken");
      },
    },
    message: {
      run: async (data) => {
        data.toRender = false;
        await data.connection.sendMessage(toThrow);
      },
    },
    errorMessage: {
      run: async (data) => {
        data.toRender = false;
        await data.connection.sendMessage({ error: toThrow });
      },
    },
    causes: {
      run: ({ response }) => {
        response.error = { cause: toThrow };
      },
    },
    send: {
      run: async (data) => {
        data.toRender = false;
        const { connection } = data;
        await connection.sendMessage({ results: [toThrow] }, data.messageId);
      },
    },
    checked: {
      inputs: {
        key: {
          validator: () => {
            throw new Error("the key is wrong");
          },
        },
      },
      run: () => undefined,
    },
    // what a validator written for texts does with a number
    broken: {
      inputs: {
        key: {
          validator: (key: string) => {
            if (key === "returned") return new RangeError("not in the range");
            (null as unknown as { [SECRET]: string })[SECRET].trim();
          },
        },
      },
      run: () => undefined,
    },
    needy: { inputs: { key: { required: true } }, run: () => undefined },
    tcpOnly: { blockedConnectionTypes: ["web"], run: () => undefined },
  });
});

beforeEach(() => {
  lines = new LogLines("error");
});

afterEach(() => {
  lines.stop();
  jest.restoreAllMocks();
});

afterAll(async () => {
  await closeAll();
  await app.stop();
});

const get = (path: string) => ask(webPort(), `/api/${path}`);

async function overWebsocket(name: string) {
  const client = await connectWebsocket();
  const answer = await client.action(name);
  client.close();
  return answer;
}

async function overTcp(name: string) {
  const peer = await SocketPeer.connect();
  await peer.next();
  return peer.ask(name);
}

const TRANSPORTS: [string, (name: string) => Promise<any>][] = [
  ["HTTP", async (name) => (await get(name)).json],
  ["a websocket", overWebsocket],
  ["TCP", overTcp],
  ["a test", (name) => specHelper.runAction(name)],
];

describe.each(TRANSPORTS)(
  "with intended messages, over %s",
  (where, request) => {
    const prefix = where === "a test" ? "Error: " : "";
    beforeEach(() => {
      config.errors.exposeMessages = "intended";
    });

    test.each(INTENDED)("%s is shown", async (_what, error, text) => {
      toThrow = error;
      expect((await request("fail")).error).toBe(prefix + text);
    });

    test.each(UNEXPECTED)(
      "%s is hidden, and its id is in the log",
      async (_what, error) => {
        toThrow = error;
        const answer = await request("fail");
        expect(JSON.stringify(answer)).not.toContain(SECRET);
        const [, id] = HIDDEN.exec(answer.error.slice(prefix.length))!;
        const [line] = lines.lines.filter(({ errorId }) => errorId === id);
        expect(JSON.stringify(line)).toContain(SECRET);
      },
    );

    test("an Error in the response is hidden, and its id is in the log", async () => {
      toThrow = enoent();
      const answer = await request("respond");
      expect(JSON.stringify(answer)).not.toContain(SECRET);
      const [, id] = HIDDEN.exec(answer.error.slice(prefix.length))!;
      expect(
        lines.lines.some(
          (line) => line.errorId === id && line.message.includes(SECRET),
        ),
      ).toBe(true);
    });

    test("an Error anywhere in the response is hidden, and its id is in the log", async () => {
      toThrow = enoent();
      for (const name of ["contain", "causes"]) {
        const answer = await request(name);
        expect(JSON.stringify(answer)).not.toContain("secret.json");
        const text = answer.results?.[0] ?? answer.error.cause;
        const [, id] = HIDDEN.exec(text)!;
        const [line] = lines.lines.filter(({ errorId }) => errorId === id);
        expect(line.message).toContain(SECRET);
      }
    });

    test("an intended Error in the response is shown", async () => {
      toThrow = new HttpError(409, "taken", { headers: { "X-Secret": "1" } });
      expect((await request("contain")).results).toEqual([
        "taken",
        { deep: "taken" },
      ]);
    });

    test("a text in the response is shown", async () => {
      toThrow = "not today";
      expect((await request("respond")).error).toBe("not today");
    });

    test("an in-line action is as its own error is", async () => {
      toThrow = enoent();
      expect((await request("inner")).error).toMatch(/internal error/);
      toThrow = new HttpError(404, "not here");
      expect((await request("inner")).error).toMatch(/not here$/);
    });

    test("the framework's texts are shown", async () => {
      expect((await request("needy")).error).toMatch(/key is a required param/);
      expect((await request("noSuchAction")).error).toMatch(/unknown action/);
    });

    test("what config.errors makes of an error is shown", async () => {
      toThrow = enoent();
      jest
        .spyOn(config.errors as any, "genericError")
        .mockImplementation(async () => "come back later");
      expect((await request("fail")).error).toBe(`${prefix}come back later`);
    });

    test("the text of config.errors.internalError is sent", async () => {
      toThrow = enoent();
      jest
        .spyOn(config.errors as any, "internalError")
        .mockImplementation((id) => `oops ${id as string}`);
      expect((await request("fail")).error).toMatch(/oops [0-9a-f]{12}$/);
    });
  },
);

describe.each(TRANSPORTS)("with all messages, over %s", (where, request) => {
  test.each(UNEXPECTED.slice(0, 2))("%s is shown", async (_what, error) => {
    toThrow = error;
    expect((await request("fail")).error).toContain(SECRET);
  });

  test("an Error anywhere in the response is its message", async () => {
    const error = (toThrow = enoent());
    const { message } = error;
    const answer = await request("contain");
    expect(answer).toMatchObject({
      results: [message, { deep: message }],
      settled: [{ status: "rejected", reason: message }],
    });
    expect((await request("causes")).error).toEqual({ cause: message });
  });

  test("an exposed error with a toJSON of its own says what is shown", async () => {
    class Taken extends Error {
      expose = true;
      toJSON() {
        return { taken: true };
      }
    }
    toThrow = new Taken("no");
    const { results } = await request("contain");
    expect(JSON.parse(JSON.stringify(results))).toEqual([
      { taken: true },
      { deep: { taken: true } },
    ]);
  });

  test("the toJSON of other errors, as libraries have it, is not asked", async () => {
    class RequestFailed extends Error {
      toJSON() {
        return { message: this.message, config: { password: SECRET } };
      }
    }
    toThrow = new RequestFailed("status 500");
    for (const name of ["contain", "causes", "returned", "replaced"]) {
      const answer = await request(name);
      expect(JSON.stringify(answer)).not.toContain(SECRET);
      expect(JSON.stringify(answer)).toContain("status 500");
    }
  });

  test.each(["returned", "replaced"])(
    "an Error that is the whole response (%s) is its error, without its fields",
    async (name) => {
      toThrow = Object.assign(new Error("no"), {
        config: SECRET,
        sql: SECRET,
        toString: undefined,
      });
      const answer = await request(name);
      expect(JSON.stringify(answer)).not.toContain(SECRET);
      expect(answer.error).toMatch(/^(?:Error: )?no$/);
      expect(Object.keys(answer)).not.toContain("toString");
    },
  );

  test("what is thrown wins over an Error that is the response", async () => {
    const answer = await request("failed");
    expect(answer.error).toMatch(/taken$/);
    expect(JSON.stringify(answer)).not.toContain(SECRET);
  });

  test("an Error without a message is its name, and not its fields", async () => {
    toThrow = Object.assign(new TypeError(""), { path: SECRET });
    const answer = await request("fail");
    expect(JSON.stringify(answer)).not.toContain(SECRET);
    expect(answer.error).toBe("TypeError");
  });

  test("an Error that a serializer returns is its message", async () => {
    toThrow = enoent();
    const name = { HTTP: "web", TCP: "socket", "a test": "specHelper" }[where];
    const { servers } = config.errors.serializers as any;
    for (const returned of [
      new Error("mine"),
      Promise.resolve(new Error("mine")),
    ]) {
      const mock = jest
        .spyOn(servers, name ?? "websocket")
        .mockImplementation(() =>
          returned instanceof Error
            ? Object.assign(returned, { path: SECRET })
            : returned,
        );
      expect((await request("fail")).error).toBe("mine");
      mock.mockRestore();
    }
  });
});

test("a returned Error has the status that its class says", async () => {
  toThrow = new HttpError(409, "taken");
  for (const name of ["returned", "replaced"])
    expect((await get(name)).status).toBe(409);
  toThrow = enoent();
  expect((await get("returned")).status).toBe(500);
});

describe("an Error that is sent as a message", () => {
  const texts = {
    HTTP: async (name: string) => (await get(name)).text,
    websocket: async (name: string) =>
      JSON.stringify(await overWebsocket(name)),
    TCP: async (name: string) => JSON.stringify(await overTcp(name)),
  };

  test.each(Object.entries(texts))(
    "over %s is its message, or hidden",
    async (where, request) => {
      toThrow = Object.assign(new Error("no"), { context: "api", sql: SECRET });
      const names =
        where === "HTTP" ? ["message"] : ["message", "errorMessage"];
      for (const name of names) {
        const all = await request(name);
        expect(all).toContain("no");
        expect(all).not.toContain(SECRET);
        config.errors.exposeMessages = "intended";
        expect(await request(name)).toMatch(/internal error \([0-9a-f]{12}\)/);
        expect(lines.lines.some(({ errorId }) => errorId)).toBe(true);
        config.errors.exposeMessages = "all";
      }
    },
  );
});

describe.each([false, true])(
  "an Error in what is said in a room (a channel per room: %s)",
  (perRoom) => {
    test("is its message for all members", async () => {
      config.redis.chatChannelPerRoom = perRoom;
      await chatRoom.add("errors");
      const client = await connectWebsocket();
      await client.request({ event: "roomAdd", room: "errors" });
      const said = Object.assign(new Error("no"), { sql: SECRET });
      await api.chatRoom.broadcast(null, "errors", { said, list: [said] });
      const heard = await client.next(
        "the message",
        (m) => m?.room === "errors",
      );
      expect(heard.message).toEqual({ said: "no", list: ["no"] });
      client.close();
      await chatRoom.destroy("errors");
    });
  },
);

describe.each(["all", "intended"] as const)(
  "an exception in a hook of chat (exposeMessages: %s)",
  (exposeMessages) => {
    const thrown: { error: Error } = { error: new Error() };
    beforeEach(async () => {
      config.errors.exposeMessages = exposeMessages;
      await chatRoom.add("hooked");
      await chatRoom.addMiddleware({
        name: "fails",
        join: () => {
          throw thrown.error;
        },
      });
    });
    afterEach(async () => {
      delete api.chatRoom.middleware.fails;
      api.chatRoom.globalMiddleware = api.chatRoom.globalMiddleware.filter(
        (name) => name !== "fails",
      );
      await chatRoom.destroy("hooked");
    });
    const overWebsockets = async () => {
      const client = await connectWebsocket();
      await client.request({ event: "roomAdd", room: "hooked" });
      client.close();
    };
    const overTcpLines = async () => {
      const peer = await SocketPeer.connect();
      await peer.next();
      await peer.ask("roomAdd hooked");
    };

    test.each([overWebsockets, overTcpLines])(
      "is logged with the verb and its stack, unless it is for clients (%#)",
      async (join) => {
        thrown.error = new HttpError(403, "members only");
        await join();
        const failed = () =>
          lines.lines.filter(({ message }) =>
            message.includes("roomAdd` fail"),
          );
        expect(failed()).toEqual([]);
        thrown.error = new TypeError("a bug");
        await join();
        expect(failed()).toEqual([
          expect.objectContaining({
            level: "error",
            message: expect.stringContaining("TypeError: a bug"),
            stack: thrown.error.stack,
          }),
        ]);
      },
    );
  },
);

describe("a verb that fails unexpectedly", () => {
  beforeEach(() => {
    config.errors.exposeMessages = "intended";
    jest.spyOn(api.chatRoom, "addMember").mockRejectedValue(enoent());
  });

  test("is hidden from websockets", async () => {
    const client = await connectWebsocket();
    const { error } = await client.request({ event: "roomAdd", room: "x" });
    expect(error).toMatch(/^Error: The server experienced an internal error/);
    expect(lines.lines.some(({ errorId }) => errorId)).toBe(true);
    client.close();
  });

  test("is hidden from TCP connections", async () => {
    const peer = await SocketPeer.connect();
    await peer.next();
    expect((await peer.ask("roomAdd x")).error).toMatch(HIDDEN);
    expect(lines.lines.some(({ errorId }) => errorId)).toBe(true);
  });

  test("the refusals of verbs are shown", async () => {
    const client = await connectWebsocket();
    const { error } = await client.request({ event: "noVerb" });
    expect(error).toBe("Error: verb not found or not allowed (noVerb)");
    client.close();
  });
});

test("an error outside of actions is hidden over HTTP", async () => {
  config.errors.exposeMessages = "intended";
  jest.spyOn(api.staticFile, "get").mockRejectedValue(enoent());
  const { status, text } = await ask(webPort(), "/index.html");
  expect(status).toBe(500);
  expect(text).not.toContain(SECRET);
  expect(lines.lines.some(({ errorId }) => errorId)).toBe(true);
});

test.each([
  ["a websocket", overWebsocket],
  ["TCP", overTcp],
])("an Error in a message over %s is its message", async (_where, request) => {
  toThrow = enoent();
  const { results } = await request("send");
  expect(results).toEqual([(toThrow as Error).message]);
});

test("a validator's error is shown", async () => {
  config.errors.exposeMessages = "intended";
  expect((await get("checked?key=1")).json.error).toBe("the key is wrong");
});

test("the mistake of a broken validator is hidden, and the error that one returns is not", async () => {
  config.web.errorStatus = { invalidParams: 422 };
  expect((await get("broken?key=1")).json.error).toContain(SECRET);
  config.errors.exposeMessages = "intended";
  const { status, json } = await get("broken?key=1");
  expect(status).toBe(500);
  const [, id] = HIDDEN.exec(json.error)!;
  const [line] = lines.lines.filter(({ errorId }) => errorId === id);
  expect(line.error).toContain(SECRET);
  expect(await get("broken?key=returned")).toMatchObject({
    status: 422,
    json: { error: "not in the range" },
  });
});

test("errors have the statuses of version 29 unless web.errorStatus names others", async () => {
  const { simultaneousActions } = config.general;
  const statuses = async () => {
    toThrow = new ActionheroError("AH_REDIS_TIMEOUT", "redis");
    const answers = [];
    for (const path of [
      "checked?key=1",
      "needy",
      "tcpOnly",
      "fail",
      "nothing?action=nothing",
    ])
      answers.push((await get(path)).status);
    const { web } = api.servers.servers;
    jest.spyOn(web, "refusesActions").mockReturnValueOnce(true);
    answers.push((await get("needy")).status);
    config.general.simultaneousActions = -1;
    answers.push((await get("needy")).status);
    config.general.simultaneousActions = simultaneousActions;
    return answers;
  };
  expect(await statuses()).toEqual([500, 422, 500, 500, 404, 500, 500]);
  config.web.errorStatus = {
    invalidParams: 422,
    missingParams: 400,
    unsupportedServerType: 403,
    redisAway: 503,
    unknownAction: 410,
    serverShuttingDown: 503,
    tooManyPendingActions: 429,
  };
  const named = [422, 400, 403, 503, 410, 503, 429];
  expect(await statuses()).toEqual(named);
  config.errors.exposeMessages = "intended";
  expect(await statuses()).toEqual(named);
});
