/** Checks of settings that are valid but wrong in production. */
import {
  invalidValues,
  problemsOfSettings,
  isKnownServerToken,
  type SettingProblem,
} from "../../config/knownSettings";
import type { ActionheroConfigInterface } from "../../config/types";
import { problemOfStopTimeout, stopTimeout } from "../../environment/env";
import { fail, type Finding, ok, warn } from "./check";

// --- Settings that leave a server in production open: one row each.
//
// To add one, add a row; the test expects that the defaults of version 29 have every hazard of this table, and that a
// new project triggers only the warnings that its owner has to decide on (`decidedByOwner`).

export type Settings = Record<string, Record<string, unknown> | undefined>;

interface Hazard {
  /** The dotted path; a path that the configuration lacks is skipped. */
  setting: string;
  /** Whether the value is a hazard. */
  isUnsafe: (value: unknown, config: Settings) => boolean;
  /** The risk, as the rest of a sentence that begins with the setting. */
  message: string;
  /** A missing setting is unsafe, too. */
  isRequired?: boolean;
  /** No value suits every project, so new projects also have this hazard. */
  decidedByOwner?: boolean;
}

/** Servers whose settings have no effect while they are disabled. */
const SERVERS = ["web", "websocket", "socket"];

const isUnset = (value: unknown) => value === undefined || value === null;
const is = (unsafe: unknown) => (value: unknown) => value === unsafe;
const isAtLeast = (value: unknown, least: number) =>
  isUnset(value) || Number(value) >= least;
const isEmpty = (value: unknown) => Array.isArray(value) && value.length === 0;

/** The largest form, and JSON body, of version 29. */
const LARGE_BYTES = 20 * 1024 * 1024;

