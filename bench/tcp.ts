/**
 * What a message of a TCP client costs the server: CPU time (user + system) of its process per request for an action
 * with one validated param, against bare node:net and node:tls. All servers run at once and are loaded in turn, in short
 * interleaved slices.
 *
 * Options: --rounds=7 --ms=500 --connections=100 --only=1,16 "--servers=node:net;node:tls"
 */
import * as net from "node:net";
import * as tls from "node:tls";
import { measureCpu, print, type Table } from "./support/measure";
import { numberOption, option } from "./support/options";
import { scratchFolder, withServers, type Running } from "./support/servers";
import { socketServers, type SocketSpec } from "./tcp/servers";

const CONNECTIONS = numberOption("connections", 100);

const scratch = scratchFolder("tcp");

const request = JSON.stringify({
  action: "number",
  params: { max: "10", messageId: 1 },
});

/** Peers must do the same work: their answers are compared. */
async function check(servers: Running<SocketSpec>[]): Promise<void> {
  const answerOf = async ({ port, secure }: Running<SocketSpec>) => {
    const where = { port, host: "127.0.0.1" };
    const socket = secure
      ? tls.connect({ ...where, rejectUnauthorized: false })
      : net.connect(where);
    socket.write(`${request}\n`);
    let text = "";
    for await (const chunk of socket) {
      text += String(chunk);
      if (/messageId[^\n]*\n/.test(text)) break;
    }
    return text.replace(/^\{"welcome[^\n]*\n/, "");
  };
  const expected = await answerOf(servers[0]);
  for (const server of servers) {
    const answer = await answerOf(server);
    if (answer !== expected) throw new Error(`${server.name}: ${answer}`);
  }
}

void withServers(
  scratch,
  socketServers(scratch),
  "support/lineLoad.js",
  async (servers, load) => {
    await check(servers);
    const results: Record<string, Table> = {};
    for (const inFlight of option("only", "1,16").split(",")) {
      results[inFlight] = await measureCpu(
        load,
        servers,
        ({ secure, greets }) => ({
          secure,
          greets,
          request,
          connections: CONNECTIONS,
          inFlight: Number(inFlight),
        }),
        ({ reference }) => ({ timesBare: reference }),
      );
    }
    print(
      "tcp",
      CONNECTIONS,
      results,
      (inFlight) =>
        `${CONNECTIONS} connections with ${inFlight} in flight: server CPU in microseconds per message`,
    );
  },
);
