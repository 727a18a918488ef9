/**
 * The settings in which a new project differs from a v29 project: one row each.
 *
 * `config/*.ts` are the defaults in code, with v29's values (the "v29 profile"). `generate` copies these files and
 * applies the edits below, so that new projects are safe by default.
 *
 * To add a row:
 * 1. Build the setting with v29's value in `config/*.ts`.
 * 2. Add a row below, in the alphabetical order of `setting`. Edits refer to text that occurs exactly once in the file of
 *    this repository. Edits of different rows must not overlap: to add a key to a block that other rows also extend, use
 *    `after` and `insert`, which any number of rows may do at the same place.
 * 3. Add its line to the section "New projects" of `docs/migrating-from-v29.md`; the test prints the one it expects.
 * 4. Run `npx jest test/cli/generate/profiles`. It compares the whole configuration of both profiles in development,
 *    test and production: the differences must be exactly the paths of these rows. A row whose `setting` is a file is
 *    a difference in code and has its own test there.
 */

export type Environment = "development" | "test" | "production";

export interface NewProjectSetting {
  /** The dotted path of the setting, or the file whose code differs, such as `"actions/createChatRoom.ts"`. */
  setting: string;
  /** Version 29's value, as the docs show it. JSON (`false`, `"all"`, `0`) is also compared with the configuration. */
  v29: string;
  /** The value in a new project, in the same form. */
  newProject: string;
  /** The reason for the difference, as in the docs. */
  reason: string;
  edits: readonly SourceEdit[];
  /** The paths that differ in the built configuration (default: `setting`; none when it is a file). */
  paths?: readonly string[];
  /** The environments in which they differ (default: all three). */
  environments?: readonly Environment[];
}

/** Replaces `find`, or inserts text directly after `after`. */
export type SourceEdit =
  | { file: string; find: string; replace: string }
  | { file: string; after: string; insert: string };

