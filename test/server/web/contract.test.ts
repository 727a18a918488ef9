import * as http from "node:http";
import type { AddressInfo } from "node:net";

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "";

import { api, config } from "../../../src/index";
import { runContract, type ContractClient } from "../../contract/contract";
import { ask } from "../../support/webApp";

runContract({
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
});

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
