// first: it enables the socket server before the configuration is built
import { closeAll, SocketPeer, startSocketApp } from "../support/socketApp";
import { ask, type Answer } from "../support/ask";
import { resetMiddleware } from "../support/app";
import { addActions } from "../support/webApp";
import {
  connectWebsocket,
  WebsocketClient,
  websocketUrl,
  webPort,
} from "../support/websocketClient";
import { WebSocket } from "ws";
import {
  action,
  ActionheroError,
  api,
  config,
  HttpError,
  specHelper,
  type Process,
} from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const TEXT = "please sign in";
const HEADERS = {
  "WWW-Authenticate": 'Bearer realm="app"',
  "X-Tries": 3,
  "X-Colours": ["red", "blue"],
};

const signIn = () => new HttpError(401, TEXT, { headers: HEADERS });
const refuse = () => {
  throw signIn();
};

let app: Process;

beforeAll(async () => {
  app = await startSocketApp();
  addActions({
    inRun: { run: refuse },
    inMiddleware: { middleware: ["refusing"], run: () => ({ ran: true }) },
    thrownByValidator: {
      inputs: { key: { validator: refuse, default: "x" } },
      run: () => ({ ran: true }),
    },
    returnedByValidator: {
      inputs: { key: { validator: signIn, default: "x" } },
      run: () => ({ ran: true }),
    },
    inFormatter: {
      inputs: { key: { formatter: refuse, default: "x" } },
      run: () => ({ ran: true }),
    },
    inResponse: {
      run: ({ response }) => {
        response.error = signIn();
      },
    },
    after201: {
      run: async ({ connection }) => {
        await connection.setStatusCode?.(201);
        throw signIn();
      },
    },
    after409: {
      run: async ({ connection }) => {
        await connection.setStatusCode?.(409);
        throw signIn();
      },
    },
    fromElsewhere: {
      run: () => {
        const error = new Error("gone");
        throw Object.assign(error, {
          expose: true,
          statusCode: 410,
          headers: { "X-Gone": "yes" },
        });
      },
    },
    outer: { run: () => action.run("inMiddleware") as never },
    notExposed: {
      run: () => {
        throw Object.assign(new Error("hidden"), { status: 410 });
      },
    },
  });
});

beforeEach(() => {
  resetMiddleware();
  action.addMiddleware({
    name: "refusing",
    global: false,
    preProcessor: refuse,
  });
});

afterAll(async () => {
  resetMiddleware();
  await closeAll();
  await app.stop();
});

const get = (path: string): Promise<Answer> => ask(webPort(), path);

const PLACES = [
  "inRun",
  "inMiddleware",
  "thrownByValidator",
  "returnedByValidator",
  "inFormatter",
  "inResponse",
];

describe.each(PLACES)("an HttpError %s", (name) => {
  test("decides the status and the headers of an HTTP response", async () => {
    const { status, headers, json } = await get(`/api/${name}`);
    expect(status).toBe(401);
    expect(json.error).toBe(TEXT);
    expect(headers["www-authenticate"]).toBe('Bearer realm="app"');
    expect(headers["x-tries"]).toBe("3");
    expect(String(headers["x-colours"]).split(/, ?/).sort()).toEqual([
      "blue",
      "red",
    ]);
  });

  test("is its message on a websocket", async () => {
    const client = await connectWebsocket();
    const { error } = await client.action(name);
    expect(error).toBe(TEXT);
    client.close();
  });

  test("is its message on a TCP connection", async () => {
    const peer = await SocketPeer.connect();
    await peer.next();
    expect(await peer.ask(name)).toMatchObject({ error: TEXT });
  });

  test("is its message in tests", async () => {
    const { error } = await specHelper.runAction(name);
    expect(error).toBe(`Error: ${TEXT}`);
  });
});

test("an HttpError wins over the status of a success that was set before it", async () => {
  expect((await get("/api/after201")).status).toBe(401);
});

test("the status of an error that was set before an HttpError stays", async () => {
  expect((await get("/api/after409")).status).toBe(409);
});

test("the status is 200 without returnErrorCodes, and the headers stay", async () => {
  config.web.returnErrorCodes = false;
  const { status, headers } = await get("/api/inRun");
  expect(status).toBe(200);
  expect(headers["www-authenticate"]).toBeDefined();
});

test("an error of another library counts when it is exposed", async () => {
  const { status, headers, json } = await get("/api/fromElsewhere");
  expect(status).toBe(410);
  expect(json.error).toBe("gone");
  expect(headers["x-gone"]).toBe("yes");
});

