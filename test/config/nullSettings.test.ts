/** Settings that the documentation allows to be null: where they replace a default, the key is gone. */
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { once } from "node:events";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "null-"));
const webSocket = path.join(folder, "web.sock");
const tcpSocket = path.join(folder, "tcp.sock");

process.env.AUTOMATIC_ROUTES ??= "";
process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
  web: {
    port: webSocket,
    bindIP: null,
    urlPathForActions: null,
    urlPathForFiles: null,
    maxJsonSize: null,
    padding: null,
    rootEndpointType: "api",
  },
  socket: { enabled: true, port: tcpSocket, bindIP: null },
});

import { addActions } from "../support/webApp";
import { config, Process } from "../../src/index";

const app = new Process();

beforeAll(async () => {
  config.web.port = webSocket; // which the file of the web server for tests has replaced
  await app.start();
  addActions({ quick: { run: () => ({ quick: true }) } });
});

afterAll(async () => {
  await app.stop();
  fs.rmSync(folder, { recursive: true });
});

async function bodyOf(path: string, sent?: string): Promise<string> {
  const request = http.request({
    socketPath: webSocket,
    path,
    method: sent === undefined ? "GET" : "POST",
    headers: { "Content-Type": "application/json" },
  });
  request.end(sent);
  const [response] = (await once(request, "response")) as [
    http.IncomingMessage,
  ];
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return body;
}

test("bindIP: the web server listens on its unix socket", async () => {
  expect(config.web.bindIP ?? null).toBeNull();
  expect(JSON.parse(await bodyOf("/status"))).toHaveProperty(
    "serverInformation",
  );
});

test("bindIP: so does the TCP server", async () => {
  const socket = net.connect(tcpSocket);
  const [welcome] = (await once(socket, "data")) as [Buffer];
  expect(welcome.toString()).toContain('"context":"api"');
  socket.destroy();
});

test("padding: JSON is not indented", async () => {
  expect(await bodyOf("/status")).not.toContain("\n");
});

test("maxJsonSize: formOptions.maxFieldsSize counts", async () => {
  config.web.formOptions.maxFieldsSize = 10;
  expect(await bodyOf("/quick", '{"a":"long enough"}')).toContain(
    "web.formOptions.maxFieldsSize",
  );
});
