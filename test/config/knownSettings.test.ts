/** Names of settings that do not exist, and values of a wrong type: found by comparing with the defaults. */
import * as fs from "fs";
import * as path from "path";
import * as ts from "typescript";
import { config, env, id } from "../../src";
import {
  findSettingProblems,
  invalidValues,
  knownSettings,
  ROUTE_METHODS,
  SPECIAL,
} from "../../src/config/knownSettings";
import { routerMethods } from "../../src/route/tables";
import { newProjectSettings } from "../../src/cli/generate/newProjectSettings";
import { repositoryRoot } from "../support/temporaryProject";

const defaults = path.join(repositoryRoot, "config");
const known = knownSettings(
  { defaults, project: [], isOwnProject: false },
  { ...config.process, env, id },
);

/** What is said of the defaults with some settings changed. */
function problems(changes: Record<string, object>): string[] {
  const changed: Record<string, object> = { ...known[0] };
  for (const [namespace, settings] of Object.entries(changes))
    changed[namespace] = { ...changed[namespace], ...settings };
  return findSettingProblems(changed as never, known).map(
    ({ setting, message }) => `${setting} ${message}`,
  );
}

test("the defaults of every environment have no problem", () => {
  for (const one of known) expect(findSettingProblems(one, known)).toEqual([]);
  expect(findSettingProblems(config, known)).toEqual([]);
});

