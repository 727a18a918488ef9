import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { once } from "node:events";
import { leaveStaleSocket } from "../../support/staleSocket";
import { until } from "../../support/until";
import {
  addActions,
  ask,
  startWebApp,
  type WebApp,
} from "../../support/webApp";
import { api, config, Process } from "../../../src/index";
import type { WebRequest } from "../../../src/server/web/webRequest";
import type { WebServer } from "../../../src/server/web/webServer";
import { restoreConfig } from "../../support/withConfig";

restoreConfig();

const web = () => api.servers.servers.web as WebServer;

/** Lets a test decide when the action `slow` ends. */
let release: () => void;
let entered: Promise<void>;
function addSlow(): void {
  let enter: () => void;
  entered = new Promise((resolve) => (enter = resolve));
  const released = new Promise<void>((resolve) => (release = resolve));
  addActions({
    slow: {
      run: async () => {
        enter();
        await released;
        return { slow: true };
      },
    },
    slowFile: {
      run: async (data) => {
        data.toRender = false;
        enter();
        await released;
        await data.connection.sendFile("simple.html");
      },
    },
    begun: {
      run: async (data) => {
        data.toRender = false;
        const { res } = data.connection.rawConnection as WebRequest;
        res.writeHead(200, { "content-length": "2" });
        res.write("o");
        enter();
        await released;
        res.end("k");
      },
    },
    quick: { run: () => ({ quick: true }) },
  });
}

let app: WebApp;

beforeEach(async () => {
  app = await startWebApp();
  addSlow();
});

afterEach(async () => {
  release();
  await app.stop();
});

describe("stop", () => {
  test("finishes requests in flight and closes their connections", async () => {
    const agent = new http.Agent({ keepAlive: true });
    const answer = app.ask("/api/slow", { agent });
    await entered;
    expect(Object.keys(api.connections.connections)).toHaveLength(1);
    const stopped = web().stop();
    release();
    const { status, json, headers } = await answer;
    expect([status, json.slow]).toEqual([200, true]);
    expect(headers.connection).toBe("close");
    await stopped;
    expect(web().server.listening).toBe(false);
    while (Object.keys(web().sockets).length > 0)
      await new Promise(setImmediate);
    agent.destroy();
  });

  test("closes the connection after a response without a body", async () => {
    const agent = new http.Agent({ keepAlive: true });
    const inTheFuture = new Date(Date.now() + 3_600_000).toUTCString();
    const answer = app.ask("/api/slowFile", {
      agent,
      headers: { "if-modified-since": inTheFuture },
    });
    await entered;
    const stopped = web().stop();
    release();
    const { status, headers } = await answer;
    expect([status, headers.connection]).toEqual([304, "close"]);
    await stopped;
    agent.destroy();
  });

  test("answers all requests that were sent without waiting", async () => {
    const socket = net.connect(app.port, "localhost");
    let got = "";
    socket.setEncoding("utf8").on("data", (text: string) => (got += text));
    const request = "GET /api/slow HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write(request + request);
    const ended = once(socket, "end");
    await until(() => Object.keys(api.connections.connections).length === 2);
    const stopped = web().stop();
    release();
    await ended;
    await stopped;
    expect(got.match(/"slow": ?true/g)).toHaveLength(2);
    expect(got.match(/^connection: close/gim)).toHaveLength(1);
  });

  test("does not wait for the next request after a response that began before it", async () => {
    // the response has promised to keep the connection
    web().server.keepAliveTimeout = 600_000;
    const agent = new http.Agent({ keepAlive: true });
    const log = jest.spyOn(web(), "log");
    const answer = app.ask("/api/begun", { agent });
    await entered;
    const stopped = web().stop();
    release();
    const { text, headers } = await answer;
    expect([text, headers.connection]).toEqual(["ok", "keep-alive"]);
    await stopped;
    expect(log).not.toHaveBeenCalledWith(
      expect.stringMatching(/^cut /),
      "warning",
    );
    agent.destroy();
  });

  test("does not wait for idle keep-alive connections", async () => {
    const agent = new http.Agent({ keepAlive: true });
    await app.ask("/api/quick", { agent });
    const silent = net.connect(app.port, "localhost");
    await once(silent, "connect");
    while (Object.keys(web().sockets).length < 2)
      await new Promise(setImmediate);
    await web().stop();
    while (Object.keys(web().sockets).length > 0)
      await new Promise(setImmediate);
    agent.destroy();
    silent.destroy();
  });

  test("cuts what is left at the deadline, and says how many", async () => {
    config.general.shutdownTimeout = 50;
    const log = jest.spyOn(web(), "log");
    const answer = app.ask("/api/slow").catch((error: unknown) => error);
    await entered;
    await web().stop();
    expect(await answer).toMatchObject({ code: "ECONNRESET" });
    expect(log).toHaveBeenCalledWith(
      "disconnected 1 clients that did not finish within 50 ms",
      "warning",
    );
  });

  test("a second stop does nothing, and the port is closed", async () => {
    await web().stop();
    await web().stop();
    expect(web().server!.listening).toBe(false);
    await expect(app.ask("/api/status")).rejects.toMatchObject({
      code: "ECONNREFUSED",
    });
  });
});

