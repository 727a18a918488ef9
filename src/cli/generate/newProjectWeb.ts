/** The rows of `newProjectSettings.ts` about the web and websocket servers. */
import type { NewProjectSetting } from "./newProjectCode";

export const webSettings: readonly NewProjectSetting[] = [
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
        find: "csrf: false,",
        replace: "csrf: true,",
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
    newProject: 'also `HttpOnly`, `SameSite: "Lax"`, `Secure` on TLS',
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
      "405 with `Allow`, redirects to folders, 307 for a POST by another name, charsets, strong ETags: [HTTP semantics](http-semantics.md)",
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
