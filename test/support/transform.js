/**
 * Compiles TypeScript for jest, each file on its own; `npm run lint` checks the types. What was made of a file is kept in
 * `tmp/typescript` under a hash of its text, where the next worker finds it.
 *
 * esbuild compiles the framework, in a tenth of the time that TypeScript takes. Tests may set the environment before they
 * import the framework: TypeScript leaves their statements in this order, and esbuild does not.
 */
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const esbuild = require("esbuild");
const { version } = require("typescript/package.json");

const root = path.join(__dirname, "..", "..");
const tests = path.join(root, "test") + path.sep;
const folder = path.join(root, "tmp", "typescript");

/** As in test/tsconfig.json, but that jest loads CommonJS alone. */
const TYPESCRIPT = {
  target: "es2022",
  module: "commonjs",
  esModuleInterop: true,
  isolatedModules: true,
  sourceMap: true,
  inlineSources: true,
};
const ESBUILD = {
  loader: "ts",
  format: "cjs",
  platform: "node",
  target: "es2022",
  sourcemap: "external",
  tsconfigRaw: { compilerOptions: { strict: true } }, // strict mode, as the build
};
const OURS = fs.readFileSync(__filename, "utf8");
const KEY = createHash("sha1")
  .update(JSON.stringify([version, TYPESCRIPT, esbuild.version, ESBUILD, OURS]))
  .digest("hex");

/** The file's place is in its source map. */
function hash(text, file) {
  return createHash("sha1").update(`${KEY} ${file} ${text}`).digest("hex");
}

function placeOf(text, file) {
  return path.join(folder, `${hash(text, file)}.json`);
}

/** Other workers may write the same at the same time. */
function keep(kept, { code, map }) {
  const draft = `${kept}.${process.pid}`;
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(draft, JSON.stringify({ code, map }));
  fs.renameSync(draft, kept);
}

function compile(text, file) {
  if (!file.startsWith(tests))
    return esbuild.transformSync(text, { ...ESBUILD, sourcefile: file });
  const ts = require("typescript"); // takes half a second
  const { outputText, sourceMapText } = ts.transpileModule(text, {
    fileName: file,
    compilerOptions: ts.convertCompilerOptionsFromJson(TYPESCRIPT, root)
      .options,
  });
  const code = outputText.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
  return { code, map: sourceMapText };
}

module.exports = {
  /** What jest keeps a compiled file under, in its own cache. */
  getCacheKey: (text, file, { instrument }) =>
    `${hash(text, file)}${instrument ? "-instrumented" : ""}`,

  process(text, file) {
    const kept = placeOf(text, file);
    if (!fs.existsSync(kept)) keep(kept, compile(text, file));
    return JSON.parse(fs.readFileSync(kept, "utf8"));
  },

  /** Compile files of the framework that are not kept yet, at once. */
  async compileAhead(files) {
    await Promise.all(
      files.map(async (file) => {
        const text = fs.readFileSync(file, "utf8");
        const kept = placeOf(text, file);
        if (fs.existsSync(kept)) return;
        const options = { ...ESBUILD, sourcefile: file };
        keep(kept, await esbuild.transform(text, options));
      }),
    );
    await esbuild.stop();
  },
};
