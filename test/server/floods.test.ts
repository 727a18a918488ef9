/** What one client can take up: connections of an address, and requests before their answers. */
import * as http from "node:http";
import * as net from "node:net";
import { once } from "node:events";
import { WebSocket } from "ws";
import { api, config } from "../../src/index";
import { LogLines } from "../support/logLines";
import { certificate } from "../support/certificate";
import { until } from "../support/until";
import { addActions, startWebApp, type WebApp } from "../support/webApp";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

let app: WebApp;
let running = 0;
let mostRunning = 0;
let quickRun = 0;
/** How many of the action `quick` had run when `honest` did. */
let honestAt = 0;
let release: () => void = () => undefined;
let released: Promise<void>;

/** Let actions of the name `held` wait from now on. */
function hold(): void {
  running = mostRunning = 0;
  released = new Promise((resolve) => (release = resolve));
}

const webServer = () =>
  api.servers.servers.web as unknown as {
    server: http.Server;
    httpsServer: net.Server;
    sockets: Record<string, net.Socket>;
  };

async function openSockets(): Promise<number> {
  const { server, httpsServer } = webServer();
  const servers = [server, httpsServer, api.servers.servers.socket.server];
  const counts = await Promise.all(
    servers.map(
      (one: net.Server) =>
        new Promise<number>((resolve) =>
          one.getConnections((_error, count) => resolve(count)),
        ),
    ),
  );
  return counts.reduce((sum, count) => sum + count);
}

const clients: Client[] = [];

const socketPort = () =>
  (api.servers.servers.socket.server.address() as net.AddressInfo).port;

beforeAll(async () => {
  Object.assign(config.socket, { enabled: true, port: 0, bindIP: "::" });
  config.web.https = { enabled: true, port: 0, ...asServerOptions() };
  app = await startWebApp();
  addActions({
    held: {
      run: async ({ params }) => {
        mostRunning = Math.max(mostRunning, ++running);
        await released;
        running--;
        return { answered: params.n };
      },
      inputs: { n: {} },
    },
    quick: {
      run: () => {
        quickRun++;
        return { quick: true };
      },
    },
    honest: {
      run: () => {
        honestAt = quickRun;
        return { honest: true };
      },
    },
  });
});

afterEach(async () => {
  release();
  for (const { socket } of clients.splice(0)) socket.destroy();
  await until(async () => (await openSockets()) === 0);
});

afterAll(() => app.stop());

function asServerOptions() {
  return { serverOptions: certificate };
}

/** A client of one address, and everything that it was sent. */
class Client {
  text = "";
  readonly closed: Promise<unknown>;

  private constructor(readonly socket: net.Socket) {
    socket.on("error", () => undefined);
    socket.on("data", (data) => (this.text += data.toString("latin1")));
    this.closed = new Promise((resolve) => socket.once("close", resolve));
    clients.push(this);
  }

  static async connect(
    port: number,
    localAddress = "127.0.0.1",
  ): Promise<Client> {
    const socket = net.connect({ port, host: "127.0.0.1", localAddress });
    const client = new Client(socket);
    await once(socket, "connect");
    return client;
  }

  statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) =>
      Number(status),
    );
  }

  saw(what: RegExp): Promise<unknown> {
    return until(() => what.test(this.text), undefined, String(what));
  }
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

function getHeld(count: number): string {
  return Array.from({ length: count }, (_, n) => get(`/api/held?n=${n}`)).join(
    "",
  );
}