export const newProjectSettings: readonly NewProjectSetting[] = [
  {
    setting: "actions/createChatRoom.ts",
    v29: "any method, any name",
    newProject: "POST only, a name of at most 256 bytes",
    reason: "a link must not create rooms, and long names must not fill redis",
    edits: [
      {
        file: "actions/createChatRoom.ts",
        find: `export class CreateChatRoom extends Action {
  override inputs = {
    name: { required: true as const },
  };
`,
        replace: `/** The longest accepted name, in bytes. */
const MAX_NAME_BYTES = 256;

function checkName(name: unknown) {
  if (typeof name !== "string") return "name must be a text";
  if (Buffer.byteLength(name) > MAX_NAME_BYTES)
    return \`name must have at most \${MAX_NAME_BYTES} bytes\`;
  return true;
}

export class CreateChatRoom extends Action {
  readonly httpMethods = ["post"];
  override inputs = {
    name: { required: true as const, validator: checkName },
  };
`,
      },
    ],
  },

  {
    setting: "config/logger.ts",
    v29: "values are printed as they are",
    newProject: "values with spaces are quoted on the console",
    reason: "a value cannot imitate several fields",
    paths: ["logger.loggers"],
    edits: [
      {
        file: "config/logger.ts",
        find: ": consoleFormat(),",
        replace: ": consoleFormat({ quote: true }),",
      },
    ],
  },

  {
    setting: "config/socket.ts",
    v29: "`port` is 5000",
    newProject: "`SOCKET_PORT`, else 5000",
    reason: "two projects on one host need no edited file",
    edits: [
      {
        file: "config/socket.ts",
        find: "port: 5000 as number | string,",
        replace: "port: (process.env.SOCKET_PORT || 5000) as number | string,",
      },
    ],
  },

  {
    setting: "errors.clientErrorLogLevel",
    v29: '"error"',
    newProject: '"info"',
    reason:
      "a wrong password is not a server error: its line has no stack, and real errors stand out",
    edits: [
      {
        file: "config/errors.ts",
        find: 'clientErrorLogLevel: "error" as string,',
        replace: 'clientErrorLogLevel: "info" as string,',
      },
    ],
  },

  {
    setting: "errors.exposeMessages",
    v29: '"all"',
    newProject: '"intended"',
    environments: ["production"],
    reason: "unexpected errors show paths, queries and hosts",
    edits: [
      {
        file: "config/errors.ts",
        after: `max)\`,
    };
  },
};
`,
        insert: `
export const production = {
  [namespace]: () => {
    return {
      exposeMessages: "intended" as const,
    };
  },
};
`,
      },
    ],
  },

  {
    setting: "errors.keepInline",
    v29: "false",
    newProject: "true",
    reason:
      "an action that runs another one by `action.run` responds with its error and status, not with 500 and `Error: ...`",
    edits: [
      {
        file: "config/errors.ts",
        find: "keepInline: false,",
        replace: "keepInline: true,",
      },
    ],
  },

  {
    setting: "errors.redisAway",
    v29: "texts of ioredis",
    newProject: "`the server is temporarily unavailable, try again later`",
    reason:
      "clients get one text for any outage of redis, not that of the failed command; the log has the error",
    edits: [
      {
        file: "config/errors.ts",
        find: "redisAway: null as null | ((id: string) => any),",
        replace: `redisAway: (_id: string): any =>
        "the server is temporarily unavailable, try again later",`,
      },
    ],
  },

  {
    setting: "general.checkSettings",
    v29: "false",
    newProject: "true",
    reason: "a misspelled setting is reported at the start in development",
    edits: [
      {
        file: "config/api.ts",
        find: "checkSettings: false,",
        replace: "checkSettings: true,",
      },
    ],
  },

  {
    setting: "general.context",
    v29: "false",
    newProject: "true",
    reason:
      "all log lines of one request have its id, which the client gets as `X-Request-Id`",
    edits: [
      {
        file: "config/api.ts",
        find: "context: false,",
        replace: "context: true,",
      },
    ],
  },

  {
    setting: "general.drainDelay",
    v29: "0",
    newProject: "5000",
    environments: ["production"],
    reason:
      "load balancers stop sending before the server stops listening (SIGTERM)",
    edits: [
      {
        file: "config/api.ts",
        after: `export const production = {
  [namespace]: () => {
    return {
`,
        insert: `      drainDelay: 5000,
`,
      },
    ],
  },

  {
    setting: "general.exitOnUnhandledRejection",
    v29: "true",
    newProject: "false",
    reason: "one forgotten `await` must not stop the process for all clients",
    edits: [
      {
        file: "config/api.ts",
        find: "exitOnUnhandledRejection: true,",
        replace: "exitOnUnhandledRejection: false,",
      },
    ],
  },

  {
    setting: "general.explainBootErrors",
    v29: "false",
    newProject: "true",
    reason:
      "a boot error, such as an occupied port, takes three lines, not sixty; `LOG_LEVEL=debug` shows the stack",
    edits: [
      {
        file: "config/api.ts",
        find: "explainBootErrors: false,",
        replace: "explainBootErrors: true,",
      },
    ],
  },

  {
    setting: "general.filteredParams",
    v29: "none",
    newProject:
      "names with `password`, `passwd`, `passphrase`, `token`, `secret`, `authorization`, `cookie`, `apikey`, `api_key`, `api-key`, `pwd`, `creditcard`, both `card` and `number`, `cvc`, `cvv`, on any level",
    reason: "secrets must not be in logs",
    edits: [
      {
        file: "config/api.ts",
        find: "filteredParams: [] as string[] | (() => string[]),",
        replace: `filteredParams: [
        "**.*password*",
        "**.*passwd*",
        "**.*passphrase*",
        "**.*token*",
        "**.*secret*",
        "**.*authorization*",
        "**.*cookie*",
        "**.*apikey*",
        "**.*api_key*",
        "**.*api-key*",
        "**.pwd",
        "**.*creditcard*",
        "**.*card*number*",
        "**.*cvc*",
        "**.*cvv*",
      ] as string[] | (() => string[]),`,
      },
    ],
  },

  {
    setting: "general.introspection",
    v29: "true",
    newProject: "false",
    environments: ["production"],
    reason:
      "`status` says only whether the server is healthy (200 or 503), `swagger` and the verb `documentation` are off",
    edits: [
      {
        file: "config/api.ts",
        after: `export const production = {
  [namespace]: () => {
    return {
`,
        insert: `      introspection: false,
`,
      },
    ],
  },

  {
    setting: "general.maxChatBytesPerSecond",
    v29: "0",
    newProject: "65536",
    reason:
      "one client in a chat room must not disconnect members with slow connections",
    edits: [
      {
        file: "config/api.ts",
        find: "maxChatBytesPerSecond: 0,",
        replace: "maxChatBytesPerSecond: 65_536,",
      },
    ],
  },

  {
    setting: "general.maxChatRooms",
    v29: "0",
    newProject: "100000",
    reason: "clients must not fill redis with rooms",
    edits: [
      {
        file: "config/api.ts",
        find: "maxChatRooms: 0,",
        replace: "maxChatRooms: 100_000,",
      },
    ],
  },

  {
    setting: "general.maxConnectionsPerAddress",
    v29: "0",
    newProject: "1000",
    reason:
      "one client must not take all connections; set it to 0 behind a proxy, where all clients have one address",
    edits: [
      {
        file: "config/api.ts",
        find: "maxConnectionsPerAddress: 0,",
        replace: "maxConnectionsPerAddress: 1000,",
      },
    ],
  },

  {
    setting: "general.maxRoomsPerConnection",
    v29: "0",
    newProject: "100",
    reason: "one client must not join an unlimited number of rooms",
    edits: [
      {
        file: "config/api.ts",
        find: "maxRoomsPerConnection: 0,",
        replace: "maxRoomsPerConnection: 100,",
      },
    ],
  },

  {
    setting: "general.overload",
    v29: "none",
    newProject: "`maxEventLoopDelay` of 1,000 ms and `maxHeapUsed` of 0.9",
    environments: ["production"],
    reason:
      "new work is refused with 503 before the process blocks or runs out of memory",
    paths: [
      "general.overload",
      "general.overload.maxEventLoopDelay",
      "general.overload.maxHeapUsed",
    ],
    edits: [
      {
        file: "config/api.ts",
        after: `export const production = {
  [namespace]: () => {
    return {
`,
        insert: `      overload: { maxEventLoopDelay: 1000, maxHeapUsed: 0.9 },
`,
      },
    ],
  },

  {
    setting: "general.refuseUntilBooted",
    v29: "false",
    newProject: "true",
    reason: "clients are served only after every `start` has run",
    edits: [
      {
        file: "config/api.ts",
        find: "refuseUntilBooted: false,",
        replace: "refuseUntilBooted: true,",
      },
    ],
  },

  {
    setting: "general.requireServerToken",
    v29: "false",
    newProject: "true",
    reason:
      "without its own `serverToken` a server starts in development and test only; a project of version 29 starts with a warning",
    edits: [
      {
        file: "config/api.ts",
        find: "requireServerToken: false,",
        replace: "requireServerToken: true,",
      },
    ],
  },

  {
    setting: "general.sayObjects",
    v29: "false",
    newProject: "true",
    reason:
      "what a client says in a room arrives with the type that it has; listeners of version 29 expect a text",
    edits: [
      {
        file: "config/api.ts",
        find: "sayObjects: false,",
        replace: "sayObjects: true,",
      },
    ],
  },

  {
    setting: "general.serverToken",
    v29: "`change-me`",
    newProject:
      "`ACTIONHERO_SERVER_TOKEN`, which `generate` writes to `.env`; without it, a random token in development and test",
    reason: "anyone who knows the token can call functions of all nodes",
    edits: [
      {
        file: "config/api.ts",
        find: `import * as fs from "fs";
`,
        replace: `import { randomBytes } from "crypto";
import * as fs from "fs";
`,
      },
      {
        file: "config/api.ts",
        find: `      serverToken: "change-me",
`,
        replace: `      serverToken: serverToken(config),
`,
      },
      {
        file: "config/api.ts",
        find: "      serverToken: `serverToken-${process.env.JEST_WORKER_ID || 0}`,\n",
        replace: "",
      },
      {
        file: "config/api.ts",
        find: `export const DEFAULT = {
`,
        replace: `/** One for each process: enough where no other process shares its redis. */
const RANDOM_TOKEN = randomBytes(32).toString("hex");

export const DEFAULT = {
`,
      },
      {
        file: "config/api.ts",
        after: `      fileRequestLogLevel: "debug",
    };
  },
};
`,
        insert: `
/**
 * The variable, which production requires. Processes of development and test that share a redis server share a token.
 */
function serverToken({ process: { env }, redis }: ActionheroConfigInterface) {
  if (process.env.ACTIONHERO_SERVER_TOKEN)
    return process.env.ACTIONHERO_SERVER_TOKEN;
  if (env !== "development" && env !== "test") return "";
  if (redis?.client.konstructor.name === "EmbeddedRedis") return RANDOM_TOKEN;
  return env === "test"
    ? \`serverToken-\${process.env.JEST_WORKER_ID || 0}\`
    : "change-me";
}
`,
      },
    ],
  },

  {
    setting: "general.uniqueNames",
    v29: "false",
    newProject: "true",
    reason:
      "two files with an action or task of one name fail the boot; the name of the files would decide which one runs",
    edits: [
      {
        file: "config/api.ts",
        find: "uniqueNames: false,",
        replace: "uniqueNames: true,",
      },
    ],
  },

  {
    setting: "health.enabled",
    v29: "false",
    newProject: "true",
    reason: "load balancers and containers probe `/readyz` and `/healthz`",
    edits: [
      {
        file: "config/health.ts",
        find: "enabled: false,",
        replace: "enabled: true,",
      },
    ],
  },

  {
    setting: "logger.format",
    v29: '"text"',
    newProject: '"json"',
    environments: ["production"],
    reason: "log collectors read one JSON document per line",
    edits: [
      {
        file: "config/logger.ts",
        after: `      maxLogArrayLength: 10,
    };
  },
};
`,
        insert: `
export const production = {
  [namespace]: () => {
    return {
      format: "json",
    };
  },
};
`,
      },
    ],
  },

  {
    setting: "logger.loggers",
    v29: "each start, of servers and commands, writes `<id>-<env>.log`",
    newProject:
      "servers write `<env>.log`, whose lines have their `id`; commands write none",
    reason: "twenty restarts leave one file",
    edits: [
      {
        file: "config/logger.ts",
        find: "format: jsonFormat(),",
        replace: "format: jsonFormat({ id }),",
      },
      {
        file: "config/logger.ts",
        find: "per line in `<folder>/<id>-<env>.log`. */",
        replace: "per line in `<folder>/<env>.log`. */",
      },
      {
        file: "config/logger.ts",
        find: "filename: path.join(folder, `${id}-${env}.log`),",
        replace:
          "filename: path.join(folder, `${env}.log`),\n          commands: false,",
      },
    ],
  },

  {
    setting: "logger.redact",
    v29: "none",
    newProject: "as `general.filteredParams`",
    reason: "secrets must not be in the project's own log lines either",
    edits: [
      {
        file: "config/logger.ts",
        find: "redact: [] as string[] | (() => string[]),",
        replace: "redact: config.general.filteredParams,",
      },
    ],
  },

  {
    setting: "redis.retryStrategy",
    v29: "the first failed connection is also a line of `console.error`",
    newProject: "the log has it",
    reason: "every line of a server has the format of its log",
    paths: ["client", "subscriber", "tasks"].map(
      (client) => `redis.${client}.args.0.retryStrategy`,
    ),
    edits: [
      {
        file: "config/redis.ts",
        find: `let warned = false;

`,
        replace: "",
      },
      {
        file: "config/redis.ts",
        find: `  if (!warned) {
    warned = true;
    console.error(
      "Unable to connect to Redis - please check your Redis config!",
    );
  }
`,
        replace: "",
      },
    ],
  },

  {
    setting: "redis.{client,subscriber,tasks}.args[0].tls.rejectUnauthorized",
    v29: "false",
    newProject: "true",
    reason: "redis over TLS verifies the server's certificate",
    paths: ["client", "subscriber", "tasks"].map(
      (client) => `redis.${client}.args.0.tls.rejectUnauthorized`,
    ),
    edits: [
      {
        file: "config/redis.ts",
        find: "{ rejectUnauthorized: false }",
        replace: "{ rejectUnauthorized: true }",
      },
    ],
  },

  {
    setting: "routes",
    v29: "none",
    newProject: "`status`, `swagger`, `createChatRoom` (POST)",
    reason: "examples to start from",
    edits: [
      {
        file: "config/routes.ts",
        find: `        { path: "/createChatRoom", action: "createChatRoom" },
      ],
`,
        replace: `      ],
      post: [{ path: "/createChatRoom", action: "createChatRoom" }],
`,
      },
    ],
  },

  {
    setting: "securityHeaders.enabled",
    v29: "false",
    newProject: "true",
    reason:
      "pages load only from the server itself and cannot be framed by other sites; `Strict-Transport-Security` only over TLS",
    edits: [
      {
        file: "config/securityHeaders.ts",
        find: "enabled: false,",
        replace: "enabled: true,",
      },
      {
        file: "config/web.ts",
        find: `        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
`,
        replace: "",
      },
    ],
  },

  {
    setting: "socket.maxParamBytes",
    v29: "0",
    newProject: "65536",
    reason:
      "stored params of a client must not fill the memory; longer lines are processed but not stored",
    edits: [
      {
        file: "config/socket.ts",
        find: "maxParamBytes: 0,",
        replace: "maxParamBytes: 64 * 1024,",
      },
    ],
  },

  {
    setting: "tasks.carryContext",
    v29: "false",
    newProject: "true",
    reason:
      "the log lines and traces of a job lead to the request that enqueued it; `del` of processes of version 29 does not find such jobs",
    edits: [
      {
        file: "config/tasks.ts",
        find: "carryContext: false,",
        replace: "carryContext: true,",
      },
    ],
  },

  {
    setting: "tasks.sortInputs",
    v29: "false",
    newProject: "true",
    reason:
      "`delDelayed`, `scheduledAt` and `del` find a job whatever the order of the keys of its inputs; processes of version 29 do not",
    edits: [
      {
        file: "config/tasks.ts",
        find: "sortInputs: false,",
        replace: "sortInputs: true,",
      },
    ],
  },

  {
    setting: "tasks.unknownJobs",
    v29: '"fail"',
    newProject: '"wait"',
    reason:
      "in a rolling deployment, processes without a new task fetch its jobs",
    edits: [
      {
        file: "config/tasks.ts",
        find: 'unknownJobs: "fail" as "fail" | "wait",',
        replace: 'unknownJobs: "wait" as "fail" | "wait",',
      },
    ],
  },

  {
    setting: "web.cors",
    v29: "`Access-Control-Allow-Origin: *`",
    newProject:
      "`CORS_ORIGINS`, separated by commas; without it, no other site",
    reason:
      "pages of other sites must not read responses on behalf of a visitor",
    edits: [
      {
        file: "config/web.ts",
        find: "cors: undefined as",
        replace: `cors: { origins: process.env.CORS_ORIGINS || "" } as`,
      },
      {
        file: "config/web.ts",
        find: `        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods":
          "HEAD, GET, POST, PUT, PATCH, DELETE, OPTIONS, TRACE",
        "Access-Control-Allow-Headers": "Content-Type",
`,
        replace: "",
      },
    ],
  },

  {
    setting: "web.csrf",
    v29: "false",
    newProject: "true",
    reason: "pages of other sites must not act with the visitor's cookies",
    edits: [
      {
        file: "config/web.ts",
        find: 'csrf: false as boolean | "all",',
        replace: 'csrf: true as boolean | "all",',
      },
    ],
  },

  {
    setting: "web.dotfiles",
    v29: '"allow"',
    newProject: '"ignore"',
    reason: "`.env` and `.git` are not for clients; `.well-known` is served",
    edits: [
      {
        file: "config/web.ts",
        find: 'dotfiles: "allow" as',
        replace: 'dotfiles: "ignore" as',
      },
    ],
  },

  {
    setting: "web.errorPages",
    v29: "false",
    newProject: "true",
    reason: "a missing file is a page for people and a text for programs",
    edits: [
      {
        file: "config/web.ts",
        find: "errorPages: false,",
        replace: "errorPages: true,",
      },
    ],
  },

  {
    setting: "web.errorStatus",
    v29: "404 for unknown actions and 422 for missing params, else 500",
    newProject:
      "also 422 `invalidParams`, 403 `unsupportedServerType`, 429 `tooManyPendingActions`, 503 `serverShuttingDown` and `redisAway`",
    reason:
      "clients and proxies can distinguish client errors, server errors and temporary errors",
    edits: [
      {
        file: "config/web.ts",
        find: "errorStatus: {} as Record<string, number>,",
        replace: `errorStatus: {
        invalidParams: 422,
        redisAway: 503,
        serverShuttingDown: 503,
        tooManyPendingActions: 429,
        unsupportedServerType: 403,
      } as Record<string, number>,`,
      },
    ],
  },

  {
    setting: "web.extensionTypes",
    v29: '"all"',
    newProject: '"safe"',
    reason:
      "the extension of a path never turns a response into a page or script",
    edits: [
      {
        file: "config/web.ts",
        find: 'extensionTypes: "all" as',
        replace: 'extensionTypes: "safe" as',
      },
    ],
  },

  {
    setting: "web.fingerprintOptions.on",
    v29: '"all"',
    newProject: '"actions"',
    reason: "a shared cache must not serve one visitor's cookie to all",
    edits: [
      {
        file: "config/web.ts",
        find: 'on: "all" as "all" | "actions",',
        replace: 'on: "actions" as "all" | "actions",',
      },
    ],
  },

  {
    setting: "web.fingerprintOptions.settings",
    v29: "`path`, `expires`",
    newProject:
      'also `HttpOnly`, `SameSite: "Lax"`, `Secure` and the prefix `__Host-` on TLS',
    reason:
      "scripts and other sites cannot use the cookie; the websocket has it from its upgrade",
    paths: ["HttpOnly", "SameSite", "Secure"].map(
      (name) => `web.fingerprintOptions.settings.${name}`,
    ),
    edits: [
      {
        file: "config/web.ts",
        after: `          path: "/",
          expires: 3600000,
`,
        insert: `          HttpOnly: true,
          SameSite: "Lax",
          Secure: "auto",
`,
      },
    ],
  },

  {
    setting: "web.fingerprintOptions.signed",
    v29: "false",
    newProject: "true",
    reason: "prevents session fixation with made-up ids",
    edits: [
      {
        file: "config/web.ts",
        find: "signed: false,",
        replace: "signed: true,",
      },
    ],
  },

  {
    setting: "web.formBrackets",
    v29: "false",
    newProject: "true",
    reason: "names with brackets mean the same in forms as in queries",
    edits: [
      {
        file: "config/web.ts",
        find: "formBrackets: false,",
        replace: "formBrackets: true,",
      },
    ],
  },

  {
    setting: "web.formOptions.maxFieldsSize",
    v29: "20971520",
    newProject: "1048576",
    reason: "twenty forms of 20 MiB exhaust a heap of 256 MiB",
    edits: [
      {
        file: "config/web.ts",
        find: "maxFieldsSize: 1024 * 1024 * 20,",
        replace: "maxFieldsSize: 1024 * 1024,",
      },
    ],
  },

  {
    setting: "web.jsonp",
    v29: "true",
    newProject: "false",
    reason: "any web site can read JSONP on behalf of a visitor",
    edits: [
      {
        file: "config/web.ts",
        find: "jsonp: true as",
        replace: "jsonp: false as",
      },
    ],
  },

  {
    setting: "web.keepAliveTimeout",
    v29: "5000",
    newProject: "65000",
    environments: ["production"],
    reason:
      "load balancers usually keep idle connections for 60 s, and must be the side that closes them, to avoid 502 responses",
    edits: [
      {
        file: "config/web.ts",
        after: `export const production = {
  [namespace]: () => {
    return {
`,
        insert: `      keepAliveTimeout: 65 * 1000,
`,
      },
    ],
  },

  {
    setting: "web.limitPipelining",
    v29: "false",
    newProject: "true",
    reason: "`general.simultaneousActions` also applies over HTTP",
    edits: [
      {
        file: "config/web.ts",
        find: "limitPipelining: false,",
        replace: "limitPipelining: true,",
      },
    ],
  },

  {
    setting: "web.listErrors",
    v29: "false",
    newProject: "true",
    reason: "a form can show all its errors at once, each at its field",
    edits: [
      {
        file: "config/web.ts",
        find: "listErrors: false,",
        replace: "listErrors: true,",
      },
    ],
  },

  {
    setting: "web.maxArrayItems",
    v29: "1000000",
    newProject: "10000",
    reason: "a list of a million objects takes seconds and hundreds of MiB",
    edits: [
      {
        file: "config/web.ts",
        find: "maxArrayItems: 1000000,",
        replace: "maxArrayItems: 10000,",
      },
    ],
  },

  {
    setting: "web.maxJsonSize",
    v29: "`formOptions.maxFieldsSize`, 20 MiB",
    newProject: "1048576",
    reason: "parsing 20 MiB of JSON stops a server",
    edits: [
      {
        file: "config/web.ts",
        find: "maxJsonSize: null as number | null,",
        replace: "maxJsonSize: 1048576 as number | null,",
      },
    ],
  },

  {
    setting: "web.nosniff",
    v29: "false",
    newProject: "true",
    reason: "browsers must not guess another content type",
    edits: [
      {
        file: "config/web.ts",
        find: "nosniff: false,",
        replace: "nosniff: true,",
      },
    ],
  },

  {
    setting: "web.openapi",
    v29: "false",
    newProject: "true",
    environments: ["development", "test"],
    reason: "`/api/openapi.json` describes the API during development",
    edits: [
      {
        file: "config/web.ts",
        find: "openapi: false as",
        replace: "openapi: true as",
      },
      {
        file: "config/web.ts",
        find: "      padding: null as number | null,\n      metadataOptions",
        replace:
          "      openapi: false,\n      padding: null as number | null,\n      metadataOptions",
      },
    ],
  },

  {
    setting: "web.strictHttp",
    v29: "false",
    newProject: "true",
    reason:
      "405 with `Allow`, redirects to folders, 307 for a POST by another name, charsets, strong ETags: [HTTP semantics](http-semantics.md); an action that fails after it assigned a text or a list to `data.response` responds with an error and its status, not with 200 and a text",
    edits: [
      {
        file: "config/web.ts",
        find: "strictHttp: false,",
        replace: "strictHttp: true,",
      },
    ],
  },

  {
    setting: "web.strictPaths",
    v29: "false",
    newProject: "true",
    reason: "`+` in a path is a plus sign, and a malformed `%zz` is a 400",
    edits: [
      {
        file: "config/web.ts",
        find: "strictPaths: false,",
        replace: "strictPaths: true,",
      },
    ],
  },

  {
    setting: "web.trace",
    v29: "true",
    newProject: "false",
    reason: "clients do not need TRACE",
    edits: [
      {
        file: "config/web.ts",
        find: "trace: true,",
        replace: "trace: false,",
      },
    ],
  },

  {
    setting: "web.trustProxy",
    v29: "`X-Real-IP` and `X-Forwarded-For` of any client are trusted",
    newProject: "`TRUST_PROXY`; without it, the address of the socket is used",
    reason: "clients cannot spoof their address, scheme and host",
    edits: [
      {
        file: "config/web.ts",
        find: "trustProxy: undefined as",
        replace: "trustProxy: (process.env.TRUST_PROXY || false) as",
      },
    ],
  },

  {
    setting: "web.uploads",
    v29: '"all"',
    newProject: '"declared"',
    reason: "uploads to actions that ignore them must not fill the disk",
    edits: [
      {
        file: "config/web.ts",
        find: 'uploads: "all" as',
        replace: 'uploads: "declared" as',
      },
    ],
  },

  {
    setting: "websocket.checkHost",
    v29: "false",
    newProject: "true",
    reason:
      "`web.allowedRequestHosts` also applies to websockets, against DNS rebinding",
    edits: [
      {
        file: "config/websocket.ts",
        find: "checkHost: false,",
        replace: "checkHost: true,",
      },
    ],
  },

  {
    setting: "websocket.maxMessagesPerSecond",
    v29: "0",
    newProject: "200",
    reason: "the flood of one client must not delay the others",
    edits: [
      {
        file: "config/websocket.ts",
        find: "maxMessagesPerSecond: 0,",
        replace: "maxMessagesPerSecond: 200,",
      },
    ],
  },
];

