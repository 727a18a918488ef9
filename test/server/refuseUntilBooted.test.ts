// first: it enables the socket server before the configuration is built
import { closeAll, SocketPeer, socketPort } from "../support/socketApp";
import { execFile } from "node:child_process";
import cluster from "node:cluster";
import { promisify } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "../support/ask";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { api, config, Process } from "../../src/index";
import { restoreConfig } from "../support/withConfig";

restoreConfig();

const run = promisify(execFile);
const TEXT = "the server is starting";

interface Outcome {
  http: { status: number; retryAfter: string | null; text: string };
  upgrade: string;
  tcp: string;
}

/**
 * What another process gets: HTTP status and headers, the response to an upgrade, the first line over TCP.
 * @param onSent called once all three have been sent
 */
async function fromOutside(onSent?: () => void): Promise<Outcome> {
  const script = `
    const net = require("node:net");
    const http = require("node:http");
    const open = (port, text) => {
      const socket = net.connect(port, "127.0.0.1");
      let received = "";
      const answer = new Promise((resolve) => {
        socket.on("error", () => undefined);
        socket.on("data", (data) => {
          received += data;
          if (text === "" || received.includes(" 101 ")) socket.destroy();
        });
        socket.on("close", () => resolve(received));
      });
      socket.write(text);
      setTimeout(() => socket.destroy(), 20_000).unref();
      return { answer, sent: new Promise((resolve) => socket.once("connect", resolve)) };
    };
    (async () => {
      const request = http.get("http://127.0.0.1:${webPort()}/api/status");
      const answer = new Promise((resolve, reject) => {
        request.on("error", reject);
        request.on("response", async (response) => {
          let text = "";
          for await (const chunk of response) text += chunk;
          resolve({ status: response.statusCode, retryAfter: response.headers["retry-after"] ?? null, text });
        });
      });
      const upgrade = open(${webPort()}, [
        "GET /primus HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""].join("\\r\\n"));
      const tcp = open(${socketPort()}, "");
      await Promise.all([upgrade.sent, tcp.sent, new Promise((resolve) => request.once("finish", resolve))]);
      console.error("sent");
      console.log(JSON.stringify({ http: await answer, upgrade: await upgrade.answer, tcp: await tcp.answer }));
    })();`;
  const running = run(process.execPath, ["-e", script]);
  running.child.stderr!.once("data", () => onSent?.());
  return JSON.parse((await running).stdout);
}

let app: Process;

beforeEach(async () => {
  Object.assign(config.socket, { port: 0, bindIP: "127.0.0.1" });
  app = new Process();
  await app.initialize();
});

afterEach(async () => {
  await closeAll().catch(() => undefined);
  if (app.running) await app.stop();
});

/** Something that a project's initializer does in its `start`, after the servers have started. */
function duringBoot<T>(act: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    app.startInitializers.push(async () => {
      resolve(await act());
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

describe("in a worker of a cluster", () => {
  beforeEach(() => {
    config.general.refuseUntilBooted = true;
    jest.replaceProperty(cluster, "isWorker", true);
  });
  afterEach(() => jest.restoreAllMocks());

  test("clients are held until the boot is complete, and served", async () => {
    let outside: Promise<Outcome> | undefined;
    await duringBoot(async () => {
      await new Promise<void>((sent) => {
        outside = fromOutside(sent);
      });
      await sleep(200);
    });
    const { http, upgrade, tcp } = await outside!;
    expect(http.status).toBe(200);
    expect(upgrade).toMatch(/^HTTP\/1.1 101 /);
    expect(JSON.parse(tcp).welcome).toBeDefined();
  });

  test("a boot that fails refuses held clients", async () => {
    let outside: Promise<Outcome> | undefined;
    const failed = duringBoot(async () => {
      await new Promise<void>((sent) => {
        outside = fromOutside(sent);
      });
      await sleep(200);
      throw new Error("no");
    });
    await expect(failed).rejects.toThrow("no");
    const { http, upgrade, tcp } = await outside!;
    expect(http.status).toBe(503);
    expect(upgrade).toMatch(/^HTTP\/1.1 503 /);
    expect(JSON.parse(tcp)).toEqual({ error: TEXT, context: "api" });
  });
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

test("a boot that fails refuses no later clients", async () => {
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
