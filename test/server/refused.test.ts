process.env.PORT = "0";

import { api, Connection } from "../../src/index";
import { startWebApp, type WebApp } from "../support/webApp";

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
});

afterAll(() => app.stop());

test.each([
  [
    "at once",
    () => {
      throw new Error("no");
    },
  ],
  [
    "later",
    async () => {
      throw new Error("no");
    },
  ],
])(
  "a connection whose create middleware throws %s is forgotten",
  async (_when, create) => {
    let destroyed: Connection | undefined;
    api.connections.addMiddleware({
      name: "refuse",
      create,
      destroy: (connection) => {
        destroyed = connection;
      },
    });
    const opened = api.servers.servers.web.buildConnection({
      rawConnection: { res: {} },
      remoteAddress: "1.2.3.4",
      remotePort: 5,
    });
    await expect(opened).rejects.toThrow("no");
    expect(destroyed).toBeInstanceOf(Connection);
    expect(api.connections.connections).toEqual({});
    api.connections.middleware = {};
    api.connections.globalMiddleware = [];
  },
);
