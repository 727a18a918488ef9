/** Two servers as `npm start` runs them, on one redis: their clients chat with each other. */
import * as path from "path";
import { RUN_TYPESCRIPT } from "../support/sources";
import { freePort } from "../support/freePort";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { Service } from "../support/service";
import { SocketPeer } from "../support/socketApp";
import { repositoryRoot } from "../support/temporaryProject";
import { until } from "../support/until";
import { connectWebsocket } from "../support/websocketClient";

interface Started {
  service: Service;
  web: number;
  tcp: number;
}

describeOnRedis("two processes of npm start", () => {
  const redis = new RedisServer();
  const servers: Started[] = [];

  async function start(): Promise<Started> {
    const web = await freePort();
    const tcp = await freePort();
    const service = new Service(
      process.execPath,
      [...RUN_TYPESCRIPT, path.join(repositoryRoot, "src/server.ts")],
      {
        cwd: repositoryRoot,
        env: {
          JEST_WORKER_ID: undefined,
          NODE_ENV: "development",
          REDIS_URL: redis.url,
          PORT: String(web),
          ACTIONHERO_TITLE: undefined,
          ACTIONHERO_CONFIG_OVERRIDES: JSON.stringify({
            socket: { enabled: true, port: tcp },
            general: { developmentMode: false },
          }),
        },
      },
    );
    const started = { service, web, tcp };
    servers.push(started);
    await service.saw(/\*\*\* .* Started \*\*\*/);
    return started;
  }

  beforeAll(async () => {
    await redis.start();
    await Promise.all([start(), start()]);
  }, 90_000);

  afterAll(async () => {
    await Promise.all(servers.map(({ service }) => service.stop()));
    await redis.stop();
  }, 60_000);

  test("a websocket client of one node and a TCP client of another exchange messages and see each other", async () => {
    const [one, two] = servers as [Started, Started];
    const websocket = await connectWebsocket({
      url: `ws://127.0.0.1:${one.web}/primus`,
    });
    const socket = await SocketPeer.connect(two.tcp);
    await socket.next(); // the welcome
    const room = "defaultRoom"; // every start makes sure of it
    expect(await websocket.request({ event: "roomAdd", room })).toMatchObject({
      data: true,
    });
    expect(await socket.ask(`roomAdd ${room}`)).toMatchObject({ data: true });

    const view = await socket.ask(`roomView ${room}`);
    expect(view.data.membersCount).toBe(2);

    await websocket.request({
      event: "say",
      room,
      message: "from the browser",
    });
    socket.send(`say ${room} from the terminal`);
    const texts = ["from the browser", "from the terminal"];
    const heardOf = (messages: any[]) =>
      messages
        .filter(({ context }) => context === "user")
        .map(({ message }) => message)
        .sort();
    await until(() => heardOf(websocket.received).length === 2);
    await until(() => heardOf(socket.messages).length === 2);
    expect(heardOf(websocket.received)).toEqual(texts);
    expect(heardOf(socket.messages)).toEqual(texts);

    websocket.close();
    await until(async () => {
      socket.send(`roomView ${room}`);
      const views = socket.messages.filter(({ data }) => data?.membersCount);
      return views.at(-1).data.membersCount === 1;
    });
    await socket.close();
  }, 60_000);
});
