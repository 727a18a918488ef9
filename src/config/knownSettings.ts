/** Compares a configuration with the known settings, to find unknown names and values of a wrong type. */
import { closest } from "../utils/closest";
import {
  loadConfig,
  pluginConfigFolders,
  locateConfigDirectories,
  type ConfigDirectories,
} from "./load";
import type { ActionheroConfigInterface, ProcessConfig } from "./types";

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
interface SettingProblem {
  /** The dotted path. */
  setting: string;
  /** The problem, as the rest of a sentence that begins with the setting. */
  message: string;
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

/** Parts whose names a project chooses. Settings whose default is an empty object are also such parts. */
const OPEN = [
  "general.paths",
  "general.startingChatRooms",
  "plugins",
  "process",
  "routes",
  "securityHeaders.headers",
  "securityHeaders.tlsHeaders",
  "web.fingerprintOptions.settings",
  "web.formOptions",
  "web.httpHeaders",
  "websocket.client",
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
  "metrics.port": ["number"],
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
  "web.cors.origins": [],
  "web.csrf": ["boolean", '"all"'],
  "web.dotfiles": ['"allow"', '"ignore"'],
  "web.extensionTypes": ['"all"', '"safe"'],
  "web.fingerprintOptions.on": ['"all"', '"actions"'],
  "web.healthPort": ["number"],
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
  if (value === null || value === undefined) return [];
  const kinds = SPECIAL[setting] ?? kindsOf(defaults);
  if (kinds.length > 0 && !kinds.some((kind) => isOfKind(value, kind)))
    return [{ setting, message: mismatch(value, kinds) }];

  const names = namesIn(setting, defaults);
  if (!isRecord(value) || names.size === 0 || OPEN.includes(setting)) return [];
  return Object.entries(value).flatMap(([name, part]) => {
    const path = `${setting}.${name}`;
    if (names.has(name))
      return problemsOf(
        path,
        part,
        defaults.map((one) => (isRecord(one) ? one[name] : undefined)),
      );
    const meant = closest(name, names);
    const isClosed = CLOSED.includes(setting.split(".", 1)[0]!);
    return isClosed || meant !== undefined ? [unknownName(path, meant)] : [];
  });
}

/** The known names in a part of the configuration. */
function namesIn(setting: string, defaults: readonly unknown[]): Set<string> {
  const prefix = `${setting}.`;
  const special = Object.keys(SPECIAL)
    .filter((path) => path.startsWith(prefix))
    .map((path) => path.slice(prefix.length).split(".", 1)[0]!);
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
  return kind === "number" ? Number.isFinite(value) : kindOf(value) === kind;
}

function unknownName(setting: string, meant?: string): SettingProblem {
  const hint = meant === undefined ? "" : `: did you mean "${meant}"?`;
  return { setting, message: `is no setting${hint}` };
}

/** The message omits the value, which may be a secret, unless the setting has only a few allowed values. */
function mismatch(value: unknown, kinds: readonly SettingKind[]): string {
  const isChoice = kinds.some((kind) => kind.startsWith('"'));
  const isShown = isChoice && String(value).length <= 40;
  const actual =
    isShown && typeof value !== "object" && typeof value !== "function"
      ? JSON.stringify(value)
      : Number.isNaN(value)
        ? "NaN"
        : nameOf(kindOf(value));
  return `is ${actual}, and must be ${kinds.map(nameOf).join(" or ")}`;
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
