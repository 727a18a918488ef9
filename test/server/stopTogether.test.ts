/** A stop of the process: no server takes clients while another waits for the answers of its own. */
import { once } from "node:events";
import * as http from "node:http";
import * as net from "node:net";
import { SocketPeer, socketPort, startSocketApp } from "../support/socketApp";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { until } from "../support/until";
import { api } from "../../src/index";

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
