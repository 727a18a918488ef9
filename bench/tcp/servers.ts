/** The TCP and TLS servers that benchmarks compare: all of them take the same lines of JSON. */
import * as path from "node:path";
import { certificate } from "../../test/support/certificate";
import { writeProject, type ServerSpec } from "../support/servers";

export interface SocketSpec extends ServerSpec {
  secure: boolean;
  /** It sends a line before the first request. */
  greets: boolean;
  /** The server that this one is compared with. */
  reference: string;
}

const execArgv = ["--expose-gc"];

/** All connections together may have this many requests in progress, so that none is refused. */
const GENERAL =
  "exports.DEFAULT = { general: () => ({ simultaneousActions: 1000 }) };";

function project(
  folder: string,
  isSilent: boolean,
  secure: boolean,
): SocketSpec {
  const socket = {
    enabled: true,
    port: 0,
    bindIP: "127.0.0.1",
    secure,
    serverOptions: secure ? certificate : {},
  };
  return {
    script: "tcp/actionhero.js",
    ...writeProject(folder, {
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

/** @param scratch the folder for the projects */
export function socketServers(scratch: string): Record<string, SocketSpec> {
  const at = (name: string) => path.join(scratch, name);
  return {
    "node:net": bare(false),
    "actionhero 30, no logs": project(at("ours"), true, false),
    "actionhero 30, logs": project(at("ours-logs"), false, false),
    "node:tls": bare(true),
    "actionhero 30, TLS, no logs": project(at("ours-tls"), true, true),
  };
}
