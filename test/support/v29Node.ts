/** A node of actionhero 29, as it is on the registry, for tests of living together. */
import * as fs from "fs";
import * as path from "path";
import { RemoteNode, type RemoteNodeOptions } from "./remoteNode";
import { repositoryRoot } from "./temporaryProject";

const entry = path.join(
  repositoryRoot,
  "test/interop/node_modules/actionhero",
  "dist/index.js",
);

const files = {
  // without a file of routes of its own the boot of version 29 fails
  "config/routes.js": `exports.DEFAULT = { routes: () => ({ get: [] }) };`,
  "config/logger.js": `
    const winston = require(${JSON.stringify(path.join(repositoryRoot, "test/interop/node_modules/winston"))});
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
  if (!fs.existsSync(entry))
    throw new Error(
      "actionhero 29 is not there: npm ci --ignore-scripts --prefix test/interop",
    );
  return RemoteNode.startProgram({ execArgv: [], entry, files }, options);
}
