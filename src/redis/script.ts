/** Lua scripts, sent by their hash. */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";

/** A script with the hash that redis knows it by. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
  /** Created by `defineTimed`: it has a deadline, but does not record operation ids. */
  readonly isTimed: boolean;
}

/** Prepare a script; its text documents KEYS, ARGV, the result and why it is atomic. */
export function defineScript(lua: string, isTimed = false): Script {
  const sha = createHash("sha1").update(lua).digest("hex");
  return { lua, sha, isTimed };
}

/** Run a script in one round trip; if redis does not know it yet, its text is sent. */
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
