/** The packages of test/interop: actionhero 29, plugins for it and generators of clients, which tests run against. */
import * as fs from "fs";
import * as path from "path";
import { describeOnRedis } from "./redisServer";
import { repositoryRoot } from "./temporaryProject";
import { leaveOut } from "./leftOut";

const modules = path.join(repositoryRoot, "test", "interop", "node_modules");

/** Whether the packages are installed; `npm test` installs them. */
export const hasPeers = fs.existsSync(path.join(modules, "actionhero"));

/** The path of a file or folder of an installed peer, such as `actionhero/dist/index.js`. */
export function peerPath(...parts: string[]): string {
  return path.join(modules, ...parts);
}

/**
 * Describe what needs the peers; without them it is left out.
 * @param peer one of them, which an older installation may lack
 */
export function describeWithPeers(
  title: string,
  body: () => void,
  peer = "actionhero",
): void {
  if (fs.existsSync(peerPath(peer))) {
    describe(title, body);
    return;
  }
  leaveOut(title, "the packages of test/interop, which npm test installs");
}

/** Describe what needs the peers and a real redis-server. */
export function describeOnRedisWithPeers(
  title: string,
  body: () => void,
): void {
  if (hasPeers) describeOnRedis(title, body);
  else describeWithPeers(title, body);
}
