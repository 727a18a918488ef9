process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "";

import { runContract, type ContractClient } from "../../contract/contract";
import { connectWebsocket } from "../../support/websocketClient";

runContract({
  type: "websocket",
  connect,
  verbErrorText: (text) => `Error: ${text}`,
  cannot: {
    paramVerbs: "every request brings its own params",
  },
});

async function connect(): Promise<ContractClient> {
  const client = await connectWebsocket();
  return {
    action: (name, params) => client.action(name, params),
    file: (file) => client.request({ event: "file", file }),
    async verb(event, room, ...words) {
      const fields: Record<string, unknown> = { event, room };
      words.forEach((word, index) => (fields[`word${index}`] = word));
      return client.request(fields);
    },
    get messages() {
      return client.messages;
    },
    closed: client.closed,
    close: () => client.close(),
  };
}