test.each([
  [{ web: { prot: 1 } }, 'web.prot is no setting: did you mean "port"?'],
  [{ web: { whatever: 1 } }, "web.whatever is no setting"],
  [
    { general: { serverTokn: "a" } },
    'general.serverTokn is no setting: did you mean "serverToken"?',
  ],
  [
    { web: { metadataOptions: { serverInfomation: true } } },
    'web.metadataOptions.serverInfomation is no setting: did you mean "serverInformation"?',
  ],
  [
    { web: { https: { enabled: true, keyfile: "a" } } },
    'web.https.keyfile is no setting: did you mean "keyFile"?',
  ],
  [
    { redis: { conectTimeout: 1 } },
    'redis.conectTimeout is no setting: did you mean "connectTimeout"?',
  ],
  [{ sockets: {} }, 'sockets is no setting: did you mean "socket"?'],
  [
    { web: { enabled: "false" } },
    'web.enabled is "false", and must be a boolean',
  ],
  [
    { tasks: { timeout: "5000" } },
    'tasks.timeout is "5000", and must be a number',
  ],
  [{ tasks: { timeout: NaN } }, "tasks.timeout is NaN, and must be a number"],
  [
    { web: { port: true } },
    "web.port is a boolean, and must be a number or a string",
  ],
  [
    { errors: { exposeMessages: "al" } },
    'errors.exposeMessages is "al", and must be "all" or "intended"',
  ],
  [
    { general: { serverToken: 12345 } },
    "general.serverToken is a number, and must be a string",
  ],
  [
    { web: { automaticRoutes: "get" } },
    "web.automaticRoutes is a string, and must be a list",
  ],
  [
    { errors: { fileNotFound: "gone" } },
    "errors.fileNotFound is a string, and must be a function",
  ],
  // --- values of an accepted type
  [
    { web: { csrf: "true" } },
    'web.csrf is "true", and must be a boolean or "all"',
  ],
  [{ web: { csrf: null } }, 'web.csrf is null, and must be a boolean or "all"'],
  [
    { web: { trace: undefined } },
    "web.trace is undefined, and must be a boolean",
  ],
  [
    { web: { dotfiles: "Ignore" } },
    'web.dotfiles is "Ignore", and must be "allow" or "ignore"',
  ],
  [
    { web: { jsonp: "false" } },
    'web.jsonp is "false", and must be a boolean or "strict"',
  ],
  [
    { securityHeaders: { enabled: "true" } },
    'securityHeaders.enabled is "true", and must be a boolean',
  ],
  [
    { general: { drainDelay: -1 } },
    "general.drainDelay is -1, and must be a number of at least 0",
  ],
  [{ session: { ttl: 0 } }, "session.ttl is 0, and must be a number above 0"],
  [{ session: { ttl: "24h" } }, 'session.ttl is "24h", and must be a number'],
  [
    { session: { ttl: Infinity } },
    "session.ttl is Infinity, and must be a number above 0",
  ],
  [
    { session: { maxBytes: -1 } },
    "session.maxBytes is -1, and must be a number above 0",
  ],
  [
    { session: { cookie: "a b" } },
    'session.cookie is "a b", and must be the name of a cookie: letters, digits, - and _',
  ],
  [
    { health: { readyPath: "readyz" } },
    'health.readyPath is "readyz", and must be a path that begins with "/"',
  ],
  [
    { health: { timeout: 0 } },
    "health.timeout is 0, and must be a number above 0",
  ],
  [
    { web: { healthPort: 70_000 } },
    "web.healthPort is 70000, and must be a port, from 0 to 65535",
  ],
  [
    { securityHeaders: { headers: { "X y": "a" } } },
    'securityHeaders.headers has "X y", which is an invalid header',
  ],
  [
    { web: { httpHeaders: { "X-A": "a\nb" } } },
    'web.httpHeaders has "X-A", which is an invalid header',
  ],
  [
    { web: { cors: { origins: "good.example" } } },
    'web.cors.origins has "good.example", and must have "*", or origins such as "https://site.com"',
  ],
  [
    { web: { cors: { origins: ["https://a.com", "b.com"] } } },
    'web.cors.origins has "b.com", and must have "*", or origins such as "https://site.com"',
  ],
  [
    { web: { errorStatus: { invalidParams: 42 } } },
    "web.errorStatus.invalidParams is 42, and must be an HTTP status, from 200 to 599",
  ],
  [
    { web: { errorStatus: { missingParams: "x" } } },
    'web.errorStatus.missingParams is "x", and must be a number',
  ],
  [
    { web: { errorStatus: { mising: 422 } } },
    "web.errorStatus.mising is no setting",
  ],
  [
    { web: { defaultErrorStatusCode: 1000 } },
    "web.defaultErrorStatusCode is 1000, and must be an HTTP status, from 200 to 599",
  ],
  [
    { web: { fingerprintOptions: { settings: { SameSite: "Laxx" } } } },
    'web.fingerprintOptions.settings has SameSite, which is "Laxx", and must be "Strict", "Lax" or "None"',
  ],
  [
    { web: { fingerprintOptions: { settings: { Secure: "yes" } } } },
    'web.fingerprintOptions.settings has Secure, which is "yes", and must be a boolean or "auto"',
  ],
  [
    { web: { fingerprintOptions: { settings: { HttpOnly: "true" } } } },
    'web.fingerprintOptions.settings has HttpOnly, which is "true", and must be a boolean',
  ],
  [
    { web: { fingerprintOptions: { settings: { maxAge: 9 } } } },
    'web.fingerprintOptions.settings has "maxAge", which is not an attribute of a cookie',
  ],
  [
    { web: { fingerprintOptions: { settings: { path: "/; Domain=b" } } } },
    "web.fingerprintOptions.settings has path, whose value has an invalid character",
  ],
  [
    { web: { cookieOptions: { secrets: ["good", undefined] } } },
    "web.cookieOptions.secrets has undefined (entry 2), and each must be a secret",
  ],
  [
    { web: { cookieOptions: { secrets: [""] } } },
    'web.cookieOptions.secrets has "" (entry 1), and each must be a secret',
  ],
  [
    { web: { automaticRoutes: ["gett"] } },
    'web.automaticRoutes has "gett" (entry 1), and each must be one of all, head, get, patch, post, put, delete',
  ],
  [
    { web: { allowedRequestHosts: ["a.com", ""] } },
    'web.allowedRequestHosts has "" (entry 2), and each must be a host, such as "site.com" or "https://site.com:8443"',
  ],
  ...["https://", "example.org/path", "a b", "ftp://a.com", "a.com:x"].map(
    (host): [Record<string, object>, string] => [
      { web: { allowedRequestHosts: [host] } },
      `web.allowedRequestHosts has ${JSON.stringify(host)} (entry 1), and each must be a host, such as "site.com" or "https://site.com:8443"`,
    ],
  ),
  [
    { general: { overload: { maxHeapUsed: 90 } } },
    "general.overload.maxHeapUsed is 90, and must be a fraction up to 1, or at least 1048576 bytes",
  ],
  [
    { session: { cookie: "__Host-session" } },
    'session.cookie is "__Host-session", and must be a name without the prefix, which is added over TLS',
  ],
  [
    { web: { cookieOptions: { settings: { domain: "a;b" } } } },
    'web.cookieOptions.settings.domain is "a;b", and must be a domain',
  ],
  [
    { web: { formOptions: { hashAlgorithm: "sha-9" } } },
    'web.formOptions.hashAlgorithm is "sha-9", and must be a hash that node has, such as "sha256"',
  ],
  [
    { metrics: { port: "nine" } },
    'metrics.port is "nine", and must be a port, from 0 to 65535',
  ],
  [
    { websocket: { server: { origins: "good.example" } } },
    'websocket.server.origins has "good.example", and must have "*", or origins such as "https://site.com"',
  ],
  [
    { websocket: { server: { origins: [() => true] } } },
    "websocket.server.origins has a function, which is not called",
  ],
  // --- members of parts that have further names
  [
    { web: { formOptions: { maxFileSize: "10mb" } } },
    'web.formOptions.maxFileSize is "10mb", and must be a number',
  ],
  [
    { websocket: { server: { credentials: "false" } } },
    'websocket.server.credentials is "false", and must be a boolean',
  ],
  [
    { web: { cookieOptions: { settings: { sameSite: "Lax" } } } },
    'web.cookieOptions.settings.sameSite is "Lax", and must be "strict" or "lax" or "none"',
  ],
])("%j: %s", (changes, message) => {
  expect(problems(changes)).toEqual([message]);
});

