import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import * as fs from "node:fs";
import * as https from "node:https";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import * as tls from "node:tls";

import { certificate } from "../../support/certificate";
import { addActions, startWebApp, type WebApp } from "../../support/webApp";
import { api, config } from "../../../src/index";
import type { WebServer } from "../../../src/server/web/webServer";

let app: WebApp;
let entered: () => void;
let release: () => void;
const released = new Promise<void>((resolve) => (release = resolve));
const running = new Promise<void>((resolve) => (entered = resolve));

beforeAll(async () => {
  app = await startWebApp();
  const server = api.servers.servers.web as WebServer;
  await server.stop();
  Object.assign(config.web, { secure: true, serverOptions: certificate });
  await server.start();
  addActions({
    hello: { run: () => ({ hello: "world" }) },
    slow: {
      run: async () => {
        entered();
        await released;
        return { slow: true };
      },
    },
  });
});

afterAll(() => app.stop());

async function get(agent: https.Agent, path: string): Promise<any> {
  const { port } = api.servers.servers.web.server.address() as net.AddressInfo;
  const request = https.get({ port, host: "localhost", path, agent });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return JSON.parse(body);
}

test("HTTPS with serverOptions; stop finishes requests in flight, and waits for no idle client", async () => {
  const { port } = api.servers.servers.web.server.address() as net.AddressInfo;
  const agent = new https.Agent({ keepAlive: true, ca: certificate.cert });
  expect((await get(agent, "/api/hello")).hello).toBe("world");

  const silent = net.connect(port, "localhost"); // never begins its handshake
  await once(silent, "connect");
  const idle = new https.Agent({ keepAlive: true, ca: certificate.cert });
  await get(idle, "/api/hello");
  const answer = get(agent, "/api/slow");
  await running;
  const stopped = api.servers.servers.web.stop();
  release();
  expect((await answer).slow).toBe(true);
  await stopped;
  for (const one of [agent, idle]) one.destroy();
  silent.destroy();
});

test("over a unix socket, where clients have no addresses, stop waits for no handshake either", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "https-"));
  const socketPath = path.join(folder, "web.sock");
  Object.assign(config.web, { port: socketPath, bindIP: null });
  const server = api.servers.servers.web as WebServer;
  await server.start();
  const silent = net.connect(socketPath);
  await once(silent, "connect");
  const secure = tls.connect({
    path: socketPath,
    ca: certificate.cert,
    servername: "localhost",
  });
  await once(secure, "secureConnect");
  secure.write("GET /api/hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await once(secure, "data");

  const cut = Promise.all([once(silent, "close"), once(secure, "close")]);
  for (const one of [silent, secure]) one.on("error", () => undefined).resume();
  await server.stop();
  await cut;
  fs.rmSync(folder, { recursive: true });
});
