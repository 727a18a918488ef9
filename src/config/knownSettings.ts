/** Compares a configuration with the known settings, to find unknown names and values that are not accepted. */
import { getHashes } from "node:crypto";
import { validateHeaderName, validateHeaderValue } from "node:http";
import { portOf } from "../utils/addresses";
import { closest } from "../utils/closest";
import {
  loadConfig,
  pluginConfigFolders,
  locateConfigDirectories,
  type ConfigDirectories,
} from "./load";
import type {
  ActionheroConfigInterface,
  ErrorReason,
  ProcessConfig,
} from "./types";

/** An allowed kind of value: a type, or one exact string, in quotes. */
type SettingKind =
  | "number"
  | "string"
  | "boolean"
  | "list"
  | "object"
  | "function"
  | `"${string}"`;

/** An invalid setting. */
export interface SettingProblem {
  /** The dotted path. */
  setting: string;
  /** The problem, as the rest of a sentence that begins with the setting. */
  message: string;
  /** The name is unknown; otherwise the value is not accepted. */
  isName: boolean;
}

/** The defaults of each environment, which contain the known names. */
type KnownSettings = readonly ActionheroConfigInterface[];

const ENVIRONMENTS = ["development", "test", "production"];

/** Namespaces whose unknown names are mistakes; projects may keep their own settings in the others. */
const CLOSED = [
  "web",
  "health",
  "metrics",
  "tracing",
  "securityHeaders",
  "websocket",
  "socket",
  "redis",
  "tasks",
  "logger",
];

/** Its members are the statuses of the kinds of errors. */
const STATUS = "web.errorStatus";

/** Parts that may have further names, which a project chooses. */
const OPEN = [
  "general.paths",
  "web.fingerprintOptions.settings",
  "web.formOptions",
  "websocket.client",
  "websocket.server",
];

/** Parts whose values a project chooses, too. Settings whose default is an empty object are also such parts. */
const FREE = [
  "general.startingChatRooms",
  "plugins",
  "process",
  "routes",
  "securityHeaders.headers",
  "securityHeaders.tlsHeaders",
  "web.httpHeaders",
];

/**
 * Settings whose default does not show all allowed kinds, or is null or undefined; an empty list allows any value.
 * Null and undefined are always accepted.
 */
export const SPECIAL: Readonly<Record<string, readonly SettingKind[]>> = {
  "errors.exposeMessages": ['"all"', '"intended"'],
  "errors.redisAway": ["function"],
  "errors.serializers.actionProcessor": ["function"],
  "general.defaultChatRoom": ["string"],
  "general.defaultLimit": ["number"],
  "general.defaultOffset": ["number"],
  "general.filteredParams": ["list", "function"],
  "general.filteredResponse": ["list", "function"],
  "general.id": ["string"],
  "general.maxHeldBytes": ["number"],
  "general.maxUnreadBytes": ["number"],
  "general.overload": ["object"],
  "general.overload.maxEventLoopDelay": ["number"],
  "general.overload.maxHeapUsed": ["number"],
  "general.overload.maxInFlight": ["number"],
  "general.rateLimit": ["object"],
  "general.rateLimit.by": ['"address"', '"fingerprint"'],
  "general.rateLimit.files": ["boolean"],
  "general.rateLimit.onOutage": ['"open"', '"closed"'],
  "general.rateLimit.perMs": ["number"],
  "general.rateLimit.proxies": ["number"],
  "general.rateLimit.requests": ["number"],
  "logger.format": ['"text"', '"json"'],
  "logger.redact": ["list", "function"],
  "metrics.authorize": ["function"],
  "metrics.port": ["number", "string"],
  "socket.enabled": ["boolean"],
  "socket.port": ["number", "string"],
  "tasks.queues": ["list", "function"],
  "tasks.resque_overrides.multiWorker": [],
  "tasks.resque_overrides.queue": [],
  "tasks.resque_overrides.scheduler": [],
  "tasks.unknownJobs": ['"fail"', '"wait"'],
  "web.openapi": ["boolean", "object"],
  "web.openapi.info": ["object"],
  "web.openapi.security": ["list"],
  "web.openapi.securitySchemes": ["object"],
  "web.cors": ["object"],
  "web.cors.credentials": ["boolean"],
  "web.cors.exposed": ["list"],
  "web.cors.headers": ["list"],
  "web.cors.maxAge": ["number"],
  "web.cors.methods": ["list"],
  "web.cors.origins": ["function", "list", "object", "string"],
  "web.csrf": ["boolean", '"all"'],
  "web.dotfiles": ['"allow"', '"ignore"'],
  "web.extensionTypes": ['"all"', '"safe"'],
  "web.fingerprintOptions.on": ['"all"', '"actions"'],
  "web.healthPort": ["number", "string"],
  "web.https.bindIP": ["string"],
  "web.https.certFile": ["string"],
  "web.https.keyFile": ["string"],
  "web.https.port": ["number", "string"],
  "web.https.serverOptions": ["object"],
  "web.jsonp": ["boolean", '"strict"'],
  "web.maxJsonSize": ["number"],
  "web.padding": ["number", "string"],
  "web.port": ["number", "string"],
  "web.rootEndpointType": ['"api"', '"file"'],
  "web.trustProxy": ["boolean", "list", "number", "object", "string"],
  "web.trustProxy.trusts": ["function"],
  "web.uploads": ['"all"', '"declared"'],
  "websocket.bind": ['"http"', '"https"'],
};

