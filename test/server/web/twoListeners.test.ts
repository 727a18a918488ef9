/** `config.web.https`: HTTP and HTTPS at the same time, with one server behind both. */
import { once } from "node:events";
import * as fs from "node:fs";
import type { IncomingMessage } from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { WebSocket } from "ws";
import { certificate } from "../../support/certificate";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config, rebuildConfig } from "../../../src/index";
import type { WebServer } from "../../../src/server/web/webServer";

let app: WebApp | undefined;
let folder: string;
let keyFile: string;
let certFile: string;

const web = () => api.servers.servers.web as WebServer;
const httpsPort = () => (web().httpsServer!.address() as net.AddressInfo).port;

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "two-listeners-"));
  keyFile = path.join(folder, "key.pem");
  certFile = path.join(folder, "cert.pem");
  fs.writeFileSync(keyFile, certificate.key);
  fs.writeFileSync(certFile, certificate.cert);
});
afterEach(async () => {
  await app?.stop();
  app = undefined;
  rebuildConfig();
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

async function start(
  settings: object,
  websocket: object = {},
): Promise<WebApp> {
  Object.assign(config.web, {
    https: { enabled: true, port: 0, ...settings },
  });
  Object.assign(config.websocket, websocket);
  app = await startWebApp();
  return app;
}

async function getSecurely(target: string, headers = {}) {
  const request = https.get({
    port: httpsPort(),
    host: "localhost",
    path: target,
    ca: certificate.cert,
    agent: false,
    headers,
  });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, headers: response.headers, text };
}

/** Whether a websocket can be opened. */
async function opens(url: string): Promise<boolean> {
  const socket = new WebSocket(`${url}/primus`, { ca: certificate.cert });
  const isOpen = await Promise.race([
    once(socket, "open").then(() => true),
    once(socket, "unexpected-response").then(() => false),
  ]);
  socket.on("error", () => undefined);
  socket.terminate();
  return isOpen;
}

test("both listeners answer with actions and files, as the same kind of connection", async () => {
  const { ask } = await start({ keyFile, certFile });
  addActions({ who: { run: ({ connection }) => ({ who: connection.type }) } });
  const plain = await ask("/api/who");
  const secure = await getSecurely("/api/who");
  expect([plain.status, plain.json.who]).toEqual([200, "web"]);
  expect([secure.status, JSON.parse(secure.text).who]).toEqual([200, "web"]);
  const file = await getSecurely("/public/simple.html");
  expect(file.text).toBe((await ask("/public/simple.html")).text);
});

test("certificates in memory; clients with a host name that is not allowed are redirected", async () => {
  const { ask, port } = await start({ serverOptions: certificate });
  config.web.allowedRequestHosts = [`https://localhost:${httpsPort()}`];
  addActions({ hello: { run: () => ({ hello: "world" }) } });
  expect((await getSecurely("/api/hello")).status).toBe(200);
  const { status, headers } = await ask("/api/hello");
  expect(status).toBe(302);
  expect(headers.location).toBe(`https://localhost:${httpsPort()}/api/hello`);
  expect(port).not.toBe(httpsPort());
});

test("a stop finishes requests in flight on both, and waits for no idle client", async () => {
  const { ask } = await start({ keyFile, certFile });
  let release!: () => void;
  const released = new Promise<void>((resolve) => (release = resolve));
  let entered = 0;
  const bothRun = new Promise<void>((resolve) => {
    addActions({
      slow: {
        run: async () => {
          if (++entered === 2) resolve();
          await released;
          return { slow: true };
        },
      },
    });
  });
  const silent = net.connect(httpsPort(), "localhost"); // never begins its handshake
  await once(silent, "connect");
  const answers = [ask("/api/slow"), getSecurely("/api/slow")];
  await bothRun;
  const port = httpsPort();
  const stopped = app!.stop();
  release();
  for (const { text } of await Promise.all(answers))
    expect(JSON.parse(text).slow).toBe(true);
  await stopped;
  app = undefined;
  silent.destroy();
  const refused = net.connect(port, "localhost");
  const [error] = await once(refused, "error");
  expect(error.code).toBe("ECONNREFUSED");
});

test("websockets come by both", async () => {
  const { port } = await start({ keyFile, certFile });
  expect(await opens(`ws://localhost:${port}`)).toBe(true);
  expect(await opens(`wss://localhost:${httpsPort()}`)).toBe(true);
});

test("websocket.bind picks one", async () => {
  const { port } = await start({ keyFile, certFile }, { bind: "https" });
  expect(await opens(`ws://localhost:${port}`)).toBe(false);
  expect(await opens(`wss://localhost:${httpsPort()}`)).toBe(true);
});

test("websocket.bind for a listener that is not there ends the boot", async () => {
  await expect(start({ enabled: false }, { bind: "https" })).rejects.toThrow(
    /does not listen for https/,
  );
});

test("a certificate that is not there, or a port that is taken, ends the boot, and nothing listens", async () => {
  const wrong = path.join(folder, "nothing.pem");
  await expect(start({ keyFile: wrong, certFile })).rejects.toThrow(/ENOENT/);
  expect(web().server.listening).toBe(false);

  const other = net.createServer().listen(0, "::");
  await once(other, "listening");
  const { port } = other.address() as net.AddressInfo;
  await expect(start({ keyFile, certFile, port })).rejects.toThrow(
    /EADDRINUSE/,
  );
  expect(web().server.listening).toBe(false);
  other.close();
});
