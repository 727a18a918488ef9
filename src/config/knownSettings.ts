/** Compares a configuration with the settings that there are: names that nothing reads, and values of a wrong type. */
import { closest } from "../utils/closest";
import { loadConfig } from "./load";
import { locateConfigDirectories, type ConfigDirectories } from "./locate";
import { pluginConfigFolders } from "./pluginConfig";
import type { ActionheroConfigInterface, ProcessConfig } from "./types";

/** What a value may be: a type, or one exact text, in quotes. */
export type SettingKind =
  | "number"
  | "string"
  | "boolean"
  | "list"
  | "object"
  | "function"
  | `"${string}"`;

/** A setting that is not as it can be. */
export interface SettingProblem {
  /** The dotted path. */
  setting: string;
  /** For a sentence that begins with the setting. */
  message: string;
}

/** The defaults of each environment, in which the known names are. */
export type KnownSettings = readonly ActionheroConfigInterface[];

const ENVIRONMENTS = ["development", "test", "production"];

/** Namespaces whose unknown names are mistakes; projects keep settings of their own in the others. */
const CLOSED = [
  "web",
  "health",
  "metrics",
  "securityHeaders",
  "websocket",
  "socket",
  "redis",
  "tasks",
  "logger",
];

/** Parts with names that a project chooses. Settings whose default is an empty object are such parts, too. */
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
 * Settings whose default does not show all that they can be, or is null or undefined; an empty list is any value. Null
 * and undefined are always accepted.
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

/** What is wrong in the live configuration. */
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
  return ENVIRONMENTS.map((env) =>
    loadConfig(directories, { ...processConfig, env }),
  );
}

/** What is wrong in a configuration, in the order of its settings. */
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
    // any other namespace is the project's own, unless it looks like one of these
    const meant = closest(namespace, namespaces);
    const isMistake = meant !== undefined && meant.length > 3;
    return isMistake ? [unknownName(namespace, meant)] : [];
  });
}

/** @param defaults the values that this setting has by default, in each environment */
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

/** The names that a part of the configuration can have. */
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

/** The value itself is not told, unless it is one of a few that can be: it may be a secret. */
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
