/**
 * Bundles `actionhero/client` into `dist/client` (or the folder on the command line), after the compiler has run:
 * `browser.mjs` and `browser.cjs` for pages and bundlers, `node.js` for node, and `node.mjs`, which gives ES modules the
 * same classes.
 */
const { build } = require("esbuild");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
const dist = path.resolve(process.argv[2] ?? path.join(root, "dist"));
const target = path.join(dist, "client");

/** The scripts of pages are functions with a last line for `require`: as ES modules bundlers can leave them out. */
const scriptsAsModules = {
  name: "scripts as modules",
  setup({ onLoad }) {
    onLoad({ filter: /assets[\\/]\w+\.js$/ }, ({ path: file }) => {
      const [, text, name] =
        /^(.*)\nif \(typeof module === "object"\) module\.exports = (\w+);\s*$/s.exec(
          fs.readFileSync(file, "utf8"),
        );
      return { contents: `${text}\nexport default ${name};\n` };
    });
  },
};

const shared = {
  bundle: true,
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
  plugins: [scriptsAsModules],
};
const source = (name) => path.join(root, "src", "client", name);

/** Write the bundles, and the files that stand beside them. */
async function main() {
  for (const [format, file] of [
    ["esm", "browser.mjs"],
    ["cjs", "browser.cjs"],
  ])
    await build({
      ...shared,
      format,
      entryPoints: [source("browser.ts")],
      outfile: path.join(target, file),
    });
  const node = {
    ...shared,
    platform: "node",
    external: ["ws"],
    entryPoints: [source("node.ts")],
    outfile: path.join(target, "node.js"),
  };
  await build({ ...node, format: "cjs" });
  const { metafile } = await build({
    ...node,
    format: "esm",
    metafile: true,
    write: false,
  });
  const [{ exports: names }] = Object.values(metafile.outputs);
  fs.writeFileSync(
    path.join(target, "node.mjs"),
    `import client from "./node.js";\nexport const { ${names.join(", ")} } = client;\n`,
  );
  // the compiler copies no declarations
  const assets = path.join(dist, "src", "assets");
  for (const name of ["primus.d.ts", "websocketClient.d.ts", "client"])
    fs.cpSync(path.join(root, "src", "assets", name), path.join(assets, name), {
      recursive: true,
    });
  const types = [
    'export * from "../src/client/node.js";',
    'export * from "../src/assets/client/index.js";',
    'export { ActionheroWebsocketClient } from "../src/assets/client/index.js";',
  ].join("\n");
  for (const name of ["node.d.ts", "node.d.mts"])
    fs.writeFileSync(path.join(target, name), `${types}\n`);
}

void main();