/** Members of parts whose type allows any name. */
const MEMBERS: Readonly<Record<string, readonly SettingKind[]>> = {
  ...statuses(
    "genericError",
    "invalidParams",
    "missingParams",
    "redisAway",
    "serverShuttingDown",
    "tooManyPendingActions",
    "unknownAction",
    "unsupportedServerType",
  ),
  "web.cookieOptions.settings.domain": ["string"],
  "web.cookieOptions.settings.expires": ["object"],
  "web.cookieOptions.settings.httpOnly": ["boolean"],
  "web.cookieOptions.settings.maxAge": ["number"],
  "web.cookieOptions.settings.partitioned": ["boolean"],
  "web.cookieOptions.settings.path": ["string"],
  "web.cookieOptions.settings.sameSite": ['"strict"', '"lax"', '"none"'],
  "web.cookieOptions.settings.secure": ["boolean", '"auto"'],
  "web.fingerprintOptions.settings.expires": [],
  "web.formOptions.hashAlgorithm": ["string", "boolean"],
  "web.formOptions.maxFields": ["number"],
  "web.formOptions.maxTotalFileSize": ["number"],
  "websocket.server.authorization": ["function"],
  "websocket.server.compression": ["boolean", "object"],
  "websocket.server.credentials": ["boolean"],
  "websocket.server.idGenerator": ["function"],
  "websocket.server.maxAge": ["string", "number"],
  "websocket.server.maxLength": ["number"],
  "websocket.server.origins": ["string", "list", "object"],
  "websocket.server.pathname": ["string"],
  "websocket.server.pingInterval": ["number", "boolean"],
};

function statuses(
  ...reasons: ErrorReason[]
): Record<string, readonly SettingKind[]> {
  return Object.fromEntries(
    reasons.map((reason) => [`${STATUS}.${reason}`, ["number"] as const]),
  );
}

/** The methods that routes can have; a test compares them with those of the router, which is a layer above. */
export const ROUTE_METHODS: readonly string[] = [
  "all",
  "head",
  "get",
  "patch",
  "post",
  "put",
  "delete",
];

const LISTED = [...Object.keys(SPECIAL), ...Object.keys(MEMBERS)];

/** Returns what is wrong with a value of an accepted kind, as the rest of a sentence. */
type Rule = (value: unknown) => string | undefined;

const rule =
  (wanted: string, isAccepted: (value: unknown) => boolean): Rule =>
  (value) =>
    isAccepted(value)
      ? undefined
      : `is ${typeof value === "string" ? JSON.stringify(value) : String(value)}, and must be ${wanted}`;