// --- Exact edits of the framework's own sources on their way into a new project.

interface Replacement {
  start: number;
  end: number;
  text: string;
}

/**
 * Apply all edits of one file to its source; the order matters only for insertions at the same place.
 * @throws Error if the text of an edit does not occur exactly once, or if two replacements overlap
 */
export function editSource(
  file: string,
  source: string,
  edits: readonly SourceEdit[],
): string {
  const replacements = edits
    .filter((edit) => edit.file === file)
    .map((edit) => locate(source, edit))
    .sort((a, b) => a.start - b.start);
  let edited = "";
  let position = 0;
  for (const { start, end, text } of replacements) {
    if (start < position)
      throw new Error(`two edits of ${file} overlap at: ${text}`);
    edited += source.slice(position, start) + text;
    position = end;
  }
  return edited + source.slice(position);
}

function locate(source: string, edit: SourceEdit): Replacement {
  const wanted = "find" in edit ? edit.find : edit.after;
  const found = source.indexOf(wanted);
  if (found === -1)
    throw new Error(`${edit.file} does not contain the text: ${wanted}`);
  if (source.includes(wanted, found + 1))
    throw new Error(`${edit.file} contains the text more than once: ${wanted}`);
  const end = found + wanted.length;
  return "find" in edit
    ? { start: found, end, text: edit.replace }
    : { start: end, end, text: edit.insert };
}
