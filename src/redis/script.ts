/** Lua scripts, sent by their hash. */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";

/** A script with the hash that redis knows it by. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
  /** Made with `defineTimed`: it has a deadline, and no memory of the calls that took effect. */
  readonly isTimed: boolean;
}

/** Prepare a script; its text says KEYS, ARGV, what it returns and why it is one step. */
export function defineScript(lua: string, isTimed = false): Script {
  const sha = createHash("sha1").update(lua).digest("hex");
  return { lua, sha, isTimed };
}

/** Run a script in one round trip; a redis that does not know it yet gets its text. */
export function runScript(
  client: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  return client
    .evalsha(script.sha, keys.length, ...keys, ...args)
    .catch((error: Error) => {
      if (!error.message.startsWith("NOSCRIPT")) throw error;
      return client.eval(script.lua, keys.length, ...keys, ...args);
    });
}
