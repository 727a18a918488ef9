/** A node of actionhero 29, as it is on the registry, for tests of living together. */
import { peerPath } from "./peers";
import { RemoteNode, type RemoteNodeOptions } from "./remoteNode";

const entry = peerPath("actionhero", "dist", "index.js");

const files = {
  // without a file of routes of its own the boot of version 29 fails
  "config/routes.js": `exports.DEFAULT = { routes: () => ({ get: [] }) };`,
  "config/logger.js": `
    const winston = require(${JSON.stringify(peerPath("winston"))});
    exports.DEFAULT = { logger: () => ({
      loggers: [() => winston.createLogger({
        level: "debug",
        levels: winston.config.syslog.levels,
        format: winston.format.printf(({ level, message }) => level + ": " + message),
        transports: [new winston.transports.Console()],
      })],
      maxLogStringLength: 100,
      maxLogArrayLength: 10,
    }) };`,
};

/** Start it; its server token and other values of `NODE_ENV=test` are those of our nodes without JEST_WORKER_ID. */
export async function startV29Node(
  options: RemoteNodeOptions,
): Promise<RemoteNode> {
  return RemoteNode.startProgram({ execArgv: [], entry, files }, options);
}