describe("the actions of clients that wait for their turns", () => {
  let open = 0;
  let most = 0;
  let done = 0;

  beforeAll(() =>
    addActions({
      stepwise: {
        run: async () => {
          most = Math.max(most, ++open);
          await Promise.resolve();
          open--;
          done++;
          return {};
        },
      },
    }),
  );

  beforeEach(() => {
    most = done = 0;
  });

  // the first of a chunk, up to this many, do not wait
  const IN_A_ROW = 16;

  test("end, as far as they wait for nothing, before the next one begins: over HTTP", async () => {
    const flood = await Promise.all(
      Array.from({ length: 8 }, () => Client.connect(app.port)),
    );
    for (const { socket } of flood)
      socket.write(get("/api/stepwise").repeat(60));
    await until(() => done === 8 * 60);
    expect(most).toBeLessThanOrEqual(IN_A_ROW);
  });

  test("the same over TCP", async () => {
    const flood = await Promise.all(
      Array.from({ length: 8 }, () => Client.connect(socketPort())),
    );
    const limit = config.general.simultaneousActions;
    for (const { socket } of flood)
      socket.write('{"action":"stepwise"}\r\n'.repeat(300));
    for (const client of flood)
      await until(() => (client.text.match(/messageId/g) ?? []).length >= 300);
    expect(most).toBeLessThanOrEqual(limit);
  });
});

