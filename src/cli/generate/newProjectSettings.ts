/**
 * The settings in which a new project differs from a v29 project: one row each.
 *
 * `config/*.ts` are the defaults in code, with v29's values (the "v29 profile"). `generate` copies these files and
 * applies the edits below, so that new projects are safe by default.
 *
 * To add a row:
 * 1. Build the setting with v29's value in `config/*.ts`.
 * 2. Add a row below, in the alphabetical order of `setting`: by `changed` or `inProduction` if the key has one line in
 *    the file (override `v29` and `newProject` if the docs show them in another form), otherwise with its edits. Edits
 *    refer to text that occurs exactly once in the file of this repository. Edits of different rows must not overlap: to
 *    add a key to a block that other rows also extend, use `after` and `insert`, which any number of rows may do at the
 *    same place.
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

/** A row whose values are code after `key: ` in `config/*.ts`. */
function changed(
  setting: string,
  v29: string,
  newProject: string,
  reason: string,
): NewProjectSetting {
  const { file, key } = placeOf(setting);
  const find = `${key}: ${v29}`;
  const replace = `${key}: ${newProject}`;
  const edits = [{ file, find, replace }];
  return { setting, v29, newProject, reason, edits };
}

/** A row whose value is added for production, to a file that has settings of production. */
function inProduction(
  setting: string,
  v29: string,
  newProject: string,
  reason: string,
): NewProjectSetting {
  const { file, key } = placeOf(setting);
  const insert = `      ${key}: ${newProject},\n`;
  const edits = [{ file, after: PRODUCTION, insert }];
  const environments = ["production"] as const;
  return { setting, v29, newProject, reason, edits, environments };
}

/** The beginning of the settings of production in a file. */
const PRODUCTION = `export const production = {
  [namespace]: () => {
    return {
`;

function placeOf(setting: string): { file: string; key: string } {
  const [namespace, ...path] = setting.split(".");
  const name = namespace === "general" ? "api" : namespace;
  return { file: `config/${name}.ts`, key: path.at(-1)! };
}

