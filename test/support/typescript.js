/**
 * Lets a process of a test run TypeScript files: `node --require test/support/typescript.js file.ts`.
 *
 * What esbuild makes of a file is kept in `tmp/typescript` under a hash of its text, so that a process reads it instead
 * of compiling anew, which takes a second of processor time. Each file is compiled on its own, as a CommonJS module;
 * ES modules need tsx.
 */
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..", "..");
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

require.extensions[".ts"] = (module, file) =>
  module._compile(compiled(file), file);

module.exports = { compileAhead };
