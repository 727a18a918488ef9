/** The websocket servers that benchmarks compare: all of them take the same message at their `path`. */
import * as path from "node:path";
import { writeProject, type ServerSpec } from "../support/servers";

export interface WebsocketSpec extends ServerSpec {
  path: string;
}

const execArgv = ["--expose-gc"];

/** The server that the others are compared with. */
export const REFERENCE = "ws";

/** @param scratch the folder for the projects */
export function websocketServers(
  scratch: string,
): Record<string, WebsocketSpec> {
  const project = (name: string, isV29: boolean, isSilent: boolean) => ({
    script: "http/actionhero.js",
    path: "/primus",
    ...writeProject(path.join(scratch, name), {
      isSilent,
      isV29,
      config: { "websocket.js": "exports.DEFAULT = {};" },
    }),
    execArgv,
  });
  return {
    [REFERENCE]: { script: "websocket/bare.js", path: "/", execArgv },
    primus: { script: "websocket/primus.js", path: "/primus", execArgv },
    "actionhero 30, no logs": project("ours", false, true),
    "actionhero 30, logs": project("ours-logs", false, false),
    "actionhero 29, no logs": project("v29", true, true),
    "actionhero 29, logs": project("v29-logs", true, false),
  };
}
