/** The clients of version 29 against this server: the `primus` package, and the class that is made for node. */
import * as vm from "node:vm";
import { freePort } from "../../support/freePort";
import { unstalled } from "../../support/stopwatch";
import { until } from "../../support/until";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config } from "../../../src/index";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

const Primus = require("primus") as {
  createSocket: (options: object) => new (url: string, options?: object) => any;
};

let app: WebApp;
const clients: any[] = [];

beforeAll(async () => {
  config.web.port = await freePort(); // to be found again after a restart
  app = await startWebApp();
});

beforeEach(() =>
  addActions({ who: { run: ({ connection }) => ({ id: connection.id }) } }),
);

afterEach(async () => {
  for (const client of clients.splice(0)) client.end();
  await until(() => !app.process.running || connected() === 0);
  if (!app.process.running) await app.process.start();
});

afterAll(async () => {
  await app.stop();
});

function connected(): number {
  return api.servers.servers.websocket.connections().length;
}

function restart(): Promise<void> {
  return app.process.stop().then(() => app.process.start());
}

/** What a client of either kind tells, in order. */
function watch(client: any): { events: string[]; data: any[] } {
  const seen = { events: [] as string[], data: [] as any[] };
  for (const event of [
    "open",
    "close",
    "end",
    "reconnect scheduled",
    "reconnected",
    "offline",
    "timeout",
  ])
    client.on(event, () => seen.events.push(event));
  client.on("data", (message: any) => seen.data.push(message));
  client.on("error", () => undefined);
  return seen;
}

describe.each([
  [
    "the primus package",
    () => Primus.createSocket({ transformer: "websockets", parser: "JSON" }),
  ],
  ["server.Socket", () => api.servers.servers.websocket.server.Socket],
])("%s", (_name, socketClass) => {
  const QUICK = { reconnect: { min: 50, max: 100, retries: 100 } };

  function connect(options: object = QUICK) {
    const client = new (socketClass())(app.url, options);
    clients.push(client);
    return { client, ...watch(client) };
  }

  test("the client connects, sends a request, and gets the response", async () => {
    const { client, data, events } = connect();
    client.write({ event: "detailsView", messageId: 1 });
    client.write({ event: "action", params: { action: "who" }, messageId: 2 });
    await until(() => data.length === 3);
    expect(data[0]).toEqual({
      welcome: config.general.welcomeMessage,
      context: "api",
    });
    const [{ id }] = api.servers.servers.websocket.connections();
    // verbs and actions run side by side: a reply belongs to the request with its messageId
    const replyTo = (wanted: number) =>
      data.find(({ messageId }) => messageId === wanted);
    expect(replyTo(1).data.id).toBe(id);
    expect(replyTo(2)).toEqual({ id, context: "response", messageId: 2 });
    const told = await new Promise((resolve) => client.id(resolve));
    const [{ rawConnection }] = api.servers.servers.websocket.connections();
    expect(told).toBe(rawConnection.id);
    client.end();
    await until(() => connected() === 0);
    expect(events).toEqual(["open", "close", "end"]);
  });

  test("the client answers pings, and stays connected", async () => {
    config.websocket.server = { pingInterval: 600 };
    // the client's own timers take a pause of this process for one of the server
    await unstalled(async () => {
      await restart();
      const { client, events } = connect();
      await until(() => connected() === 1);
      const [connection] = api.servers.servers.websocket.connections();
      const pongs: unknown[] = [];
      connection.rawConnection.on("data", (m: unknown) => pongs.push(m));
      await until(() => pongs.length >= 3);
      const seen = [...events];
      client.end();
      expect(pongs[0]).toMatch(/^primus::pong::\d+$/);
      expect(seen).toEqual(["open"]);
    }, 100);
  });

  test("the client reconnects after a restart, and sends what it queued meanwhile", async () => {
    const { client, events, data } = connect();
    await until(() => data.length === 1);
    await app.process.stop();
    await until(() => events.includes("close"));
    client.write({ event: "detailsView", messageId: "meanwhile" });
    await app.process.start();
    await until(() => data.some(({ messageId }) => messageId === "meanwhile"));
    expect(events.filter((event) => event === "open")).toHaveLength(2);
    expect(events).not.toContain("end");
    client.end();
  });

  test.each([
    [
      "when the server stops with destroyClientsOnShutdown",
      async () => {
        config.websocket.destroyClientsOnShutdown = true;
        await restart();
      },
    ],
    [
      "when its connection is destroyed",
      async () => {
        const [connection] = api.servers.servers.websocket.connections();
        await connection.destroy();
      },
    ],
  ])("stays away %s", async (_when, act) => {
    const { client, events, data } = connect();
    await until(() => data.length === 1);
    await act();
    await until(() => events.includes("end"));
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(events).toEqual(["open", "close", "end"]);
    expect(connected()).toBe(0);
    client.end();
  });

  test("the client notices a silent server", async () => {
    const { client, events, data } = connect({ ...QUICK, pingTimeout: 100 });
    await until(() => data.length === 1);
    // pings come every 30 s only
    await until(() => events.filter((event) => event === "open").length >= 2);
    expect(events.slice(0, 3)).toEqual(["open", "offline", "close"]);
    client.end();
  });
});

describe("the library for browsers", () => {
  test("defines Primus, set up as the server is", async () => {
    config.websocket.server = { pathname: "/live", pingInterval: 1000 };
    const source = api.servers.servers.websocket.server.library();
    const window: any = { WebSocket: class {}, location: { href: app.url } };
    vm.runInNewContext(source, { window, setTimeout, clearTimeout, URL, Map });
    const client = window.Primus.connect(undefined, { manual: true });
    expect(client.pathname).toBe("/live");
    expect(client.timing.ping).toBe(1500);
    const emitter = new window.Primus.EventEmitter();
    const heard: unknown[] = [];
    emitter.once("a", (...args: unknown[]) => heard.push(args));
    emitter.emit("a", 1, 2);
    emitter.emit("a", 3);
    expect(heard).toEqual([[1, 2]]);
  });
});

test("the surface of the Primus server", async () => {
  const { server } = api.servers.servers.websocket;
  const seen: string[] = [];
  server.on("connection", ({ id }: any) => seen.push(`+${id}`));
  server.on("disconnection", ({ id }: any) => seen.push(`-${id}`));
  const sockets = [0, 1].map(() => new server.Socket(app.url));
  const data = sockets.map((socket) => watch(socket).data);
  await until(() => data.every(({ length }) => length > 0));
  expect(server.connected).toBe(2);
  const ids: string[] = [];
  server.forEach((spark: any, id: string, count: number) => {
    expect([spark.id, count]).toEqual([id, 2]);
    ids.push(id);
    return ids.length < 1;
  });
  expect(ids).toHaveLength(1);
  expect(server.spark(ids[0]).id).toBe(ids[0]);
  expect(server.spark("nobody")).toBeUndefined();
  server.write({ context: "alert", all: true });
  await until(() => data.every((d) => d.some(({ all }) => all)));
  await new Promise<void>((resolve) => server.destroy({}, resolve));
  await until(() => seen.length === 4);
  expect(seen.filter((s) => s.startsWith("-"))).toHaveLength(2);
});
