/** Sockets that the HTTP server hands over (upgrades, CONNECT), without a guard or a listener. */
import { once } from "node:events";
import * as http from "node:http";
import * as net from "node:net";
import * as tls from "node:tls";
import type { Duplex } from "node:stream";
import { watchHandOvers } from "../../../src/server/handOver";
import { certificate } from "../../support/certificate";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config } from "../../../src/index";
import type { WebServer } from "../../../src/server/web/webServer";

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
  addActions({ quick: { run: () => ({ quick: true }) } });
});

afterAll(() => app.stop());

const UPGRADE = [
  "GET /nobody HTTP/1.1",
  "Host: localhost",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "\r\n",
].join("\r\n");
const CONNECT = "CONNECT nobody:80 HTTP/1.1\r\nHost: nobody:80\r\n\r\n";

/** A listener that only cares for paths of its own, as that of a plugin. */
function listenFor(server: http.Server, event: "upgrade" | "connect") {
  const handed: Duplex[] = [];
  const listener = (_req: http.IncomingMessage, socket: Duplex) =>
    void handed.push(socket);
  server.on(event, listener);
  return { handed, stop: () => server.off(event, listener) };
}

function webPort(): number {
  const { server } = api.servers.servers.web as { server: net.Server };
  return (server.address() as net.AddressInfo).port;
}

/** Not `once`, which would listen for errors, too. */
function closeOf(socket: Duplex): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** The text that a server sends before it closes. */
async function textFrom(port: number, request: string): Promise<string> {
  const socket = net.connect(port, "localhost");
  let text = "";
  socket.on("data", (chunk) => (text += chunk.toString()));
  socket.write(request);
  await once(socket, "end");
  socket.destroy();
  return text;
}

describe("a client that resets a connection without a listener", () => {
  test.each([
    ["upgrade", UPGRADE],
    ["connect", CONNECT],
  ] as const)("%s: takes nothing with it", async (event, request) => {
    const { handed, stop } = listenFor(api.servers.servers.web.server, event);
    const client = net.connect(webPort(), "localhost");
    client.write(request);
    await once(api.servers.servers.web.server as http.Server, event);
    const closed = closeOf(handed[0]);
    client.resetAndDestroy();
    await closed;
    expect((await app.ask("/api/quick")).json.quick).toBe(true);
    stop();
  });

  test("an unused upgrade over TLS gets a 404", async () => {
    const web = api.servers.servers.web as WebServer;
    const { serverOptions } = config.web;
    await web.stop();
    Object.assign(config.web, { secure: true, serverOptions: certificate });
    await web.start();
    const { handed, stop } = listenFor(web.server as http.Server, "upgrade");
    const plain = net.connect(webPort(), "localhost");
    const client = tls.connect({ socket: plain, ca: certificate.cert });
    client.on("error", () => undefined);
    client.write(UPGRADE);
    await once(web.server as http.Server, "upgrade");
    const closed = closeOf(handed[0]);
    plain.resetAndDestroy();
    await closed;
    stop();
    await web.stop();
    Object.assign(config.web, { secure: false, serverOptions });
    await web.start();
  });
});

describe("a connection that no listener takes", () => {
  let server: http.Server;

  beforeEach(async () => {
    const busy = new Set<Duplex>();
    server = http.createServer((req, res) => {
      busy.add(req.socket);
      setImmediate(() => res.end("plain"));
    });
    watchHandOvers(server, { takeMs: 100, isBusy: (one) => busy.has(one) });
    server.listen(0);
    await once(server, "listening");
  });

  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });

  const port = () => (server.address() as net.AddressInfo).port;

  test.each([
    ["upgrade", UPGRADE],
    ["connect", CONNECT],
  ] as const)("%s: is refused with a 404", async (event, request) => {
    listenFor(server, event);
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => textFrom(port(), request)),
    );
    for (const text of answers)
      expect(text).toMatch(
        /^HTTP\/1\.1 404 Not Found\r\n[^]*\r\n\r\nthere is nothing to upgrade to$/,
      );
  });

  test("is refused also when earlier requests on it are answered late", async () => {
    listenFor(server, "upgrade");
    const first = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    expect(await textFrom(port(), first + UPGRADE)).toMatch(
      /plain[^]*HTTP\/1\.1 404/,
    );
  });

  test.each<[string, (socket: Duplex) => void]>([
    ["writes", (socket) => socket.write("taken")],
    ["reads", (socket) => socket.on("data", () => undefined)],
    ["pipes", (socket) => socket.pipe(socket)],
    ["guards it", (socket) => socket.on("error", () => undefined)],
    ["waits for its end", (socket) => socket.on("close", () => undefined)],
  ])("stays with a listener that %s", async (_what, take) => {
    server.on("upgrade", (_req, socket: Duplex) => {
      take(socket);
      setTimeout(() => socket.end("late"), 400);
    });
    expect(await textFrom(port(), UPGRADE)).toMatch(/^(?:taken)?late$/);
  });

  test("is none when nobody listens, or no longer", async () => {
    const plain = UPGRADE.replace("Connection: Upgrade", "Connection: close");
    const { stop } = listenFor(server, "upgrade");
    stop();
    expect(server.listenerCount("upgrade")).toBe(0);
    expect(await textFrom(port(), plain)).toMatch(/plain/);
  });
});

test("the web server watches its connections", async () => {
  const { stop } = listenFor(api.servers.servers.web.server, "upgrade");
  expect(await textFrom(webPort(), UPGRADE)).toMatch(/^HTTP\/1\.1 404 /);
  stop();
}, 60_000);
