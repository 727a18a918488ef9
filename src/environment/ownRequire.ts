/**
 * Loads the compiled files of this package without node's search: a relative name can only mean one file here. Resolving
 * it takes a fifth of the time to load the package (bench/boot.ts). The modules are in `require.cache`, as if node had
 * loaded them.
 */
import * as fs from "node:fs";
import Module = require("node:module");
import * as path from "node:path";
import { compileFunction } from "node:vm";
import { defaultsRoot } from "./runtime";

const PARAMETERS = [
  "exports",
  "require",
  "module",
  "__filename",
  "__dirname",
] as const;

type Body = (...values: unknown[]) => void;

/**
 * A `require` for this package's own files, which they inherit.
 * @returns the `require` of the module itself where something else than node loads code: jest, tsx, another runtime; and
 * with source maps or the compile cache, which node has for the files that it loads
 */
export function ownRequire(
  module: NodeModule,
  own: NodeJS.Require,
): NodeJS.Require {
  return isLoadedByNode(module, own) ? requireFor(module, own) : own;
}

/** Bun and Deno have loaders of their own behind node's interface. */
export function isNode(): boolean {
  return !("Bun" in globalThis) && !("Deno" in globalThis);
}

function isLoadedByNode({ filename }: NodeModule, { cache }: NodeJS.Require) {
  return (
    isNode() &&
    path.extname(filename) === ".js" &&
    isWritable(cache) &&
    !process.sourceMapsEnabled &&
    !keepsCompiledCode()
  );
}

/** The compile cache of node covers the files that node itself loads, and saves as much. */
function keepsCompiledCode(): boolean {
  const { getCompileCacheDir } = Module as {
    getCompileCacheDir?: () => string | undefined;
  };
  return getCompileCacheDir?.() !== undefined;
}

/** False under jest, whose cache is a copy, and for a CommonJS file that hooks load for an import, which has no cache. */
function isWritable(cache: NodeJS.Dict<NodeModule> | undefined): boolean {
  if (!cache) return false;
  const probe = `${__filename}?`;
  cache[probe] = module;
  const isKept = cache[probe] === module;
  delete cache[probe];
  return isKept;
}

function requireFor(module: NodeModule, own: NodeJS.Require): NodeJS.Require {
  const folder = path.dirname(module.filename);
  const load = (name: string): unknown => {
    const file = fileOf(folder, name);
    if (file === undefined) return module.require(name);
    const known = own.cache[file];
    if (known) return known.exports;
    const source = read(file);
    return source === undefined
      ? module.require(name)
      : evaluate(file, source, module, own);
  };
  const { resolve, cache, extensions, main } = own;
  return Object.assign(load, { resolve, cache, extensions, main });
}

/** The file that a name means, if it is one of this package. */
function fileOf(folder: string, name: string): string | undefined {
  const isRelative = name.startsWith("./") || name.startsWith("../");
  if (!isRelative && !name.startsWith(defaultsRoot)) return undefined;
  const file = path.resolve(folder, name);
  if (!file.startsWith(defaultsRoot + path.sep)) return undefined;
  return file.endsWith(".js") ? file : `${file}.js`;
}

/** @returns undefined for a folder, which node resolves */
function read(file: string): string | undefined {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function evaluate(
  file: string,
  source: string,
  parent: NodeModule,
  own: NodeJS.Require,
): unknown {
  const module = new Module(file, parent);
  module.filename = file;
  module.paths = parent.paths;
  own.cache[file] = module;
  try {
    const body = compileFunction(source, PARAMETERS, {
      filename: file,
    }) as Body;
    body.call(
      module.exports,
      module.exports,
      requireFor(module, own),
      module,
      file,
      path.dirname(file),
    );
    module.loaded = true;
    return module.exports;
  } finally {
    if (!module.loaded) delete own.cache[file];
  }
}
