/** Removes the folders named on the command line, so that a build never keeps files whose source is gone. */
const fs = require("node:fs");

for (const folder of process.argv.slice(2)) {
  fs.rmSync(folder, { recursive: true, force: true });
}
