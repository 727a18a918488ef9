/**
 * What a websocket message costs the server: CPU time (user + system) of its process per message, for an action with
 * one validated param, against bare ws, Primus and actionhero 29. All servers run at once and are loaded in turn, in
 * short interleaved slices.
 *
 * Options: --rounds=7 --ms=500 --connections=100 --only=1,4 "--servers=ws;primus"
 */
import * as path from "node:path";
import { measureCpu, print, type Table } from "./support/measure";
import { numberOption, option } from "./support/options";
import {
  peers,
  scratchFolder,
  withServers,
  type Running,
} from "./support/servers";
import {
  REFERENCE,
  websocketServers,
  type WebsocketSpec,
} from "./websocket/servers";

const CONNECTIONS = numberOption("connections", 100);

const scratch = scratchFolder("websocket");

const request = JSON.stringify({
  event: "action",
  params: { action: "number", max: "10" },
  messageId: 1,
});

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
  websocketServers(scratch),
  "support/websocketLoad.js",
  async (servers, load) => {
    await check(servers);
    const results: Record<string, Table> = {};
    for (const inFlight of option("only", "1,4").split(",")) {
      results[inFlight] = await measureCpu(
        load,
        servers,
        ({ path }) => ({
          path,
          request,
          connections: CONNECTIONS,
          inFlight: Number(inFlight),
        }),
        () => ({ timesBare: REFERENCE }),
      );
    }
    print(
      "websocket",
      CONNECTIONS,
      results,
      (inFlight) =>
        `${CONNECTIONS} connections with ${inFlight} in flight: server CPU in microseconds per message`,
    );
  },
);
