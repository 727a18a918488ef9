/**
 * What an idle connection takes in memory: the difference that so many idle websockets, TCP and TLS clients make to a
 * server's RSS and heap after a garbage collection, divided by their number; against bare ws, Primus, actionhero 29,
 * node:net and node:tls.
 *
 * Options: --idle=10000 --only=websocket,tcp "--servers=ws;node:net;actionhero 30, no logs". As many files must be
 * open at once as there are connections (`ulimit -n`).
 */
import { measureMemory, print, type Table } from "./support/measure";
import { numberOption, option } from "./support/options";
import { scratchFolder, withServers } from "./support/servers";
import { socketServers } from "./tcp/servers";
import { websocketServers } from "./websocket/servers";

const IDLE = numberOption("idle", 10_000);

/** By transport: starts its servers, and measures one after the other. */
const transports: Record<string, (scratch: string) => Promise<Table>> = {
  websocket: (scratch) =>
    withServers(
      scratch,
      websocketServers(scratch),
      "support/websocketLoad.js",
      (servers, load) =>
        measureMemory(load, servers, IDLE, ({ path }) => ({ path })),
    ),
  tcp: (scratch) =>
    withServers(
      scratch,
      socketServers(scratch),
      "support/lineLoad.js",
      (servers, load) =>
        measureMemory(load, servers, IDLE, ({ secure, greets }) => ({
          secure,
          greets,
        })),
    ),
};

async function main(): Promise<void> {
  const results: Record<string, Table> = {};
  for (const name of option("only", "websocket,tcp").split(","))
    results[name] = await transports[name](scratchFolder("memory"));
  print(
    "memory",
    IDLE,
    results,
    (name) => `${name}: KB of an idle connection, of ${IDLE}`,
  );
}

void main();
