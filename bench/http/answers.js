/** What every peer answers, byte for byte what the actions of bench/http/project.js answer. */
const fs = require("node:fs");

const COMMON = {
  "x-powered-by": "bench",
  "access-control-allow-origin": "*",
  "access-control-allow-methods":
    "HEAD, GET, POST, PUT, PATCH, DELETE, OPTIONS, TRACE",
  "access-control-allow-headers": "Content-Type",
  "strict-transport-security": "max-age=31536000; includeSubDomains",
};
const COOKIE = `sessionID=${"0123456789".repeat(4)};path=/;expires=${new Date(Date.now() + 3600000).toUTCString()};`;

exports.headers = {
  ...COMMON,
  "set-cookie": COOKIE,
  "content-type": "application/json; charset=utf-8",
};
exports.fileHeaders = {
  ...COMMON,
  "set-cookie": COOKIE,
  "content-type": "text/plain",
  "cache-control": "max-age=60, must-revalidate, public",
  "accept-ranges": "bytes",
};
exports.notFound = '{"error":"unknown action or invalid apiVersion"}';
exports.file = process.env.BENCH_FILE;
exports.fileEtag = () => {
  const { size, mtime } = fs.statSync(exports.file);
  return `W/"${size.toString(16)}-${mtime.getTime().toString(16)}"`;
};
exports.isValid = (max) => Number.isInteger(max) && max > 0;

/** What an action with an output schema, and one without, respond: 20 rows as of a database. */
exports.users = () => ({
  total: 20,
  users: Array.from({ length: 20 }, (_, index) => ({
    id: index * 1000,
    name: `Ada Lovelace ${index}`,
    isAdmin: index % 2 === 0,
    tags: ["one", "two"],
    address: { city: "London", zip: `SW1A ${index}` },
  })),
});
const object = (properties) => ({
  type: "object",
  properties,
  additionalProperties: false,
});
const text = { type: "string" };
exports.usersSchema = object({
  total: { type: "number" },
  users: {
    type: "array",
    items: object({
      id: { type: "number" },
      name: text,
      isAdmin: { type: "boolean" },
      tags: { type: "array", items: text },
      address: object({ city: text, zip: text }),
    }),
  },
});