describe("requests before their answers", () => {
  test("all run at once in version 29's profile", async () => {
    hold();
    const client = await Client.connect(app.port);
    client.socket.write(getHeld(20));
    await until(() => running === 20);
    release();
    await until(() => client.statuses().length === 20);
    expect(new Set(client.statuses())).toEqual(new Set([200]));
  });

  test("run 64 at a time, and no more is read meanwhile; all are answered in order", async () => {
    hold();
    const client = await Client.connect(app.port);
    client.socket.write(getHeld(5_000));
    await until(() => running === 64);
    const [server] = Object.values(webServer().sockets);
    await until(() => server.isPaused());
    const before = server.bytesRead;
    expect(before).toBeLessThanOrEqual(2 * 64 * 1024);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(server.bytesRead).toBe(before);
    expect(mostRunning).toBe(64);

    release();
    await until(() => /"answered": "4999"/.test(client.text.slice(-1_000)));
    expect(mostRunning).toBe(64);
    expect(client.statuses()).toEqual(Array<number>(5_000).fill(200));
    const order = [...client.text.matchAll(/"answered": "(\d+)"/g)];
    expect(order.map(([, n]) => Number(n))).toEqual([...Array(5_000).keys()]);
  });

  test("a body that comes in pieces behind 64 of them is read to its end", async () => {
    hold();
    const client = await Client.connect(app.port);
    const post = `POST /api/quick HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"some":`;
    client.socket.write(getHeld(64) + post);
    await until(() => running === 64);
    client.socket.write('"text"}' + get("/api/held?n=last"));
    release();
    await until(() => client.text.includes('"answered": "last"'));
    expect(client.statuses()).toEqual(Array<number>(66).fill(200));
  });

  test("of many cheap ones of a client do not keep another client waiting", async () => {
    const [flood, honest] = [
      await Client.connect(app.port),
      await Client.connect(app.port),
    ];
    const before = quickRun;
    flood.socket.write(get("/api/quick").repeat(40_000));
    await until(() => quickRun > before);
    honest.socket.write(get("/api/honest"));
    await honest.saw(/"honest": true/);
    expect(honestAt - before).toBeLessThan(1_000);
    flood.socket.destroy();
  });

  test("those that wait have no response object yet", async () => {
    hold();
    let created = 0;
    const count = () => created++;
    webServer().server.prependListener("request", count);
    const client = await Client.connect(app.port);
    client.socket.write(getHeld(500));
    await until(() => running === 64);
    expect(created).toBe(64);
    release();
    await until(() => client.statuses().length === 500);
    expect(created).toBe(500);
    webServer().server.off("request", count);
  });

  test("at most 63 with an unknown expectation are refused behind an action", async () => {
    hold();
    let created = 0;
    const count = () => created++;
    webServer().server.prependListener("checkExpectation", count);
    const client = await Client.connect(app.port);
    client.socket.write(getHeld(1));
    await until(() => running === 1);
    const head = get("/api/quick").slice(0, -2);
    client.socket.write(`${head}Expect: payment\r\n\r\n`.repeat(500));
    await until(() => created >= 63);
    for (let turn = 0; turn < 100; turn++)
      await new Promise((resolve) => setImmediate(resolve));
    expect(created).toBe(63);
    release();
    await client.closed;
    expect(client.statuses()).toEqual([200, 417]);
    webServer().server.off("checkExpectation", count);
  });

  test("of many clients, those with many are disconnected when all together have too many", async () => {
    hold();
    const honest = await Client.connect(app.port);
    const flood: Client[] = [];
    for (let i = 0; i < 40; i++) flood.push(await Client.connect(app.port));
    let closed = 0;
    for (const one of flood) void one.closed.then(() => closed++);
    const logged = new LogLines();
    for (const { socket } of flood) socket.write(getHeld(1_000));
    honest.socket.write(get("/api/quick"));
    await honest.saw(/"quick": true/);
    await until(() => closed >= 30);
    logged.stop();
    expect(
      logged.at("warning", /sent too many requests without waiting/),
    ).not.toEqual([]);
    release();
    honest.socket.write(get("/api/quick"));
    await until(() => honest.statuses().length === 2);
  });

  test("an upgrade behind waiting requests ends the connection after their responses", async () => {
    hold();
    const client = await Client.connect(app.port);
    const upgrade =
      "GET /api/quick HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.socket.write(getHeld(100) + upgrade + get("/api/quick"));
    await until(() => running === 64);
    release();
    await client.closed;
    expect(client.statuses()).toEqual(Array<number>(100).fill(200));
    expect(client.text).not.toContain('"quick"');
  });

  test("with limitPipelining, simultaneousActions run at a time, and all are answered in order", async () => {
    config.web.limitPipelining = true;
    hold();
    const client = await Client.connect(app.port);
    client.socket.write(getHeld(20));
    await until(() => running === 5);
    await app.ask("/api/quick"); // served after the requests that came before
    expect(mostRunning).toBe(5);
    release();
    await until(() => client.statuses().length === 20);
    expect(mostRunning).toBe(5);
    expect(client.statuses()).toEqual(Array<number>(20).fill(200));
    const order = [...client.text.matchAll(/"answered": "(\d+)"/g)];
    expect(order.map(([, n]) => Number(n))).toEqual([...Array(20).keys()]);
  });

  test("with limitPipelining a client that waits for its answers is served on and on", async () => {
    config.web.limitPipelining = true;
    const client = await Client.connect(app.port);
    for (let i = 1; i <= 20; i++) {
      client.socket.write(get("/api/quick"));
      await until(() => client.statuses().length === i);
    }
    expect(new Set(client.statuses())).toEqual(new Set([200]));
  });

  test("with limitPipelining an upgrade behind waiting requests ends the connection after their responses", async () => {
    config.web.limitPipelining = true;
    hold();
    const client = await Client.connect(app.port);
    const upgrade =
      "GET /primus HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.socket.write(getHeld(8) + upgrade);
    await until(() => running === 5);
    release();
    await client.closed;
    expect(client.statuses()).toEqual(Array<number>(8).fill(200));
  });

  test("with simultaneousActions of 0 there is one at a time", async () => {
    config.web.limitPipelining = true;
    config.general.simultaneousActions = 0;
    const client = await Client.connect(app.port);
    client.socket.write(get("/api/quick").repeat(3));
    await until(() => client.statuses().length === 3);
    expect(client.statuses()).toHaveLength(3);
  });

  describe.each([
    ["simultaneousActions with limitPipelining", true, 5],
    ["64", false, 64],
  ])("behind one that is not answered, at most %s", (_, isLimited, limit) => {
    test.each([
      ["that run", "/api/held", limit],
      ["whose responses are complete", "/api/quick", 2 * limit + 1],
      ["for files", "/public/simple.html", 2 * limit + 1],
    ])(
      "%s have response objects, and no more is read",
      async (_, path, most) => {
        config.web.limitPipelining = isLimited;
        hold();
        let created = 0;
        const count = () => created++;
        webServer().server.prependListener("request", count);
        const client = await Client.connect(app.port);
        client.socket.write(getHeld(1));
        await until(() => running === 1);
        const [server] = Object.values(webServer().sockets);
        let sent = 1;
        while (!server.isPaused() && sent < 300) {
          const { bytesRead } = server;
          client.socket.write(get(path).repeat(3));
          sent += 3;
          await until(() => server.isPaused() || server.bytesRead > bytesRead);
          for (let turn = 0; turn < 10; turn++)
            await new Promise((resolve) => setImmediate(resolve));
        }
        expect(server.isPaused()).toBe(true);
        expect(created).toBeLessThanOrEqual(most);
        release();
        await until(() => client.statuses().length === sent);
        expect(new Set(client.statuses())).toEqual(new Set([200]));
        webServer().server.off("request", count);
      },
    );
  });
});

