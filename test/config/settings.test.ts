/** `settings()`: the typed view of the live configuration, and what missing settings mean. */
import { loadConfig } from "../../src/config/load";
import { settings } from "../../src/config/settings";
import { config, rebuildConfig } from "../../src/index";
import * as path from "path";

type Values = Record<string, unknown>;

const NAMESPACES = [
  "general",
  "web",
  "socket",
  "websocket",
  "redis",
  "tasks",
  "logger",
  "health",
  "metrics",
  "tracing",
  "session",
  "securityHeaders",
] as const;

/** Settings of `config/*.ts` that no code of the framework reads by `settings()`. */
const UNREAD = [
  "general.id", // read while the configuration is built
  "metrics._toExpand",
  "redis._toExpand",
  "tasks._toExpand",
];

/** Settings that are missing mean something other than their default; all others mean the default. */
const OTHER_WHEN_MISSING: Values = {
  "general.apiVersion": undefined,
  "general.channel": undefined,
  "general.serverName": undefined,
  "general.serverToken": undefined,
  "general.startingChatRooms": {},
  "general.welcomeMessage": undefined,
  "general.paths": {},
  "logger.loggers": [],
  "logger.maxLogStringLength": Infinity,
  "redis.client": undefined,
  "redis.subscriber": undefined,
  "redis.tasks": undefined,
  "securityHeaders.headers": {},
  "securityHeaders.tlsHeaders": {},
  "socket.bindIP": undefined,
  "tasks.maxTaskProcessors": 0,
  "tasks.minTaskProcessors": 0,
  "tasks.resque_overrides": {},
  "tasks.scheduler": false,
  "tasks.schedulerLogging": {},
  "tasks.workerLogging": {},
  "web.automaticRoutes": [],
  "web.bindIP": undefined,
  "web.enableEtag": false,
  "web.enabled": false,
  "web.fingerprintOptions.settings": undefined,
  "web.formOptions.uploadDir": undefined,
  "web.httpHeaders": undefined,
  "web.https.bindIP": undefined,
  "web.metadataOptions.requesterInformation": false,
  "web.metadataOptions.serverInformation": false,
  "web.padding": undefined,
  "web.port": undefined,
  "web.queryParseOptions": undefined,
  "web.returnErrorCodes": false,
  "web.rootEndpointType": undefined,
  "web.urlPathForActions": undefined,
  "web.urlPathForFiles": undefined,
  "websocket.client": {},
  "websocket.clientJsName": undefined,
  "websocket.clientJsPath": undefined,
  "websocket.enabled": false,
};

const live = () => config as unknown as Record<string, Values>;
const all = settings() as unknown as Record<string, Values>;

/** The defaults of development, without a project. */
const defaults = loadConfig(
  {
    defaults: path.join(__dirname, "..", "..", "config"),
    project: [],
    isOwnProject: true,
  },
  { ...config.process, env: "development" },
).config as unknown as Record<string, Values>;

afterEach(() => {
  delete process.env.PORT;
  rebuildConfig();
});

/** Views are instances of a class of their own; values of settings are not. */
function isView(value: unknown): value is Values {
  return (value as object | null)?.constructor?.name === "Rows";
}

/** The values of a view by their dotted paths. */
function valuesOf(view: Values, prefix: string): Values {
  const values: Values = {};
  for (const key in view) {
    const value = view[key];
    if (isView(value))
      Object.assign(values, valuesOf(value, `${prefix}${key}.`));
    else values[prefix + key] = value;
  }
  return values;
}

const valuesOfAll = () =>
  Object.assign(
    {},
    ...NAMESPACES.map((name) => valuesOf(all[name], `${name}.`)),
  ) as Values;

describe("what there is", () => {
  test("every setting of config/*.ts has a row", () => {
    const rows = Object.keys(valuesOfAll());
    const missing = NAMESPACES.flatMap((namespace) =>
      Object.keys(defaults[namespace])
        .map((key) => `${namespace}.${key}`)
        .filter((name) => !UNREAD.includes(name))
        .filter(
          (name) => !rows.some((row) => `${row}.`.startsWith(`${name}.`)),
        ),
    );
    expect(missing).toEqual([]);
  });
});

describe("a missing setting", () => {
  test.each([
    ["namespaces without keys", () => ({})],
    ["namespaces that are missing", () => undefined],
    [
      "keys that are null",
      (namespace: string) =>
        Object.fromEntries(
          Object.keys(defaults[namespace])
            .filter((key) => !/^max(?:Held|Unread)Bytes$/.test(key)) // null is no limit
            .map((key) => [key, null]),
        ),
    ],
  ])("means its default, or what the table says: %s", (_which, replacement) => {
    for (const name of NAMESPACES) live()[name] = defaults[name]!;
    const before = valuesOfAll();
    for (const name of NAMESPACES)
      live()[name] = replacement(name) as unknown as Values;
    const after = valuesOfAll();
    const changed = Object.keys(after).filter(
      (name) => !sameValue(before[name], after[name]),
    );
    const found = Object.fromEntries(
      changed.map((name) => [name, after[name] ?? undefined]),
    );
    expect(found).toEqual(OTHER_WHEN_MISSING);
  });
});

function sameValue(one: unknown, other: unknown): boolean {
  return JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
}

describe("the view is live", () => {
  test("a change at run time is seen", () => {
    const { web } = settings();
    config.web.maxParams = 7;
    expect(web.maxParams).toBe(7);
    config.web.formOptions = { maxFiles: 3 };
    expect(web.formOptions.maxFiles).toBe(3);
  });

  test("a namespace that is replaced is seen", () => {
    const { general } = settings();
    live().general = { simultaneousActions: 9 };
    expect(general.simultaneousActions).toBe(9);
    expect(general.rpcTimeout).toBe(5000);
  });

  test("rebuildConfig is seen", () => {
    const { web } = settings();
    process.env.PORT = "2020";
    rebuildConfig();
    expect(web.port).toBe("2020");
  });
});

test.each([2 ** 31, 30 * 86_400_000, Number.MAX_SAFE_INTEGER, Infinity])(
  "a duration of %d ms is that of the longest timer, not of the shortest",
  (ms) => {
    const names = [
      "general.shutdownTimeout",
      "general.drainDelay",
      "general.rpcTimeout",
      "redis.operationTimeout",
      "socket.pingInterval",
      "web.keepAliveTimeout",
      "web.sendTimeout",
    ];
    for (const name of names) {
      const [namespace, key] = name.split(".") as [string, string];
      live()[namespace][key] = ms;
      expect({ name, ms: all[namespace][key] }).toEqual({
        name,
        ms: 2 ** 31 - 1,
      });
    }
    (live().websocket.server as Values).pingInterval = ms;
    expect(settings().websocket.server.pingInterval).toBe(2 ** 31 - 1);
  },
);
