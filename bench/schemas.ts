/**
 * What schemas cost a GET: the same action without inputs, with a table of inputs, with a schema whose `validate` does what
 * the table does, and with one of zod; and the same response without an output schema and with one. One server answers all
 * of them in turn, in short interleaved slices.
 *
 * Options: --rounds=7 --ms=500 --connections=64 --only=inputs,output
 */
import * as path from "node:path";
import { measureCpu, print, type Table } from "./support/measure";
import { numberOption, option } from "./support/options";
import { scratchFolder, withServers, writeProject } from "./support/servers";

const CONNECTIONS = numberOption("connections", 64);
const answers = path.join(__dirname, "http", "answers.js");

/** The rows of each table; all are compared with the first. */
const TABLES: Record<string, Record<string, string>> = {
  inputs: {
    "table of inputs": "/api/number?max=10",
    "no inputs": "/api/none?max=10",
    schema: "/api/schema?max=10",
    "schema of zod": "/api/zod?max=10",
  },
  output: {
    "no output schema": "/api/rows",
    "all properties named": "/api/named",
    "three of eight left out": "/api/pruned",
    "without the three": "/api/users",
  },
};

const ACTIONS = `
const { defineAction } = require("actionhero");
const { z } = require(${JSON.stringify(require.resolve("zod"))});
const answers = require(${JSON.stringify(answers)});

const standard = (json, validate) => ({
  "~standard": { version: 1, vendor: "bench", validate, jsonSchema: { input: () => json, output: () => json } },
});
const byInputs = (name, inputs) => defineAction({
  name, inputs,
  run: async ({ params }) => ({ max: params.max, half: params.max / 2 }),
});
exports.none = defineAction({ name: "none", run: async () => ({ max: 10, half: 5 }) });
exports.zod = byInputs("zod", z.object({ max: z.int().positive() }));
exports.schema = byInputs("schema", standard(
  { type: "object", properties: { max: { type: "integer" } }, required: ["max"], additionalProperties: false },
  ({ max }) => Number.isInteger(max) && max > 0
    ? { value: { max } }
    : { issues: [{ path: ["max"], message: "is not a number above 0" }] },
));

// as a query of all columns gives them
const rows = () => {
  const response = answers.users();
  for (const row of response.users) {
    row.passwordHash = "x".repeat(60);
    row.createdAt = "2026-01-01T00:00:00.000Z";
    row.updatedAt = "2026-01-01T00:00:00.000Z";
  }
  return response;
};
const text = { type: "string" };
const whole = structuredClone(answers.usersSchema);
for (const name of ["passwordHash", "createdAt", "updatedAt"])
  whole.properties.users.items.properties[name] = text;
const byOutput = (name, json) => defineAction({
  name,
  output: json && standard(json, (value) => ({ value })),
  run: async () => rows(),
});
exports.rows = byOutput("rows");
exports.named = byOutput("named", whole);
exports.pruned = byOutput("pruned", answers.usersSchema);
`;

const NAMES = ["number", "none", "schema", "zod", "rows", "named", "pruned"];
const ROUTES = `
exports.DEFAULT = { routes: () => ({
  get: ${JSON.stringify([...NAMES, "users"].map((name) => ({ path: `/${name}`, action: name })))},
}) };`;

const scratch = scratchFolder("schemas");
const project = writeProject(path.join(scratch, "project"), {
  isSilent: true,
  actions: ACTIONS,
  config: { "routes.js": ROUTES },
});

/** Rows of one table answer the same, but for what one leaves out. */
async function check(port: number, targets: Record<string, string>) {
  for (const target of Object.values(targets)) {
    const response = await fetch(`http://127.0.0.1:${port}${target}`);
    if (response.status !== 200)
      throw new Error(`${target}: ${response.status}`);
    console.error(
      `${target}: ${(await response.arrayBuffer()).byteLength} bytes`,
    );
  }
}

void withServers(
  scratch,
  {
    "actionhero 30": {
      script: "http/actionhero.js",
      ...project,
      env: { ...project.env, NODE_ENV: "production" }, // output schemas only prune
    },
  },
  "support/httpLoad.js",
  async ([server], load) => {
    const results: Record<string, Table> = {};
    for (const title of option("only", Object.keys(TABLES).join()).split(",")) {
      const targets = TABLES[title];
      await check(server.port, targets);
      const rows = Object.entries(targets).map(([name, target]) => ({
        ...server,
        name,
        request: `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n`,
      }));
      results[title] = await measureCpu(
        load,
        rows,
        ({ request }) => ({ request, connections: CONNECTIONS }),
        () => ({ timesFirst: rows[0].name }),
      );
    }
    print(
      "schemas",
      CONNECTIONS,
      results,
      (title) => `${title}: server CPU in microseconds per request`,
    );
  },
);
