/** `npm start`: the compiled server, or a clear word when it was never compiled. */
const fs = require("node:fs");
const path = require("node:path");

const entry = path.join(__dirname, "..", "dist", "src", "server.js");

if (!fs.existsSync(entry)) {
  console.error("dist/ is missing: run `npm run build` first");
  process.exit(1);
}
require(entry);
