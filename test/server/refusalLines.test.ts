/** The log of a client that is refused again and again: one line, and a count per second. */
// first: it enables the socket server before the configuration is built
import { closeAll, SocketPeer, startSocketApp } from "../support/socketApp";
import * as net from "node:net";
import { resetMiddleware } from "../support/app";
import { LogLines } from "../support/logLines";
import { until } from "../support/until";
import { addActions } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { api, config, HttpError, type Process } from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const FLOOD = 200;

let app: Process;
let logged: LogLines;
let release: () => void = () => undefined;
let released: Promise<void>;

beforeAll(async () => {
  app = await startSocketApp();
  addActions({
    held: { run: () => released },
    limited: {
      run: () => {
        throw new HttpError(429, "not so fast");
      },
    },
  });
});

beforeEach(() => {
  released = new Promise((resolve) => (release = resolve));
  logged = new LogLines();
});

afterEach(async () => {
  release();
  logged.stop();
  resetMiddleware();
  await closeAll();
});

afterAll(() => app.stop());

/** Refusals that the log tells of: lines of their own, and the sum of the counts. */
function told(line: RegExp, what: string) {
  const counts = logged.lines.filter(({ message }) =>
    message.endsWith(`refused more ${what} of a client`),
  );
  const counted = counts.reduce((sum, { count }) => sum + Number(count), 0);
  const lines = logged.lines.filter(({ message, error }) =>
    line.test(`${message} ${String(error)}`),
  );
  return { lines: lines.length, counted };
}

/** All refusals of a flood are told of, most of them in counts; each pause of a slow machine begins anew with lines. */
async function expectBounded(line: RegExp, what: string, total: number) {
  await until(() => {
    const { lines, counted } = told(line, what);
    return lines + counted === total;
  });
  expect(told(line, what).lines).toBeLessThan(total / 2);
}

async function rawHttp(bytes: string, done: (text: string) => boolean) {
  const socket = net.connect(webPort(), "localhost");
  let text = "";
  socket.on("data", (data) => (text += data.toString()));
  socket.on("error", () => undefined);
  socket.write(bytes);
  await until(() => done(text));
  socket.destroy();
}

