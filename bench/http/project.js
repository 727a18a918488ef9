/** Writes the same project for actionhero 29 and for this one. */
const fs = require("node:fs");
const path = require("node:path");

const ACTIONS = `
const { Action } = require("actionhero");
const answers = require(${JSON.stringify(path.join(__dirname, "answers.js"))});

exports.NumberAction = class NumberAction extends Action {
  constructor() {
    super();
    this.name = "number";
    this.description = "one validated param";
    this.inputs = {
      max: {
        required: true,
        formatter: (value) => Number(value),
        validator: (value) => {
          if (!Number.isInteger(value) || value <= 0) throw new Error("max is not a number above 0");
        },
      },
    };
    this.outputExample = {};
  }
  async run({ params }) {
    return { max: params.max, half: params.max / 2 };
  }
};

exports.Echo = class Echo extends Action {
  constructor() {
    super();
    this.name = "echo";
    this.description = "what came in";
    this.inputs = { name: { required: true }, text: {}, list: {} };
  }
  async run({ params: { name, text, list } }) {
    return { name, text, list };
  }
};

class Users extends Action {
  constructor(name) {
    super();
    this.name = name;
    this.description = "20 rows";
    this.outputExample = {};
  }
  async run() {
    return answers.users();
  }
}

exports.Plain = class Plain extends Users {
  constructor() {
    super("users");
  }
};

exports.Output = class Output extends Users {
  constructor() {
    super("output");
    const jsonSchema = () => answers.usersSchema;
    this.output = {
      "~standard": {
        version: 1,
        vendor: "bench",
        validate: (value) => ({ value }),
        jsonSchema: { input: jsonSchema, output: jsonSchema },
      },
    };
  }
};
`;

const CONFIG = {
  "web.js": `
exports.DEFAULT = { web: () => ({ port: 0, bindIP: "127.0.0.1", automaticRoutes: [], padding: null, keepAliveTimeout: 72000, formOptions: { multiples: true },
  metadataOptions: { serverInformation: false, requesterInformation: false } }) };`,
  "routes.js": `
exports.DEFAULT = { routes: () => ({
  get: [
    { path: "/number", action: "number" },
    { path: "/users", action: "users" },
    { path: "/output", action: "output" },
  ],
  post: [{ path: "/echo", action: "echo" }],
}) };`,
  "api.js": `
const path = require("node:path");
const root = path.join(__dirname, "..");
exports.DEFAULT = { general: () => ({
  serverName: "bench", fileRequestLogLevel: "info",
  paths: { action: [path.join(root, "actions")], task: [path.join(root, "tasks")],
    server: [path.join(root, "servers")], cli: [path.join(root, "bin")],
    initializer: [path.join(root, "initializers")], public: [path.join(root, "..", "public")],
    pid: [path.join(root, "..", "pids")], log: [path.join(root, "..", "log")] },
}) };`,
  "websocket.js":
    "exports.DEFAULT = { websocket: () => ({ enabled: false }) };",
  "socket.js": "exports.DEFAULT = { socket: () => ({ enabled: false }) };",
  "tasks.js": `
exports.DEFAULT = { tasks: () => ({ scheduler: false, minTaskProcessors: 0, maxTaskProcessors: 0 }) };`,
};

const REDIS = `
const Mock = require("ioredis-mock");
const client = () => ({ konstructor: Mock, args: [{}], buildNew: true });
exports.DEFAULT = { redis: () => ({ _toExpand: false, scanCount: 1000, stopTimeout: 100,
  client: client(), subscriber: client(), tasks: client() }) };`;

const SILENT = "exports.DEFAULT = { logger: () => ({ loggers: [] }) };";

/** @returns the folder to start in */
exports.writeProject = function writeProject({
  folder,
  actionhero,
  peers,
  isSilent,
  isV29,
  fileSize = 0,
  config = {},
  actions = "",
}) {
  const files = {
    "dist/actions/more.js": actions,
    "package.json": JSON.stringify({ name: "bench", version: "1.0.0" }),
    "dist/actions/bench.js": ACTIONS,
    "public/file.txt": "0123456789".repeat(fileSize / 10),
  };
  for (const [name, text] of Object.entries({ ...CONFIG, ...config }))
    files[`dist/config/${name}`] = text;
  if (isSilent) files["dist/config/logger.js"] = SILENT;
  if (isV29) files["dist/config/redis.js"] = REDIS;
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
  for (const name of ["log", "pids", "node_modules"])
    fs.mkdirSync(path.join(folder, name), { recursive: true });
  const link = (name, target) =>
    fs.symlinkSync(target, path.join(folder, "node_modules", name), "dir");
  link("actionhero", actionhero);
  link("ioredis-mock", path.join(peers, "ioredis-mock"));
  return folder;
};
