/**
 * The settings in which a new project differs from a v29 project: one row each.
 *
 * `config/*.ts` are the defaults in code, with v29's values (the "v29 profile"). `generate` copies these files and
 * applies the edits below, so that new projects are safe by default.
 *
 * To add a row (its form is the type `NewProjectSetting` in `newProjectCode.ts`; rows of the web and websocket servers
 * are in `newProjectWeb.ts`, rows with much code in `newProjectCode.ts`):
 * 1. Build the setting with v29's value in `config/*.ts`.
 * 2. Add a block below, in the alphabetical order of `setting`. Edits refer to text that occurs
 * exactly once in the file of this repository. Edits of different rows must not overlap: to add a
 * key to a block that other rows also extend, use `after` and `insert`, which any number of rows
 * may do at the same place.
 * 3. Add its line to the section "New projects" of `docs/migrating-from-v29.md`; the test prints the one it expects.
 * 4. Run `npx jest test/cli/generate/profiles`. It compares the whole configuration of both profiles in development,
 *    test and production: the differences must be exactly the paths of these rows. A row whose `setting` is a file is
 *    a difference in code and has its own test there.
 */
import {
  createChatRoomRow,
  type NewProjectSetting,
  serverTokenRow,
} from "./newProjectCode";
import { webSettings } from "./newProjectWeb";

export const newProjectSettings: readonly NewProjectSetting[] = [
  createChatRoomRow,

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
      "names with `password`, `passwd`, `passphrase`, `token`, `secret`, `authorization`, `cookie`, `apikey`, `api_key`, `api-key`, `pwd`, `creditcard`, `card` and `number`, `cvc`, `cvv`, on any level",
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

  serverTokenRow,

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
    setting: "redis.rejectUnauthorized",
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

  ...webSettings,
];
