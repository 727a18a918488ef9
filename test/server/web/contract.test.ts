import * as http from "node:http";
import type { AddressInfo } from "node:net";

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "";

import { action, api, config } from "../../../src/index";
import {
  runContract,
  type ContractClient,
  type ContractTransport,
} from "../../contract/contract";
import { ask } from "../../support/webApp";

const transport: ContractTransport = {
  type: "web",
  connect,
  cannot: {
    persistence: "every request is a connection of its own",
    goodbye: "a connection ends with its request",
    messageIds: "the server chooses them",
    verbs: "verbs are for connections that stay",
    paramVerbs: "verbs are for connections that stay",
    rooms: "nothing could be sent to a client later",
  },
};

describe("the direct way", () => runContract(transport));

// middleware of all actions and connections leads through steps that the direct way does not take
describe("the way of steps", () =>
  runContract({
    ...transport,
    connect: () => {
      addDetour();
      return connect();
    },
  }));

/** Each test removes the middleware that is there. */
function addDetour(): void {
  if (api.actions.globalMiddleware.includes("detour")) return;
  const nothing = async () => undefined;
  const name = "detour";
  action.addMiddleware({
    name,
    global: true,
    preProcessor: nothing,
    postProcessor: nothing,
  });
  api.connections.addMiddleware({ name, create: nothing, destroy: nothing });
}

/** A client keeps one socket open as long as it can, as browsers do. */
async function connect(): Promise<ContractClient> {
  const server = api.servers.servers.web.server as http.Server;
  const { port } = server.address() as AddressInfo;
  // the actions of the contract have no routes
  config.web.queryRouting = true;
  const agent = new http.Agent({ keepAlive: true });
  return {
    async action(name, params = {}) {
      const { json } = await ask(port, "/api", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...params, action: name }),
        agent,
      });
      return json;
    },
    async file(name) {
      const { status, text } = await ask(port, `/public/${name}`, { agent });
      return status === 200 ? { content: text } : { error: text };
    },
    close: () => agent.destroy(),
  };
}