test.each([
  ["settings of the project's own", { general: { siteUrl: "x" }, mailer: {} }],
  ["errors of the project's own", { errors: { cardRefused: () => "no" } }],
  ["null and undefined", { web: { port: null, bindIP: undefined } }],
  ["either type of two", { web: { port: "/tmp/x.sock", jsonp: "strict" } }],
  [
    "headers",
    { web: { httpHeaders: { "X-Prot": 1, "X-B": ["a", "b"], "X-C": null } } },
  ],
  [
    "origins",
    {
      web: {
        cors: {
          origins: [
            "https://*.site.com",
            /x/,
            "http://localhost:3000/",
            "null",
            "",
          ],
        },
      },
    },
  ],
  ["ports as texts", { web: { healthPort: "8081" }, metrics: { port: "" } }],
  [
    "statuses of errors",
    { web: { errorStatus: { genericError: 500, unknownAction: 200 } } },
  ],
  [
    "origins of websockets",
    { websocket: { server: { origins: "http://a.com:80, https://b.com" } } },
  ],
  ["a function for origins", { web: { cors: { origins: () => true } } }],
  ["no limit", { web: { formOptions: { maxFiles: Infinity } } }],
  [
    "options of Primus",
    { websocket: { server: { plugin: {}, maxLength: 9 } } },
  ],
  [
    "cookie attributes in any case",
    {
      web: {
        fingerprintOptions: { settings: { SameSite: "Lax", expires: 9 } },
      },
    },
  ],
  ["a hash in any case", { web: { formOptions: { hashAlgorithm: "SHA256" } } }],
  ["a setting that is not there by default", { general: { defaultLimit: 9 } }],
  ["rooms", { general: { startingChatRooms: { lobby: {} } } }],
])("%s are accepted", (_, changes) => {
  expect(problems(changes)).toEqual([]);
});

test("levels are those of the loggers", () => {
  const changed = structuredClone({
    errors: { clientErrorLogLevel: "loud" },
    general: { fileRequestLogLevel: "warn" },
    tasks: { workerLogging: { start: "loud", end: "debug" } },
  });
  const found = (levels: string[]) =>
    invalidValues({ ...config, ...changed } as never, levels)
      .filter(({ message }) => message.includes("level"))
      .map(({ setting }) => setting);
  expect(found(["warning", "debug"])).toEqual([
    "errors.clientErrorLogLevel",
    "general.fileRequestLogLevel",
    "tasks.workerLogging.start",
  ]);
  expect(found(["warn", "loud", "debug"])).toEqual([]);
});

test("methods of automatic routes are those of the route tables", () => {
  expect(ROUTE_METHODS).toEqual(routerMethods);
});

test("settings of the profile table are known", () => {
  const paths = newProjectSettings
    .flatMap(({ setting, paths = [setting] }) => paths)
    .filter(
      (setting) => !setting.endsWith(".ts") && !setting.includes(".args."), // options of ioredis
    );
  const unknown = paths.filter((setting) => {
    const names = setting.split(".");
    const changed = names.reduceRight<unknown>(
      (value, name) => ({ [name]: value }),
      null,
    );
    return problems(changed as Record<string, object>).some((text) =>
      text.includes("is no setting"),
    );
  });
  expect(unknown).toEqual([]);
});

