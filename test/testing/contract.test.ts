process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "";

import { specHelper } from "../../src/index";
import { runContract, type ContractClient } from "../contract/contract";

runContract({
  type: "testServer",
  errorText: (text) => `Error: ${text}`,
  connect,
  cannot: {
    goodbye: "its clients are objects in the same process",
  },
});

async function connect(): Promise<ContractClient> {
  const connection = await specHelper.buildConnection();
  return {
    async action(name, params = {}) {
      connection.params = { ...params };
      return specHelper.runAction(name, connection);
    },
    async file(name) {
      connection.params = { file: name };
      connection.messageId = `file ${name}`;
      return new Promise((resolve) => {
        connection.actionCallbacks![`file ${name}`] = resolve;
        void connection.sendFile(name);
      });
    },
    async verb(verb, ...words) {
      try {
        return { data: await connection.verbs(verb, words) };
      } catch (error) {
        return { error: (error as Error).message };
      }
    },
    messages: connection.messages,
    close: () => connection.destroy(),
  };
}