export const hazards: readonly Hazard[] = [
  {
    setting: "errors.exposeMessages",
    isUnsafe: is("all"),
    message:
      'is "all": clients read paths, queries and hosts in unexpected errors',
  },
  {
    setting: "general.drainDelay",
    isUnsafe: is(0),
    message: "is 0: load balancers send requests to a process that has stopped",
  },
  {
    setting: "general.exitOnUnhandledRejection",
    isUnsafe: is(true),
    message: "is on: one forgotten await ends the process for all clients",
  },
  {
    setting: "general.filteredParams",
    isUnsafe: isEmpty,
    message: "is empty: passwords and tokens reach the log",
  },
  {
    setting: "general.introspection",
    isUnsafe: is(true),
    message: "is on: clients see versions, memory, queues and every action",
  },
  {
    setting: "general.maxChatBytesPerSecond",
    isUnsafe: is(0),
    message:
      "is 0: one client in a chat room can disconnect members with slow connections",
  },
  {
    setting: "general.maxChatRooms",
    isUnsafe: is(0),
    message: "is 0: clients can fill redis with rooms",
  },
  {
    setting: "general.maxConnectionsPerAddress",
    isUnsafe: is(0),
    message: "is 0: one address can take all connections",
  },
  {
    setting: "general.maxRoomsPerConnection",
    isUnsafe: is(0),
    message: "is 0: one client can join any number of rooms",
  },
  {
    setting: "general.overload",
    isRequired: true,
    isUnsafe: isUnset,
    message: "is off: under a flood all requests wait, and none is refused",
  },
  {
    setting: "general.refuseUntilBooted",
    isUnsafe: is(false),
    message: "is off: clients are served before all initializers have started",
  },
  {
    setting: "health.enabled",
    isUnsafe: is(false),
    message:
      "is off: load balancers cannot tell whether this process is to get requests",
  },
  {
    setting: "logger.redact",
    isUnsafe: isEmpty,
    message: "is empty: secrets in lines of the project's own reach the log",
  },
  {
    setting: "redis",
    isUnsafe: (value) => contains(value, "rejectUnauthorized", false),
    message:
      "has rejectUnauthorized: false: anyone on the network path can read and change all traffic, despite TLS",
  },
  {
    setting: "securityHeaders.enabled",
    isUnsafe: is(false),
    message: "is off: frames of other sites and injected scripts are possible",
  },
  {
    setting: "socket.maxParamBytes",
    isRequired: true,
    isUnsafe: (value) => !(Number(value) > 0),
    message: "is 0: the stored params of one connection can fill the memory",
  },
  {
    setting: "web.allowedRequestHosts",
    isUnsafe: isEmpty,
    message:
      "is empty: pages of other sites can reach the server under their own host name (set ALLOWED_HOSTS)",
    decidedByOwner: true,
  },
  {
    setting: "web.csrf",
    isUnsafe: is(false),
    message: "is off: pages of other sites can act with the visitor's cookies",
  },
  {
    setting: "web.dotfiles",
    isUnsafe: is("allow"),
    message: 'is "allow": .env and .git in a public folder are served',
  },
  {
    setting: "web.extensionTypes",
    isUnsafe: is("all"),
    message:
      'is "all": a link can make browsers execute the response of an action',
  },
  {
    setting: "web.fingerprintOptions.on",
    isUnsafe: is("all"),
    message:
      'is "all": the cookie is on files, too, and a shared cache may give it to others',
  },
  {
    setting: "web.fingerprintOptions.settings",
    isUnsafe: (value) => !hasCookieFlags(value),
    message:
      "lacks HttpOnly, SameSite or Secure: scripts can read the cookie, other sites can use it",
  },
  {
    setting: "web.fingerprintOptions.signed",
    isUnsafe: is(false),
    message: "is off: clients choose the id by which they are known",
  },
  {
    setting: "web.formOptions.maxFieldsSize",
    isRequired: true,
    isUnsafe: (value) => isAtLeast(value, LARGE_BYTES),
    message: "is 20 MiB or more: a few large forms fill the memory",
  },
  {
    setting: "web.httpHeaders",
    isUnsafe: (headers, { web }) =>
      isUnset(web?.cors) &&
      (headers as Record<string, unknown> | null)?.[
        "Access-Control-Allow-Origin"
      ] === "*",
    message:
      "let pages of all other sites read responses (set web.cors, or CORS_ORIGINS)",
  },
  {
    setting: "web.jsonp",
    isUnsafe: is(true),
    message:
      "is on: pages of other sites can read responses that were made with their visitors' cookies",
  },
  {
    setting: "web.limitPipelining",
    isUnsafe: is(false),
    message: "is off: one connection can have 64 requests in progress",
  },
  {
    setting: "web.maxArrayItems",
    isRequired: true,
    isUnsafe: (value) => isAtLeast(value, 1_000_000),
    message: "is a million or more: one list takes seconds and memory",
  },
  {
    setting: "web.maxJsonSize",
    isRequired: true,
    isUnsafe: (value, config) =>
      isAtLeast(
        value ?? valueAt(config, "web.formOptions.maxFieldsSize"),
        LARGE_BYTES,
      ),
    message: "is 20 MiB or more: parsing one large body stops the process",
  },
  {
    setting: "web.nosniff",
    isUnsafe: is(false),
    message: "is off: browsers may interpret a response as a script or a page",
  },
  {
    setting: "web.strictHttp",
    isUnsafe: is(false),
    message: "is off: methods reach what is not made for them",
  },
  {
    setting: "web.strictPaths",
    isUnsafe: is(false),
    message: "is off: an alternative encoding of a path bypasses checks",
  },
  {
    setting: "web.trace",
    isUnsafe: is(true),
    message: "is on: TRACE reveals headers that proxies added to the request",
  },
  {
    setting: "web.trustProxy",
    isRequired: true,
    isUnsafe: isUnset,
    message:
      "is not set: clients choose the address by which they are known (X-Forwarded-For)",
  },
  {
    setting: "web.uploads",
    isUnsafe: is("all"),
    message: 'is "all": actions that want no files take them',
  },
  {
    setting: "websocket.checkHost",
    isUnsafe: is(false),
    message: "is off: web.allowedRequestHosts does not hold for websockets",
  },
  {
    setting: "websocket.maxMessagesPerSecond",
    isUnsafe: is(0),
    message: "is 0: one client can send any number of messages",
  },
];

/** One warning per hazard, or one `ok` without any. */
export function checkHazards(config: Settings): Finding[] {
  const known = hazards.filter((hazard) => isInUse(config, hazard));
  if (known.length === 0) return [];
  const found = known.filter(({ setting, isUnsafe }) =>
    isUnsafe(valueAt(config, setting), config),
  );
  if (found.length === 0)
    return [ok("security", `${known.length} settings are safe`)];
  return found.map(({ setting, message }) =>
    warn("security", `${setting} ${message}`),
  );
}

