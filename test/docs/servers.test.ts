/** The server of docs/servers.md keeps the contract of all transports. */
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import * as ts from "typescript";
import { onLine } from "../support/onLine";
import { TemporaryProject } from "../support/temporaryProject";

const project = new TemporaryProject();
const page = path.join(__dirname, "..", "..", "docs", "servers.md");
const [, source] = /^```ts\n(.*?)^```/ms.exec(fs.readFileSync(page, "utf8"))!;
const { outputText } = ts.transpileModule(source, {
  compilerOptions: {
    module: ts.ModuleKind.CommonJS,
    target: ts.ScriptTarget.ES2022,
  },
});
const index = require.resolve("../../src/index");
project.write(
  "servers/lines.js",
  outputText.replace('"actionhero"', JSON.stringify(index)),
);

process.env.PORT = "0";
process.env.AUTOMATIC_ROUTES = "";
process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
  general: { paths: { server: [project.path("servers")] } },
  lines: { enabled: true, port: 0 },
});

import { api } from "../../src/index";
import { runContract, type ContractClient } from "../contract/contract";

afterAll(() => project.remove());

runContract({
  type: "lines",
  connect,
  cannot: { files: "the page leaves them out, for brevity" },
});

async function connect(): Promise<ContractClient> {
  const { port } = api.servers.servers.lines.server.address();
  const socket = net.connect(port, "localhost");
  const waiting = new Map<unknown, (answer: any) => void>();
  const messages: any[] = [];
  let count = 0;
  onLine(socket, (line) => {
    const message = JSON.parse(line);
    const answer = waiting.get(message.messageId);
    if (!answer) return messages.push(message);
    waiting.delete(message.messageId);
    answer(message);
  });
  socket.on("error", () => socket.destroy());
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await new Promise((resolve) => socket.once("connect", resolve));

  const ask = (messageId: unknown, request: object) =>
    new Promise<any>((resolve) => {
      waiting.set(messageId, resolve);
      socket.write(`${JSON.stringify({ messageId, ...request })}\n`);
    });
  return {
    action: (name, params = {}) =>
      ask(params.messageId ?? `m${++count}`, { action: name, params }),
    verb: (verb, ...words) => ask(`m${++count}`, { verb, words }),
    messages,
    closed,
    close: () => void socket.destroy(),
  };
}
