/** A stop of the process: no server takes clients while another waits for the answers of its own. */
import { once } from "node:events";
import * as http from "node:http";
import * as net from "node:net";
import {
  SocketPeer,
  socketPort,
  socketServer,
  startSocketApp,
} from "../support/socketApp";
import { resetMiddleware } from "../support/app";
import { LogLines } from "../support/logLines";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { until } from "../support/until";
import { api, config } from "../../src/index";
import type { WebServer } from "../../src/server/web/webServer";

test("every server takes no more clients at once, and those that wait get their answers", async () => {
  const app = await startSocketApp();
  const held: (() => void)[] = [];
  addActions({
    slow: {
      run: async () => {
        await new Promise<void>((resolve) => held.push(resolve));
        return { slow: true };
      },
    },
    quick: { run: () => ({ quick: true }) },
  });
  const ports = [webPort(), socketPort()];
  const agent = new http.Agent({ keepAlive: true });
  await ask(ports[0], "/api/quick", { agent }); // stays open
  const idle = [await connectWebsocket(), await connectWebsocket()];
  const socketClient = await SocketPeer.connect();
  await socketClient.next();

  const answers = [
    ask(ports[0], "/api/slow").then(({ json }) => json as { slow: boolean }),
    idle[0].action("slow"),
    socketClient.ask("slow"),
  ];
  await until(() => held.length === 3);
  const { sockets } = api.servers.servers.web as unknown as {
    sockets: object;
  };
  const stopped = app.stop();

  for (const port of ports)
    await until(() => isRefused(port), 30_000, `${port} is closed`);
  await idle[1].closed;
  // two that wait: the request, and the websocket that is still there
  await until(() => Object.keys(sockets).length === 2);
  expect(held).toHaveLength(3);
  for (const release of held) release();
  for (const answer of await Promise.all(answers))
    expect(answer.slow).toBe(true);
  await stopped;
  agent.destroy();
  await socketClient.close();
}, 60_000);

test("every server cuts what is left at one deadline, though they are waited for one after the other", async () => {
  const { general } = config;
  const before = general.shutdownTimeout;
  const app = await startSocketApp();
  let waiting = 0;
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  addActions({
    stuck: {
      run: async () => {
        waiting++;
        await released;
      },
    },
  });
  const ended: string[] = [];
  const answer = ask(webPort(), "/api/stuck").then(
    undefined,
    (error: Error) => {
      ended.push("the request");
      return error;
    },
  );
  // does not close its side, so that its server waits a second longer
  const tcp = net.connect({
    port: socketPort(),
    host: "localhost",
    allowHalfOpen: true,
  });
  tcp.write("stuck\n");
  await until(() => waiting === 2);
  const server = socketServer();
  const stop = server.stop.bind(server);
  server.stop = async () => {
    await stop();
    ended.push("the socket server");
  };

  general.shutdownTimeout = 300;
  const lines = new LogLines();
  try {
    await app.stop();
  } finally {
    lines.stop();
    general.shutdownTimeout = before;
    release();
    tcp.destroy();
  }
  expect(await answer).toMatchObject({ code: "ECONNRESET" });
  expect(ended).toEqual(["the request", "the socket server"]);
  // which server reaches the deadline first is a matter of a millisecond
  const cut = lines
    .at("warning", / disconnected 1 clients that did not/)
    .sort();
  expect(cut).toEqual([
    expect.stringMatching(/^\[server: socket\] /),
    expect.stringMatching(/^\[server: web\] /),
  ]);
  // of the stop, not of each server
  for (const line of cut)
    expect(Number(/within (\d+) ms$/.exec(line)![1])).toBeLessThan(301);
}, 60_000);

test("after the deadline goodbyes, output and temporary files have a second together", async () => {
  const { general } = config;
  const before = general.shutdownTimeout;
  const app = await startSocketApp();
  // a goodbye that does not end, on both servers of messages
  api.connections.addMiddleware({
    name: "endless",
    destroy: () => new Promise(() => undefined),
  });
  const left = await connectWebsocket();
  left.close();
  await left.closed; // a stop under load might cut a client that is still there
  await (await SocketPeer.connect()).next();
  // a connection of a plugin, whose peer does not read
  const web = api.servers.servers.web as WebServer;
  const taken = once(web.server as http.Server, "connect");
  const peer = net.connect(webPort(), "localhost").pause();
  peer.on("error", () => undefined);
  peer.write("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n");
  const [, socket] = (await taken) as [unknown, net.Socket];
  socket.on("error", () => undefined);
  socket.write(Buffer.alloc(64 * 1024 * 1024));
  web.uploadDisk.begin("a file that cannot be removed");
  const filesRemoved = jest.spyOn(web.uploadDisk, "allRemoved");

  general.shutdownTimeout = 300;
  const lines = new LogLines();
  try {
    await app.stop();
  } finally {
    lines.stop();
    general.shutdownTimeout = before;
    peer.destroy();
    resetMiddleware();
  }
  // what the goodbyes have left of the second; each stall of the machine makes it less
  expect(filesRemoved).toHaveBeenCalledTimes(1);
  expect(filesRemoved.mock.calls[0][0]).toBeLessThan(1_000);
  expect(lines.at("warning", /./).sort()).toEqual([
    expect.stringMatching(/^\[server: socket\] closed 1 connections before/),
    expect.stringMatching(/^\[server: web\] 1 uploaded files were not/),
    expect.stringMatching(/^\[server: web\] disconnected 1 clients /),
    expect.stringMatching(/^\[server: websocket\] closed 1 connections before/),
  ]);
}, 60_000);

async function isRefused(port: number): Promise<boolean> {
  const socket = net.connect(port, "localhost");
  try {
    await once(socket, "connect");
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}