/** Whether the configuration has the setting, or must have it, and its server is enabled. */
function isInUse(config: Settings, { setting, isRequired }: Hazard): boolean {
  const [namespace = ""] = setting.split(".");
  if (SERVERS.includes(namespace) && config[namespace]?.enabled !== true)
    return false;
  return isRequired === true || valueAt(config, setting) !== undefined;
}

const COOKIE_FLAGS = ["httponly", "samesite", "secure"];

/** Whether the attributes of a cookie contain all flags, in any case. */
function hasCookieFlags(settings: unknown): boolean {
  const names = Object.entries(Object(settings) as object)
    .filter(([, value]) => value !== false && value !== undefined)
    .map(([name]) => name.toLowerCase());
  return COOKIE_FLAGS.every((flag) => names.includes(flag));
}

function valueAt(config: Settings, setting: string): unknown {
  let value: unknown = config;
  for (const step of setting.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

/** Whether a key has a value anywhere in lists and plain objects; instances of classes are not searched. */
function contains(root: unknown, key: string, wanted: unknown): boolean {
  const seen = new Set<object>();
  const search = (value: unknown): boolean => {
    if (typeof value !== "object" || value === null || seen.has(value))
      return false;
    seen.add(value);
    if (!Array.isArray(value) && !isPlain(value)) return false;
    if ((value as Record<string, unknown>)[key] === wanted) return true;
    return Object.values(value).some(search);
  };
  return search(root);
}

function isPlain(value: object): boolean {
  const parent = Object.getPrototypeOf(value) as object | null;
  return parent === null || Object.getPrototypeOf(parent) === null;
}

/** The options that TLS requires. */
type TlsOptions = Record<string, unknown> | undefined;

/** Unknown names, and values of plugins' settings of a wrong type, which would otherwise go unnoticed. */
export function checkNames(config: ActionheroConfigInterface): Finding[] {
  const reported = wrongValues(config).map(({ setting }) => setting);
  const problems = problemsOfSettings(config).filter(
    ({ setting }) => !reported.includes(setting),
  );
  if (problems.length === 0)
    return [ok("setting names", "every setting is known")];
  return problems.map(({ setting, message }) =>
    warn("setting names", `${setting} ${message}`),
  );
}

/** Values that are not accepted; with `general.checkSettings` they end a boot. */
export function checkValues(config: ActionheroConfigInterface): Finding[] {
  const problems = wrongValues(config);
  if (problems.length === 0)
    return [ok("setting values", "every value is accepted")];
  const report = config.general?.checkSettings ? fail : warn;
  return problems.map(({ setting, message }) =>
    report("setting values", `${setting} ${message}`),
  );
}

function wrongValues(config: ActionheroConfigInterface): SettingProblem[] {
  // loaded here, because loading it is what builds the configuration
  const { knownLevels } =
    require("../../log/log") as typeof import("../../log/log");
  return invalidValues(config, knownLevels());
}

/** One check of the configuration. */
interface SettingCheck {
  name: string;
  /** The condition, in Markdown. */
  wants: string;
  run: (config: Settings, env: string) => Finding[];
}

const inProduction =
  (run: (config: Settings) => Finding[]): SettingCheck["run"] =>
  (config, env) =>
    env === "production" ? run(config) : [];

export const settingChecks: readonly SettingCheck[] = [
  {
    name: "server token",
    wants:
      "`general.serverToken` is a secret of the project, the same on all nodes",
    run: checkToken,
  },
  {
    name: "certificate",
    wants: "every listener that speaks TLS has a key and a certificate",
    run: checkCertificates,
  },
  {
    name: "session cookie",
    wants:
      "`session.cookie` and `web.fingerprintOptions.cookieKey` are different names",
    run: checkCookies,
  },
  {
    name: "task workers",
    wants: "`tasks.maxTaskProcessors` is not 0, unless other processes work",
    run: inProduction(checkWorkers),
  },
  {
    name: "keep-alive",
    wants: "`web.keepAliveTimeout` is longer than that of the load balancer",
    run: inProduction(checkKeepAlive),
  },
  {
    name: "shutdown",
    wants:
      "`general.shutdownTimeout` is shorter than `ACTIONHERO_SHUTDOWN_TIMEOUT`",
    run: inProduction(checkShutdown),
  },
  {
    name: "security",
    wants: "none of the [unsafe settings](#unsafe-settings)",
    run: inProduction(checkHazards),
  },
];

export function checkSettings(config: Settings, env: string): Finding[] {
  return settingChecks.flatMap(({ run }) => run(config, env));
}

function checkToken({ general }: Settings, env: string): Finding[] {
  if (!isKnownServerToken(general?.serverToken))
    return [ok("server token", "is the project's own")];
  const message =
    "general.serverToken is missing or the default: set one of your own";
  return [
    env === "production"
      ? fail("server token", message)
      : ok("server token", "is the default, which production must not use"),
  ];
}

/** Every TLS listener has a certificate. */
function checkCertificates({ web, socket }: Settings): Finding[] {
  const https = web?.https as TlsOptions;
  const listeners: [name: string, isOn: unknown, options: TlsOptions][] = [
    ["web", web?.secure, web?.serverOptions as TlsOptions],
    [
      "web.https",
      https?.enabled,
      { ...https, ...(https?.serverOptions as TlsOptions) },
    ],
    ["socket", socket?.secure, socket?.serverOptions as TlsOptions],
  ];
  return listeners
    .filter(([, isOn]) => isOn === true)
    .map(([name, , options]) =>
      hasCertificate(options)
        ? ok("certificate", `${name} has one`)
        : fail("certificate", `${name} speaks TLS, and has no key and cert`),
    );
}

function hasCertificate(options: TlsOptions = {}): boolean {
  const { key, cert, pfx, keyFile, certFile, SNICallback } = options;
  const hasPair = (key || keyFile) && (cert || certFile);
  return Boolean(pfx || hasPair || SNICallback);
}

function checkWorkers({ tasks }: Settings): Finding[] {
  if (!tasks || Number(tasks.maxTaskProcessors) > 0) return [];
  return [
    warn(
      "task workers",
      "tasks.maxTaskProcessors is 0: no enqueued task runs in this process",
    ),
  ];
}

/** How long load balancers keep idle connections, in ms: 60 s is the default of AWS, and of nginx for its upstreams. */
const BALANCER_IDLE_MS = 60_000;

/**
 * The balancer must be the side that closes an idle connection: otherwise a request may arrive at a closed
 * connection.
 */
function checkKeepAlive({ web }: Settings): Finding[] {
  const idleMs = Number(web?.keepAliveTimeout);
  if (web?.enabled !== true || !(idleMs > 0 && idleMs <= BALANCER_IDLE_MS))
    return [];
  return [
    warn(
      "keep-alive",
      `web.keepAliveTimeout is ${idleMs} ms: a load balancer that keeps connections longer (60 s as a rule) answers 502 now and then`,
    ),
  ];
}

/** Two cookies of one name replace each other. */
function checkCookies({ session, web }: Settings): Finding[] {
  const { cookieKey } = (web?.fingerprintOptions ?? {}) as {
    cookieKey?: unknown;
  };
  if (session?.enabled !== true || session.cookie !== cookieKey) return [];
  return [
    fail(
      "session cookie",
      `session.cookie and web.fingerprintOptions.cookieKey are both "${String(cookieKey)}": they replace each other`,
    ),
  ];
}

/** If the process ends before its servers have stopped, running work is lost. */
function checkShutdown({ general }: Settings): Finding[] {
  const problem = problemOfStopTimeout();
  if (problem)
    return [fail("shutdown", `ACTIONHERO_SHUTDOWN_TIMEOUT ${problem}`)];
  const neededMs = Number(general?.shutdownTimeout);
  const limitMs = stopTimeout();
  if (!(neededMs >= limitMs)) return [];
  return [
    warn(
      "shutdown",
      `general.shutdownTimeout is ${neededMs} ms: the process ends after ${limitMs} ms (ACTIONHERO_SHUTDOWN_TIMEOUT), and cuts off what still runs`,
    ),
  ];
}
