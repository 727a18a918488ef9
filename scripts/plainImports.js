/**
 * Lets compiled files use node's modules as they are: TypeScript copies a module for each `import * as`, with a getter for
 * every member, which takes a start some 10 ms (bench/boot.ts). Lines stay where the source maps say they are. The folder is
 * `dist`, or the one on the command line.
 */
const fs = require("node:fs");
const { builtinModules } = require("node:module");
const path = require("node:path");

const dist = path.resolve(
  process.argv[2] ?? path.join(__dirname, "..", "dist"),
);
const COPY = /__importStar\(require\("(?:node:)?([\w/]+)"\)\)/g;

/** The helpers of a file, removed if nothing uses them any more. */
const HELPERS =
  /^var __createBinding = .*?\n\}\)\);\nvar __setModuleDefault = .*?\n\}\);\nvar __importStar = .*?\n\}\)\(\);\n/ms;

function withPlainImports(text) {
  const plain = text.replace(COPY, (copy, name) =>
    builtinModules.includes(name)
      ? copy.slice("__importStar(".length, -1)
      : copy,
  );
  if (plain === text || plain.split("__importStar").length !== 3) return plain;
  return plain.replace(HELPERS, (helpers) => helpers.replace(/[^\n]/g, ""));
}

/** The compiled files with such copies, and what they become. @returns {[file: string, text: string][]} */
function filesToChange() {
  return fs.readdirSync(dist, { recursive: true }).flatMap((entry) => {
    if (!entry.endsWith(".js") || entry.startsWith("client")) return [];
    const file = path.join(dist, entry);
    const text = fs.readFileSync(file, "utf8");
    const plain = withPlainImports(text);
    return plain === text ? [] : [[file, plain]];
  });
}

if (require.main === module)
  for (const [file, text] of filesToChange()) fs.writeFileSync(file, text);

module.exports = { filesToChange };
