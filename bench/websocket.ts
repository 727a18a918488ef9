/**
 * What a websocket message costs the server: CPU time (user + system) of its process per message, for an action with
 * one validated param, against bare ws, Primus and actionhero 29; and what an idle connection takes in memory. All
 * servers run at once and are loaded in turn, in short interleaved slices.
 *
 * Options: --rounds=7 --ms=500 --connections=100 --idle=5000 --only=1,4,memory "--servers=ws;primus"
 */
import * as path from "node:path";
import {
  measureCpu,
  measureMemory,
  print,
  type Table,
} from "./support/measure";
import { numberOption, option } from "./support/options";
import {
  peers,
  scratchFolder,
  withServers,
  writeProject,
  type Running,
  type ServerSpec,
} from "./support/servers";

const CONNECTIONS = numberOption("connections", 100);
const IDLE = numberOption("idle", 5000);
const REFERENCE = "ws";

const scratch = scratchFolder("websocket");

const request = JSON.stringify({
  event: "action",
  params: { action: "number", max: "10" },
  messageId: 1,
});

interface WebsocketSpec extends ServerSpec {
  path: string;
}

const execArgv = ["--expose-gc"];

function project(name: string, isV29: boolean, isSilent: boolean) {
  return {
    script: "http/actionhero.js",
    path: "/primus",
    ...writeProject(path.join(scratch, name), {
      isSilent,
      isV29,
      config: { "websocket.js": "exports.DEFAULT = {};" },
    }),
    execArgv,
  };
}

function specs(): Record<string, WebsocketSpec> {
  return {
    [REFERENCE]: { script: "websocket/bare.js", path: "/", execArgv },
    primus: { script: "websocket/primus.js", path: "/primus", execArgv },
    "actionhero 30, no logs": project("ours", false, true),
    "actionhero 30, logs": project("ours-logs", false, false),
    "actionhero 29, no logs": project("v29", true, true),
    "actionhero 29, logs": project("v29-logs", true, false),
  };
}

/** Peers must do the same work: their answers are compared. */
async function check(servers: Running<WebsocketSpec>[]): Promise<void> {
  const { WebSocket } = require(path.join(peers, "ws")) as typeof import("ws");
  const answerOf = async ({ port, path: pathname }: Running<WebsocketSpec>) => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}${pathname}`);
    ws.once("open", () => ws.send(request));
    const answer = await new Promise<string>((resolve, reject) => {
      ws.once("error", reject);
      ws.on("message", (data: Buffer) => {
        if (data.includes("messageId")) resolve(data.toString());
      });
    });
    ws.terminate();
    return answer;
  };
  const expected = await answerOf(servers[0]);
  for (const server of servers) {
    const answer = await answerOf(server);
    if (answer !== expected) throw new Error(`${server.name}: ${answer}`);
  }
}

void withServers(
  scratch,
  specs(),
  "support/websocketLoad.js",
  async (servers, load) => {
    await check(servers);
    const results: Record<string, Table> = {};
    const connect = ({ path }: WebsocketSpec) => ({ path });
    for (const name of option("only", "memory,1,4").split(",")) {
      results[name] =
        name === "memory"
          ? await measureMemory(load, servers, IDLE, connect)
          : await measureCpu(
              load,
              servers,
              (server) => ({
                ...connect(server),
                request,
                connections: CONNECTIONS,
                inFlight: Number(name),
              }),
              () => ({ timesBare: REFERENCE }),
            );
    }
    print("websocket", CONNECTIONS, results, (name) =>
      name === "memory"
        ? `memory of an idle connection, of ${IDLE}`
        : `${CONNECTIONS} connections with ${name} in flight: server CPU in microseconds per message`,
    );
  },
);
