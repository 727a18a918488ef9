/**
 * Lets a process of a test run TypeScript files: `node --require test/support/typescript.js file.ts`.
 *
 * What esbuild makes of a file is kept in `tmp/typescript` under a hash of its text, so that a process reads it instead
 * of compiling anew, which takes a second of processor time. Each file is compiled on its own, as a CommonJS module;
 * ES modules need tsx.
 *
 * What V8 makes of the framework and of its packages is kept, too, by the first process that ends by itself: most of a
 * process's start would be the compiling of these scripts.
 */
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const Module = require("node:module");
const path = require("node:path");
const vm = require("node:vm");

const root = path.join(__dirname, "..", "..");
const sources = path.join(root, "src") + path.sep;
const cache = path.join(root, "tmp", "typescript");
const { version } = require("esbuild/package.json");
const OURS = fs.readFileSync(__filename, "utf8");

const OPTIONS = {
  // node would not find the names that a TypeScript file exports
  supported: { "dynamic-import": false },
  loader: "ts",
  format: "cjs",
  platform: "node",
  target: "node20",
  logLevel: "silent",
  tsconfigRaw: { compilerOptions: { strict: true } }, // strict mode, as the build
};

fs.mkdirSync(cache, { recursive: true });

/** Stacks show the lines of a project's files, and of what the sources of the repository were compiled to. */
function optionsFor(file) {
  if (file.startsWith(root + path.sep)) return OPTIONS;
  return { ...OPTIONS, sourcemap: "inline", sourcefile: file };
}

function place(text, options) {
  const key = createHash("sha1")
    .update(`${version} ${OURS} ${JSON.stringify(options)} ${text}`)
    .digest("hex");
  return path.join(cache, `${key}.js`);
}

/** Other processes may write the same at the same time. */
function keep(kept, code) {
  const draft = `${kept}.${process.pid}`;
  fs.writeFileSync(draft, code);
  fs.renameSync(draft, kept);
}

function compiled(file) {
  const text = fs.readFileSync(file, "utf8");
  const options = optionsFor(file);
  const kept = place(text, options);
  try {
    return fs.readFileSync(kept, "utf8");
  } catch {
    const { transformSync } = require("esbuild");
    const { code } = transformSync(text, options);
    keep(kept, code);
    return code;
  }
}

/** Scripts that this process has compiled itself, by the file that will hold V8's code for them. */
const compiledHere = new Map();

/** As the method of Node's own modules, with the code that V8 made of the script in an earlier process. */
function runKept(module, text, file) {
  const { mtimeMs, size } = fs.statSync(file);
  const key = createHash("sha1")
    .update(`${process.version} ${process.arch} ${file} ${mtimeMs} ${size}`)
    .digest("hex");
  const kept = path.join(cache, `${key}.v8`);
  const script = new vm.Script(Module.wrap(text), {
    filename: file,
    cachedData: readIfExists(kept),
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  if (script.cachedDataRejected !== false) compiledHere.set(kept, script);
  const own = Module.createRequire(file);
  const require = Object.assign((name) => module.require(name), {
    resolve: own.resolve,
    cache: own.cache,
    extensions: own.extensions,
    main: process.mainModule,
  });
  const run = script.runInThisContext();
  return run.call(
    module.exports,
    module.exports,
    require,
    module,
    file,
    path.dirname(file),
  );
}

function readIfExists(file) {
  try {
    return fs.readFileSync(file);
  } catch {
    return undefined;
  }
}

function install() {
  const { _compile: compileText } = Module.prototype;
  // scripts with source maps are left to Node, which reads these; so are ES modules that are required
  Module.prototype._compile = function (text, file, format) {
    const isOurs = file.startsWith(root + path.sep) && !text.startsWith("#!");
    if (!isOurs || format === "module")
      return compileText.call(this, text, file, format);
    return runKept(this, text, file);
  };

  // Node would look for each file of the framework under every other ending first
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function (name, parent, ...rest) {
    if (name.startsWith(".") && parent?.filename?.startsWith(sources)) {
      const file = path.join(path.dirname(parent.filename), `${name}.ts`);
      if (Module._cache[file] || fs.existsSync(file)) return file;
    }
    return resolve.call(this, name, parent, ...rest);
  };

  require.extensions[".ts"] = (module, file) =>
    module._compile(compiled(file), file);

  // at the end, since the code then has the functions that were called
  process.once("exit", () => {
    for (const [kept, script] of compiledHere)
      if (!fs.existsSync(kept)) keep(kept, script.createCachedData());
  });
}

/** Compile files that are not kept yet, at once. */
async function compileAhead(files) {
  const { transform, stop } = require("esbuild");
  await Promise.all(
    files.map(async (file) => {
      const text = fs.readFileSync(file, "utf8");
      const kept = place(text, OPTIONS);
      if (fs.existsSync(kept)) return;
      keep(kept, (await transform(text, OPTIONS)).code);
    }),
  );
  await stop();
}

// not in jest itself, which calls compileAhead
if (module.parent?.id === "internal/preload") install();

module.exports = { compileAhead };