test("a disconnect destroys the connection", async () => {
  const request = http.get({ port: app.port, path: "/api/slow", agent: false });
  request.on("error", () => undefined);
  await entered;
  const [connection] = Object.values(api.connections.connections);
  request.destroy();
  while (!connection.destroyed) await new Promise(setImmediate);
  expect(api.connections.connections).toEqual({});
});

test("requests sent without waiting are answered in order", async () => {
  const socket = net.connect(app.port, "localhost");
  socket.write(
    "GET /api/slow HTTP/1.1\r\nHost: x\r\n\r\n" +
      "GET /api/quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
  );
  await entered;
  release();
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  expect(text.match(/"slow": true|"quick": true/g)).toEqual([
    '"slow": true',
    '"quick": true',
  ]);
  expect(api.connections.connections).toEqual({});
});

test("a request with HTTP/1.0 or Connection: close ends the connection", async () => {
  for (const request of [
    "GET /api/quick HTTP/1.0\r\n\r\n",
    "GET /api/quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
  ]) {
    const socket = net.connect(app.port, "localhost");
    socket.write(request);
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    expect(text).toContain('"quick": true');
  }
});

test("interceptors come before routing and may answer", async () => {
  const intercept = (req: http.IncomingMessage, res: http.ServerResponse) => {
    if (!req.url!.startsWith("/metrics")) return false;
    res.end("intercepted");
    return true;
  };
  web().interceptors.push(intercept);
  expect((await app.ask("/metrics/x")).text).toBe("intercepted");
  expect((await app.ask("/api/quick")).json.quick).toBe(true);
});

test("an interceptor that throws is answered with a 500", async () => {
  web().interceptors.push(() => {
    throw new Error("broken");
  });
  const { status, json } = await app.ask("/api/quick");
  expect([status, json.error]).toEqual([
    500,
    "the request could not be answered",
  ]);
});

test("a client that never finishes its request is cut", async () => {
  config.web.headersTimeout = 20;
  config.web.requestTimeout = 40;
  config.web.serverOptions = { connectionsCheckingInterval: 10 };
  config.web.port = 0;
  await web().stop();
  await web().start();
  const { port } = web().server.address() as net.AddressInfo;
  for (const beginning of [
    "GET /api/quick HTTP/1.1\r\nHo",
    "POST /api/quick HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
  ]) {
    const socket = net.connect(port, "localhost");
    socket.write(beginning);
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    expect(text === "" || text.startsWith("HTTP/1.1 408")).toBe(true);
  }
  expect(api.connections.connections).toEqual({});
});

test("a client that reads nothing is cut", async () => {
  config.web.sendTimeout = 50;
  addActions({ large: { run: () => ({ text: "x".repeat(30_000_000) }) } });
  const socket = net.connect(app.port, "localhost");
  socket.on("error", () => undefined);
  socket.write("GET /api/large HTTP/1.1\r\nHost: x\r\n\r\n");
  while (Object.keys(web().sockets).length === 0)
    await new Promise(setImmediate);
  const [held] = Object.values(web().sockets);
  await once(held, "close");
  socket.destroy();
});

