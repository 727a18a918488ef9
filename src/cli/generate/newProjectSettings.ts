/**
 * The settings in which a new project differs from a v29 project: one row each.
 *
 * `config/*.ts` are the defaults in code, with v29's values (the "v29 profile"). `generate` copies these files and
 * applies the edits below, so that new projects are safe by default.
 *
 * To add a row:
 * 1. Build the setting with v29's value in `config/*.ts`.
 * 2. Add a block below, in the alphabetical order of `setting`. Edits name text of the file in this repository that is
 *    there exactly once. Edits of different rows must not overlap: to add a key to a block that other rows extend,
 *    too, use `after` and `insert`, which any number of rows may do at the same place.
 * 3. Add its line to the section "New projects" of `docs/migrating-from-v29.md`; the test prints the one it expects.
 * 4. Run `npx jest test/cli/generate/profiles`. It compares the whole configuration of both profiles in development,
 *    test and production: the differences must be exactly the paths of these rows. A row whose `setting` is a file is
 *    a difference in code and has its own test there.
 */
import type { SourceEdit } from "./sourceEdits";

export type Environment = "development" | "test" | "production";

export interface NewProjectSetting {
  /** The dotted path of the setting, or the file whose code differs, such as `"actions/createChatRoom.ts"`. */
  setting: string;
  /** Version 29's value, as the docs show it. JSON (`false`, `"all"`, `0`) is also compared with the configuration. */
  v29: string;
  /** The value in a new project; the same. */
  newProject: string;
  /** Why new projects differ, as the docs say it. */
  reason: string;
  edits: readonly SourceEdit[];
  /** The paths that differ in the built configuration (default: `setting`; none when it is a file). */
  paths?: readonly string[];
  /** The environments in which they differ (default: all three). */
  environments?: readonly Environment[];
}

export const newProjectSettings: readonly NewProjectSetting[] = [
  {
    setting: "actions/createChatRoom.ts",
    v29: "any method, any name",
    newProject: "POST only, a name of at most 256 bytes",
    reason: "a link must not create rooms, and names must not fill redis",
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

function checkName(name: string) {
  if (Buffer.byteLength(String(name)) > MAX_NAME_BYTES)
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
    setting: "general.exitOnUnhandledRejection",
    v29: "true",
    newProject: "false",
    reason: "one forgotten `await` must not end the process for everybody",
    edits: [
      {
        file: "config/api.ts",
        find: "exitOnUnhandledRejection: true,",
        replace: "exitOnUnhandledRejection: false,",
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
    setting: "general.requireServerToken",
    v29: "false",
    newProject: "true",
    reason:
      "without a `serverToken` of its own a server starts in development and test only; a project of version 29 starts with a warning",
    edits: [
      {
        file: "config/api.ts",
        find: "requireServerToken: false,",
        replace: "requireServerToken: true,",
      },
    ],
  },

  {
    setting: "general.serverToken",
    v29: "`change-me`",
    newProject:
      "`ACTIONHERO_SERVER_TOKEN`, which `generate` writes to `.env`; without it a random one in development and test",
    reason: "whoever knows the token can call functions of all nodes",
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
/** The variable, which production needs. Processes of development and test that share a redis server share a token. */
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
    setting: "web.extensionTypes",
    v29: '"all"',
    newProject: '"safe"',
    reason: "the end of a path never makes a page or a script of a response",
    edits: [
      {
        file: "config/web.ts",
        find: 'extensionTypes: "all" as',
        replace: 'extensionTypes: "safe" as',
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
    setting: "web.jsonp",
    v29: "true",
    newProject: "false",
    reason: "any web site can read JSONP with the visitor's cookie",
    edits: [
      {
        file: "config/web.ts",
        find: "jsonp: true as",
        replace: "jsonp: false as",
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
    reason: "browsers take no response for another type than it has",
    edits: [
      {
        file: "config/web.ts",
        find: "nosniff: false,",
        replace: "nosniff: true,",
      },
    ],
  },

  {
    setting: "web.uploads",
    v29: '"all"',
    newProject: '"declared"',
    reason: "files fill the disk for actions that never look at them",
    edits: [
      {
        file: "config/web.ts",
        find: 'uploads: "all" as',
        replace: 'uploads: "declared" as',
      },
    ],
  },
];
