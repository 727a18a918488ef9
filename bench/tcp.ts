/**
 * What a message of a TCP client costs the server: CPU time (user + system) of its process per request for an action
 * with one validated param, against bare node:net and node:tls; and what an idle connection takes in memory. All servers
 * run at once and are loaded in turn, in short interleaved slices.
 *
 * Options: --rounds=7 --ms=500 --connections=100 --idle=1000,10000 --only=1,16,memory "--servers=node:net;node:tls"
 */
import * as net from "node:net";
import * as path from "node:path";
import * as tls from "node:tls";
import { certificate } from "../test/support/certificate";
import {
  measureCpu,
  measureMemory,
  print,
  type Table,
} from "./support/measure";
import { numberOption, option } from "./support/options";
import {
  scratchFolder,
  withServers,
  writeProject,
  type Running,
  type ServerSpec,
} from "./support/servers";

const CONNECTIONS = numberOption("connections", 100);
const IDLE = option("idle", "1000,10000").split(",").map(Number);

const scratch = scratchFolder("tcp");

const request = JSON.stringify({
  action: "number",
  params: { max: "10", messageId: 1 },
});

interface SocketSpec extends ServerSpec {
  secure: boolean;
  /** It says something before it is asked. */
  greets: boolean;
  /** The server that it is compared with. */
  reference: string;
}

const execArgv = ["--expose-gc"];

/** Of all connections at once: none is refused for what the others have pending. */
const GENERAL =
  "exports.DEFAULT = { general: () => ({ simultaneousActions: 1000 }) };";

function project(name: string, isSilent: boolean, secure: boolean): SocketSpec {
  const socket = {
    enabled: true,
    port: 0,
    bindIP: "127.0.0.1",
    secure,
    serverOptions: secure ? certificate : {},
  };
  return {
    script: "tcp/actionhero.js",
    ...writeProject(path.join(scratch, name), {
      isSilent,
      config: {
        "socket.js": `exports.DEFAULT = { socket: () => (${JSON.stringify(socket)}) };`,
        "zz-general.js": GENERAL,
      },
    }),
    execArgv,
    secure,
    greets: true,
    reference: secure ? "node:tls" : "node:net",
  };
}

function bare(secure: boolean): SocketSpec {
  return {
    script: "tcp/bare.js",
    execArgv,
    secure,
    greets: false,
    reference: secure ? "node:tls" : "node:net",
    env: secure ? { BENCH_TLS: JSON.stringify(certificate) } : {},
  };
}

function specs(): Record<string, SocketSpec> {
  return {
    "node:net": bare(false),
    "actionhero 30, no logs": project("ours", true, false),
    "actionhero 30, logs": project("ours-logs", false, false),
    "node:tls": bare(true),
    "actionhero 30, TLS, no logs": project("ours-tls", true, true),
  };
}

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
  specs(),
  "support/lineLoad.js",
  async (servers, load) => {
    await check(servers);
    const results: Record<string, Table> = {};
    const connect = ({ secure, greets }: SocketSpec) => ({ secure, greets });
    for (const name of option("only", "memory,1,16").split(",")) {
      if (name === "memory") {
        for (const idle of IDLE)
          results[`${idle} idle`] = await measureMemory(
            load,
            servers,
            idle,
            connect,
          );
        continue;
      }
      results[name] = await measureCpu(
        load,
        servers,
        (server) => ({
          ...connect(server),
          request,
          connections: CONNECTIONS,
          inFlight: Number(name),
        }),
        ({ reference }) => ({ timesBare: reference }),
      );
    }
    print("tcp", CONNECTIONS, results, (name) =>
      name.endsWith("idle")
        ? `memory of an idle connection: ${name}`
        : `${CONNECTIONS} connections with ${name} in flight: server CPU in microseconds per message`,
    );
  },
);
