/**
 * Defers the Lua interpreter of ioredis-mock: its 40 files take a tenth of a start and some MB (bench/boot.ts), and the
 * framework runs plain commands there instead of scripts. A project's first script loads it.
 */
import Module = require("node:module");
import * as path from "node:path";
import { projectRoot } from "../config/config";
import { isNode } from "../environment/ownRequire";

const ENGINE = "ioredis-mock";
const INTERPRETER = ["fengari", "fengari-interop"];

/** Before the engine is loaded, whichever copy a configuration uses. */
export function deferLua(): void {
  if (!isNode()) return;
  for (const base of [path.join(projectRoot, "package.json"), __filename])
    deferBelow(base);
}

function deferBelow(base: string): void {
  try {
    const engine = Module.createRequire(base).resolve(ENGINE);
    if (require.cache[engine]) return;
    for (const name of INTERPRETER)
      putStandIn(Module.createRequire(engine), name);
  } catch {
    // there is no engine, or another version of it, which loads what it needs
  }
}

function putStandIn(engineRequire: NodeJS.Require, name: string): void {
  const file = engineRequire.resolve(name);
  const { cache } = engineRequire;
  if (cache[file]) return;
  let loaded: object | undefined;
  const load = () => {
    if (cache[file] === standIn) delete cache[file];
    return (loaded ??= engineRequire(name) as object);
  };
  const standIn = new Module(file);
  standIn.filename = file;
  standIn.exports = deferred(load, (key) =>
    deferred(() => (load() as Record<string, object>)[key]!, undefined),
  );
  standIn.loaded = true;
  cache[file] = standIn;
}

/**
 * Stands for an object or a function, which is loaded by its first use.
 * @param member a property of it; undefined: the actual one
 */
function deferred(
  load: () => object,
  member: ((key: string) => unknown) | undefined,
): object {
  return new Proxy(() => undefined, {
    get(_target, key) {
      if (typeof key === "symbol" || key === "__esModule") return undefined;
      return member ? member(key) : (load() as Record<string, unknown>)[key];
    },
    apply: (_target, self, args: unknown[]) =>
      Reflect.apply(load() as () => unknown, self, args) as unknown,
  });
}
