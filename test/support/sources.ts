/** How node runs TypeScript in the processes of tests: faster than by tsx, which the examples and the watcher use. */
import * as path from "path";

/** Arguments of node that stand before a TypeScript file. */
export const RUN_TYPESCRIPT = [
  "--enable-source-maps",
  "--require",
  path.join(__dirname, "typescript.js"),
];

/** The same for a shell. */
export const RUN_TYPESCRIPT_TEXT = RUN_TYPESCRIPT.map(
  (word) => `"${word}"`,
).join(" ");
