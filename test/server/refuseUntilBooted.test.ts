// first: it enables the socket server before the configuration is built
import { closeAll, SocketPeer, socketPort } from "../support/socketApp";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ask } from "../support/ask";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { api, config, Process } from "../../src/index";

const run = promisify(execFile);
const TEXT = "the server is starting";

/** What another process gets: HTTP status and headers, the response to an upgrade, the first line over TCP. */
async function fromOutside(): Promise<{
  http: { status: number; retryAfter: string | null; text: string };
  upgrade: string;
  tcp: string;
}> {
  const script = `
    const net = require("node:net");
    const first = (port, text, host = "127.0.0.1") => new Promise((resolve) => {
      const socket = net.connect(port, host);
      let received = "";
      socket.on("error", () => undefined);
      socket.on("data", (data) => {
        received += data;
        if (text === "") socket.destroy();
      });
      socket.on("close", () => resolve(received));
      socket.write(text);
      setTimeout(() => socket.destroy(), 1000);
    });
    (async () => {
      const response = await fetch("http://127.0.0.1:${webPort()}/api/status");
      const http = { status: response.status, retryAfter: response.headers.get("retry-after"), text: await response.text() };
      const upgrade = await first(${webPort()}, [
        "GET /primus HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""].join("\\r\\n"));
      const tcp = await first(${socketPort()}, "");
      console.log(JSON.stringify({ http, upgrade, tcp }));
    })();`;
  const { stdout } = await run(process.execPath, ["-e", script]);
  return JSON.parse(stdout);
}

let app: Process;

beforeEach(async () => {
  Object.assign(config.socket, { port: 0, bindIP: "127.0.0.1" });
  app = new Process();
  await app.initialize();
});

afterEach(async () => {
  config.general.refuseUntilBooted = false;
  await closeAll().catch(() => undefined);
  if (app.running) await app.stop();
});

/** Something that a project's initializer does in its `start`, after the servers have started. */
function duringBoot<T>(act: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    app.startInitializers.push(async () => {
      await act().then(resolve, reject);
    });
    app.start().catch(reject);
  });
}

test("clients are refused on every transport until the boot is complete", async () => {
  config.general.refuseUntilBooted = true;
  const { http, upgrade, tcp } = await duringBoot(fromOutside);
  expect(http).toEqual({
    status: 503,
    retryAfter: "1",
    text: JSON.stringify({ error: TEXT }),
  });
  expect(upgrade).toMatch(/^HTTP\/1.1 503 /);
  expect(upgrade).toMatch(/\r\nRetry-After: 1\r\n/);
  expect(upgrade).toContain(TEXT);
  expect(JSON.parse(tcp)).toEqual({ error: TEXT, context: "api" });

  await app.start();
  const after = await fromOutside();
  expect(after.http.status).toBe(200);
  expect(after.upgrade).toMatch(/^HTTP\/1.1 101 /);
  expect(JSON.parse(after.tcp).welcome).toBeDefined();
});

test("this process is served while it boots", async () => {
  config.general.refuseUntilBooted = true;
  await duringBoot(async () => {
    expect((await ask(webPort(), "/api/status")).status).toBe(200);
    const response = await fetch(`http://127.0.0.1:${webPort()}/api/status`);
    expect(response.status).toBe(200);
    const client = await connectWebsocket();
    expect((await client.action("status")).error).toBeUndefined();
    client.close();
    const peer = await SocketPeer.connect();
    expect((await peer.next()).welcome).toBeDefined();
  });
});

test("without the setting clients are served as soon as the servers listen", async () => {
  const { http, tcp } = await duringBoot(fromOutside);
  expect(http.status).toBe(200);
  expect(JSON.parse(tcp).welcome).toBeDefined();
});

test("a boot that fails refuses nobody later", async () => {
  config.general.refuseUntilBooted = true;
  const failed = duringBoot(async () => {
    throw new Error("no");
  });
  await expect(failed).rejects.toThrow("no");
  config.general.refuseUntilBooted = false;
  const next = new Process();
  await next.start();
  expect((await fromOutside()).http.status).toBe(200);
  await next.stop();
  expect(api.running).toBe(false);
});