export const newProjectSettings: readonly NewProjectSetting[] = [
  {
    setting: "actions/createChatRoom.ts",
    v29: "any method, any name",
    newProject: "POST only, a name of at most 256 bytes, 60 an hour",
    reason:
      "a link must not create rooms, long names must not fill redis, and one address must not use up `general.maxChatRooms`",
    edits: [
      {
        file: "actions/createChatRoom.ts",
        find: "import { Action, chatRoom, type ParamsFrom } from",
        replace: `import {
  Action,
  action,
  chatRoom,
  rateLimit,
  type ParamsFrom,
} from`,
      },
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

/** Of one address: rooms stay until they are destroyed. */
const limit = rateLimit({
  name: "createChatRoom",
  requests: 60,
  perMs: 60 * 60 * 1000,
});
action.addMiddleware(limit);

export class CreateChatRoom extends Action {
  readonly httpMethods = ["post"];
  override middleware = [limit.name];
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

  changed(
    "errors.clientErrorLogLevel",
    '"error"',
    '"info"',
    "a wrong password is not a server error: its line has no stack, and real errors stand out",
  ),

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

  changed(
    "errors.keepInline",
    "false",
    "true",
    "an action that runs another one by `action.run` responds with its error and status, not with 500 and `Error: ...`",
  ),

  {
    ...changed(
      "errors.redisAway",
      "null as null | ((id: string) => any)",
      `(_id: string): any =>
        "the server is temporarily unavailable, try again later"`,
      "clients get one text for any outage of redis, not that of the failed command; the log has the error",
    ),
    v29: "texts of ioredis",
    newProject: "`the server is temporarily unavailable, try again later`",
  },

  changed(
    "general.checkSettings",
    "false",
    "true",
    'a value that is not accepted, such as `csrf: "true"`, ends the boot, and does not switch a protection off; a misspelled setting is reported at the start in development',
  ),

  changed(
    "general.context",
    "false",
    "true",
    "all log lines of one request have its id, which the client gets as `X-Request-Id`",
  ),

  inProduction(
    "general.drainDelay",
    "0",
    "5000",
    "load balancers stop sending before the server stops listening (SIGTERM)",
  ),

  changed(
    "general.exitOnUnhandledRejection",
    "true",
    "false",
    "one forgotten `await` must not stop the process for all clients",
  ),

  changed(
    "general.explainBootErrors",
    "false",
    "true",
    "a boot error, such as an occupied port, takes three lines, not sixty; `LOG_LEVEL=debug` shows the stack",
  ),

  {
    ...changed(
      "general.filteredParams",
      "[] as",
      `[
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
      ] as`,
      "secrets must not be in logs",
    ),
    v29: "none",
    newProject:
      "names with `password`, `passwd`, `passphrase`, `token`, `secret`, `authorization`, `cookie`, `apikey`, `api_key`, `api-key`, `pwd`, `creditcard`, both `card` and `number`, `cvc`, `cvv`, on any level",
  },

  inProduction(
    "general.introspection",
    "true",
    "false",
    "`status` says only whether the server is healthy (200 or 503), `swagger` and the verb `documentation` are off",
  ),

  changed(
    "general.maxChatBytesPerSecond",
    "0",
    "65536",
    "one client in a chat room must not disconnect members with slow connections",
  ),

  changed(
    "general.maxChatRooms",
    "0",
    "100000",
    "clients must not fill redis with rooms",
  ),

  changed(
    "general.maxConnectionsPerAddress",
    "0",
    "1000",
    "one client must not take all connections; connections of trusted proxies do not count",
  ),

  changed(
    "general.maxRoomsPerConnection",
    "0",
    "100",
    "one client must not join an unlimited number of rooms",
  ),

  {
    ...inProduction(
      "general.overload",
      "none",
      "{ maxEventLoopDelay: 1000, maxHeapUsed: 0.9 }",
      "new work is refused with 503 before the process blocks or runs out of memory",
    ),
    newProject: "`maxEventLoopDelay` of 1,000 ms and `maxHeapUsed` of 0.9",
    paths: [
      "general.overload",
      "general.overload.maxEventLoopDelay",
      "general.overload.maxHeapUsed",
    ],
  },

  changed(
    "general.refuseUntilBooted",
    "false",
    "true",
    "clients are served only after every `start` has run",
  ),

  changed(
    "general.requireServerToken",
    "false",
    "true",
    "without its own `serverToken` a server starts in development and test only; a project of version 29 starts with a warning",
  ),

  changed(
    "general.sayObjects",
    "false",
    "true",
    "what a client says in a room arrives with the type that it has; listeners of version 29 expect a text",
  ),

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
  // whatever src/config/redis.ts declares about its types
  const client = redis?.client as { konstructor: { name: string } } | undefined;
  if (client?.konstructor.name === "EmbeddedRedis") return RANDOM_TOKEN;
  return env === "test"
    ? \`serverToken-\${process.env.JEST_WORKER_ID || 0}\`
    : "change-me";
}
`,
      },
    ],
  },

  changed(
    "general.uniqueNames",
    "false",
    "true",
    "two files with an action or task of one name fail the boot; the name of the files would decide which one runs",
  ),

  changed(
    "health.enabled",
    "false",
    "true",
    "load balancers and containers probe `/readyz` and `/healthz`",
  ),

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
    ...changed(
      "logger.redact",
      "[] as string[] | (() => string[])",
      "config.general.filteredParams",
      "secrets must not be in the project's own log lines either",
    ),
    v29: "none",
    newProject: "as `general.filteredParams`",
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

  changed(
    "socket.maxParamBytes",
    "0",
    "65536",
    "stored params of a client must not fill the memory; longer lines are processed but not stored",
  ),

  changed(
    "tasks.carryContext",
    "false",
    "true",
    "the log lines and traces of a job lead to the request that enqueued it; `del` of processes of version 29 does not find such jobs",
  ),

  changed(
    "tasks.sortInputs",
    "false",
    "true",
    "`delDelayed`, `scheduledAt` and `del` find a job whatever the order of the keys of its inputs; processes of version 29 do not",
  ),

  changed(
    "tasks.unknownJobs",
    '"fail"',
    '"wait"',
    "in a rolling deployment, processes without a new task fetch its jobs",
  ),

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

  changed(
    "web.csrf",
    "false",
    "true",
    "pages of other sites must not act with the visitor's cookies",
  ),

  changed(
    "web.dotfiles",
    '"allow"',
    '"ignore"',
    "`.env` and `.git` are not for clients; `.well-known` is served",
  ),

  changed(
    "web.errorPages",
    "false",
    "true",
    "a missing file is a page for people and a text for programs",
  ),

  {
    ...changed(
      "web.errorStatus",
      "{} as",
      `{
        invalidParams: 422,
        redisAway: 503,
        serverShuttingDown: 503,
        tooManyPendingActions: 429,
        unsupportedServerType: 403,
      } as`,
      "clients and proxies can distinguish client errors, server errors and temporary errors",
    ),
    v29: "404 for unknown actions and 422 for missing params, else 500",
    newProject:
      "also 422 `invalidParams`, 403 `unsupportedServerType`, 429 `tooManyPendingActions`, 503 `serverShuttingDown` and `redisAway`",
  },

  changed(
    "web.extensionTypes",
    '"all"',
    '"safe"',
    "the extension of a path never turns a response into a page or script",
  ),

  changed(
    "web.fingerprintOptions.on",
    '"all"',
    '"actions"',
    "a shared cache must not serve one visitor's cookie to all",
  ),

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

  changed(
    "web.fingerprintOptions.signed",
    "false",
    "true",
    "prevents session fixation with made-up ids; scripts of pages read a digest of their id (`detailsView`, `requesterInformation`), not the value of the cookie",
  ),

  changed(
    "web.formBrackets",
    "false",
    "true",
    "names with brackets mean the same in forms as in queries",
  ),

  {
    ...changed(
      "web.formOptions.maxFieldsSize",
      "1024 * 1024 * 20",
      "1024 * 1024",
      "twenty forms of 20 MiB exhaust a heap of 256 MiB",
    ),
    v29: "20971520",
    newProject: "1048576",
  },

  {
    ...changed(
      "web.healthPort",
      "undefined as",
      "process.env.HEALTH_PORT as",
      "the health check of the `Dockerfile` asks that port, too",
    ),
    v29: "none",
    newProject:
      "`HEALTH_PORT`; without it, probes are on the web server's port",
    paths: [], // equal while the variable is not set
  },

  changed(
    "web.jsonp",
    "true",
    "false",
    "any web site can read JSONP on behalf of a visitor",
  ),

  inProduction(
    "web.keepAliveTimeout",
    "5000",
    "65000",
    "load balancers usually keep idle connections for 60 s, and must be the side that closes them, to avoid 502 responses",
  ),

  changed(
    "web.limitPipelining",
    "false",
    "true",
    "`general.simultaneousActions` also applies over HTTP",
  ),

  changed(
    "web.listErrors",
    "false",
    "true",
    "a form can show all its errors at once, each at its field",
  ),

  changed(
    "web.maxArrayItems",
    "1000000",
    "10000",
    "a list of a million objects takes seconds and hundreds of MiB",
  ),

  {
    ...changed(
      "web.maxJsonSize",
      "null as",
      "1048576 as",
      "parsing 20 MiB of JSON stops a server",
    ),
    v29: "`formOptions.maxFieldsSize`, 20 MiB",
    newProject: "1048576",
  },

  changed(
    "web.nosniff",
    "false",
    "true",
    "browsers must not guess another content type",
  ),

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

  changed(
    "web.strictHttp",
    "false",
    "true",
    "405 with `Allow`, redirects to folders, 307 for a POST by another name, charsets, strong ETags: [HTTP semantics](http-semantics.md); an action that fails after it assigned a text or a list to `data.response` responds with an error and its status, not with 200 and a text; an error has an error status, also after `setStatusCode(201)`",
  ),

  changed(
    "web.strictPaths",
    "false",
    "true",
    "`+` in a path is a plus sign, and a malformed `%zz` is a 400",
  ),

  changed("web.trace", "true", "false", "clients do not need TRACE"),

  {
    ...changed(
      "web.trustProxy",
      "undefined as",
      "(process.env.TRUST_PROXY || false) as",
      "clients cannot spoof their address, scheme and host",
    ),
    v29: "`X-Real-IP` and `X-Forwarded-For` of any client are trusted",
    newProject: "`TRUST_PROXY`; without it, the address of the socket is used",
  },

  changed(
    "web.uploads",
    '"all"',
    '"declared"',
    "uploads to actions that ignore them must not fill the disk",
  ),

  changed(
    "websocket.checkHost",
    "false",
    "true",
    "`web.allowedRequestHosts` also applies to websockets, against DNS rebinding",
  ),

  changed(
    "websocket.maxMessagesPerSecond",
    "0",
    "200",
    "the flood of one client must not delay the others",
  ),
];
