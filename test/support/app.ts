/** A Process of the framework's own project, for tests that need no client. */
process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES ??= "";

import { api, Connection, Process, type ConnectionData } from "../../src/index";

/** Start one before the tests of this file, and stop it after them. */
export function useApp(): Process {
  const app = new Process();
  beforeAll(async () => {
    await app.start();
  });
  afterAll(async () => {
    if (app.running) await app.stop();
  });
  return app;
}

/** An action as users' tests put it there: a plain object, with only what is given. */
export function addAction(name: string, template: object, version = 1): void {
  const versions = Object.hasOwn(api.actions.versions, name)
    ? api.actions.versions[name]
    : (api.actions.versions[name] = []);
  (api.actions.actions[name] ??= {})[version] = template as never;
  if (!versions.includes(version)) versions.push(version);
}

/** A connection without a server. */
export function makeConnection(
  data: Partial<ConnectionData> = {},
  params: Record<string, unknown> = {},
): Connection {
  const connection = new Connection({
    type: "unit",
    rawConnection: {},
    remoteIP: "10.0.0.1",
    remotePort: 80,
    canChat: false,
    ...data,
  });
  connection.params = params;
  return connection;
}

/** Remove all middleware, as users' tests do. */
export function resetMiddleware(): void {
  api.actions.middleware = {};
  api.actions.globalMiddleware = [];
  api.connections.middleware = {};
  api.connections.globalMiddleware = [];
}