const notNegative = rule(
  "a number of at least 0",
  (value) => typeof value !== "number" || value >= 0,
);
const positive = rule(
  "a number above 0",
  (value) => Number.isFinite(value) && Number(value) > 0,
);
const isPort = (value: unknown) =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535;
const port = rule(
  "a port, from 0 to 65535",
  (value) => typeof value !== "number" || isPort(value),
);
/** A TCP port: a number, or its text from an environment variable (empty: unset). Unix sockets are refused. */
const plainPort = rule(
  "a port, from 0 to 65535",
  (value) => value === "" || isPort(portOf(value)),
);
const status = rule(
  "an HTTP status, from 200 to 599",
  (value) =>
    Number.isInteger(value) && Number(value) >= 200 && Number(value) <= 599,
);
const hashName = rule(
  'a hash that node has, such as "sha256"',
  (value) =>
    typeof value !== "string" ||
    !value ||
    getHashes().some((name) => name.toLowerCase() === value.toLowerCase()),
);
const text = entries(
  "a text that is not empty",
  (entry) => typeof entry === "string" && entry.trim() !== "",
);
const method = entries(`one of ${ROUTE_METHODS.join(", ")}`, (entry) =>
  ROUTE_METHODS.includes(entry as string),
);
const secret = entries(
  "a secret",
  (entry) => typeof entry === "string" && !isKnownServerToken(entry),
);
const urlPath = rule('a path that begins with "/"', (value) =>
  /^\/[^\s?#]*$/.test(String(value)),
);
const cookieName = rule(
  "the name of a cookie: letters, digits, - and _",
  (value) => /^[!#$%&'*+\-.^_`|~\w]+$/.test(String(value)),
);
/** Servers add the prefix `__Host-` themselves, over TLS. */
const nameOfSession: Rule = (value) =>
  /^__(?:Host|Secure)-/i.test(String(value))
    ? `is ${JSON.stringify(value)}, and must be a name without the prefix, which is added over TLS`
    : cookieName(value);
const host = entries(
  'a host, such as "site.com" or "https://site.com:8443"',
  (entry) =>
    typeof entry === "string" &&
    /^(?:https?:\/\/)?(?:\[[\da-f:.]+\]|[^\s/?#@,:[\]]+)(?::\d+)?\/*$/i.test(
      entry.trim(),
    ),
);
const domain = rule("a domain", (value) => /^[^\s;,/:]+$/.test(String(value)));
/** "90 %" is 0.9: 90 bytes would refuse every request. */
const heap = rule(
  "a fraction up to 1, or at least 1048576 bytes",
  (value) => Number(value) >= 0 && !(Number(value) > 1 && Number(value) < MIB),
);
const nameOfParam = rule("the name of a param", (value) => value !== "");
const any: Rule = () => undefined;

const MIB = 1024 ** 2;

/** Rules for values of an accepted kind; other numbers must be at least 0. */
const RULES: Readonly<Record<string, Rule>> = {
  "general.defaultMiddlewarePriority": any,
  "general.filteredParams": text,
  "general.filteredResponse": text,
  "general.lockDuration": positive,
  "general.rpcTimeout": positive,
  "general.simultaneousActions": positive,
  "general.overload.maxHeapUsed": heap,
  "health.livePath": urlPath,
  "health.readyPath": urlPath,
  "health.timeout": positive,
  "logger.redact": text,
  "metrics.path": urlPath,
  "metrics.port": plainPort,
  "redis.connectTimeout": positive,
  "redis.heartbeatInterval": positive,
  "redis.heartbeatTimeout": positive,
  "redis.operationTimeout": positive,
  "securityHeaders.headers": headers,
  "securityHeaders.tlsHeaders": headers,
  "session.cookie": nameOfSession,
  "session.maxBytes": positive,
  "session.maxLifetime": positive,
  "session.param": nameOfParam,
  "session.ttl": positive,
  "socket.port": port,
  "socket.verbs": text,
  "tasks.checkTimeout": positive,
  "tasks.heartbeatTimeout": positive,
  "tasks.queues": text,
  "web.allowedRequestHosts": host,
  "web.automaticRoutes": method,
  "web.cookieOptions.secrets": secret,
  "web.cookieOptions.settings.domain": domain,
  "web.cors.exposed": text,
  "web.cors.headers": text,
  "web.cors.methods": text,
  "web.cors.origins": origins,
  "web.defaultErrorStatusCode": status,
  "web.fingerprintOptions.cookieKey": cookieName,
  "web.fingerprintOptions.settings": cookieAttributes,
  "web.formOptions.hashAlgorithm": hashName,
  "web.healthPort": plainPort,
  "web.httpHeaders": headers,
  "web.https.port": port,
  "web.port": port,
  "websocket.server.origins": websocketOrigins,
  "websocket.verbs": text,
};

function ruleOf(setting: string): Rule {
  if (setting.startsWith(`${STATUS}.`)) return status;
  return RULES[setting] ?? notNegative;
}

/** The rule for a list, whose entries have a rule each. */
function entries(
  wanted: string,
  isAccepted: (entry: unknown) => boolean,
): Rule {
  return (value) => {
    if (!Array.isArray(value)) return undefined;
    const list: readonly unknown[] = value;
    const index = list.findIndex((entry) => !isAccepted(entry));
    if (index === -1) return undefined;
    const entry = list[index];
    const isPublic = typeof entry === "string" || !entry;
    const found = isPublic ? shown(entry) : nameOf(kindOf(entry));
    return `has ${found} (entry ${index + 1}), and each must be ${wanted}`;
  };
}

const isBoolean = (value: unknown) => typeof value === "boolean";
const isText = (value: unknown) => typeof value === "string";
const isNumber = (value: unknown) =>
  value !== "" && Number.isFinite(Number(value));

/** Rules of attributes, by names in lower case: attributes are sent as they are, and browsers ignore what they do not know. */
const COOKIE_ATTRIBUTES: ReadonlyMap<string, Rule> = new Map([
  ["domain", rule("a text", isText)],
  ["expires", any],
  ["httponly", rule("a boolean", isBoolean)],
  ["max-age", rule("a number of seconds", isNumber)],
  ["partitioned", rule("a boolean", isBoolean)],
  ["path", rule("a text", isText)],
  ["priority", rule("a text", isText)],
  [
    "samesite",
    rule('"Strict", "Lax" or "None"', (value) =>
      /^(?:strict|lax|none)$/i.test(String(value)),
    ),
  ],
  [
    "secure",
    rule(
      'a boolean or "auto"',
      (value) => isBoolean(value) || value === "auto",
    ),
  ],
]);

function cookieAttributes(value: unknown): string | undefined {
  for (const [name, attribute] of Object.entries(value as object)) {
    const check = COOKIE_ATTRIBUTES.get(name.toLowerCase());
    if (!check)
      return `has ${JSON.stringify(name)}, which is not an attribute of a cookie`;
    if (attribute === undefined || attribute === null) continue;
    const problem = name === "expires" ? expiry(attribute) : check(attribute);
    if (problem) return `has ${name}, which ${problem}`;
    if (/[;\p{Cc}]/u.test(String(attribute)))
      return `has ${name}, whose value has an invalid character`;
  }
  return undefined;
}

const expiry = rule("a number of ms", isNumber);

/** These may not be functions. */
function websocketOrigins(value: unknown): string | undefined {
  const isAsked = [value].flat().some((one) => typeof one === "function");
  return isAsked ? "has a function, which is not called" : origins(value);
}

/** Node would throw for each response. */
function headers(value: unknown): string | undefined {
  for (const [name, content] of Object.entries(value as object)) {
    if (!content) continue; // not sent
    try {
      validateHeaderName(name);
      for (const one of [content].flat())
        validateHeaderValue(name, String(one));
    } catch {
      return `has ${JSON.stringify(name)}, which is an invalid header`;
    }
  }
  return undefined;
}

/** An origin without its scheme would never match. */
function origins(value: unknown): string | undefined {
  const list = typeof value === "string" ? value.split(",") : [value].flat();
  const wrong = list.find(
    (one) =>
      !(one instanceof RegExp) && typeof one !== "function" && !isOrigin(one),
  );
  return wrong === undefined
    ? undefined
    : `has ${JSON.stringify(wrong)}, and must have "*", or origins such as "https://site.com"`;
}

function isOrigin(value: unknown): boolean {
  return (
    typeof value === "string" &&
    /^(?:|\*|null|[a-z][a-z\d+.-]*:\/\/[^\s/,]+\/?)$/i.test(value.trim())
  );
}

/**
 * The values of the framework's own settings that are not accepted. Those of plugins are not judged: their defaults do
 * not say what else they accept.
 * @param levels the levels of the loggers, and of the framework
 */
export function invalidValues(
  config: ActionheroConfigInterface,
  levels: readonly string[],
): SettingProblem[] {
  const { projectRoot, typescript } = config.process;
  const { defaults } = locateConfigDirectories(projectRoot, typescript);
  const known = loadConfig(
    { defaults, project: [], isOwnProject: false },
    config.process,
  ).config;
  return [
    ...findSettingProblems(config, [known]).filter(({ isName }) => !isName),
    ...samePaths(config),
    ...unknownLevels(config, levels),
  ];
}

/** Lines of another level would be logged as "info". */
function unknownLevels(
  { errors, general, tasks }: ActionheroConfigInterface,
  levels: readonly string[],
): SettingProblem[] {
  if (levels.length === 0) return [];
  const settings: [setting: string, level: unknown][] = [
    ["errors.clientErrorLogLevel", errors?.clientErrorLogLevel],
    ["general.fileRequestLogLevel", general?.fileRequestLogLevel],
    ...(["workerLogging", "schedulerLogging"] as const).flatMap((part) =>
      Object.entries(tasks?.[part] ?? {}).map(
        ([event, level]): [string, unknown] => [
          `tasks.${part}.${event}`,
          level,
        ],
      ),
    ),
  ];
  const isLevel = rule(
    `a level of the loggers: ${levels.join(", ")}`,
    (level) => levels.includes(level as string),
  );
  return settings.flatMap(([setting, level]) => {
    const message = typeof level === "string" ? isLevel(level) : undefined;
    return message === undefined ? [] : [{ setting, message, isName: false }];
  });
}

/** One path can only be one of the two. */
function samePaths({ health }: ActionheroConfigInterface): SettingProblem[] {
  const { livePath, readyPath } = health ?? {};
  if (readyPath === undefined || livePath !== readyPath) return [];
  const message = "must differ from health.livePath";
  return [{ setting: "health.readyPath", message, isName: false }];
}

/** The invalid settings of the live configuration. */
export function problemsOfSettings(
  config: ActionheroConfigInterface,
): SettingProblem[] {
  const { projectRoot, typescript } = config.process;
  const directories = {
    ...locateConfigDirectories(projectRoot, typescript),
    plugins: pluginConfigFolders(config.plugins ?? {}),
  };
  return findSettingProblems(
    config,
    knownSettings(directories, config.process),
  );
}

/** The settings of the framework and of the project's plugins. */
export function knownSettings(
  { defaults, plugins }: ConfigDirectories,
  processConfig: ProcessConfig,
): KnownSettings {
  const directories = { defaults, plugins, project: [], isOwnProject: false };
  return ENVIRONMENTS.map(
    (env) => loadConfig(directories, { ...processConfig, env }).config,
  );
}

/** The invalid settings of a configuration, in its order. */
export function findSettingProblems(
  config: ActionheroConfigInterface,
  known: KnownSettings,
): SettingProblem[] {
  const namespaces = namesIn("", known);
  return Object.entries(config).flatMap(([namespace, settings]) => {
    if (namespaces.has(namespace))
      return problemsOf(
        namespace,
        settings,
        known.map((defaults) => defaults[namespace]),
      );
    // any other namespace belongs to the project, unless its name is similar to one of these
    const meant = closest(namespace, namespaces);
    const isMistake = meant !== undefined && meant.length > 3;
    return isMistake ? [unknownName(namespace, meant)] : [];
  });
}

/** @param defaults the default values of this setting in each environment */
function problemsOf(
  setting: string,
  value: unknown,
  defaults: readonly unknown[],
): SettingProblem[] {
  const kinds = SPECIAL[setting] ?? MEMBERS[setting] ?? kindsOf(defaults);
  const message = faultOf(setting, value, { kinds, defaults });
  if (message !== undefined) return [{ setting, message, isName: false }];

  if (!isRecord(value) || FREE.includes(setting)) return [];
  const names = namesIn(setting, defaults);
  if (names.size === 0) return [];
  return Object.entries(value).flatMap(([name, part]) => {
    const path = `${setting}.${name}`;
    if (names.has(name))
      return problemsOf(
        path,
        part,
        defaults.map((one) => (isRecord(one) ? one[name] : undefined)),
      );
    if (OPEN.includes(setting)) return [];
    const meant = closest(name, names);
    const isClosed = CLOSED.includes(setting.split(".", 1)[0]!);
    return isClosed || meant !== undefined ? [unknownName(path, meant)] : [];
  });
}

/** Why a value is not accepted, as the rest of a sentence. */
function faultOf(
  setting: string,
  value: unknown,
  {
    kinds,
    defaults,
  }: { kinds: readonly SettingKind[]; defaults: readonly unknown[] },
): string | undefined {
  if (value === null || value === undefined)
    return isSwitch(kinds, defaults) ? mismatch(value, kinds) : undefined;
  if (kinds.length > 0 && !kinds.some((kind) => isOfKind(value, kind)))
    return mismatch(value, kinds);
  return ruleOf(setting)(value);
}

/** Whether it has a few values only, and always one of them: nobody can tell what null means. */
function isSwitch(
  kinds: readonly SettingKind[],
  defaults: readonly unknown[],
): boolean {
  return (
    kinds.length > 0 &&
    kinds.every(isChoice) &&
    defaults.every((value) => value !== null && value !== undefined)
  );
}

function isChoice(kind: SettingKind): boolean {
  return kind === "boolean" || kind.startsWith('"');
}

/** The known names in a part of the configuration. */
function namesIn(setting: string, defaults: readonly unknown[]): Set<string> {
  const prefix = `${setting}.`;
  const special = LISTED.filter((path) => path.startsWith(prefix)).map(
    (path) => path.slice(prefix.length).split(".", 1)[0]!,
  );
  const present = defaults.flatMap((one) =>
    isRecord(one) ? Object.keys(one) : [],
  );
  if (special.length + present.length === 0) return new Set();
  return new Set([...present, ...special, "_toExpand"]);
}

function kindsOf(defaults: readonly unknown[]): readonly SettingKind[] {
  const kinds = defaults
    .filter((value) => value !== null && value !== undefined)
    .map(kindOf);
  return [...new Set(kinds)];
}

function kindOf(value: unknown): SettingKind {
  if (Array.isArray(value)) return "list";
  return typeof value as SettingKind;
}

function isOfKind(value: unknown, kind: SettingKind): boolean {
  if (kind.startsWith('"')) return value === JSON.parse(kind);
  return kindOf(value) === kind && !Number.isNaN(value);
}

function unknownName(setting: string, meant?: string): SettingProblem {
  const hint = meant === undefined ? "" : `: did you mean "${meant}"?`;
  return { setting, message: `is no setting${hint}`, isName: true };
}

/** Kinds whose values are not secret. */
const PUBLIC: readonly SettingKind[] = ["boolean", "number"];

/** The message omits values that may be secret. */
function mismatch(value: unknown, kinds: readonly SettingKind[]): string {
  const isPublic =
    !kinds.includes("string") &&
    kinds.some((kind) => isChoice(kind) || PUBLIC.includes(kind));
  return `is ${isPublic ? shown(value) : nameOf(kindOf(value))}, and must be ${kinds.map(nameOf).join(" or ")}`;
}

function shown(value: unknown): string {
  if (value === null || typeof value === "number") return String(value);
  const isShort = typeof value !== "string" || value.length <= 40;
  const isPlain = ["string", "boolean", "undefined"].includes(typeof value);
  return isShort && isPlain
    ? String(JSON.stringify(value))
    : nameOf(kindOf(value));
}

function nameOf(kind: SettingKind): string {
  if (kind.startsWith('"')) return kind;
  return kind === "object" ? "an object" : `a ${kind}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// --- Values that are not secret.

/** The default token of version 29, which is public. */
const DEFAULT_TOKEN = "change-me";

/** Whether a `general.serverToken` is missing or the public default. */
export function isKnownServerToken(token: unknown): boolean {
  return !token || token === DEFAULT_TOKEN;
}