/** Types as config/*.ts declare them: the table has exactly those that the defaults do not show. */
describe("the types of config/*.ts", () => {
  const declared = declaredKinds();

  test("are what the settings can be", () => {
    const wrong = [...declared].filter(([setting, kinds]) => {
      const special = SPECIAL[setting];
      const shown = known.map((one) => valueAt(one, setting));
      const expected = special ?? [...new Set(shown.flatMap(kindOf))];
      const all = expected.length === 0 ? ["any"] : [...expected];
      return kinds.sort().join() !== all.sort().join();
    });
    expect(wrong).toEqual([]);
  });

  test("have every entry of the table", () => {
    expect(
      Object.keys(SPECIAL).filter((setting) => !declared.has(setting)),
    ).toEqual([]);
  });
});

function kindOf(value: unknown): string[] {
  if (value === null || value === undefined) return [];
  return [Array.isArray(value) ? "list" : typeof value];
}

function valueAt(root: unknown, setting: string): unknown {
  return setting.split(".").reduce<any>((value, name) => value?.[name], root);
}

/** The kinds of each setting by its path, from the types of `DEFAULT` in the configuration's files. */
function declaredKinds(): Map<string, string[]> {
  const files = fs
    .readdirSync(defaults)
    .map((name) => path.join(defaults, name));
  const program = ts.createProgram(files, {
    ...ts.parseConfigFileTextToJson(
      "tsconfig.json",
      fs.readFileSync(path.join(repositoryRoot, "tsconfig.json"), "utf8"),
    ).config.compilerOptions,
    module: ts.ModuleKind.CommonJS,
    moduleResolution: undefined,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2022.d.ts"],
    types: ["node"],
    noEmit: true,
    strict: true,
    skipLibCheck: true,
  });
  const checker = program.getTypeChecker();
  const found = new Map<string, string[]>();

  const visit = (setting: string, type: ts.Type): void => {
    const kinds = kindsOfType(type, checker);
    const [namespace] = setting.split(".");
    if (["routes", "plugins", "process"].includes(namespace)) return;
    if (setting.includes(".")) found.set(setting, kinds);
    if (!kinds.includes("object")) return;
    for (const part of type.isUnion() ? type.types : [type]) {
      if (checker.getIndexTypeOfType(part, ts.IndexKind.String)) continue;
      if (!(part.flags & ts.TypeFlags.Object)) continue;
      if (checker.isArrayType(part) || part.symbol.name === "RegExp") continue;
      for (const property of part.getProperties()) {
        if (property.name === "_toExpand") continue;
        if (setting === "general.paths") continue;
        visit(`${setting}.${property.name}`, checker.getTypeOfSymbol(property));
      }
    }
  };

  for (const file of files) {
    const source = program.getSourceFile(file)!;
    const exported = checker.getExportsOfModule(
      checker.getSymbolAtLocation(source)!,
    );
    const block = exported.find(({ name }) => name === "DEFAULT")!;
    for (const namespace of checker.getTypeOfSymbol(block).getProperties()) {
      const [call] = checker.getTypeOfSymbol(namespace).getCallSignatures();
      visit(namespace.name, call.getReturnType());
    }
  }
  return found;
}

function kindsOfType(type: ts.Type, checker: ts.TypeChecker): string[] {
  const parts = type.isUnion() ? type.types : [type];
  const kinds = parts.flatMap((part) => {
    if (part.flags & ts.TypeFlags.Any) return ["any"];
    if (part.flags & (ts.TypeFlags.Null | ts.TypeFlags.Undefined)) return [];
    if (part.isStringLiteral()) return [JSON.stringify(part.value)];
    if (part.flags & ts.TypeFlags.StringLike) return ["string"];
    if (part.flags & ts.TypeFlags.NumberLike) return ["number"];
    if (part.flags & ts.TypeFlags.BooleanLike) return ["boolean"];
    if (checker.isArrayType(part)) return ["list"];
    return part.getCallSignatures().length > 0 ? ["function"] : ["object"];
  });
  return [...new Set(kinds)];
}