const request = (path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

const statuses = (text: string, status: number) =>
  text.split(`HTTP/1.1 ${status} `).length - 1;

test("refusals of too many pending actions of a websocket have few lines", async () => {
  const client = await connectWebsocket();
  for (let i = 0; i < 5 + FLOOD; i++)
    client.send({ event: "action", params: { action: "held" }, messageId: i });
  await until(() => client.received.filter((m) => m.error).length === FLOOD);
  await expectBounded(/^\[ action @ websocket \].*pending/, "actions", FLOOD);
  client.ws.terminate();
});

test("refusals of too many pending actions of a TCP client have few lines", async () => {
  const peer = await SocketPeer.connect();
  for (let i = 0; i < 5 + FLOOD; i++) peer.send("held");
  await until(() => peer.text.split("too many pending").length === FLOOD + 1);
  await expectBounded(/^\[ action @ socket \].*pending/, "actions", FLOOD);
});

test("refusals of too long lines of a TCP client have few lines", async () => {
  const peer = await SocketPeer.connect();
  await peer.next();
  config.socket.maxDataLength = 64;
  for (let i = 0; i < FLOOD; i++) peer.send("x".repeat(100));
  await until(
    () => peer.text.split("data length is too big").length === FLOOD + 1,
  );
  await expectBounded(/data length is too big/, "lines", FLOOD);
});

test("actions over HTTP with the status 429 have few lines", async () => {
  const bytes = request("/api/limited").repeat(60);
  await rawHttp(bytes, (text) => statuses(text, 429) === 60);
  await expectBounded(/^\[ action @ web \].*not so fast/, "actions", 60);
});

test("bodies that cannot be read have few lines", async () => {
  const post =
    "POST /api/limited HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{";
  await rawHttp(post.repeat(60), (text) => statuses(text, 400) === 60);
  await expectBounded(/error processing form/, "bodies", 60);
});

describe("connections that middleware refuses", () => {
  beforeEach(() => {
    api.connections.middleware.refuse = {
      name: "refuse",
      create: () => {
        throw new Error("not you");
      },
    };
    api.connections.globalMiddleware.push("refuse");
  });

  test("websockets are counted", async () => {
    for (let i = 0; i < FLOOD / 2; i++) {
      const client = await connectWebsocket({ welcome: false });
      await client.closed;
    }
    await expectBounded(
      /cannot make a connection.*not you/,
      "connections",
      FLOOD / 2,
    );
  });

  test("TCP connections are counted", async () => {
    for (let i = 0; i < FLOOD / 2; i++) {
      const peer = await SocketPeer.connect();
      await peer.ended;
    }
    await expectBounded(
      /cannot open a connection.*not you/,
      "connections",
      FLOOD / 2,
    );
  });

  test("HTTP requests are counted", async () => {
    const bytes = request("/api/limited").repeat(60);
    await rawHttp(bytes, (text) => statuses(text, 500) === 60);
    await expectBounded(/cannot respond to a request.*not you/, "requests", 60);
  });
});

test("TCP clients that are cut one after the other have few lines", async () => {
  for (let i = 0; i < FLOOD / 2; i++) {
    const peer = await SocketPeer.connect();
    peer.send("GET / HTTP/1.1");
    await peer.ended;
  }
  await expectBounded(
    /disconnected a client that speaks HTTP/,
    "connections",
    FLOOD / 2,
  );
});

describe("what clients do wrong is logged at errors.clientErrorLogLevel", () => {
  const post = (body: string, type: string) =>
    `POST /api/held HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const refused = (bytes: string) =>
    rawHttp(bytes, (text) => statuses(text, 400) === 1);
  const forbid = () => {
    api.connections.middleware.refuse = {
      name: "refuse",
      create: () => {
        throw new HttpError(403, "not you");
      },
    };
    api.connections.globalMiddleware.push("refuse");
  };

  const mistakes: [string, RegExp, () => Promise<unknown>][] = [
    [
      "a body that is not JSON",
      /refused a request: .*not valid JSON/,
      () => refused(post("{", "application/json")),
    ],
    [
      "a multipart body without a boundary",
      /refused a request: .*error processing this form/,
      () => refused(post("a", "multipart/form-data")),
    ],
    [
      "a path that cannot be decoded",
      /refused a request: .*not encoded correctly/,
      () => refused(request("/api/held/%zz")),
    ],
    [
      "a callback that is not a name",
      /refused a request: .*not the name of a function/,
      () => refused(request("/api/limited?callback=a()")),
    ],
    [
      "a TCP line that is too long",
      /data length is too big/,
      async () => {
        const peer = await SocketPeer.connect();
        await peer.next();
        config.socket.maxDataLength = 64;
        peer.send("x".repeat(100));
        await peer.next();
      },
    ],
    [
      "a TCP connection that is reset",
      /socket error: .*ECONNRESET/,
      async () => {
        const peer = await SocketPeer.connect();
        await peer.next();
        peer.socket.resetAndDestroy();
        await until(() => logged.matching(/socket error/).length > 0);
      },
    ],
    [
      "a TCP connection that middleware forbids",
      /cannot open a connection.*not you/,
      async () => {
        forbid();
        await (
          await SocketPeer.connect()
        ).ended;
      },
    ],
    [
      "a websocket that middleware forbids",
      /cannot make a connection.*not you/,
      async () => {
        forbid();
        await (
          await connectWebsocket({ welcome: false })
        ).closed;
      },
    ],
    [
      "a request that middleware forbids",
      /refused a request: .*not you/,
      async () => {
        forbid();
        await rawHttp(
          request("/api/held"),
          (text) => statuses(text, 403) === 1,
        );
      },
    ],
  ];

  beforeEach(() => {
    config.errors.clientErrorLogLevel = "info";
    config.web.strictPaths = true;
    config.web.jsonp = "strict";
  });

  test.each(mistakes)("%s", async (_what, line, err) => {
    await err();
    await until(() => logged.matching(line).length > 0);
    expect(logged.at("info", line)).toHaveLength(1);
    const isSerious = ({ level }: { level: string }) =>
      !["info", "debug"].includes(level);
    expect(logged.lines.filter(isSerious)).toEqual([]);
  });
});