test.each([
  ["inRun", 401],
  ["fromElsewhere", 410],
  ["outer", 401],
])(
  "the status of %s is the code of replies without a status",
  async (name, code) => {
    config.errors.keepInline = true;
    const client = await connectWebsocket();
    expect(await client.action(name)).toMatchObject({ code });
    client.close();
    const peer = await SocketPeer.connect();
    await peer.next();
    expect(await peer.ask(name)).toMatchObject({ code });
    expect((await get(`/api/${name}`)).json).not.toHaveProperty("code");
  },
);

test("an action that another one runs decides the status and the headers with errors.keepInline", async () => {
  const before = await get("/api/outer");
  expect(before.status).toBe(500);
  expect(before.json.error).toBe(`Error: ${TEXT}`);
  config.errors.keepInline = true;
  const { status, headers, json } = await get("/api/outer");
  expect(status).toBe(401);
  expect(json.error).toBe(TEXT);
  expect(headers["www-authenticate"]).toBe('Bearer realm="app"');
});

test("the status of an error that is not exposed does not count", async () => {
  expect((await get("/api/notExposed")).status).toBe(500);
});

test.each([399, 600, 200, 404.5, NaN, "404" as never])(
  "%s is not the status of an HttpError",
  (status) => {
    expect(() => new HttpError(status, "x")).toThrow(RangeError);
  },
);

test("an HttpError keeps its cause, and is no ActionheroError", () => {
  const cause = new Error("why");
  const error = new HttpError(404, "not here", { cause });
  expect(error).toBeInstanceOf(Error);
  expect(error).not.toBeInstanceOf(ActionheroError);
  expect(error).toMatchObject({ status: 404, code: 404, cause, headers: {} });
  expect(String(error)).toBe("Error: not here");
});

describe.each([
  ["synchronous", refuse],
  ["asynchronous", async () => refuse()],
])("an HttpError in %s `create` middleware", (_name, create) => {
  beforeEach(() => api.connections.addMiddleware({ name: "door", create }));

  test("is the HTTP response", async () => {
    const { status, headers, json } = await get("/api/status");
    expect(status).toBe(401);
    expect(json).toEqual({ error: TEXT });
    expect(headers["www-authenticate"]).toBe('Bearer realm="app"');
    expect(headers["content-type"]).toMatch("application/json");
    const ofHttp = ({ type }: { type: string }) => type === "web";
    expect(api.connections.table.list().filter(ofHttp)).toEqual([]);
  });

  test("is a message on a websocket, and the reason of its close", async () => {
    const client = new WebsocketClient(new WebSocket(websocketUrl()));
    expect(await client.closed).toEqual({ code: 1008, reason: TEXT });
    expect(client.received).toEqual([{ context: "api", error: TEXT }]);
  });

  test("is a line on a TCP connection before the goodbye", async () => {
    const peer = await SocketPeer.connect();
    expect(await peer.next()).toEqual({ context: "api", error: TEXT });
    expect(await peer.next()).toMatchObject({ status: "Bye" });
    await peer.ended;
  });

  test("rejects the connection of a test", async () => {
    await expect(specHelper.buildConnection()).rejects.toThrow(TEXT);
  });
});

test("an error with a numeric code in `create` middleware is the HTTP response", async () => {
  const create = () => {
    throw Object.assign(new Error("pay first"), { code: 402 });
  };
  api.connections.addMiddleware({ name: "door", create });
  const { status, json } = await get("/api/status");
  expect(status).toBe(402);
  expect(json).toEqual({ error: "pay first" });
});

test("any other error in `create` middleware is not shown to clients", async () => {
  const create = () => {
    throw new Error("secret");
  };
  api.connections.addMiddleware({ name: "door", create });
  const { status, text } = await get("/api/status");
  expect(status).toBe(500);
  expect(text).not.toContain("secret");
  const client = new WebsocketClient(new WebSocket(websocketUrl()));
  expect(await client.closed).toEqual({
    code: 1011,
    reason: "connection refused",
  });
  expect(client.received).toEqual([]);
  const peer = await SocketPeer.connect();
  await peer.ended;
  expect(peer.text).not.toContain("secret");
});

test("the reason of a close has at most 123 bytes, and ends with a whole character", async () => {
  const text = "ü".repeat(100);
  const create = () => {
    throw new HttpError(503, text);
  };
  api.connections.addMiddleware({ name: "door", create });
  const client = new WebsocketClient(new WebSocket(websocketUrl()));
  expect(await client.closed).toEqual({ code: 1013, reason: "ü".repeat(61) });
  expect(client.received[0].error).toBe(text);
});