describe("start", () => {
  test("a port that is taken fails, naming it", async () => {
    await web().stop();
    const other = net.createServer().listen(0, "::");
    await once(other, "listening");
    const { port } = other.address() as net.AddressInfo;
    config.web.port = port;
    await expect(web().start()).rejects.toThrow(
      new RegExp(
        `cannot start web server @ :::${port} => Error: listen EADDRINUSE`,
      ),
    );
    other.close();
    config.web.port = 0;
    await web().start();
  });

  test("bootAttempts limits the attempts to listen", async () => {
    await web().stop();
    const other = net.createServer().listen(0, "::");
    await once(other, "listening");
    const { port } = other.address() as net.AddressInfo;
    Object.assign(config.web, { port, bootAttempts: 20 });
    const log = jest.spyOn(web(), "log");
    const started = web().start();
    while (!log.mock.calls.some(([text]) => text.includes("trying again")))
      await new Promise(setImmediate);
    other.close();
    await started;
    expect((await ask(port, "/api/quick")).status).toBe(200);
  });

  test("a unix socket, with a stale one in its place", async () => {
    await web().stop();
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "socket-"));
    const file = path.join(folder, "web.sock");
    await leaveStaleSocket(file);
    Object.assign(config.web, { port: file, bindIP: null });
    await web().start();
    expect(fs.statSync(file).mode & 0o777).toBe(0o777);
    expect((await ask(file, "/api/quick")).json.quick).toBe(true);
    await web().stop();
    fs.rmSync(folder, { recursive: true });
  });

  test.each([
    [
      { rootEndpointType: "other" },
      "rootEndpointType can only be 'api' or 'file'",
    ],
    [
      { rootEndpointType: "file", urlPathForFiles: null },
      'rootEndpointType cannot be "file" without a urlPathForFiles',
    ],
  ])("%j is refused", async (changes, message) => {
    Object.assign(config.web, changes);
    await expect(web().initialize()).rejects.toThrow(message);
  });
});

test("an almost empty config.web serves actions, files and bodies", async () => {
  await app.stop();
  const running = new Process();
  const { enabled, urlPathForActions, urlPathForFiles, rootEndpointType } =
    config.web;
  for (const key of Object.keys(config.web))
    delete (config.web as Record<string, unknown>)[key];
  Object.assign(config.web, {
    enabled,
    port: 0,
    secure: false,
    urlPathForActions,
    urlPathForFiles,
    rootEndpointType,
    fingerprintOptions: { cookieKey: "sessionID" },
  });
  await running.start();
  // `start` read the configuration again
  for (const key of Object.keys(config.web)) {
    if (!["enabled", "urlPathForActions", "urlPathForFiles"].includes(key))
      delete (config.web as Record<string, unknown>)[key];
  }
  addActions({
    echo: { inputs: { a: {} }, run: ({ params }) => ({ a: params.a }) },
  });
  const { port } = web().server.address() as net.AddressInfo;
  expect((await ask(port, "/api/echo?a=1")).json).toEqual({ a: "1" });
  expect((await ask(port, "/api/nothing")).status).toBe(200);
  expect((await ask(port, "/nothing")).status).toBe(404);
  const { json } = await ask(port, "/api/echo", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: '{"a":"2"}',
  });
  expect(json).toEqual({ a: "2" });
  app = { ...app, stop: () => running.stop() };
});

describe("a connection that is used for long", () => {
  const serverSide = () => [...Object.values(web().sockets)][0];

  test("has no more listeners after many requests, one by one or in bursts", async () => {
    const socket = net.connect(app.port, "localhost");
    let text = "";
    socket.on("data", (data) => (text += data.toString()));
    const answers = () => text.split("HTTP/1.1 200").length - 1;
    let sent = 0;
    const send = async (count: number) => {
      const one = "GET /api/quick HTTP/1.1\r\nHost: localhost\r\n\r\n";
      socket.write(one.repeat(count));
      sent += count;
      await until(() => answers() === sent);
    };
    await send(1);
    const before = serverSide().listenerCount("close");
    for (let i = 0; i < 40; i++) await send(1);
    for (let i = 0; i < 12; i++) await send(20);
    await until(() => serverSide().listenerCount("close") <= before);
    socket.destroy();
  });
});

test("a header of the configuration that cannot be written fails the boot", async () => {
  config.web.httpHeaders = { "X-Powered-By": "\u6c49 & Co" };
  await expect(web().initialize()).rejects.toMatchObject({
    code: "AH_CONFIG",
    message: expect.stringContaining("X-Powered-By"),
  });
  config.web.httpHeaders = { "X-Name": "M\u00fcller", "X-Off": "" };
  web().removeAllListeners("actionComplete");
  await web().initialize();
});

test("a short requestTimeout cuts a request within seconds", async () => {
  await app.stop();
  config.web.headersTimeout = 600;
  config.web.requestTimeout = 600;
  app = await startWebApp();
  const socket = net.connect(app.port, "localhost");
  socket.on("error", () => undefined);
  let text = "";
  socket.on("data", (data) => (text += data.toString()));
  socket.write("GET /api/quick HTTP/1.1\r\nHost: loc");
  await until(() => text.startsWith("HTTP/1.1 408"));
  socket.destroy();
});