test("lines of many TCP clients are handled over many turns of the event loop, and another client is served meanwhile", async () => {
  const { socket } = api.servers.servers;
  let inTurn = 0;
  let most = 0;
  const count = () => (most = Math.max(most, ++inTurn));
  const nextTurn = () => {
    inTurn = 0;
    turns = setImmediate(nextTurn);
  };
  let turns = setImmediate(nextTurn);
  socket.on("actionComplete", count);
  const honest = await Client.connect(socketPort());
  const flood: Client[] = [];
  for (let i = 0; i < 20; i++) flood.push(await Client.connect(socketPort()));
  const before = quickRun;
  for (const one of flood) one.socket.write("quick\n".repeat(5_000));
  await until(() => quickRun > before);
  honest.socket.write("honest\n");
  await honest.saw(/"honest":true/);
  const isDone = ({ text }: Client) => text.endsWith('"messageId":5000}\r\n');
  expect(flood.some(isDone)).toBe(false);
  await until(() => flood.every(isDone));
  clearImmediate(turns);
  socket.off("actionComplete", count);
  expect(most).toBeLessThanOrEqual(256 + 21);
});

describe("connections of one address", () => {
  beforeEach(() => {
    config.general.maxConnectionsPerAddress = 3;
  });

  test("connections of one address have a limit over all servers; other addresses are not affected", async () => {
    await Client.connect(app.port);
    await Client.connect(socketPort());
    const ws = new WebSocket(`ws://127.0.0.1:${app.port}/primus`);
    ws.on("error", () => undefined);
    await once(ws, "open");

    const logged = new LogLines();
    const refused = await Client.connect(app.port);
    await refused.saw(/too many connections/);
    expect(refused.statuses()).toEqual([429]);
    const refusedLine = await Client.connect(socketPort());
    await refusedLine.saw(/\{"error":"too many connections","context":"api"\}/);
    await refusedLine.closed;
    logged.stop();
    // one line for the whole flood
    expect(logged.at("warning", /maxConnectionsPerAddress/)).toHaveLength(1);

    const other = await Client.connect(app.port, "127.0.0.2");
    other.socket.write(get("/api/quick"));
    await other.saw(/"quick": true/);

    // a place that becomes free is free
    ws.terminate();
    await until(async () => {
      const client = await Client.connect(app.port);
      client.socket.write(get("/api/quick"));
      await client.saw(/HTTP/);
      return client.text.includes('"quick": true');
    });
  });

  test("over TLS one too many is cut before its handshake", async () => {
    const { port } = webServer().httpsServer.address() as net.AddressInfo;
    for (let i = 0; i < 3; i++) await Client.connect(port);
    const refused = await Client.connect(port);
    await refused.closed;
    expect(refused.text).toBe("");
  });

  test("a client that is refused learns why, also when it has sent its request", async () => {
    for (let i = 0; i < 3; i++) await Client.connect(app.port);
    for (let i = 0; i < 20; i++) {
      const response = await new Promise<http.IncomingMessage>(
        (resolve, reject) => {
          http
            .get({ port: app.port, host: "127.0.0.1", agent: false }, resolve)
            .once("error", reject);
        },
      );
      expect(response.statusCode).toBe(429);
      response.resume();
      await once(response, "end");
    }
  });

  test("a flood of refused connections leaves nothing behind", async () => {
    const flood = await Promise.all(
      Array.from({ length: 200 }, () => Client.connect(app.port)),
    );
    await until(async () => (await openSockets()) === 3);
    for (const { socket } of flood) socket.destroy();
    await until(async () => (await openSockets()) === 0);
    const client = await Client.connect(app.port);
    client.socket.write(get("/api/quick"));
    await client.saw(/"quick": true/);
  });
});
